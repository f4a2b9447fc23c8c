-- PutSettings takes in what settings come to. A switch of which nothing is said (0) stays as it was; 1 is off, 2 is on. Of what is in
-- already nothing changes.
-- name: PutSettings :exec
INSERT INTO conversation_setting AS s (conversation_id, app_id, user_id, muted, top, cleared, place)
SELECT
    x.conversation_id, x.app_id, x.user_id, CASE x.mute WHEN 1 THEN false WHEN 2 THEN true END, CASE x.top WHEN 1 THEN false WHEN 2 THEN true END,
    x.cleared, x.place
FROM (
    SELECT
        unnest(@conversation_ids::bigint[]) AS conversation_id, unnest(@app_ids::integer[]) AS app_id, unnest(@user_ids::text[]) AS user_id,
        unnest(@mutes::smallint[]) AS mute, unnest(@tops::smallint[]) AS top, unnest(@cleared::bigint[]) AS cleared, unnest(@places::bigint[]) AS place
) AS x
ON CONFLICT (conversation_id, user_id) DO UPDATE
SET muted = COALESCE(EXCLUDED.muted, s.muted), top = COALESCE(EXCLUDED.top, s.top), cleared = GREATEST(s.cleared, EXCLUDED.cleared), place = EXCLUDED.place
WHERE s.place < EXCLUDED.place;

-- AllSettings pages through the settings of all users.
-- name: AllSettings :many
SELECT
    c.token, s.conversation_id, s.user_id, (CASE WHEN s.muted THEN 2 WHEN NOT s.muted THEN 1 ELSE 0 END)::smallint AS mute,
    (CASE WHEN s.top THEN 2 WHEN NOT s.top THEN 1 ELSE 0 END)::smallint AS top, s.cleared, s.place
FROM conversation_setting AS s
JOIN conversation AS c USING (conversation_id)
WHERE (s.conversation_id, s.user_id) > (@conversation_id::bigint, @user_id::text)
ORDER BY s.conversation_id, s.user_id
LIMIT @max_rows;
