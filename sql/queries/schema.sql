-- name: SchemaVersion :one
SELECT COALESCE(max(version_id), 0)::bigint FROM goose_db_version WHERE is_applied;

-- TryLockSchema does not wait: a session that waits holds a snapshot, and an index that is built concurrently waits for those.
-- name: TryLockSchema :one
SELECT pg_try_advisory_lock(@key);
