-- BumpSequences moves a user's sequences on by so much each, and returns them. The row stays locked: a user's changes are made one after the other.
-- name: BumpSequences :one
INSERT INTO user_sequence AS s (app_id, user_id, friendship, friend_request, friend_group)
VALUES (@app_id, @user_id, @friendship, @friend_request, @friend_group)
ON CONFLICT (app_id, user_id) DO UPDATE
SET friendship = s.friendship + EXCLUDED.friendship, friend_request = s.friend_request + EXCLUDED.friend_request,
    friend_group = s.friend_group + EXCLUDED.friend_group
RETURNING friendship, friend_request, friend_group;

-- name: SequencesOf :one
SELECT friendship, friend_request, friend_group FROM user_sequence WHERE app_id = @app_id AND user_id = @user_id;
