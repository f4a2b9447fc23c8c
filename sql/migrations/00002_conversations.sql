-- +goose Up

-- Reads, recalls and groups. As before: what the log says is folded into tables of its own (conversation, message, membership,
-- read_position, record), and no foreign key stands between them and what Postgres decides (chat_group, group_member, outbox).

ALTER TABLE app
    ADD COLUMN login_policy           smallint NOT NULL DEFAULT 0,     -- the original's numbers; 0: the deployment's
    ADD COLUMN history_before_joining boolean  NOT NULL DEFAULT false; -- new members see what was said before

-- What Postgres decides of a group, within a transaction that locks its row. Each change gets the next version, and goes through
-- the outbox into the log.
CREATE TABLE chat_group (
    version      bigint      NOT NULL DEFAULT 0,
    created_at   timestamptz NOT NULL DEFAULT now(),
    destroyed_at timestamptz,
    app_id       integer     NOT NULL,
    max_members  integer     NOT NULL,
    muted        boolean     NOT NULL DEFAULT false, -- only managers and the owner may speak
    group_id     text        NOT NULL,
    owner_id     text        NOT NULL,
    name         text        NOT NULL DEFAULT '',
    PRIMARY KEY (app_id, group_id)
);

CREATE TABLE group_member (
    muted_until bigint      NOT NULL DEFAULT 0, -- Unix milliseconds
    joined_at   timestamptz NOT NULL DEFAULT now(),
    app_id      integer     NOT NULL,
    role        smallint    NOT NULL DEFAULT 0, -- 0 ordinary, 1 manager, 2 owner
    group_id    text        NOT NULL,
    user_id     text        NOT NULL,
    PRIMARY KEY (app_id, group_id, user_id)
);
CREATE INDEX group_member_user ON group_member (app_id, user_id);

-- Changes of groups that are not in the log yet, or whose rows are not.
CREATE TABLE outbox (
    outbox_id  bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    version    bigint      NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    app_id     integer     NOT NULL,
    group_id   text        NOT NULL,
    by_id      text        NOT NULL, -- who made it; empty: the app itself
    change     bytea       NOT NULL, -- in the log's own form: a block that holds the record alone
    CONSTRAINT outbox_version UNIQUE (app_id, group_id, version)
);

-- The users of a pair and the newest record stand in indexes: a user's conversations are found by what has changed.
ALTER TABLE conversation
    ADD COLUMN changed     bigint   NOT NULL DEFAULT 0,     -- the place of the newest record; in groups reads do not count
    ADD COLUMN version     bigint   NOT NULL DEFAULT 0,     -- a group's, of its newest change; 0: there is no such group
    ADD COLUMN group_place bigint   NOT NULL DEFAULT 0,     -- where that change stands
    ADD COLUMN kind        smallint NOT NULL DEFAULT 0,     -- 0 a pair, 1 a group
    ADD COLUMN muted       boolean  NOT NULL DEFAULT false,
    ADD COLUMN destroyed   boolean  NOT NULL DEFAULT false,
    ADD COLUMN wide        boolean  NOT NULL DEFAULT false, -- the group has, or had, too many members to tell each what has changed
    ADD COLUMN a           text     NOT NULL DEFAULT '',    -- the lesser user of a pair; a group's id
    ADD COLUMN b           text     NOT NULL DEFAULT '';    -- the greater user of a pair

-- Until now there were pairs alone. A token is APP/p/A/B; every byte of an id that is not safe there is written as =XX.
CREATE FUNCTION token_id(token text, part integer) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT convert_from(decode(string_agg(COALESCE(m[1], encode(convert_to(m[2], 'UTF8'), 'hex')), '' ORDER BY n), 'hex'), 'UTF8')
    FROM regexp_matches(split_part(token, '/', part), '=(..)|([^=]+)', 'g') WITH ORDINALITY AS piece (m, n)
$$;
UPDATE conversation
SET changed = last_place, a = token_id(token, 3), b = token_id(token, 4)
WHERE split_part(token, '/', 2) = 'p';
DROP FUNCTION token_id(text, integer);

CREATE INDEX conversation_a ON conversation (app_id, a, changed) WHERE kind = 0;
CREATE INDEX conversation_b ON conversation (app_id, b, changed) WHERE kind = 0;

-- A stay of a user in a group: records at places between joined and left_place are his to see.
CREATE TABLE membership (
    conversation_id bigint   NOT NULL,
    joined          bigint   NOT NULL,
    left_place      bigint,                            -- NULL: he is there
    muted_until     bigint   NOT NULL DEFAULT 0,       -- Unix milliseconds
    place           bigint   NOT NULL,                 -- of the newest change of the stay
    changed         bigint   NOT NULL,                 -- of the newest record that is news to him; while wide: of his own reads and changes alone
    app_id          integer  NOT NULL,
    role            smallint NOT NULL,
    wide            boolean  NOT NULL DEFAULT false,   -- what has changed is told by the conversation
    user_id         text     NOT NULL,
    PRIMARY KEY (conversation_id, user_id, joined)
) WITH (fillfactor = 80);
CREATE INDEX membership_changed ON membership (app_id, user_id, changed);
CREATE INDEX membership_wide ON membership (app_id, user_id) WHERE wide AND left_place IS NULL;

-- How far a user has read; it only moves forward.
CREATE TABLE read_position (
    conversation_id bigint NOT NULL,
    seq             bigint NOT NULL,
    place           bigint NOT NULL, -- of the read
    user_id         text   NOT NULL,
    PRIMARY KEY (conversation_id, user_id)
) WITH (fillfactor = 80);

-- Recalls and changes of groups, for history.
CREATE TABLE record (
    conversation_id bigint      NOT NULL,
    place           bigint      NOT NULL,
    created_at      timestamptz NOT NULL, -- when its block was made, by the sequencer's clock
    kind            smallint    NOT NULL, -- the log's numbers: 4 a recall, 6 a change
    data            bytea       NOT NULL, -- in the log's own form: a block that holds it alone
    PRIMARY KEY (conversation_id, place)
);

-- History is read by place within a conversation, audits by place over all. Rows come in nearly in the order of places.
ALTER TABLE message
    ADD COLUMN recalled bigint, -- the recall's place; body and extra are NULL then
    ADD CONSTRAINT message_recalled CHECK (recalled IS NULL OR body IS NULL),
    DROP CONSTRAINT message_pkey,
    ADD PRIMARY KEY (conversation_id, place);
CREATE INDEX message_place ON message USING brin (place) WITH (pages_per_range = 16, autosummarize = on);

-- Records of every kind may be put aside. Only messages have an identity and a seq that count.
ALTER TABLE rejected_record
    ADD COLUMN recalled bigint,
    ADD COLUMN kind     smallint NOT NULL DEFAULT 1; -- the log's numbers: 1 a message

-- +goose Down
DROP TABLE record, read_position, membership, outbox, group_member, chat_group;
ALTER TABLE rejected_record DROP COLUMN recalled, DROP COLUMN kind;
DROP INDEX message_place;
ALTER TABLE message DROP CONSTRAINT message_pkey, ADD PRIMARY KEY (place), DROP COLUMN recalled;
ALTER TABLE conversation
    DROP COLUMN changed, DROP COLUMN version, DROP COLUMN group_place, DROP COLUMN kind, DROP COLUMN muted, DROP COLUMN destroyed,
    DROP COLUMN wide, DROP COLUMN a, DROP COLUMN b;
ALTER TABLE app DROP COLUMN login_policy, DROP COLUMN history_before_joining;
