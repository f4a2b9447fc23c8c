-- name: AddGroup :execrows
INSERT INTO chat_group (app_id, group_id, owner_id, name, max_members) VALUES (@app_id, @group_id, @owner_id, @name, @max_members)
ON CONFLICT DO NOTHING;

-- GroupForChange locks the group's row: changes of a group are decided one after the other.
-- name: GroupForChange :one
SELECT version, owner_id, max_members, muted, (destroyed_at IS NOT NULL)::boolean AS destroyed
FROM chat_group WHERE app_id = @app_id AND group_id = @group_id FOR UPDATE;

-- FoldedVersion returns how far a group's log is folded in.
-- name: FoldedVersion :one
SELECT COALESCE((SELECT version FROM conversation WHERE token = @token), 0)::bigint AS version;

-- name: UpdateGroup :exec
UPDATE chat_group
SET version = @version, owner_id = @owner_id, muted = @muted, destroyed_at = CASE WHEN @destroyed::boolean THEN COALESCE(destroyed_at, now()) END
WHERE app_id = @app_id AND group_id = @group_id;

-- name: CountMembers :one
SELECT count(*) FROM group_member WHERE app_id = @app_id AND group_id = @group_id;

-- name: MembersByID :many
SELECT user_id, role, muted_until FROM group_member WHERE app_id = @app_id AND group_id = @group_id AND user_id = ANY (@user_ids::text[]);

-- name: ExistingUsers :many
SELECT user_id FROM app_user WHERE app_id = @app_id AND user_id = ANY (@user_ids::text[]) AND deleted_at IS NULL;

-- name: AddMembers :exec
INSERT INTO group_member (app_id, group_id, user_id, role) SELECT @app_id, @group_id, unnest(@user_ids::text[]), @role::smallint;

-- name: RemoveMember :exec
DELETE FROM group_member WHERE app_id = @app_id AND group_id = @group_id AND user_id = @user_id;

-- name: SetMember :exec
UPDATE group_member SET role = @role, muted_until = @muted_until WHERE app_id = @app_id AND group_id = @group_id AND user_id = @user_id;
