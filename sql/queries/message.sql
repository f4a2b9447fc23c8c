-- MessagesByIdentity also finds the messages that were put aside: they were placed, too.
-- name: MessagesByIdentity :many
SELECT identity, seq, place, digest FROM message WHERE identity = ANY (@identities::uuid[])
UNION ALL
SELECT identity, seq, place, digest FROM rejected_record WHERE identity = ANY (@identities::uuid[]);

-- AddMessages writes each message once: one that is there already is refused, as any other that Postgres will not have.
-- name: AddMessages :exec
INSERT INTO message (
    place, conversation_id, seq, message_time, created_at, identity, client_type, digest, sender, imei, message_id, body, extra
)
SELECT
    place, conversation_id, seq, message_time, created_at, identity, client_type, digest, sender, imei, message_id,
    CASE WHEN NOT erased THEN body END,
    CASE WHEN NOT erased THEN extra END
FROM (
    SELECT
        unnest(@places::bigint[]) AS place,
        unnest(@conversation_ids::bigint[]) AS conversation_id,
        unnest(@seqs::bigint[]) AS seq,
        unnest(@message_times::bigint[]) AS message_time,
        unnest(@created_ats::timestamptz[]) AS created_at,
        unnest(@identities::uuid[]) AS identity,
        unnest(@client_types::integer[]) AS client_type,
        unnest(@digests::bytea[]) AS digest,
        unnest(@senders::text[]) AS sender,
        unnest(@imeis::text[]) AS imei,
        unnest(@message_ids::text[]) AS message_id,
        unnest(@erased::boolean[]) AS erased,
        unnest(@bodies::text[]) AS body,
        unnest(@extras::text[]) AS extra
) AS row;

-- name: Messages :many
SELECT
    m.place, c.token, m.seq, m.message_time, m.created_at, m.identity, m.client_type, m.digest, m.sender, m.imei, m.message_id,
    COALESCE(m.body, '') AS body, COALESCE(m.extra, '') AS extra, (m.body IS NULL)::boolean AS erased
FROM message AS m
JOIN conversation AS c USING (conversation_id)
WHERE m.place >= @first_place AND m.place < @end_place
ORDER BY m.place
LIMIT @max_rows;

-- name: LastPlace :one
SELECT COALESCE(max(place), 0)::bigint FROM message;
