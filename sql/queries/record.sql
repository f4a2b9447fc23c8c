-- name: AddRecords :exec
INSERT INTO record (conversation_id, place, created_at, kind, data)
SELECT
    unnest(@conversation_ids::bigint[]), unnest(@places::bigint[]), unnest(@created_ats::timestamptz[]), unnest(@kinds::smallint[]),
    unnest(@data::bytea[])
ON CONFLICT DO NOTHING;
