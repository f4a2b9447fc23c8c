-- CountMessages counts the messages of conversations between two seqs: a bench asks whether all that it has sent is there.
-- name: CountMessages :many
SELECT k.number::integer AS number, count(m.seq) AS messages
FROM (
    SELECT
        unnest(@numbers::integer[]) AS number, unnest(@tokens::text[]) AS token, unnest(@firsts::bigint[]) AS first, unnest(@lasts::bigint[]) AS last
) AS k
JOIN conversation AS c ON c.token = k.token
JOIN message AS m ON m.conversation_id = c.conversation_id AND m.seq BETWEEN k.first AND k.last
GROUP BY k.number;

-- name: BackendPID :one
SELECT pg_backend_pid();
