package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

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

// MaySay returns OK, or the code with which a message of a user in a conversation would be refused now.
func (s *Store) MaySay(ctx context.Context, c chat.Conversation, from chat.UserID, now time.Time) (chat.Code, error) {
	facts, err := s.LookUp(ctx, chat.NeedsToSay(c, from))
	if err == nil && c.Kind == chat.Group {
		facts.Groups[c], err = s.groupOfSpeaker(ctx, c, from)
	}
	if err != nil {
		return 0, fmt.Errorf("look up whether %s may say something in %s: %w", from, c, err)
	}
	return facts.MaySay(c, from, now), nil
}

// groupOfSpeaker returns a group with one member, if he is one. Of the places only the order counts.
func (s *Store) groupOfSpeaker(ctx context.Context, group chat.Conversation, from chat.UserID) (chat.GroupState, error) {
	row, err := s.queries.GroupOfSpeaker(ctx, string(from), int32(group.App), group.A)
	if errors.Is(err, pgx.ErrNoRows) {
		return chat.GroupState{}, nil
	}
	if err != nil {
		return chat.GroupState{}, err
	}
	state := chat.GroupState{Version: row.Version, Muted: row.Muted, Destroyed: row.Destroyed, At: 1}
	if row.IsMember {
		m := chat.Membership{User: from, Joined: 1, Role: chat.MemberRole(row.Role), MutedUntil: row.MutedUntil} //nolint:gosec // a role is 0 to 2
		state.Members = append(state.Members, m)
	}
	return state, nil
}
