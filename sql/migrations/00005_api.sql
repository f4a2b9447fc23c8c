-- +goose Up

-- What the HTTP API keeps: profiles, friendships and their groups and requests, descriptions of groups, options of apps; and how others
-- hear of a change: events, and calls of an app's webhook.

ALTER TABLE app
    ADD COLUMN route_model      smallint NOT NULL DEFAULT 3,     -- which edge a login is sent to: 1 a random one, 2 one after the other, 3 by consistent hashing
    ADD COLUMN delete_mode      smallint NOT NULL DEFAULT 1,     -- a deleted conversation is deleted 1 on all of a user's devices, 2 silently
    ADD COLUMN hook_fail_closed boolean  NOT NULL DEFAULT false, -- what a before-hook is asked about is refused when it does not answer
    ADD COLUMN hook_url         text     NOT NULL DEFAULT '',    -- empty: none
    ADD COLUMN hook_secrets     text[]   NOT NULL DEFAULT '{}',  -- calls are signed with each: one, or two while they are changed
    ADD COLUMN hooks            text[]   NOT NULL DEFAULT '{}';  -- the commands that are called

ALTER TABLE app_user
    ADD COLUMN updated_at         timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN user_sex           smallint    NOT NULL DEFAULT 0,
    ADD COLUMN disable_add_friend boolean     NOT NULL DEFAULT false, -- nobody may ask for his friendship
    ADD COLUMN location           text        NOT NULL DEFAULT '',
    ADD COLUMN birth_day          text        NOT NULL DEFAULT '',
    ADD COLUMN photo              text        NOT NULL DEFAULT '',
    ADD COLUMN self_signature     text        NOT NULL DEFAULT '',
    ADD COLUMN extra              text        NOT NULL DEFAULT '',
    ADD COLUMN password_hash      text        NOT NULL DEFAULT '';    -- argon2id; never told to anybody

-- The numbers of what has changed last for a user, each growing by itself: what a device has seen and what it has not. The row is the
-- lock under which a user's changes are made, one after the other.
CREATE TABLE user_sequence (
    app_id         integer NOT NULL,
    friendship     bigint  NOT NULL DEFAULT 0,
    friend_request bigint  NOT NULL DEFAULT 0,
    friend_group   bigint  NOT NULL DEFAULT 0,
    user_id        text    NOT NULL,
    PRIMARY KEY (app_id, user_id)
) WITH (fillfactor = 80);

ALTER TABLE friendship
    ADD COLUMN friend_sequence bigint      NOT NULL DEFAULT 0, -- of from_id's sequence, when it changed last
    ADD COLUMN black_sequence  bigint      NOT NULL DEFAULT 0, -- and when its block did
    ADD COLUMN updated_at      timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN stranger        boolean     NOT NULL DEFAULT false, -- to_id is no friend: the row is there for the block alone
    ADD COLUMN add_source      text        NOT NULL DEFAULT '',
    ADD COLUMN extra           text        NOT NULL DEFAULT '';
CREATE INDEX friendship_sequence ON friendship (app_id, from_id, friend_sequence);

-- Friendships of before are numbered, for a device that knows none of them to hear of all.
UPDATE friendship AS f SET friend_sequence = n.number
FROM (SELECT app_id, from_id, to_id, row_number() OVER (PARTITION BY app_id, from_id ORDER BY to_id) AS number FROM friendship) AS n
WHERE f.app_id = n.app_id AND f.from_id = n.from_id AND f.to_id = n.to_id;
INSERT INTO user_sequence (app_id, user_id, friendship) SELECT app_id, from_id, max(friend_sequence) FROM friendship GROUP BY app_id, from_id;

CREATE TABLE friend_request (
    request_id     bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    from_sequence  bigint      NOT NULL, -- of from_id's sequence, when the request changed last
    to_sequence    bigint      NOT NULL, -- of to_id's
    created_at     timestamptz NOT NULL DEFAULT now(),
    updated_at     timestamptz NOT NULL DEFAULT now(),
    app_id         integer     NOT NULL,
    approve_status smallint    NOT NULL DEFAULT 0,     -- the original's numbers: 0 open, 1 agreed, 2 rejected
    read           boolean     NOT NULL DEFAULT false, -- to_id has seen it
    from_id        text        NOT NULL,
    to_id          text        NOT NULL,
    remark         text        NOT NULL DEFAULT '',    -- what from_id will call to_id
    add_source     text        NOT NULL DEFAULT '',
    add_wording    text        NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX friend_request_open ON friend_request (app_id, from_id, to_id) WHERE approve_status = 0;
CREATE INDEX friend_request_to ON friend_request (app_id, to_id, to_sequence);
CREATE INDEX friend_request_from ON friend_request (app_id, from_id, from_sequence);

-- A user's own sorting of his friends.
CREATE TABLE friend_group (
    friend_group_id bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    sequence        bigint      NOT NULL, -- of from_id's, when it changed last
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now(),
    app_id          integer     NOT NULL,
    deleted         boolean     NOT NULL DEFAULT false, -- kept, so that a device hears of it
    from_id         text        NOT NULL,
    name            text        NOT NULL
);
CREATE UNIQUE INDEX friend_group_name ON friend_group (app_id, from_id, name) WHERE NOT deleted;
CREATE INDEX friend_group_sequence ON friend_group (app_id, from_id, sequence);

CREATE TABLE friend_group_member (
    friend_group_id bigint NOT NULL REFERENCES friend_group ON DELETE CASCADE,
    to_id           text   NOT NULL,
    PRIMARY KEY (friend_group_id, to_id)
);

ALTER TABLE chat_group
    ADD COLUMN updated_at      timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN group_type      smallint    NOT NULL DEFAULT 1, -- the original's numbers: 1 private, 2 public
    ADD COLUMN apply_join_type smallint    NOT NULL DEFAULT 1, -- who may join by himself: 0 nobody, 1 whom a manager lets in, 2 anybody
    ADD COLUMN introduction    text        NOT NULL DEFAULT '',
    ADD COLUMN notification    text        NOT NULL DEFAULT '',
    ADD COLUMN photo           text        NOT NULL DEFAULT '',
    ADD COLUMN extra           text        NOT NULL DEFAULT '';

ALTER TABLE group_member
    ADD COLUMN join_type text NOT NULL DEFAULT '',
    ADD COLUMN alias     text NOT NULL DEFAULT '',
    ADD COLUMN extra     text NOT NULL DEFAULT '';
CREATE INDEX group_member_staff ON group_member (app_id, group_id, role DESC, user_id) WHERE role > 0;

CREATE TABLE group_join_request (
    request_id bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    app_id     integer     NOT NULL,
    status     smallint    NOT NULL DEFAULT 0,  -- as of friend requests: 0 open, 1 agreed, 2 rejected
    group_id   text        NOT NULL,
    user_id    text        NOT NULL,
    wording    text        NOT NULL DEFAULT '',
    handled_by text        NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX group_join_request_open ON group_join_request (app_id, group_id, user_id) WHERE status = 0;
CREATE INDEX group_join_request_group ON group_join_request (app_id, group_id, status, request_id);

-- What was decided here and is still to be told. A row is written in the transaction that decides, and goes when the stream has it.
CREATE TABLE event_outbox (
    event_id   bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    created_at timestamptz NOT NULL DEFAULT now(),
    app_id     integer     NOT NULL,
    aggregate  text        NOT NULL, -- events of one are told in the order of their ids
    event      bytea       NOT NULL  -- JSON
);

-- Calls of webhooks that did not succeed at once: they are tried again, and are dead after the last attempt.
CREATE TABLE webhook_call (
    webhook_call_id bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    created_at      timestamptz NOT NULL DEFAULT now(),
    next_at         timestamptz NOT NULL,               -- when it is tried next; of a dead one when it was tried last
    app_id          integer     NOT NULL,
    attempts        smallint    NOT NULL DEFAULT 0,
    dead            boolean     NOT NULL DEFAULT false, -- it is tried no more, unless an operator asks for it
    event_id        text        NOT NULL,               -- the same for each attempt
    command         text        NOT NULL,
    cause           text        NOT NULL DEFAULT '',    -- why the last attempt failed
    body            bytea       NOT NULL,
    CONSTRAINT webhook_call_event UNIQUE (app_id, event_id)
);
CREATE INDEX webhook_call_due ON webhook_call (app_id, next_at) WHERE NOT dead; -- by app: one with many does not hide the others'
CREATE INDEX webhook_call_dead ON webhook_call (webhook_call_id) WHERE dead;

-- How far the webhooks have heard: the log's partitions by their numbers, the events as -1.
CREATE TABLE webhook_mark (
    source   integer PRIMARY KEY,
    position bigint  NOT NULL
) WITH (fillfactor = 50);

-- Users whose app was told that they are online.
CREATE TABLE webhook_online (
    app_id  integer     NOT NULL,
    since   timestamptz NOT NULL DEFAULT now(),
    user_id text        NOT NULL,
    PRIMARY KEY (app_id, user_id)
);

-- +goose Down
DROP TABLE webhook_online, webhook_mark, webhook_call, event_outbox, group_join_request, friend_group_member, friend_group, friend_request,
    user_sequence;
DROP INDEX group_member_staff;
ALTER TABLE group_member DROP COLUMN join_type, DROP COLUMN alias, DROP COLUMN extra;
ALTER TABLE chat_group
    DROP COLUMN updated_at, DROP COLUMN group_type, DROP COLUMN apply_join_type, DROP COLUMN introduction, DROP COLUMN notification,
    DROP COLUMN photo, DROP COLUMN extra;
DROP INDEX friendship_sequence;
ALTER TABLE friendship
    DROP COLUMN friend_sequence, DROP COLUMN black_sequence, DROP COLUMN updated_at, DROP COLUMN stranger, DROP COLUMN add_source,
    DROP COLUMN extra;
ALTER TABLE app_user
    DROP COLUMN updated_at, DROP COLUMN user_sex, DROP COLUMN disable_add_friend, DROP COLUMN location, DROP COLUMN birth_day,
    DROP COLUMN photo, DROP COLUMN self_signature, DROP COLUMN extra, DROP COLUMN password_hash;
ALTER TABLE app
    DROP COLUMN route_model, DROP COLUMN delete_mode, DROP COLUMN hook_fail_closed, DROP COLUMN hook_url, DROP COLUMN hook_secrets,
    DROP COLUMN hooks;
