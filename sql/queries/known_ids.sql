-- name: AddKnownIDs :exec
INSERT INTO known_ids (partition, first_place, prefixes) VALUES (@partition, @first_place, @prefixes)
ON CONFLICT (partition, first_place) DO UPDATE SET prefixes = known_ids.prefixes || EXCLUDED.prefixes;

-- name: KnownIDs :many
SELECT prefixes FROM known_ids WHERE partition = @partition ORDER BY first_place;
