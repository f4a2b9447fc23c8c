-- name: RelationsByKey :many
SELECT f.app_id, f.from_id, f.to_id, f.deleted, f.blocked
FROM (
    SELECT unnest(@app_ids::integer[]) AS app_id, unnest(@from_ids::text[]) AS from_id, unnest(@to_ids::text[]) AS to_id
) AS k
JOIN friendship AS f ON f.app_id = k.app_id AND f.from_id = k.from_id AND f.to_id = k.to_id
WHERE NOT f.stranger;

-- name: AddFriendships :exec
INSERT INTO friendship (app_id, from_id, to_id)
SELECT @app_id, unnest(@from_ids::text[]), unnest(@to_ids::text[])
ON CONFLICT DO NOTHING;

-- AddNumberedFriendships befriends u<n> and u<n + 1> for every odd n, among the users from first to last.
-- name: AddNumberedFriendships :exec
INSERT INTO friendship (app_id, from_id, to_id)
SELECT @app_id, 'u' || a, 'u' || b
FROM generate_series(@first::bigint, @last::bigint) AS n
CROSS JOIN LATERAL (VALUES (n, n + 1), (n + 1, n)) AS pair (a, b)
WHERE n % 2 = 1 AND n < @last::bigint
ON CONFLICT DO NOTHING;

-- BefriendNumbered befriends a user and u<n>, for every step-th n from first to last.
-- name: BefriendNumbered :exec
INSERT INTO friendship (app_id, from_id, to_id)
SELECT @app_id, a, b
FROM generate_series(@first::bigint, @last::bigint, @step::bigint) AS n
CROSS JOIN LATERAL (VALUES (@user_id::text, 'u' || n), ('u' || n, @user_id::text)) AS pair (a, b)
ON CONFLICT DO NOTHING;
