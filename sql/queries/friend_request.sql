-- AskFriendship adds a request, or refreshes the one that is open.
-- name: AskFriendship :one
INSERT INTO friend_request (app_id, from_id, to_id, remark, add_source, add_wording, from_sequence, to_sequence)
VALUES (@app_id, @from_id, @to_id, @remark, @add_source, @add_wording, @from_sequence, @to_sequence)
ON CONFLICT (app_id, from_id, to_id) WHERE approve_status = 0 DO UPDATE
SET remark = EXCLUDED.remark, add_source = EXCLUDED.add_source, add_wording = EXCLUDED.add_wording, read = false,
    from_sequence = EXCLUDED.from_sequence, to_sequence = EXCLUDED.to_sequence, updated_at = now()
RETURNING *;

-- name: FriendRequestByID :one
SELECT * FROM friend_request WHERE app_id = @app_id AND request_id = @request_id;

-- OpenFriendRequests returns those between two users.
-- name: OpenFriendRequests :many
SELECT r.*
FROM (VALUES (@a::text, @b::text), (@b::text, @a::text)) AS k (from_id, to_id)
JOIN friend_request AS r ON r.app_id = @app_id AND r.from_id = k.from_id AND r.to_id = k.to_id AND r.approve_status = 0;

-- DecideFriendRequest returns no row if the request is not open any more.
-- name: DecideFriendRequest :one
UPDATE friend_request
SET approve_status = @approve_status, read = true, from_sequence = @from_sequence, to_sequence = @to_sequence, updated_at = now()
WHERE app_id = @app_id AND request_id = @request_id AND approve_status = 0
RETURNING *;

-- name: FriendRequestsTo :many
SELECT * FROM friend_request WHERE app_id = @app_id AND to_id = @to_id ORDER BY to_sequence DESC LIMIT @max_rows;

-- ReadFriendRequests numbers what has not been read so far from the sequence on.
-- name: ReadFriendRequests :execrows
UPDATE friend_request AS r SET read = true, to_sequence = n.number + @sequence::bigint, updated_at = now()
FROM (
    SELECT x.request_id, row_number() OVER (ORDER BY x.to_sequence) AS number FROM friend_request AS x
    WHERE x.app_id = @app_id AND x.to_id = @to_id AND NOT x.read
) AS n
WHERE r.request_id = n.request_id;

-- FriendRequestsAfter returns a user's requests, whoever of the two he is.
-- name: FriendRequestsAfter :many
SELECT r.*
FROM (
    (
        SELECT x.request_id, x.to_sequence AS sequence FROM friend_request AS x
        WHERE x.app_id = @app_id AND x.to_id = @user_id AND x.to_sequence > @after ORDER BY x.to_sequence LIMIT @max_rows
    )
    UNION ALL
    (
        SELECT y.request_id, y.from_sequence FROM friend_request AS y
        WHERE y.app_id = @app_id AND y.from_id = @user_id AND y.from_sequence > @after ORDER BY y.from_sequence LIMIT @max_rows
    )
) AS k
JOIN friend_request AS r USING (request_id)
ORDER BY k.sequence LIMIT @max_rows;
