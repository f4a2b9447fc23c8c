package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/store/internal/db"
)

// Rejected is a record that Postgres refused for itself: it is in the log, and put aside here.
type Rejected struct {
	Place     chat.Place
	Partition chat.Partition
	Time      time.Time   // of its block
	Record    chat.Record // without a body if it was recalled
	Recalled  chat.Place  // of the recall; 0: it stands
	Cause     string
}

// Rejected returns the records put aside with lo ≤ place < hi, in the order of the log.
func (s *Store) Rejected(ctx context.Context, lo, hi chat.Place) ([]Rejected, error) {
	rows, err := s.queries.RejectedRecords(ctx, int64(lo), int64(hi))
	if err != nil {
		return nil, fmt.Errorf("read rejected records from place %d: %w", lo, err)
	}
	rejected := make([]Rejected, len(rows))
	for i, row := range rows {
		record, at, err := decodeRecord(row.Record)
		if err != nil {
			return nil, fmt.Errorf("read rejected record at place %d: %w", row.Place, err)
		}
		rejected[i] = Rejected{
			Place: chat.Place(row.Place), Partition: chat.Partition(row.Partition), Time: at, Record: record,
			Recalled: chat.Place(row.Recalled), Cause: row.Cause,
		}
	}
	return rejected, nil
}

func (b *batch) rejectMessage(m *messageRow, cause error) {
	b.reject(&m.placed, cause)
	if m.recalled != 0 {
		r := &b.rejected[len(b.rejected)-1]
		r.Recalled = m.recalled
		erase(&r.Record)
	}
}

// reject notes the cause without the refusal's detail, which would quote the message. A record that several rows are made of is
// rejected for the first that is refused.
func (b *batch) reject(p *placed, cause error) {
	if b.aside[p.place] {
		return
	}
	if b.aside == nil {
		b.aside = make(map[chat.Place]bool)
	}
	b.aside[p.place] = true
	b.rejected = append(b.rejected, Rejected{
		Place: p.place, Partition: b.partition, Time: p.time, Record: *p.record, Cause: cause.Error(),
	})
}

func erase(r *chat.Record) { r.Body, r.Extra, r.Erased = "", "", true }

func (b *batch) addRejected(ctx context.Context, tx pgx.Tx) error {
	q := db.New(tx)
	slices.SortFunc(b.rejected, func(x, y Rejected) int { return int(x.Place - y.Place) })
	for i := range b.rejected {
		r := &b.rejected[i]
		if err := q.AddRejectedRecord(ctx, db.AddRejectedRecordParams{
			Place: int64(r.Place), Seq: int64(r.Record.Seq), Recalled: int64(r.Recalled), Identity: r.Record.ID(),
			Partition: int32(r.Partition), //nolint:gosec // partitions are few
			Kind:      int16(r.Record.Kind), Digest: r.Record.Digest[:], Asked: asked(&r.Record), Token: r.Record.Conversation.String(),
			Cause: r.Cause, Record: encodeRecord(r.Record, r.Time),
		}); err != nil {
			return err
		}
	}
	return nil
}

// recallRejected takes the bodies of messages away that were put aside.
func (b *batch) recallRejected(ctx context.Context, q *db.Queries) error {
	places, by := make([]int64, len(b.recalls)), make(map[int64]chat.Place, len(b.recalls))
	for i, p := range b.recalls {
		places[i] = int64(p.record.Recall.Place)
		by[places[i]] = p.place
	}
	rows, err := q.RejectedByPlace(ctx, places)
	if err != nil {
		return err
	}
	for _, row := range rows {
		record, at, err := decodeRecord(row.Record)
		if err != nil {
			return fmt.Errorf("rejected record at place %d: %w", row.Place, err)
		}
		erase(&record)
		if err := q.RecallRejected(ctx, encodeRecord(record, at), int64(by[row.Place]), row.Place); err != nil {
			return err
		}
	}
	return nil
}

var errNotOneRecord = errors.New("not a block of one record")

// encodeRecord returns a record in the log's own form: a block that holds it alone, without a chain.
func encodeRecord(r chat.Record, at time.Time) []byte {
	return chat.AppendBlock(nil, &chat.Block{Time: at, Records: []chat.Record{r}}, chat.Hash{})
}

func decodeRecord(b []byte) (chat.Record, time.Time, error) {
	block, err := chat.DecodeBlock(b)
	if err != nil {
		return chat.Record{}, time.Time{}, err
	}
	if len(block.Records) != 1 {
		return chat.Record{}, time.Time{}, errNotOneRecord
	}
	return block.Records[0], block.Time, nil
}
