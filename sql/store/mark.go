package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/store/internal/db"
)

// Mark returns how far the rows of a partition are in; the zero mark is before the first block.
func (s *Store) Mark(ctx context.Context, p chat.Partition) (chat.Mark, error) {
	row, err := s.queries.MarkOf(ctx, int32(p)) //nolint:gosec // partitions are few
	if errors.Is(err, pgx.ErrNoRows) {
		return chat.Mark{}, nil
	}
	if err != nil {
		return chat.Mark{}, fmt.Errorf("read mark of partition %s: %w", p, err)
	}
	return chatMark(row.Revision, row.Hash), nil
}

// Marks returns the marks of all partitions that have one.
func (s *Store) Marks(ctx context.Context) (map[chat.Partition]chat.Mark, error) {
	return marks(ctx, s.queries)
}

func marks(ctx context.Context, q *db.Queries) (map[chat.Partition]chat.Mark, error) {
	rows, err := q.Marks(ctx)
	if err != nil {
		return nil, fmt.Errorf("read marks: %w", err)
	}
	marks := make(map[chat.Partition]chat.Mark, len(rows))
	for _, row := range rows {
		marks[chat.Partition(row.Partition)] = chatMark(row.Revision, row.Hash)
	}
	return marks, nil
}

// moveMark moves a partition's mark if it is still from, and so keeps every other writer of the partition out until the
// transaction is over.
func moveMark(ctx context.Context, q *db.Queries, p chat.Partition, from, to chat.Mark) error {
	var moved int64
	var err error
	partition, revision := int32(p), int64(to.Revision) //nolint:gosec // partitions are few, a revision is below 2^43
	if from == (chat.Mark{}) {
		moved, err = q.AddMark(ctx, partition, revision, to.Hash[:])
	} else {
		moved, err = q.MoveMark(ctx, db.MoveMarkParams{
			Partition: partition, Revision: revision, Hash: to.Hash[:],
			FromRevision: int64(from.Revision), FromHash: from.Hash[:], //nolint:gosec // as above
		})
	}
	if err != nil {
		return fmt.Errorf("move mark: %w", err)
	}
	if moved == 0 {
		return ErrMarkMoved
	}
	return nil
}

func chatMark(revision int64, hash []byte) chat.Mark {
	m := chat.Mark{Revision: chat.Revision(revision)} //nolint:gosec // it was written from a revision
	copy(m.Hash[:], hash)
	return m
}
