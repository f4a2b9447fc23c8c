-- name: AddRejectedRecord :exec
INSERT INTO rejected_record (place, seq, identity, partition, digest, token, cause, record)
VALUES (@place, @seq, @identity, @partition, @digest, @token, @cause, @record)
ON CONFLICT DO NOTHING;

-- name: RejectedRecords :many
SELECT place, partition, cause, record FROM rejected_record
WHERE place >= @first_place AND place < @end_place
ORDER BY place;
