-- name: AppByID :one
SELECT app_id, keys, check_friend, check_black, login_policy, history_before_joining FROM app WHERE app_id = @app_id;

-- name: Apps :many
SELECT app_id, keys, check_friend, check_black, login_policy, history_before_joining FROM app ORDER BY app_id;

-- name: AppsByID :many
SELECT app_id, keys, check_friend, check_black, login_policy, history_before_joining FROM app WHERE app_id = ANY (@app_ids::integer[]);

-- name: SetApp :exec
INSERT INTO app (app_id, keys, check_friend, check_black, login_policy, history_before_joining)
VALUES (@app_id, @keys, @check_friend, @check_black, @login_policy, @history_before_joining)
ON CONFLICT (app_id) DO UPDATE
SET keys = EXCLUDED.keys, check_friend = EXCLUDED.check_friend, check_black = EXCLUDED.check_black,
    login_policy = EXCLUDED.login_policy, history_before_joining = EXCLUDED.history_before_joining;

-- name: AddApp :exec
INSERT INTO app (app_id, keys) VALUES (@app_id, @keys) ON CONFLICT DO NOTHING;
