-- name: AddOutgoing :exec
INSERT INTO outbox (app_id, group_id, version, by_id, change) VALUES (@app_id, @group_id, @version, @by_id, @change);

-- name: Outgoing :many
SELECT outbox_id, app_id, group_id, by_id, change FROM outbox WHERE outbox_id > @after ORDER BY outbox_id LIMIT @max_rows;

-- ForgetOutgoing deletes the changes that are folded in.
-- name: ForgetOutgoing :exec
DELETE FROM outbox AS o
USING (SELECT unnest(@app_ids::integer[]) AS app_id, unnest(@group_ids::text[]) AS group_id, unnest(@versions::bigint[]) AS version) AS g
WHERE o.app_id = g.app_id AND o.group_id = g.group_id AND o.version <= g.version;
