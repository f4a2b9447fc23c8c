-- name: AppByID :one
SELECT
    app_id, keys, check_friend, check_black, login_policy, history_before_joining, route_model, delete_mode, hook_fail_closed, hook_url,
    hook_secrets, hooks
FROM app WHERE app_id = @app_id;

-- name: Apps :many
SELECT
    app_id, keys, check_friend, check_black, login_policy, history_before_joining, route_model, delete_mode, hook_fail_closed, hook_url,
    hook_secrets, hooks
FROM app ORDER BY app_id;

-- name: AppsByID :many
SELECT
    app_id, keys, check_friend, check_black, login_policy, history_before_joining, route_model, delete_mode, hook_fail_closed, hook_url,
    hook_secrets, hooks
FROM app WHERE app_id = ANY (@app_ids::integer[]);

-- AppForChange locks the app's row: whoever changes some of its options leaves the others as they are.
-- name: AppForChange :one
SELECT
    app_id, keys, check_friend, check_black, login_policy, history_before_joining, route_model, delete_mode, hook_fail_closed, hook_url,
    hook_secrets, hooks
FROM app WHERE app_id = @app_id FOR UPDATE;

-- name: SetApp :exec
INSERT INTO app (
    app_id, keys, check_friend, check_black, login_policy, history_before_joining, route_model, delete_mode, hook_fail_closed, hook_url,
    hook_secrets, hooks
)
VALUES (
    @app_id, @keys, @check_friend, @check_black, @login_policy, @history_before_joining, @route_model, @delete_mode, @hook_fail_closed,
    @hook_url, @hook_secrets, @hooks
)
ON CONFLICT (app_id) DO UPDATE
SET keys = EXCLUDED.keys, check_friend = EXCLUDED.check_friend, check_black = EXCLUDED.check_black,
    login_policy = EXCLUDED.login_policy, history_before_joining = EXCLUDED.history_before_joining, route_model = EXCLUDED.route_model,
    delete_mode = EXCLUDED.delete_mode, hook_fail_closed = EXCLUDED.hook_fail_closed, hook_url = EXCLUDED.hook_url,
    hook_secrets = EXCLUDED.hook_secrets, hooks = EXCLUDED.hooks;

-- name: AddApp :exec
INSERT INTO app (app_id, keys) VALUES (@app_id, @keys) ON CONFLICT DO NOTHING;
