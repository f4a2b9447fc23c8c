-- +goose Up

-- What a user has set of a conversation for himself, folded from the log. It is nobody else's news: it stands neither in conversation.changed
-- nor in membership.changed, and is found by its own index.
CREATE TABLE conversation_setting (
    conversation_id bigint  NOT NULL,
    cleared         bigint  NOT NULL DEFAULT 0, -- the place of the newest deletion: what is his to see is after it
    place           bigint  NOT NULL,           -- of the newest setting
    app_id          integer NOT NULL,
    muted           boolean,                    -- NULL: he has never said
    top             boolean,                    -- NULL: he has never said
    user_id         text    NOT NULL,
    PRIMARY KEY (conversation_id, user_id)
) WITH (fillfactor = 80);
CREATE INDEX conversation_setting_place ON conversation_setting (app_id, user_id, place, conversation_id);

-- +goose Down
DROP TABLE conversation_setting;
