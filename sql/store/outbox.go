package store

import (
	"context"
	"fmt"
	"time"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/store/internal/db"
)

// Outgoing returns the oldest changes of groups after an id that are not folded in yet, at most limit of them. Those of one group come in the
// order of their versions. They may be in the log already: [Store.Apply] forgets each once it has its rows. A row that cannot be read has
// a fault.
func (s *Store) Outgoing(ctx context.Context, after int64, limit int) ([]chat.Outgoing, error) {
	rows, err := s.queries.Outgoing(ctx, after, int32(limit)) //nolint:gosec // a page
	if err != nil {
		return nil, fmt.Errorf("read outbox: %w", err)
	}
	outgoing := make([]chat.Outgoing, len(rows))
	for i, row := range rows {
		outgoing[i] = chat.Outgoing{
			ID: row.OutboxID, Conversation: chat.GroupOf(chat.AppID(row.AppID), row.GroupID), By: chat.UserID(row.ByID),
		}
		outgoing[i].Change, outgoing[i].Fault = decodeChange(row.Change)
	}
	return outgoing, nil
}

func decodeChange(b []byte) (chat.Change, error) {
	record, _, err := decodeRecord(b)
	switch {
	case err != nil:
		return chat.Change{}, err
	case record.Change == nil:
		return chat.Change{}, fmt.Errorf("a record of kind %d is no change of a group", record.Kind)
	}
	return *record.Change, nil
}

func addOutgoing(ctx context.Context, q *db.Queries, group chat.Conversation, by chat.UserID, c chat.Change) error {
	record := chat.Record{
		Kind: chat.GroupRecord, Conversation: group, Sender: chat.Device{App: group.App, User: by}, Change: &c,
	}
	return q.AddOutgoing(ctx, db.AddOutgoingParams{
		AppID: int32(group.App), GroupID: group.A, Version: c.Version, ByID: string(by), Change: encodeRecord(record, time.Time{}),
	})
}
