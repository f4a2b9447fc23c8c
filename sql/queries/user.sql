-- name: UserByKey :one
SELECT user_type, forbidden, silent FROM app_user
WHERE app_id = @app_id AND user_id = @user_id AND deleted_at IS NULL;

-- name: UsersByKey :many
SELECT u.app_id, u.user_id, u.user_type, u.forbidden, u.silent
FROM (SELECT unnest(@app_ids::integer[]) AS app_id, unnest(@user_ids::text[]) AS user_id) AS k
JOIN app_user AS u ON u.app_id = k.app_id AND u.user_id = k.user_id
WHERE u.deleted_at IS NULL;

-- name: AddUsers :exec
INSERT INTO app_user (app_id, user_id, nick_name, user_type, friend_allow_type)
SELECT @app_id, unnest(@user_ids::text[]), unnest(@user_ids::text[]), unnest(@user_types::smallint[]), unnest(@friend_allow_types::smallint[])
ON CONFLICT DO NOTHING;

-- AddNumberedUsers adds the users u<first> to u<last>.
-- name: AddNumberedUsers :exec
INSERT INTO app_user (app_id, user_id, nick_name)
SELECT @app_id, 'u' || n, 'u' || n FROM generate_series(@first::bigint, @last::bigint) AS n
ON CONFLICT DO NOTHING;
