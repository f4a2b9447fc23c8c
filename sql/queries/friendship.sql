-- name: RelationsByKey :many
SELECT f.app_id, f.from_id, f.to_id, f.deleted, f.blocked
FROM (
    SELECT unnest(@app_ids::integer[]) AS app_id, unnest(@from_ids::text[]) AS from_id, unnest(@to_ids::text[]) AS to_id
) AS k
JOIN friendship AS f ON f.app_id = k.app_id AND f.from_id = k.from_id AND f.to_id = k.to_id;

-- name: AddFriendships :exec
INSERT INTO friendship (app_id, from_id, to_id)
SELECT @app_id, unnest(@from_ids::text[]), unnest(@to_ids::text[])
ON CONFLICT DO NOTHING;

-- AddNumberedFriendships befriends u<first> and u<first + 1>, and so on in pairs, as far as u<last>. First is odd; an odd last one stays alone.
-- name: AddNumberedFriendships :exec
INSERT INTO friendship (app_id, from_id, to_id)
SELECT @app_id, 'u' || a, 'u' || b
FROM generate_series(@first::bigint, @last::bigint - 1, 2) AS n
CROSS JOIN LATERAL (VALUES (n, n + 1), (n + 1, n)) AS pair (a, b)
ON CONFLICT DO NOTHING;
