-- name: MarkOf :one
SELECT revision, hash FROM mark WHERE partition = @partition;

-- name: Marks :many
SELECT partition, revision, hash FROM mark;

-- AddMark and MoveMark fence the writers of a partition: who finds the mark elsewhere writes no row.
-- name: AddMark :execrows
INSERT INTO mark (partition, revision, hash) VALUES (@partition, @revision, @hash) ON CONFLICT DO NOTHING;

-- name: MoveMark :execrows
UPDATE mark SET revision = @revision, hash = @hash
WHERE partition = @partition AND revision = @from_revision AND hash = @from_hash;
