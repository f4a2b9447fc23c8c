-- HeadsByToken counts the messages that were put aside, too; a token may have several rows, and the highest is its head.
-- name: HeadsByToken :many
SELECT token, head FROM conversation WHERE token = ANY (@tokens::text[])
UNION ALL
SELECT token, seq FROM rejected_record WHERE token = ANY (@tokens::text[]);

-- AdvanceConversations moves heads forward, never back, and adds the conversations that are new.
-- name: AdvanceConversations :many
INSERT INTO conversation AS c (app_id, token, head, last_place)
SELECT unnest(@app_ids::integer[]), unnest(@tokens::text[]), unnest(@heads::bigint[]), unnest(@last_places::bigint[])
ON CONFLICT (token) DO UPDATE
SET head = GREATEST(c.head, EXCLUDED.head), last_place = GREATEST(c.last_place, EXCLUDED.last_place)
RETURNING conversation_id, token;

-- name: Conversations :many
SELECT token, head, last_place FROM conversation WHERE token > @after::text ORDER BY token LIMIT @max_rows;
