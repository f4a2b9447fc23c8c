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

-- AppointAdministrator makes a user an administrator of his app; one that is not there, or was deleted, is added.
-- name: AppointAdministrator :exec
INSERT INTO app_user AS u (app_id, user_id, nick_name, user_type) VALUES (@app_id, @user_id, @user_id, @user_type)
ON CONFLICT (app_id, user_id) DO UPDATE SET user_type = EXCLUDED.user_type, deleted_at = NULL, forbidden = false, updated_at = now();

-- AddNumberedUsers adds the users u<first> to u<last>.
-- name: AddNumberedUsers :exec
INSERT INTO app_user (app_id, user_id, nick_name)
SELECT @app_id, 'u' || n, 'u' || n FROM generate_series(@first::bigint, @last::bigint) AS n
ON CONFLICT DO NOTHING;

-- Profiles returns those users that are there. What their password is stays here.
-- name: Profiles :many
SELECT
    user_id, nick_name, location, birth_day, photo, user_sex, self_signature, friend_allow_type, disable_add_friend, forbidden, silent,
    user_type, extra
FROM app_user WHERE app_id = @app_id AND user_id = ANY (@user_ids::text[]) AND deleted_at IS NULL;

-- ImportUsers returns those that it has added: an id that was given once is not given again.
-- name: ImportUsers :many
INSERT INTO app_user (
    app_id, user_id, nick_name, location, birth_day, photo, user_sex, self_signature, friend_allow_type, disable_add_friend, forbidden, silent,
    user_type, extra, password_hash
)
SELECT
    @app_id, unnest(@user_ids::text[]), unnest(@nick_names::text[]), unnest(@locations::text[]), unnest(@birth_days::text[]),
    unnest(@photos::text[]), unnest(@user_sexes::smallint[]), unnest(@self_signatures::text[]), unnest(@friend_allow_types::smallint[]),
    unnest(@disable_add_friends::boolean[]), unnest(@forbiddens::boolean[]), unnest(@silents::boolean[]), unnest(@user_types::smallint[]),
    unnest(@extras::text[]), unnest(@password_hashes::text[])
ON CONFLICT DO NOTHING
RETURNING user_id;

-- ModifyUser leaves as it is what is NULL.
-- name: ModifyUser :one
UPDATE app_user
SET nick_name = COALESCE(sqlc.narg('nick_name'), nick_name), location = COALESCE(sqlc.narg('location'), location),
    birth_day = COALESCE(sqlc.narg('birth_day'), birth_day), photo = COALESCE(sqlc.narg('photo'), photo),
    user_sex = COALESCE(sqlc.narg('user_sex'), user_sex), self_signature = COALESCE(sqlc.narg('self_signature'), self_signature),
    friend_allow_type = COALESCE(sqlc.narg('friend_allow_type'), friend_allow_type),
    disable_add_friend = COALESCE(sqlc.narg('disable_add_friend'), disable_add_friend),
    forbidden = COALESCE(sqlc.narg('forbidden'), forbidden), silent = COALESCE(sqlc.narg('silent'), silent),
    user_type = COALESCE(sqlc.narg('user_type'), user_type), extra = COALESCE(sqlc.narg('extra'), extra),
    password_hash = COALESCE(sqlc.narg('password_hash'), password_hash), updated_at = now()
WHERE app_id = @app_id AND user_id = @user_id AND deleted_at IS NULL
RETURNING
    user_id, nick_name, location, birth_day, photo, user_sex, self_signature, friend_allow_type, disable_add_friend, forbidden, silent,
    user_type, extra;

-- name: DeleteUsers :many
UPDATE app_user SET deleted_at = now(), updated_at = now()
WHERE app_id = @app_id AND user_id = ANY (@user_ids::text[]) AND deleted_at IS NULL
RETURNING user_id;
