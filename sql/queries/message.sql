-- MessagesByIdentity also finds the messages that were put aside: they were placed, too. The digest is that of what was asked for.
-- name: MessagesByIdentity :many
SELECT
    identity, seq, place, COALESCE(asked, digest)::bytea AS digest, (recalled IS NOT NULL)::boolean AS recalled,
    (asked IS NOT NULL)::boolean AS replaced
FROM message WHERE identity = ANY (@identities::uuid[])
UNION ALL
SELECT identity, seq, place, COALESCE(asked, digest)::bytea, (recalled IS NOT NULL)::boolean, (asked IS NOT NULL)::boolean FROM rejected_record
WHERE identity = ANY (@identities::uuid[]) AND kind = 1;

-- AddMessages writes each message once: one that is there already is refused, as any other that Postgres will not have.
-- name: AddMessages :exec
INSERT INTO message (
    place, conversation_id, seq, message_time, created_at, identity, client_type, digest, asked, sender, imei, message_id, recalled, body, extra
)
SELECT
    place, conversation_id, seq, message_time, created_at, identity, client_type, digest, asked, sender, imei, message_id,
    NULLIF(recalled, 0),
    CASE WHEN NOT erased THEN body END,
    CASE WHEN NOT erased THEN extra END
FROM (
    SELECT
        unnest(@places::bigint[]) AS place,
        unnest(@conversation_ids::bigint[]) AS conversation_id,
        unnest(@seqs::bigint[]) AS seq,
        unnest(@message_times::bigint[]) AS message_time,
        unnest(@created_ats::timestamptz[]) AS created_at,
        unnest(@identities::uuid[]) AS identity,
        unnest(@client_types::integer[]) AS client_type,
        unnest(@digests::bytea[]) AS digest,
        unnest(@asked::bytea[]) AS asked,
        unnest(@senders::text[]) AS sender,
        unnest(@imeis::text[]) AS imei,
        unnest(@message_ids::text[]) AS message_id,
        unnest(@recalled::bigint[]) AS recalled,
        unnest(@erased::boolean[]) AS erased,
        unnest(@bodies::text[]) AS body,
        unnest(@extras::text[]) AS extra
) AS row;

-- name: Messages :many
SELECT
    m.place, c.token, m.seq, m.message_time, m.created_at, m.identity, m.client_type, m.digest, m.asked, m.sender, m.imei, m.message_id,
    COALESCE(m.body, '') AS body, COALESCE(m.extra, '') AS extra, (m.body IS NULL)::boolean AS erased,
    COALESCE(m.recalled, 0)::bigint AS recalled
FROM message AS m
JOIN conversation AS c USING (conversation_id)
WHERE m.place >= @first_place AND m.place < @end_place
ORDER BY m.place
LIMIT @max_rows;

-- RecallMessages takes the bodies away; the first recall of a message is the one that counts.
-- name: RecallMessages :exec
UPDATE message AS m SET body = NULL, extra = NULL, recalled = r.recalled
FROM (
    SELECT unnest(@conversation_ids::bigint[]) AS conversation_id, unnest(@places::bigint[]) AS place, unnest(@recalled::bigint[]) AS recalled
) AS r
WHERE m.conversation_id = r.conversation_id AND m.place = r.place AND m.recalled IS NULL;

-- TargetsByKey finds messages by seq, or by place where the seq is 0.
-- name: TargetsByKey :many
SELECT k.number::integer AS number, m.sender, m.message_id, m.seq, m.place, m.created_at, (m.recalled IS NOT NULL)::boolean AS recalled
FROM (
    SELECT
        unnest(@numbers::integer[]) AS number, unnest(@tokens::text[]) AS token, unnest(@seqs::bigint[]) AS seq, unnest(@places::bigint[]) AS place
) AS k
JOIN conversation AS c ON c.token = k.token
CROSS JOIN LATERAL (
    SELECT s.* FROM message AS s WHERE s.conversation_id = c.conversation_id AND k.seq > 0 AND s.seq = k.seq
    UNION ALL
    SELECT p.* FROM message AS p WHERE p.conversation_id = c.conversation_id AND k.seq = 0 AND p.place = k.place
) AS m;

-- name: SendersByRange :many
SELECT DISTINCT k.number::integer AS number, m.sender
FROM (
    SELECT
        unnest(@numbers::integer[]) AS number, unnest(@tokens::text[]) AS token, unnest(@afters::bigint[]) AS after, unnest(@tos::bigint[]) AS upto
) AS k
JOIN conversation AS c ON c.token = k.token
JOIN message AS m ON m.conversation_id = c.conversation_id AND m.seq > k.after AND m.seq <= k.upto;

-- GroupOfSpeaker reads what a group is to a message of a user as it was decided: its log says so a moment later.
-- name: GroupOfSpeaker :one
SELECT
    g.version, g.muted, (g.destroyed_at IS NOT NULL)::boolean AS destroyed, (m.user_id IS NOT NULL)::boolean AS is_member,
    COALESCE(m.role, 0)::smallint AS role, COALESCE(m.muted_until, 0)::bigint AS muted_until
FROM chat_group AS g
LEFT JOIN group_member AS m ON m.app_id = g.app_id AND m.group_id = g.group_id AND m.user_id = @user_id
WHERE g.app_id = @app_id AND g.group_id = @group_id;
