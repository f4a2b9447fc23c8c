package store

import (
	"context"
	"fmt"
	"time"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/store/internal/db"
)

// Message is a message's row: the record as the log has it, so that the two can be compared, and what else the row holds.
type Message struct {
	Place  chat.Place
	ID     chat.ID
	Time   time.Time // of its block
	Record chat.Record
}

// Messages returns the messages with lo ≤ place < hi, in the order of the log, at most limit of them.
func (s *Store) Messages(ctx context.Context, lo, hi chat.Place, limit int) ([]Message, error) {
	rows, err := s.queries.Messages(ctx, int64(lo), int64(hi), int32(limit)) //nolint:gosec // a page
	if err != nil {
		return nil, fmt.Errorf("read messages from place %d: %w", lo, err)
	}
	messages := make([]Message, len(rows))
	for i := range rows {
		if messages[i], err = chatMessage(&rows[i]); err != nil {
			return nil, fmt.Errorf("read message at place %d: %w", rows[i].Place, err)
		}
	}
	return messages, nil
}

func chatMessage(row *db.MessagesRow) (Message, error) {
	c, err := chat.ParseConversation(row.Token)
	if err != nil {
		return Message{}, err
	}
	return Message{
		Place: chat.Place(row.Place),
		ID:    row.Identity,
		Time:  row.CreatedAt,
		Record: chat.Record{
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
		},
	}, nil
}

// LastPlace returns the highest place that has a message; 0 when there is none.
func (s *Store) LastPlace(ctx context.Context) (chat.Place, error) {
	place, err := s.queries.LastPlace(ctx)
	if err != nil {
		return 0, fmt.Errorf("read last place: %w", err)
	}
	return chat.Place(place), nil
}

// Head is how far a conversation has come.
type Head struct {
	Conversation chat.Conversation
	Seq          chat.Seq
	Place        chat.Place // of the message with that seq
}

// Heads returns the heads of the conversations after the given one (the zero one: from the first) in the order of their tokens,
// at most limit of them.
func (s *Store) Heads(ctx context.Context, after chat.Conversation, limit int) ([]Head, error) {
	token := ""
	if after != (chat.Conversation{}) {
		token = after.String()
	}
	rows, err := s.queries.Conversations(ctx, token, int32(limit)) //nolint:gosec // a page
	if err != nil {
		return nil, fmt.Errorf("read heads after %q: %w", token, err)
	}
	heads := make([]Head, len(rows))
	for i, row := range rows {
		c, err := chat.ParseConversation(row.Token)
		if err != nil {
			return nil, fmt.Errorf("read heads: %w", err)
		}
		heads[i] = Head{Conversation: c, Seq: chat.Seq(row.Head), Place: chat.Place(row.LastPlace)}
	}
	return heads, nil
}

// KnownIDs hands out the first 8 bytes of the identity of every message of the partition up to its mark, put aside or not, in the order of
// the log, many at a time. It may hand out more than once, and ids after the mark that it began with.
func (s *Store) KnownIDs(ctx context.Context, p chat.Partition, yield func(prefixes []byte) error) error {
	rows, err := s.pool.Query(ctx, db.KnownIDs, int32(p)) //nolint:gosec // partitions are few
	if err != nil {
		return fmt.Errorf("read known ids of partition %s: %w", p, err)
	}
	defer rows.Close()
	for rows.Next() {
		var prefixes []byte
		if err := rows.Scan(&prefixes); err != nil {
			return fmt.Errorf("read known ids of partition %s: %w", p, err)
		}
		if err := yield(prefixes); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read known ids of partition %s: %w", p, err)
	}
	return nil
}

// Rejected is a message that Postgres refused for itself: it is in the log, and put aside here.
type Rejected struct {
	Place     chat.Place
	Partition chat.Partition
	Record    chat.Record
	Cause     string
}

// Rejected returns the messages put aside with lo ≤ place < hi, in the order of the log.
func (s *Store) Rejected(ctx context.Context, lo, hi chat.Place) ([]Rejected, error) {
	rows, err := s.queries.RejectedRecords(ctx, int64(lo), int64(hi))
	if err != nil {
		return nil, fmt.Errorf("read rejected records from place %d: %w", lo, err)
	}
	rejected := make([]Rejected, len(rows))
	for i, row := range rows {
		record, err := decodeRecord(row.Record)
		if err != nil {
			return nil, fmt.Errorf("read rejected record at place %d: %w", row.Place, err)
		}
		rejected[i] = Rejected{Place: chat.Place(row.Place), Partition: chat.Partition(row.Partition), Record: record, Cause: row.Cause}
	}
	return rejected, nil
}
