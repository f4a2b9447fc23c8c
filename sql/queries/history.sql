-- What a user may see of his conversations: what has changed, and pages of it. All are read within one transaction, whose marks tell
-- from where on the log has the rest. Limits come in as numbers, and spans of places, both ends outside, as arrays of one length.

-- name: HistoryBeforeJoining :one
SELECT history_before_joining FROM app WHERE app_id = @app_id;

-- ChangedTalks finds a user's conversations with a record after a place, in the order of their newest one. Each way of finding them
-- stops by itself, and what belongs to a row is looked up for it alone (LIMIT 1 and subqueries keep the planner from reading a table
-- to join it): pairs by either user, groups by what their members are told, wide groups, which are few, by the group itself, and
-- whatever the user has set by that. Of several stays in a group the newest tells. A conversation comes from one of these ways: where
-- its newest place is.
-- name: ChangedTalks :many
WITH found AS (
    (
        SELECT c.conversation_id, c.changed FROM conversation AS c
        WHERE c.kind = 0 AND c.app_id = @app_id AND c.a = @user_id AND c.changed > @after AND c.conversation_id <> ALL (@except_ids::bigint[])
            AND c.changed > COALESCE((
                SELECT s.place FROM conversation_setting AS s WHERE s.conversation_id = c.conversation_id AND s.user_id = @user_id
            ), 0)
        ORDER BY c.changed LIMIT @max_rows
    ) UNION ALL (
        SELECT c.conversation_id, c.changed FROM conversation AS c
        WHERE c.kind = 0 AND c.app_id = @app_id AND c.b = @user_id AND c.changed > @after AND c.a <> c.b
            AND c.conversation_id <> ALL (@except_ids::bigint[])
            AND c.changed > COALESCE((
                SELECT s.place FROM conversation_setting AS s WHERE s.conversation_id = c.conversation_id AND s.user_id = @user_id
            ), 0)
        ORDER BY c.changed LIMIT @max_rows
    ) UNION ALL (
        SELECT m.conversation_id, m.changed FROM membership AS m
        WHERE m.app_id = @app_id AND m.user_id = @user_id AND m.changed > @after AND NOT (m.wide AND m.left_place IS NULL)
            AND m.conversation_id <> ALL (@except_ids::bigint[])
            AND m.joined = (SELECT max(n.joined) FROM membership AS n WHERE n.conversation_id = m.conversation_id AND n.user_id = m.user_id)
            AND m.changed > COALESCE((
                SELECT s.place FROM conversation_setting AS s WHERE s.conversation_id = m.conversation_id AND s.user_id = @user_id
            ), 0)
        ORDER BY m.changed LIMIT @max_rows
    ) UNION ALL (
        SELECT m.conversation_id, GREATEST(c.changed, m.changed) FROM membership AS m
        CROSS JOIN LATERAL (SELECT * FROM conversation AS x WHERE x.conversation_id = m.conversation_id LIMIT 1) AS c
        WHERE m.wide AND m.left_place IS NULL AND m.app_id = @app_id AND m.user_id = @user_id
            AND GREATEST(c.changed, m.changed) > @after AND m.conversation_id <> ALL (@except_ids::bigint[])
            AND GREATEST(c.changed, m.changed) > COALESCE((
                SELECT s.place FROM conversation_setting AS s WHERE s.conversation_id = m.conversation_id AND s.user_id = @user_id
            ), 0)
        ORDER BY 2 LIMIT @max_rows
    ) UNION ALL (
        SELECT s.conversation_id, s.place FROM conversation_setting AS s
        WHERE s.app_id = @app_id AND s.user_id = @user_id AND s.place > @after AND s.conversation_id <> ALL (@except_ids::bigint[])
            AND s.place > COALESCE((
                SELECT CASE WHEN c.kind = 0 THEN c.changed ELSE (
                    SELECT CASE WHEN m.wide AND m.left_place IS NULL THEN GREATEST(c.changed, m.changed) ELSE m.changed END
                    FROM membership AS m WHERE m.conversation_id = c.conversation_id AND m.user_id = @user_id
                    ORDER BY m.joined DESC LIMIT 1
                ) END
                FROM conversation AS c WHERE c.conversation_id = s.conversation_id
            ), 0)
        ORDER BY s.place LIMIT @max_rows
    )
    ORDER BY 2 LIMIT @max_rows
)
SELECT
    c.conversation_id, c.kind, c.a, c.b, c.head, f.changed::bigint AS changed,
    COALESCE((SELECT r.seq FROM read_position AS r WHERE r.conversation_id = c.conversation_id AND r.user_id = @user_id), 0)::bigint AS own_read,
    COALESCE((
        SELECT r.seq FROM read_position AS r
        WHERE r.conversation_id = c.conversation_id AND c.kind = 0 AND c.a <> c.b AND r.user_id = CASE WHEN c.a = @user_id THEN c.b ELSE c.a END
    ), 0)::bigint AS peer_read,
    (CASE WHEN s.muted THEN 2 WHEN NOT s.muted THEN 1 ELSE 0 END)::smallint AS mute,
    (CASE WHEN s.top THEN 2 WHEN NOT s.top THEN 1 ELSE 0 END)::smallint AS top,
    COALESCE(s.cleared, 0)::bigint AS cleared, COALESCE(s.place, 0)::bigint AS set_place, c.version, c.group_place, c.destroyed
FROM found AS f
CROSS JOIN LATERAL (SELECT * FROM conversation AS x WHERE x.conversation_id = f.conversation_id LIMIT 1) AS c
LEFT JOIN LATERAL (
    SELECT * FROM conversation_setting AS x WHERE x.conversation_id = c.conversation_id AND x.user_id = @user_id LIMIT 1
) AS s ON true
ORDER BY f.changed;

-- ChangedGroups finds a user's groups that have changed after a place, in the order of their newest changes, and those that he has left after
-- it. A member who is told what has changed is told that, too; for the rest it is as above.
-- name: ChangedGroups :many
WITH found AS (
    (
        SELECT m.conversation_id, CASE WHEN m.left_place IS NULL THEN c.group_place ELSE m.left_place END AS place FROM membership AS m
        CROSS JOIN LATERAL (SELECT * FROM conversation AS x WHERE x.conversation_id = m.conversation_id LIMIT 1) AS c
        WHERE m.app_id = @app_id AND m.user_id = @user_id AND m.changed > @after AND NOT (m.wide AND m.left_place IS NULL)
            AND CASE WHEN m.left_place IS NULL THEN c.group_place ELSE m.left_place END > @after
            AND m.conversation_id <> ALL (@except_ids::bigint[])
            AND m.joined = (SELECT max(n.joined) FROM membership AS n WHERE n.conversation_id = m.conversation_id AND n.user_id = m.user_id)
        ORDER BY 2 LIMIT @max_rows
    ) UNION ALL (
        SELECT m.conversation_id, c.group_place FROM membership AS m
        CROSS JOIN LATERAL (SELECT * FROM conversation AS x WHERE x.conversation_id = m.conversation_id LIMIT 1) AS c
        WHERE m.wide AND m.left_place IS NULL AND m.app_id = @app_id AND m.user_id = @user_id AND c.group_place > @after
            AND m.conversation_id <> ALL (@except_ids::bigint[])
        ORDER BY 2 LIMIT @max_rows
    )
    ORDER BY 2 LIMIT @max_rows
)
SELECT c.conversation_id, c.a, c.version, c.group_place, c.destroyed
FROM found AS f
CROSS JOIN LATERAL (SELECT * FROM conversation AS x WHERE x.conversation_id = f.conversation_id LIMIT 1) AS c
ORDER BY f.place;

-- NewestPlaces finds where the newest change of any of a user's conversations stands, and the newest of any of his groups.
-- name: NewestPlaces :one
SELECT
    GREATEST(
        COALESCE((
            SELECT c.changed FROM conversation AS c
            WHERE c.kind = 0 AND c.app_id = @app_id AND c.a = @user_id ORDER BY c.changed DESC LIMIT 1
        ), 0),
        COALESCE((
            SELECT c.changed FROM conversation AS c
            WHERE c.kind = 0 AND c.app_id = @app_id AND c.b = @user_id ORDER BY c.changed DESC LIMIT 1
        ), 0),
        COALESCE((
            SELECT m.changed FROM membership AS m WHERE m.app_id = @app_id AND m.user_id = @user_id ORDER BY m.changed DESC LIMIT 1
        ), 0),
        COALESCE((
            SELECT max(c.changed) FROM membership AS m
            CROSS JOIN LATERAL (SELECT * FROM conversation AS x WHERE x.conversation_id = m.conversation_id LIMIT 1) AS c
            WHERE m.wide AND m.left_place IS NULL AND m.app_id = @app_id AND m.user_id = @user_id
        ), 0),
        COALESCE((
            SELECT s.place FROM conversation_setting AS s WHERE s.app_id = @app_id AND s.user_id = @user_id ORDER BY s.place DESC LIMIT 1
        ), 0)
    )::bigint AS of_conversations,
    COALESCE((
        SELECT max(CASE WHEN m.left_place IS NULL THEN c.group_place ELSE m.left_place END) FROM membership AS m
        CROSS JOIN LATERAL (SELECT * FROM conversation AS x WHERE x.conversation_id = m.conversation_id LIMIT 1) AS c
        WHERE m.app_id = @app_id AND m.user_id = @user_id
    ), 0)::bigint AS of_groups;

-- name: TalksByToken :many
SELECT
    c.conversation_id, c.kind, c.a, c.b, c.head, c.changed,
    COALESCE((SELECT r.seq FROM read_position AS r WHERE r.conversation_id = c.conversation_id AND r.user_id = @user_id), 0)::bigint AS own_read,
    COALESCE((
        SELECT r.seq FROM read_position AS r
        WHERE r.conversation_id = c.conversation_id AND c.kind = 0 AND c.a <> c.b AND r.user_id = CASE WHEN c.a = @user_id THEN c.b ELSE c.a END
    ), 0)::bigint AS peer_read,
    (CASE WHEN s.muted THEN 2 WHEN NOT s.muted THEN 1 ELSE 0 END)::smallint AS mute,
    (CASE WHEN s.top THEN 2 WHEN NOT s.top THEN 1 ELSE 0 END)::smallint AS top,
    COALESCE(s.cleared, 0)::bigint AS cleared, COALESCE(s.place, 0)::bigint AS set_place, c.version, c.group_place, c.destroyed
FROM conversation AS c
LEFT JOIN LATERAL (
    SELECT * FROM conversation_setting AS x WHERE x.conversation_id = c.conversation_id AND x.user_id = @user_id LIMIT 1
) AS s ON true
WHERE c.token = ANY (@tokens::text[]);

-- name: StaysOf :many
SELECT conversation_id, joined, COALESCE(left_place, 0)::bigint AS left_place, role, muted_until, place
FROM membership
WHERE conversation_id = ANY (@conversation_ids::bigint[]) AND user_id = @user_id
ORDER BY conversation_id, joined;

-- UnreadOf counts, for each span, the messages of others after a seq that were not recalled, among the newest max_rows after it: whoever
-- sends and never reads has many of his own there.
-- name: UnreadOf :many
SELECT s.conversation_id::bigint AS conversation_id, u.unread
FROM (
    SELECT unnest(@conversation_ids::bigint[]) AS conversation_id, unnest(@afters::bigint[]) AS after,
        unnest(@befores::bigint[]) AS before, unnest(@seqs::bigint[]) AS seq
) AS s
CROSS JOIN LATERAL (
    SELECT COALESCE((
        SELECT m.place FROM message AS m
        WHERE m.conversation_id = s.conversation_id AND m.seq <= s.seq
        ORDER BY m.seq DESC LIMIT 1
    ), 0)::bigint AS place
) AS f
CROSS JOIN LATERAL (
    SELECT count(newest.other) AS unread FROM (
        SELECT CASE WHEN m.sender <> @user_id AND m.recalled IS NULL AND m.place <> ALL (@recalled::bigint[]) THEN 1 END AS other
        FROM message AS m
        WHERE m.conversation_id = s.conversation_id AND m.place > GREATEST(s.after, f.place) AND m.place < s.before
        ORDER BY m.place DESC LIMIT @max_rows
    ) AS newest
) AS u;

-- MessagesUp reads the oldest messages within the spans, of all of them together; those that one device sent may be left out.
-- name: MessagesUp :many
SELECT
    s.conversation_id::bigint AS conversation_id, m.place, m.seq, m.message_time, m.created_at, m.client_type, m.digest, m.sender, m.imei,
    m.message_id, COALESCE(m.body, '') AS body, COALESCE(m.extra, '') AS extra, (m.body IS NULL)::boolean AS erased,
    (m.recalled IS NOT NULL)::boolean AS recalled
FROM (
    SELECT unnest(@conversation_ids::bigint[]) AS conversation_id, unnest(@afters::bigint[]) AS after, unnest(@befores::bigint[]) AS before
) AS s
CROSS JOIN LATERAL (
    SELECT * FROM message AS x
    WHERE x.conversation_id = s.conversation_id AND x.place > s.after AND x.place < s.before
        AND NOT (x.sender = @not_user AND x.client_type = @not_client::integer AND x.imei = @not_imei)
    ORDER BY x.place LIMIT @max_rows
) AS m
ORDER BY m.place LIMIT @max_rows;

-- MessagesDown reads the newest messages within the spans.
-- name: MessagesDown :many
SELECT
    s.conversation_id::bigint AS conversation_id, m.place, m.seq, m.message_time, m.created_at, m.client_type, m.digest, m.sender, m.imei,
    m.message_id, COALESCE(m.body, '') AS body, COALESCE(m.extra, '') AS extra, (m.body IS NULL)::boolean AS erased,
    (m.recalled IS NOT NULL)::boolean AS recalled
FROM (
    SELECT unnest(@conversation_ids::bigint[]) AS conversation_id, unnest(@afters::bigint[]) AS after, unnest(@befores::bigint[]) AS before
) AS s
CROSS JOIN LATERAL (
    SELECT * FROM message AS x
    WHERE x.conversation_id = s.conversation_id AND x.place > s.after AND x.place < s.before
        AND NOT (x.sender = @not_user AND x.client_type = @not_client::integer AND x.imei = @not_imei)
    ORDER BY x.place DESC LIMIT @max_rows
) AS m
ORDER BY m.place DESC LIMIT @max_rows;

-- NewestMessages reads the newest message of each span.
-- name: NewestMessages :many
SELECT
    s.conversation_id::bigint AS conversation_id, m.place, m.seq, m.message_time, m.created_at, m.client_type, m.digest, m.sender, m.imei,
    m.message_id, COALESCE(m.body, '') AS body, COALESCE(m.extra, '') AS extra, (m.body IS NULL)::boolean AS erased,
    (m.recalled IS NOT NULL)::boolean AS recalled
FROM (
    SELECT unnest(@conversation_ids::bigint[]) AS conversation_id, unnest(@afters::bigint[]) AS after, unnest(@befores::bigint[]) AS before
) AS s
CROSS JOIN LATERAL (
    SELECT * FROM message AS x
    WHERE x.conversation_id = s.conversation_id AND x.place > s.after AND x.place < s.before
    ORDER BY x.place DESC LIMIT 1
) AS m;

-- RecordsUp reads the oldest recalls and changes of groups within the spans.
-- name: RecordsUp :many
SELECT s.conversation_id::bigint AS conversation_id, r.place, r.created_at, r.data
FROM (
    SELECT unnest(@conversation_ids::bigint[]) AS conversation_id, unnest(@afters::bigint[]) AS after, unnest(@befores::bigint[]) AS before
) AS s
CROSS JOIN LATERAL (
    SELECT * FROM record AS x
    WHERE x.conversation_id = s.conversation_id AND x.place > s.after AND x.place < s.before
    ORDER BY x.place LIMIT @max_rows
) AS r
ORDER BY r.place LIMIT @max_rows;

-- RecordsDown reads the newest ones.
-- name: RecordsDown :many
SELECT s.conversation_id::bigint AS conversation_id, r.place, r.created_at, r.data
FROM (
    SELECT unnest(@conversation_ids::bigint[]) AS conversation_id, unnest(@afters::bigint[]) AS after, unnest(@befores::bigint[]) AS before
) AS s
CROSS JOIN LATERAL (
    SELECT * FROM record AS x
    WHERE x.conversation_id = s.conversation_id AND x.place > s.after AND x.place < s.before
    ORDER BY x.place DESC LIMIT @max_rows
) AS r
ORDER BY r.place DESC LIMIT @max_rows;

-- name: ReadPositions :many
SELECT r.conversation_id, r.user_id, r.seq, r.place
FROM (SELECT unnest(@conversation_ids::bigint[]) AS conversation_id, unnest(@user_ids::text[]) AS user_id) AS k
JOIN read_position AS r ON r.conversation_id = k.conversation_id AND r.user_id = k.user_id
WHERE r.place > @after AND r.place < @before;

-- RejectedOf reads what was put aside of some conversations: it was placed all the same.
-- name: RejectedOf :many
SELECT place, record, (recalled IS NOT NULL)::boolean AS recalled
FROM rejected_record
WHERE token = ANY (@tokens::text[]) AND place > @after AND place < @before
ORDER BY place;

-- PlacesOfSeqs returns the places of the messages at both ends of a range of seqs, as far as there are any.
-- name: PlacesOfSeqs :one
SELECT
    COALESCE((
        SELECT m.place FROM message AS m
        WHERE m.conversation_id = @conversation_id AND m.seq >= @first_seq ORDER BY m.seq LIMIT 1
    ), 0)::bigint AS first_place,
    COALESCE((
        SELECT m.place FROM message AS m
        WHERE m.conversation_id = @conversation_id AND m.seq <= @last_seq ORDER BY m.seq DESC LIMIT 1
    ), 0)::bigint AS last_place;
