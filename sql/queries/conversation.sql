-- HeadsByToken counts the messages that were put aside, too; a token may have several rows, and the highest is its head.
-- name: HeadsByToken :many
SELECT token, head FROM conversation WHERE token = ANY (@tokens::text[])
UNION ALL
SELECT token, seq FROM rejected_record WHERE token = ANY (@tokens::text[]) AND kind = 1;

-- AdvanceConversations moves heads and what has changed forward, never back, and adds the conversations that are new.
-- name: AdvanceConversations :many
INSERT INTO conversation AS c (app_id, token, kind, a, b, head, last_place, changed)
SELECT
    unnest(@app_ids::integer[]), unnest(@tokens::text[]), unnest(@kinds::smallint[]), unnest(@lesser::text[]), unnest(@greater::text[]),
    unnest(@heads::bigint[]), unnest(@last_places::bigint[]), unnest(@changed::bigint[])
ON CONFLICT (token) DO UPDATE
SET head = GREATEST(c.head, EXCLUDED.head), last_place = GREATEST(c.last_place, EXCLUDED.last_place),
    changed = GREATEST(c.changed, EXCLUDED.changed), kind = EXCLUDED.kind, a = EXCLUDED.a, b = EXCLUDED.b
RETURNING conversation_id, token, group_place, wide;

-- FoldGroups takes in what the changes of groups come to.
-- name: FoldGroups :exec
UPDATE conversation AS c
SET version = g.version, group_place = g.place, muted = CASE WHEN g.mutes THEN g.muted ELSE c.muted END, destroyed = c.destroyed OR g.destroyed
FROM (
    SELECT
        unnest(@conversation_ids::bigint[]) AS conversation_id, unnest(@versions::bigint[]) AS version, unnest(@places::bigint[]) AS place,
        unnest(@mutes::boolean[]) AS mutes, unnest(@muted::boolean[]) AS muted, unnest(@destroyed::boolean[]) AS destroyed
) AS g
WHERE c.conversation_id = g.conversation_id AND c.group_place < g.place;

-- WidenConversations finds groups that have too many members now. They stay wide for ever.
-- name: WidenConversations :many
UPDATE conversation AS c SET wide = true
WHERE c.conversation_id = ANY (@conversation_ids::bigint[]) AND NOT c.wide AND (
    SELECT count(*) FROM membership AS m WHERE m.conversation_id = c.conversation_id AND m.left_place IS NULL
) > @members::bigint
RETURNING c.conversation_id;

-- name: Conversations :many
SELECT token, head, last_place FROM conversation WHERE token > @after::text ORDER BY token LIMIT @max_rows;

-- GroupsByToken has a row for each stay, and one without a user for a group that has none, or that is not there. What it finds is
-- of one moment: that of the mark.
-- name: GroupsByToken :many
SELECT
    k.token::text AS token, COALESCE(c.version, 0)::bigint AS version, COALESCE(c.muted, false)::boolean AS muted,
    COALESCE(c.destroyed, false)::boolean AS destroyed, COALESCE(c.group_place, 0)::bigint AS group_place,
    COALESCE((SELECT revision FROM mark WHERE partition = @partition), 0)::bigint AS mark,
    COALESCE(m.user_id, '')::text AS user_id, COALESCE(m.joined, 0)::bigint AS joined, COALESCE(m.left_place, 0)::bigint AS left_place,
    COALESCE(m.role, 0)::smallint AS role, COALESCE(m.muted_until, 0)::bigint AS muted_until, COALESCE(m.place, 0)::bigint AS place
FROM (SELECT unnest(@tokens::text[]) AS token) AS k
LEFT JOIN conversation AS c ON c.token = k.token
LEFT JOIN membership AS m ON m.conversation_id = c.conversation_id
    AND (m.left_place IS NULL OR (@ended_before::bigint > 0 AND m.left_place >= @ended_before::bigint));
