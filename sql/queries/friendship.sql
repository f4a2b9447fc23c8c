-- name: RelationsByKey :many
SELECT f.app_id, f.from_id, f.to_id, f.deleted, f.blocked
FROM (
    SELECT unnest(@app_ids::integer[]) AS app_id, unnest(@from_ids::text[]) AS from_id, unnest(@to_ids::text[]) AS to_id
) AS k
JOIN friendship AS f ON f.app_id = k.app_id AND f.from_id = k.from_id AND f.to_id = k.to_id
WHERE NOT f.stranger;

-- AddFriendships numbers the rows that it adds, behind those that are there.
-- name: AddFriendships :exec
WITH pair AS (
    SELECT DISTINCT p.from_id, p.to_id FROM (SELECT unnest(@from_ids::text[]) AS from_id, unnest(@to_ids::text[]) AS to_id) AS p
    WHERE NOT EXISTS (
        SELECT FROM friendship AS f WHERE f.app_id = @app_id::integer AND f.from_id = p.from_id AND f.to_id = p.to_id
    )
), moved AS (
    INSERT INTO user_sequence AS s (app_id, user_id, friendship) SELECT @app_id::integer, from_id, count(*) FROM pair GROUP BY from_id
    ON CONFLICT (app_id, user_id) DO UPDATE SET friendship = s.friendship + EXCLUDED.friendship
    RETURNING user_id, friendship
)
INSERT INTO friendship (app_id, from_id, to_id, friend_sequence)
SELECT
    @app_id::integer, pair.from_id, pair.to_id,
    moved.friendship + 1 - row_number() OVER (PARTITION BY pair.from_id ORDER BY pair.to_id DESC)
FROM pair JOIN moved ON moved.user_id = pair.from_id
ON CONFLICT DO NOTHING;

-- AddNumberedFriendships befriends u<n> and u<n + 1> for every odd n, among the users from first to last.
-- name: AddNumberedFriendships :exec
WITH pair AS (
    SELECT 'u' || a AS from_id, 'u' || b AS to_id
    FROM generate_series(@first::bigint, @last::bigint) AS n
    CROSS JOIN LATERAL (VALUES (n, n + 1), (n + 1, n)) AS pair (a, b)
    WHERE n % 2 = 1 AND n < @last::bigint
), added AS (
    INSERT INTO friendship (app_id, from_id, to_id, friend_sequence) SELECT @app_id::integer, from_id, to_id, 1 FROM pair
    ON CONFLICT DO NOTHING
    RETURNING from_id
)
INSERT INTO user_sequence AS s (app_id, user_id, friendship) SELECT @app_id::integer, from_id, 1 FROM added
ON CONFLICT (app_id, user_id) DO UPDATE SET friendship = GREATEST(s.friendship, 1);

-- FriendshipsByKey returns those sides of friendships that are there.
-- name: FriendshipsByKey :many
SELECT f.*
FROM (SELECT unnest(@from_ids::text[]) AS from_id, unnest(@to_ids::text[]) AS to_id) AS k
JOIN friendship AS f ON f.app_id = @app_id AND f.from_id = k.from_id AND f.to_id = k.to_id;

-- name: FriendshipsOf :many
SELECT * FROM friendship WHERE app_id = @app_id AND from_id = @from_id ORDER BY to_id LIMIT @max_rows;

-- name: FriendshipsAfter :many
SELECT * FROM friendship
WHERE app_id = @app_id AND from_id = @from_id AND friend_sequence > @after
ORDER BY friend_sequence LIMIT @max_rows;

-- Befriend writes sides of friendships. Of what is there already stays what is not given anew, and the block.
-- name: Befriend :many
INSERT INTO friendship AS f (app_id, from_id, to_id, remark, add_source, extra, friend_sequence)
SELECT
    @app_id, unnest(@from_ids::text[]), unnest(@to_ids::text[]), unnest(@remarks::text[]), unnest(@add_sources::text[]),
    unnest(@extras::text[]), unnest(@sequences::bigint[])
ON CONFLICT (app_id, from_id, to_id) DO UPDATE
SET deleted = false, stranger = false, friend_sequence = EXCLUDED.friend_sequence, updated_at = now(),
    remark = COALESCE(NULLIF(EXCLUDED.remark, ''), f.remark), add_source = COALESCE(NULLIF(EXCLUDED.add_source, ''), f.add_source),
    extra = COALESCE(NULLIF(EXCLUDED.extra, ''), f.extra)
RETURNING *;

-- name: ImportFriendships :exec
INSERT INTO friendship (app_id, from_id, to_id, remark, add_source, deleted, stranger, blocked, friend_sequence, black_sequence)
SELECT
    @app_id, @from_id, unnest(@to_ids::text[]), unnest(@remarks::text[]), unnest(@add_sources::text[]), unnest(@deleteds::boolean[]),
    unnest(@strangers::boolean[]), unnest(@blockeds::boolean[]), unnest(@friend_sequences::bigint[]), unnest(@black_sequences::bigint[]);

-- name: UpdateFriendship :one
UPDATE friendship
SET remark = COALESCE(sqlc.narg('remark'), remark), add_source = COALESCE(sqlc.narg('add_source'), add_source),
    extra = COALESCE(sqlc.narg('extra'), extra), friend_sequence = @sequence, updated_at = now()
WHERE app_id = @app_id AND from_id = @from_id AND to_id = @to_id AND NOT stranger
RETURNING *;

-- name: DeleteFriendship :one
UPDATE friendship SET deleted = true, friend_sequence = @sequence, updated_at = now()
WHERE app_id = @app_id AND from_id = @from_id AND to_id = @to_id AND NOT stranger AND NOT deleted
RETURNING *;

-- DeleteFriendships deletes all of a user's friends, and numbers them from the sequence on.
-- name: DeleteFriendships :many
UPDATE friendship AS f SET deleted = true, friend_sequence = n.number + @sequence::bigint, updated_at = now()
FROM (
    SELECT x.to_id, row_number() OVER (ORDER BY x.to_id) AS number FROM friendship AS x
    WHERE x.app_id = @app_id AND x.from_id = @from_id AND NOT x.stranger AND NOT x.deleted
) AS n
WHERE f.app_id = @app_id AND f.from_id = @from_id AND f.to_id = n.to_id
RETURNING f.to_id;

-- Block returns no row if the user is blocked already. Whoever is no friend gets a row for the block alone.
-- name: Block :one
INSERT INTO friendship AS f (app_id, from_id, to_id, blocked, stranger, friend_sequence, black_sequence)
VALUES (@app_id, @from_id, @to_id, true, true, @sequence, @sequence)
ON CONFLICT (app_id, from_id, to_id) DO UPDATE
SET blocked = true, friend_sequence = EXCLUDED.friend_sequence, black_sequence = EXCLUDED.black_sequence, updated_at = now()
WHERE NOT f.blocked
RETURNING *;

-- name: Unblock :one
UPDATE friendship SET blocked = false, friend_sequence = @sequence, black_sequence = @sequence, updated_at = now()
WHERE app_id = @app_id AND from_id = @from_id AND to_id = @to_id AND blocked
RETURNING *;

-- BefriendNumbered befriends a user and u<n>, for every step-th n from first to last.
-- name: BefriendNumbered :exec
WITH added AS (
    INSERT INTO friendship (app_id, from_id, to_id, friend_sequence)
    SELECT @app_id::integer, a, b, c
    FROM generate_series(@first::bigint, @last::bigint, @step::bigint) AS n
    CROSS JOIN LATERAL (VALUES (@user_id::text, 'u' || n, n), ('u' || n, @user_id::text, 1)) AS side (a, b, c)
    ON CONFLICT DO NOTHING
    RETURNING from_id AS user_id, friend_sequence AS sequence
)
INSERT INTO user_sequence AS s (app_id, user_id, friendship) SELECT @app_id::integer, added.user_id, max(added.sequence) FROM added GROUP BY added.user_id
ON CONFLICT (app_id, user_id) DO UPDATE SET friendship = GREATEST(s.friendship, EXCLUDED.friendship);
