-- name: WebhookMark :one
SELECT position FROM webhook_mark WHERE source = @source;

-- name: AddWebhookMark :exec
INSERT INTO webhook_mark (source, position) VALUES (@source, @position) ON CONFLICT DO NOTHING;

-- MoveWebhookMark fences those who read a source: who finds the mark elsewhere adds no call.
-- name: MoveWebhookMark :execrows
UPDATE webhook_mark SET position = @position WHERE source = @source AND position = @from_position;

-- AddWebhookCalls adds calls that are tried next after so many seconds. One that is there stays as it is.
-- name: AddWebhookCalls :exec
INSERT INTO webhook_call (next_at, app_id, attempts, dead, event_id, command, cause, body)
SELECT
    now() + interval '1 second' * unnest(@waits::double precision[]), unnest(@app_ids::integer[]), unnest(@attempts::smallint[]),
    unnest(@dead::boolean[]), unnest(@event_ids::text[]), unnest(@commands::text[]), unnest(@causes::text[]), unnest(@bodies::bytea[])
ON CONFLICT ON CONSTRAINT webhook_call_event DO NOTHING;

-- TakeWebhookCalls takes calls that are due, of each app a few. Whoever takes one has it for so many seconds: if he dies, another takes it then.
-- name: TakeWebhookCalls :many
WITH due AS MATERIALIZED (
    SELECT c.webhook_call_id FROM app CROSS JOIN LATERAL (
        SELECT w.webhook_call_id FROM webhook_call AS w
        WHERE w.app_id = app.app_id AND NOT w.dead AND w.next_at <= now()
        ORDER BY w.next_at LIMIT @per_app
        FOR UPDATE SKIP LOCKED
    ) AS c
    WHERE app.app_id <> ALL (@resting::integer[])
)
UPDATE webhook_call SET next_at = now() + interval '1 second' * @lease::double precision
WHERE webhook_call_id IN (SELECT webhook_call_id FROM due)
RETURNING webhook_call_id, app_id, attempts, event_id, command, cause, body;

-- name: DropWebhookCalls :exec
DELETE FROM webhook_call WHERE webhook_call_id = ANY (@webhook_call_ids::bigint[]);

-- name: PutOffWebhookCalls :exec
UPDATE webhook_call SET next_at = now() + interval '1 second' * x.wait, attempts = x.attempts, dead = x.dead, cause = x.cause
FROM (
    SELECT
        unnest(@webhook_call_ids::bigint[]) AS webhook_call_id, unnest(@waits::double precision[]) AS wait,
        unnest(@attempts::smallint[]) AS attempts, unnest(@dead::boolean[]) AS dead, unnest(@causes::text[]) AS cause
) AS x
WHERE webhook_call.webhook_call_id = x.webhook_call_id;

-- name: WebhookCallsOfEvents :many
SELECT webhook_call_id, body FROM webhook_call
WHERE (app_id, event_id) IN (SELECT unnest(@app_ids::integer[]), unnest(@event_ids::text[]))
ORDER BY webhook_call_id FOR UPDATE;

-- name: SetWebhookCallBodies :exec
UPDATE webhook_call SET body = x.body
FROM (SELECT unnest(@webhook_call_ids::bigint[]) AS webhook_call_id, unnest(@bodies::bytea[]) AS body) AS x
WHERE webhook_call.webhook_call_id = x.webhook_call_id;

-- name: WebhookCalls :many
SELECT webhook_call_id, created_at, next_at, app_id, attempts, dead, event_id, command, cause FROM webhook_call
WHERE webhook_call_id > @after AND (dead AND @with_dead::boolean OR NOT dead AND @with_waiting::boolean)
    AND (@app_id::integer = 0 OR app_id = @app_id)
ORDER BY webhook_call_id LIMIT @max_rows;

-- name: RetryWebhookCalls :execrows
UPDATE webhook_call SET dead = false, attempts = 0, next_at = now() WHERE webhook_call_id = ANY (@webhook_call_ids::bigint[]);

-- name: RetryDeadWebhookCalls :execrows
UPDATE webhook_call SET dead = false, attempts = 0, next_at = now() WHERE dead AND (@app_id::integer = 0 OR app_id = @app_id);

-- name: PurgeDeadWebhookCalls :execrows
DELETE FROM webhook_call WHERE dead AND next_at < now() - interval '1 second' * @age::double precision;

-- CountWebhookCalls counts up to a limit: beyond it the number is many.
-- name: CountWebhookCalls :one
SELECT
    (SELECT count(*) FROM (SELECT 1 FROM webhook_call WHERE NOT dead LIMIT @max_rows) AS w)::bigint AS waiting,
    (SELECT count(*) FROM (SELECT 1 FROM webhook_call WHERE dead LIMIT @max_rows) AS d)::bigint AS dead;

-- name: WebhookOnline :many
SELECT app_id, user_id FROM webhook_online;

-- name: AddWebhookOnline :many
INSERT INTO webhook_online (app_id, user_id) SELECT unnest(@app_ids::integer[]), unnest(@user_ids::text[])
ON CONFLICT DO NOTHING RETURNING app_id, user_id;

-- name: DropWebhookOnline :many
DELETE FROM webhook_online WHERE (app_id, user_id) IN (SELECT unnest(@app_ids::integer[]), unnest(@user_ids::text[]))
RETURNING app_id, user_id;
