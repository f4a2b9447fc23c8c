package store

import (
	"context"
	"fmt"
	"time"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/store/internal/db"
)

// Outgoing returns the oldest changes of groups that are not folded in yet, at most limit of them. Those of one group come in the
// order of their versions. They may be in the log already: [Store.Apply] forgets each once it has its rows.
func (s *Store) Outgoing(ctx context.Context, limit int) ([]chat.Outgoing, error) {
	rows, err := s.queries.Outgoing(ctx, int32(limit)) //nolint:gosec // a page
	if err != nil {
		return nil, fmt.Errorf("read outbox: %w", err)
	}
	outgoing := make([]chat.Outgoing, len(rows))
	for i, row := range rows {
		record, _, err := decodeRecord(row.Change)
		if err != nil {
			return nil, fmt.Errorf("read change %d of the outbox: %w", row.OutboxID, err)
		}
		outgoing[i] = chat.Outgoing{
			ID: row.OutboxID, Conversation: chat.GroupOf(chat.AppID(row.AppID), row.GroupID), By: chat.UserID(row.ByID), Change: *record.Change,
		}
	}
	return outgoing, nil
}

func addOutgoing(ctx context.Context, q *db.Queries, group chat.Conversation, by chat.UserID, c chat.Change) error {
	record := chat.Record{
		Kind: chat.GroupRecord, Conversation: group, Sender: chat.Device{App: group.App, User: by}, Change: &c,
	}
	return q.AddOutgoing(ctx, db.AddOutgoingParams{
		AppID: int32(group.App), GroupID: group.A, Version: c.Version, ByID: string(by), Change: encodeRecord(record, time.Time{}),
	})
}
