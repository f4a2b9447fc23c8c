-- MoveReads moves positions forward, never back.
-- name: MoveReads :exec
INSERT INTO read_position AS r (conversation_id, user_id, seq, place)
SELECT unnest(@conversation_ids::bigint[]), unnest(@user_ids::text[]), unnest(@seqs::bigint[]), unnest(@places::bigint[])
ON CONFLICT (conversation_id, user_id) DO UPDATE SET seq = GREATEST(r.seq, EXCLUDED.seq), place = GREATEST(r.place, EXCLUDED.place);

-- name: ReadsByKey :many
SELECT k.number::integer AS number, r.seq
FROM (
    SELECT unnest(@numbers::integer[]) AS number, unnest(@tokens::text[]) AS token, unnest(@user_ids::text[]) AS user_id
) AS k
JOIN conversation AS c ON c.token = k.token
JOIN read_position AS r ON r.conversation_id = c.conversation_id AND r.user_id = k.user_id;
