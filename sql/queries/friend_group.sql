-- AddFriendGroup returns no row if there is a group of this name.
-- name: AddFriendGroup :one
INSERT INTO friend_group (app_id, from_id, name, sequence) VALUES (@app_id, @from_id, @name, @sequence)
ON CONFLICT (app_id, from_id, name) WHERE NOT deleted DO NOTHING
RETURNING friend_group_id;

-- TouchFriendGroup returns no row if there is no group of this name.
-- name: TouchFriendGroup :one
UPDATE friend_group SET sequence = @sequence, updated_at = now()
WHERE app_id = @app_id AND from_id = @from_id AND name = @name AND NOT deleted
RETURNING friend_group_id;

-- DeleteFriendGroups numbers what it deletes from the sequence on.
-- name: DeleteFriendGroups :many
UPDATE friend_group AS g SET deleted = true, sequence = n.number + @sequence::bigint, updated_at = now()
FROM (
    SELECT x.friend_group_id, row_number() OVER (ORDER BY x.name) AS number FROM friend_group AS x
    WHERE x.app_id = @app_id AND x.from_id = @from_id AND x.name = ANY (@names::text[]) AND NOT x.deleted
) AS n
WHERE g.friend_group_id = n.friend_group_id
RETURNING g.friend_group_id, g.name, g.sequence;

-- name: EmptyFriendGroups :exec
DELETE FROM friend_group_member WHERE friend_group_id = ANY (@friend_group_ids::bigint[]);

-- name: AddFriendGroupMembers :exec
INSERT INTO friend_group_member (friend_group_id, to_id) SELECT @friend_group_id, unnest(@to_ids::text[])
ON CONFLICT DO NOTHING;

-- name: DeleteFriendGroupMembers :many
DELETE FROM friend_group_member WHERE friend_group_id = @friend_group_id AND to_id = ANY (@to_ids::text[])
RETURNING to_id;

-- name: CountFriendGroupMembers :one
SELECT count(*) FROM friend_group_member WHERE friend_group_id = @friend_group_id;

-- name: FriendGroupsAfter :many
SELECT
    g.name, g.deleted, g.sequence, g.created_at, g.updated_at,
    ARRAY(SELECT m.to_id FROM friend_group_member AS m WHERE m.friend_group_id = g.friend_group_id ORDER BY m.to_id)::text[] AS to_ids
FROM friend_group AS g
WHERE g.app_id = @app_id AND g.from_id = @from_id AND g.sequence > @after
ORDER BY g.sequence LIMIT @max_rows;
