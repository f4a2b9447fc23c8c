-- +goose Up

-- What an app has had replaced: a repeat comes with what was asked for, not with what the message says.
ALTER TABLE message         ADD COLUMN asked bytea; -- SHA-256 of the body and extra that were asked for; NULL: the digest is
ALTER TABLE rejected_record ADD COLUMN asked bytea; -- the same of a message

-- +goose Down
ALTER TABLE message         DROP COLUMN asked;
ALTER TABLE rejected_record DROP COLUMN asked;
