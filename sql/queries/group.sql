-- AddGroup adds a group, unless there is one of this id; a created_ms of 0 is now.
-- name: AddGroup :one
INSERT INTO chat_group (app_id, group_id, owner_id, max_members, created_at)
VALUES (@app_id, @group_id, @owner_id, @max_members, COALESCE(to_timestamp(NULLIF(@created_ms::bigint, 0) / 1000.0), now()))
ON CONFLICT DO NOTHING
RETURNING created_at;

-- GroupForChange locks the group's row: changes of a group are decided one after the other.
-- name: GroupForChange :one
SELECT * FROM chat_group WHERE app_id = @app_id AND group_id = @group_id FOR UPDATE;

-- FoldedVersion returns how far a group's log is folded in.
-- name: FoldedVersion :one
SELECT COALESCE((SELECT version FROM conversation WHERE token = @token), 0)::bigint AS version;

-- name: UpdateGroup :one
UPDATE chat_group
SET version = @version, owner_id = @owner_id, muted = @muted, destroyed_at = CASE WHEN @destroyed::boolean THEN COALESCE(destroyed_at, now()) END,
    name = @name, max_members = @max_members, group_type = @group_type, apply_join_type = @apply_join_type, introduction = @introduction,
    notification = @notification, photo = @photo, extra = @extra, updated_at = now()
WHERE app_id = @app_id AND group_id = @group_id
RETURNING updated_at;

-- name: CountMembers :one
SELECT count(*) FROM group_member WHERE app_id = @app_id AND group_id = @group_id;

-- name: MembersByID :many
SELECT user_id, role, muted_until, alias, extra FROM group_member
WHERE app_id = @app_id AND group_id = @group_id AND user_id = ANY (@user_ids::text[]);

-- name: ExistingUsers :many
SELECT user_id FROM app_user WHERE app_id = @app_id AND user_id = ANY (@user_ids::text[]) AND deleted_at IS NULL;

-- AddMembers adds members to a group; one whose joined_ms is 0 joins now.
-- name: AddMembers :exec
INSERT INTO group_member (app_id, group_id, user_id, role, join_type, alias, extra, joined_at)
SELECT
    @app_id, @group_id, m.user_id, m.role, m.join_type, m.alias, m.extra, COALESCE(to_timestamp(NULLIF(m.joined_ms, 0) / 1000.0), now())
FROM (
    SELECT
        unnest(@user_ids::text[]) AS user_id, unnest(@roles::smallint[]) AS role, unnest(@join_types::text[]) AS join_type,
        unnest(@aliases::text[]) AS alias, unnest(@extras::text[]) AS extra, unnest(@joined_ms::bigint[]) AS joined_ms
) AS m;

-- name: RemoveMember :exec
DELETE FROM group_member WHERE app_id = @app_id AND group_id = @group_id AND user_id = @user_id;

-- name: SetMember :exec
UPDATE group_member SET role = @role, muted_until = @muted_until, alias = @alias, extra = @extra
WHERE app_id = @app_id AND group_id = @group_id AND user_id = @user_id;

-- GroupByID returns a group with how many members it has, and the role in it of somebody; -1: he is no member.
-- name: GroupByID :one
SELECT
    sqlc.embed(g),
    (SELECT count(*) FROM group_member AS m WHERE m.app_id = g.app_id AND m.group_id = g.group_id)::bigint AS members,
    COALESCE(
        (SELECT m.role FROM group_member AS m WHERE m.app_id = g.app_id AND m.group_id = g.group_id AND m.user_id = @viewer_id), -1
    )::smallint AS viewer_role
FROM chat_group AS g WHERE g.app_id = @app_id AND g.group_id = @group_id;

-- name: GroupsByID :many
SELECT * FROM chat_group WHERE app_id = @app_id AND group_id = ANY (@group_ids::text[]) ORDER BY group_id;

-- FirstMembers begins with the owner and the managers; the others follow by their ids.
-- name: FirstMembers :many
(
    SELECT * FROM group_member AS m WHERE m.app_id = @app_id AND m.group_id = @group_id AND m.role > 0
    ORDER BY m.role DESC, m.user_id LIMIT @max_rows
)
UNION ALL
(
    SELECT * FROM group_member AS m WHERE m.app_id = @app_id AND m.group_id = @group_id AND m.role = 0
    ORDER BY m.user_id LIMIT @max_rows
)
ORDER BY role DESC, user_id LIMIT @max_rows;

-- name: MembersAfter :many
SELECT * FROM group_member AS m WHERE m.app_id = @app_id AND m.group_id = @group_id AND m.user_id > @after
ORDER BY m.user_id LIMIT @max_rows;

-- Staff returns a group's owner and its managers.
-- name: Staff :many
SELECT user_id FROM group_member WHERE app_id = @app_id AND group_id = @group_id AND role > 0 ORDER BY role DESC, user_id LIMIT @max_rows;

-- JoinedGroups returns a page of the groups that a user is in; no types are all.
-- name: JoinedGroups :many
SELECT g.*
FROM group_member AS m
JOIN chat_group AS g ON g.app_id = m.app_id AND g.group_id = m.group_id
WHERE m.app_id = @app_id AND m.user_id = @user_id AND g.destroyed_at IS NULL
    AND (cardinality(@group_types::smallint[]) = 0 OR g.group_type = ANY (@group_types::smallint[]))
ORDER BY m.joined_at, m.group_id
LIMIT @max_rows OFFSET @skipped;

-- name: CountJoinedGroups :one
SELECT count(*)
FROM group_member AS m
JOIN chat_group AS g ON g.app_id = m.app_id AND g.group_id = m.group_id
WHERE m.app_id = @app_id AND m.user_id = @user_id AND g.destroyed_at IS NULL
    AND (cardinality(@group_types::smallint[]) = 0 OR g.group_type = ANY (@group_types::smallint[]));
