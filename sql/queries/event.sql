-- AddEvents adds events in their order.
-- name: AddEvents :exec
INSERT INTO event_outbox (app_id, aggregate, event)
SELECT unnest(@app_ids::integer[]), unnest(@aggregates::text[]), unnest(@events::bytea[]);

-- name: Events :many
SELECT event_id, event FROM event_outbox ORDER BY event_id LIMIT @max_rows;

-- name: ForgetEvents :exec
DELETE FROM event_outbox WHERE event_id = ANY (@event_ids::bigint[]);
