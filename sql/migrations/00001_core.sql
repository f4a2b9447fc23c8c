-- +goose Up

-- The log is the truth of conversations and messages; these tables are a fold over it. So no foreign key stands between what
-- comes from the log and what does not: a row of the log is never refused because of another table.
-- Columns stand in the order that packs them without gaps.

-- A tenant. Two apps share nothing.
CREATE TABLE app (
    app_id       integer     PRIMARY KEY,
    check_friend boolean     NOT NULL DEFAULT true,  -- a message needs a friendship both ways
    check_black  boolean     NOT NULL DEFAULT true,  -- and nobody may have blocked the other
    keys         text[]      NOT NULL,               -- they sign user signatures: one, or two while they are changed
    created_at   timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT app_keys CHECK (cardinality(keys) BETWEEN 1 AND 2 AND array_position(keys, NULL) IS NULL)
);

CREATE TABLE app_user (
    app_id            integer     NOT NULL,
    user_type         smallint    NOT NULL DEFAULT 1,     -- the original's numbers: 1 a user, 100 an administrator
    friend_allow_type smallint    NOT NULL DEFAULT 1,     -- 1 anyone becomes a friend, 2 asks first
    forbidden         boolean     NOT NULL DEFAULT false, -- may do nothing
    silent            boolean     NOT NULL DEFAULT false, -- may not speak
    created_at        timestamptz NOT NULL DEFAULT now(),
    deleted_at        timestamptz,                        -- the user is gone; the row keeps the id from being given again
    user_id           text        NOT NULL,
    nick_name         text        NOT NULL DEFAULT '',
    PRIMARY KEY (app_id, user_id)
);

-- One side of a friendship: what from_id holds of to_id. Two friends are two rows.
CREATE TABLE friendship (
    app_id     integer     NOT NULL,
    deleted    boolean     NOT NULL DEFAULT false, -- from_id has deleted to_id
    blocked    boolean     NOT NULL DEFAULT false, -- from_id has blocked to_id
    created_at timestamptz NOT NULL DEFAULT now(),
    from_id    text        NOT NULL,
    to_id      text        NOT NULL,
    remark     text        NOT NULL DEFAULT '',    -- what from_id calls to_id
    PRIMARY KEY (app_id, from_id, to_id)
);

-- A conversation that has messages. The number stands for the token in its messages, which are many.
-- Head and last_place change with every batch and stand in no index, so that an update stays within its page.
CREATE TABLE conversation (
    conversation_id bigint  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    head            bigint  NOT NULL, -- the newest seq
    last_place      bigint  NOT NULL, -- where the newest message stands in the log
    app_id          integer NOT NULL,
    token           text    NOT NULL UNIQUE
) WITH (fillfactor = 80);

CREATE TABLE message (
    place           bigint      NOT NULL PRIMARY KEY, -- the message key of the wire
    conversation_id bigint      NOT NULL,
    seq             bigint      NOT NULL,
    message_time    bigint      NOT NULL,             -- the client's own time in Unix milliseconds; 0: not given
    created_at      timestamptz NOT NULL,             -- when its block was made, by the sequencer's clock
    identity        uuid        NOT NULL,             -- of (app, conversation, sender, message id)
    client_type     smallint    NOT NULL,
    digest          bytea       NOT NULL,             -- SHA-256 of body and extra; stays when they are erased
    sender          text        NOT NULL,
    imei            text        NOT NULL,
    message_id      text        NOT NULL,             -- the client's own
    body            text,                             -- NULL: erased
    extra           text,                             -- NULL: erased
    CONSTRAINT message_seq UNIQUE (conversation_id, seq), -- history is read by it
    CONSTRAINT message_identity UNIQUE (identity),        -- a repeat is found by it
    CONSTRAINT message_erased CHECK ((body IS NULL) = (extra IS NULL))
);

-- How far the rows are in, for each partition. It moves in the transaction that writes the rows: that is the fence between two
-- writers of a partition, and what makes each row come once.
CREATE TABLE mark (
    partition integer PRIMARY KEY,
    revision  bigint  NOT NULL, -- the last block whose rows are in
    hash      bytea   NOT NULL  -- that block's hash
) WITH (fillfactor = 50);

-- The first 8 bytes of each message's identity, a row a batch: a sequencer fills its filter of known ids from them,
-- which is much less to read than the messages.
CREATE TABLE known_ids (
    partition   integer NOT NULL,
    first_place bigint  NOT NULL, -- the batch's first message
    prefixes    bytea   NOT NULL, -- 8 bytes each, in the order of the log
    PRIMARY KEY (partition, first_place)
);
ALTER TABLE known_ids ALTER COLUMN prefixes SET STORAGE EXTERNAL; -- hashes do not compress

-- Messages that Postgres refused for themselves, put aside so that what is behind them goes on. They were placed all the same:
-- their identities and seqs count when a repeat or a head is looked up.
CREATE TABLE rejected_record (
    place      bigint      PRIMARY KEY,
    seq        bigint      NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    identity   uuid        NOT NULL,
    partition  integer     NOT NULL,
    digest     bytea       NOT NULL,
    token      text        NOT NULL,
    cause      text        NOT NULL,
    record     bytea       NOT NULL -- in the log's own form: a block that holds it alone
);
CREATE INDEX rejected_record_identity ON rejected_record USING hash (identity);
CREATE INDEX rejected_record_token ON rejected_record USING hash (token);

-- +goose Down
DROP TABLE rejected_record, known_ids, mark, message, conversation, friendship, app_user, app;
