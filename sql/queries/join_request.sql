-- OpenJoinRequest opens a request, or gives the one that is open its newest wording.
-- name: OpenJoinRequest :one
INSERT INTO group_join_request (app_id, group_id, user_id, wording) VALUES (@app_id, @group_id, @user_id, @wording)
ON CONFLICT (app_id, group_id, user_id) WHERE status = 0 DO UPDATE SET wording = EXCLUDED.wording, updated_at = now()
RETURNING *;

-- name: JoinRequestGroup :one
SELECT group_id, user_id FROM group_join_request WHERE app_id = @app_id AND request_id = @request_id;

-- CloseJoinRequest closes a request; nothing comes back of one that is closed already. The group's row is locked.
-- name: CloseJoinRequest :one
UPDATE group_join_request SET status = @status, handled_by = @handled_by, updated_at = now()
WHERE app_id = @app_id AND request_id = @request_id AND status = 0
RETURNING *;

-- CloseJoinRequestsOf closes the open request of somebody who has come in by another way.
-- name: CloseJoinRequestsOf :exec
UPDATE group_join_request SET status = 1, handled_by = @handled_by, updated_at = now()
WHERE app_id = @app_id AND group_id = @group_id AND user_id = ANY (@user_ids::text[]) AND status = 0;

-- JoinRequests returns requests of a status, those that came last first.
-- name: JoinRequests :many
SELECT * FROM group_join_request AS r
WHERE r.app_id = @app_id AND r.group_id = @group_id AND r.status = @status AND r.request_id < @before
ORDER BY r.request_id DESC LIMIT @max_rows;
