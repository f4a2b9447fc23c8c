-- name: AddRejectedRecord :exec
INSERT INTO rejected_record (place, seq, recalled, identity, partition, kind, digest, asked, token, cause, record)
VALUES (@place, @seq, NULLIF(@recalled::bigint, 0), @identity, @partition, @kind, @digest, @asked, @token, @cause, @record)
ON CONFLICT DO NOTHING;

-- name: RejectedRecords :many
SELECT place, partition, cause, record, COALESCE(recalled, 0)::bigint AS recalled FROM rejected_record
WHERE place >= @first_place AND place < @end_place
ORDER BY place;

-- name: RejectedByPlace :many
SELECT place, record FROM rejected_record WHERE place = ANY (@places::bigint[]) AND kind = 1 AND recalled IS NULL;

-- name: RecallRejected :exec
UPDATE rejected_record SET record = @record, recalled = @recalled::bigint WHERE place = @place;

-- name: RejectedByToken :many
SELECT place, seq, token, (recalled IS NOT NULL)::boolean AS recalled, record FROM rejected_record
WHERE token = ANY (@tokens::text[]) AND kind = 1;
