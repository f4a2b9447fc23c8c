-- name: AddStays :exec
INSERT INTO membership (conversation_id, app_id, user_id, joined, left_place, muted_until, place, changed, role, wide)
SELECT
    unnest(@conversation_ids::bigint[]), unnest(@app_ids::integer[]), unnest(@user_ids::text[]), unnest(@joined::bigint[]),
    NULLIF(unnest(@left_places::bigint[]), 0), unnest(@muted_untils::bigint[]), unnest(@places::bigint[]), unnest(@places::bigint[]),
    unnest(@roles::smallint[]), unnest(@wide::boolean[])
ON CONFLICT DO NOTHING;

-- ChangeStays changes stays that have not ended: a role or a mute that is NULL stays as it is.
-- name: ChangeStays :exec
UPDATE membership AS m
SET left_place = NULLIF(s.left_place, 0), place = GREATEST(m.place, s.place), changed = GREATEST(m.changed, s.place),
    role = CASE WHEN s.sets_role THEN s.role ELSE m.role END,
    muted_until = CASE WHEN s.mutes THEN s.muted_until ELSE m.muted_until END
FROM (
    SELECT
        unnest(@conversation_ids::bigint[]) AS conversation_id, unnest(@user_ids::text[]) AS user_id, unnest(@first_places::bigint[]) AS first_place,
        unnest(@left_places::bigint[]) AS left_place, unnest(@places::bigint[]) AS place, unnest(@sets_roles::boolean[]) AS sets_role,
        unnest(@roles::smallint[]) AS role, unnest(@mutes::boolean[]) AS mutes, unnest(@muted_untils::bigint[]) AS muted_until
) AS s
WHERE m.conversation_id = s.conversation_id AND m.user_id = s.user_id AND m.left_place IS NULL AND m.joined < s.first_place;

-- DemoteOwners makes the owners ordinary of groups that are given to somebody else at a place.
-- name: DemoteOwners :exec
UPDATE membership AS m SET role = 0, place = d.place, changed = GREATEST(m.changed, d.place)
FROM (SELECT unnest(@conversation_ids::bigint[]) AS conversation_id, unnest(@places::bigint[]) AS place) AS d
WHERE m.conversation_id = d.conversation_id AND m.role = 2 AND m.left_place IS NULL AND m.joined < d.place;

-- name: WidenMemberships :exec
UPDATE membership SET wide = true WHERE conversation_id = ANY (@conversation_ids::bigint[]) AND left_place IS NULL AND NOT wide;

-- TouchMembers tells the members of groups that are not wide what has changed.
-- name: TouchMembers :exec
UPDATE membership AS m SET changed = t.changed
FROM (SELECT unnest(@conversation_ids::bigint[]) AS conversation_id, unnest(@changed::bigint[]) AS changed) AS t
WHERE m.conversation_id = t.conversation_id AND m.left_place IS NULL AND NOT m.wide AND m.changed < t.changed;

-- TouchReaders tells the readers' own other devices.
-- name: TouchReaders :exec
UPDATE membership AS m SET changed = t.changed
FROM (
    SELECT unnest(@conversation_ids::bigint[]) AS conversation_id, unnest(@user_ids::text[]) AS user_id, unnest(@changed::bigint[]) AS changed
) AS t
WHERE m.conversation_id = t.conversation_id AND m.user_id = t.user_id AND m.left_place IS NULL AND m.changed < t.changed;

-- Memberships pages through all stays.
-- name: Memberships :many
SELECT c.token, m.conversation_id, m.user_id, m.joined, COALESCE(m.left_place, 0)::bigint AS left_place, m.role, m.muted_until, m.place
FROM membership AS m
JOIN conversation AS c USING (conversation_id)
WHERE (m.conversation_id, m.user_id, m.joined) > (@conversation_id::bigint, @user_id::text, @joined::bigint)
ORDER BY m.conversation_id, m.user_id, m.joined
LIMIT @max_rows;
