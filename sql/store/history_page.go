package store

import (
	"context"
	"fmt"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/store/internal/db"
)

// spanArrays is how spans travel to Postgres.
func spanArrays(spans []chat.Span) (ids, afters, befores []int64) {
	ids, afters, befores = make([]int64, len(spans)), make([]int64, len(spans)), make([]int64, len(spans))
	for i := range spans {
		ids[i], afters[i], befores[i] = spans[i].Number, int64(spans[i].After), int64(spans[i].Before)
	}
	return ids, afters, befores
}

func tokensOf(conversations []chat.Conversation) []string {
	tokens := make([]string, len(conversations))
	for i, c := range conversations {
		tokens[i] = c.String()
	}
	return tokens
}

func conversationsOf(spans []chat.Span) map[int64]chat.Conversation {
	m := make(map[int64]chat.Conversation, len(spans))
	for i := range spans {
		m[spans[i].Number] = spans[i].Conversation
	}
	return m
}

// SpanMessages returns the oldest messages within the spans, or the newest if descending, in that order, at most limit of all spans together.
// Those that the device not has sent are left out; the zero device leaves out none.
func (s *Snapshot) SpanMessages(ctx context.Context, spans []chat.Span, not chat.Device, descending bool, limit int) ([]chat.Item, error) {
	if len(spans) == 0 {
		return nil, nil
	}
	ids, afters, befores := spanArrays(spans)
	arg := db.MessagesUpParams{
		ConversationIds: ids, Afters: afters, Befores: befores, MaxRows: int32(limit), //nolint:gosec // a page
		NotUser: string(not.User), NotClient: int32(not.Client), NotImei: not.IMEI,
	}
	var rows []db.MessagesUpRow
	var err error
	if descending {
		var down []db.MessagesDownRow
		down, err = s.q.MessagesDown(ctx, db.MessagesDownParams(arg))
		for i := range down {
			rows = append(rows, db.MessagesUpRow(down[i]))
		}
	} else {
		rows, err = s.q.MessagesUp(ctx, arg)
	}
	if err != nil {
		return nil, fmt.Errorf("read messages: %w", err)
	}
	return messageItems(rows, conversationsOf(spans)), nil
}

// NewestMessages returns the newest message of each span that has one.
func (s *Snapshot) NewestMessages(ctx context.Context, spans []chat.Span) ([]chat.Item, error) {
	if len(spans) == 0 {
		return nil, nil
	}
	ids, afters, befores := spanArrays(spans)
	newest, err := s.q.NewestMessages(ctx, ids, afters, befores)
	if err != nil {
		return nil, fmt.Errorf("read the newest messages: %w", err)
	}
	rows := make([]db.MessagesUpRow, len(newest))
	for i := range newest {
		rows[i] = db.MessagesUpRow(newest[i])
	}
	return messageItems(rows, conversationsOf(spans)), nil
}

func messageItems(rows []db.MessagesUpRow, conversations map[int64]chat.Conversation) []chat.Item {
	items := make([]chat.Item, len(rows))
	for i := range rows {
		row := &rows[i]
		c := conversations[row.ConversationID]
		items[i] = chat.Item{Place: chat.Place(row.Place), Time: row.CreatedAt, Recalled: row.Recalled, Record: chat.Record{
			Kind:         chat.MessageRecord,
			Conversation: c,
			Sender:       chat.Device{App: c.App, User: chat.UserID(row.Sender), Client: chat.ClientType(row.ClientType), IMEI: row.Imei},
			MessageID:    row.MessageID,
			Seq:          chat.Seq(row.Seq),
			MessageTime:  row.MessageTime,
			Digest:       chatDigest(row.Digest),
			Body:         row.Body,
			Extra:        row.Extra,
			Erased:       row.Erased,
		}}
	}
	return items
}

// SpanRecords returns the oldest recalls and changes of groups within the spans, or the newest if descending, in that order.
func (s *Snapshot) SpanRecords(ctx context.Context, spans []chat.Span, descending bool, limit int) ([]chat.Item, error) {
	if len(spans) == 0 {
		return nil, nil
	}
	ids, afters, befores := spanArrays(spans)
	arg := db.RecordsUpParams{ConversationIds: ids, Afters: afters, Befores: befores, MaxRows: int32(limit)} //nolint:gosec // a page
	var rows []db.RecordsUpRow
	var err error
	if descending {
		var down []db.RecordsDownRow
		down, err = s.q.RecordsDown(ctx, db.RecordsDownParams(arg))
		for i := range down {
			rows = append(rows, db.RecordsUpRow(down[i]))
		}
	} else {
		rows, err = s.q.RecordsUp(ctx, arg)
	}
	if err != nil {
		return nil, fmt.Errorf("read records: %w", err)
	}
	items := make([]chat.Item, len(rows))
	for i := range rows {
		r, _, err := decodeRecord(rows[i].Data)
		if err != nil {
			return nil, fmt.Errorf("read record at place %d: %w", rows[i].Place, err)
		}
		items[i] = chat.Item{Place: chat.Place(rows[i].Place), Time: rows[i].CreatedAt, Record: r}
	}
	return items, nil
}

// Aside returns the records of the conversations at after < place < before that Postgres refused and put aside, in the order of the log.
func (s *Snapshot) Aside(ctx context.Context, conversations []chat.Conversation, after, before chat.Place) ([]chat.Item, error) {
	if len(conversations) == 0 {
		return nil, nil
	}
	rows, err := s.q.RejectedOf(ctx, tokensOf(conversations), int64(after), int64(before))
	if err != nil {
		return nil, fmt.Errorf("read what was put aside: %w", err)
	}
	items := make([]chat.Item, len(rows))
	for i := range rows {
		r, at, err := decodeRecord(rows[i].Record)
		if err != nil {
			return nil, fmt.Errorf("read record at place %d: %w", rows[i].Place, err)
		}
		if rows[i].Recalled {
			erase(&r)
		}
		items[i] = chat.Item{Place: chat.Place(rows[i].Place), Time: at, Record: r, Recalled: rows[i].Recalled}
	}
	return items, nil
}
