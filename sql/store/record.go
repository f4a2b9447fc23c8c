package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/whaleshark-im/whaleshark/sql/store/internal/db"
)

// recallEarlier takes the bodies of messages away that earlier Applies have written.
func (b *batch) recallEarlier(ctx context.Context, tx pgx.Tx) error {
	if len(b.recalls) == 0 {
		return nil
	}
	var ids, places, recalled []int64
	for _, p := range b.recalls {
		ids, places = append(ids, p.conversation.id), append(places, int64(p.record.Recall.Place))
		recalled = append(recalled, int64(p.place))
	}
	q := db.New(tx)
	if err := q.RecallMessages(ctx, ids, places, recalled); err != nil {
		return err
	}
	return b.recallRejected(ctx, q)
}

func (b *batch) putRecords(ctx context.Context, tx pgx.Tx) error {
	return put(ctx, tx, b.records, addRecords, b.reject)
}

func addRecords(ctx context.Context, q *db.Queries, records []*placed) error {
	n := len(records)
	arg := db.AddRecordsParams{
		ConversationIds: make([]int64, n), Places: make([]int64, n), CreatedAts: make([]time.Time, n), Kinds: make([]int16, n), Data: make([][]byte, n),
	}
	for i, p := range records {
		arg.ConversationIds[i] = p.conversation.id
		arg.Places[i] = int64(p.place)
		arg.CreatedAts[i] = p.time
		arg.Kinds[i] = int16(p.record.Kind)
		arg.Data[i] = encodeRecord(*p.record, p.time)
	}
	return q.AddRecords(ctx, arg)
}
