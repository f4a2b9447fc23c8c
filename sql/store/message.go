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

	Recalled chat.Place // of the recall; 0: the message stands
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
			Asked:        chatDigest(row.Asked),
			Body:         row.Body,
			Extra:        row.Extra,
			Erased:       row.Erased,
		},
		Recalled: chat.Place(row.Recalled),
	}, nil
}

// asked returns the digest of what was asked for instead of a message; nil: nothing was.
func asked(r *chat.Record) []byte {
	if !r.Replaced() {
		return nil
	}
	return r.Asked[:]
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
