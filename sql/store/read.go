package store

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/store/internal/db"
)

func (b *batch) putReads(ctx context.Context, tx pgx.Tx) error {
	return put(ctx, tx, b.reads, moveReads, b.reject)
}

func moveReads(ctx context.Context, q *db.Queries, reads []*placed) error {
	var arg db.MoveReadsParams
	var groups, changed []int64
	var readers []string
	for _, p := range reads {
		arg.ConversationIds = append(arg.ConversationIds, p.conversation.id)
		arg.UserIds = append(arg.UserIds, string(p.record.Sender.User))
		arg.Seqs = append(arg.Seqs, int64(p.record.Seq))
		arg.Places = append(arg.Places, int64(p.place))
		if p.conversation.conversation.Kind == chat.Group {
			groups, changed = append(groups, p.conversation.id), append(changed, int64(p.place))
			readers = append(readers, string(p.record.Sender.User))
		}
	}
	if err := q.MoveReads(ctx, arg); err != nil || len(groups) == 0 {
		return err
	}
	return q.TouchReaders(ctx, groups, readers, changed)
}
