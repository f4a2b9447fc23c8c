package store

import (
	"context"
	"fmt"
	"slices"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/store/internal/db"
)

// Range is a part of a conversation, both ends included.
type Range struct {
	Conversation chat.Conversation
	First, Last  chat.Seq
}

// manyRanges is how many conversations one question may name.
const manyRanges = 10_000

// CountMessages returns how many messages Postgres has of each range.
func (s *Store) CountMessages(ctx context.Context, ranges []Range) ([]int64, error) {
	counts := make([]int64, len(ranges))
	for first := 0; first < len(ranges); first += manyRanges {
		var arg db.CountMessagesParams
		for i, r := range ranges[first:min(first+manyRanges, len(ranges))] {
			arg.Numbers = append(arg.Numbers, int32(first+i))
			arg.Tokens = append(arg.Tokens, r.Conversation.String())
			arg.Firsts, arg.Lasts = append(arg.Firsts, int64(r.First)), append(arg.Lasts, int64(r.Last))
		}
		rows, err := s.queries.CountMessages(ctx, arg)
		if err != nil {
			return nil, fmt.Errorf("count messages: %w", err)
		}
		for _, row := range rows {
			counts[row.Number] = row.Messages
		}
	}
	return counts, nil
}

// HeadsOf returns the heads of the conversations that Postgres knows; messages that were put aside count.
func (s *Store) HeadsOf(ctx context.Context, conversations []chat.Conversation) (map[chat.Conversation]chat.Seq, error) {
	heads := make(map[chat.Conversation]chat.Seq, len(conversations))
	for some := range slices.Chunk(conversations, manyRanges) {
		of := make(map[string]chat.Conversation, len(some))
		tokens := make([]string, len(some))
		for i, c := range some {
			tokens[i] = c.String()
			of[tokens[i]] = c
		}
		rows, err := s.queries.HeadsByToken(ctx, tokens)
		if err != nil {
			return nil, fmt.Errorf("read heads: %w", err)
		}
		for _, row := range rows {
			c := of[row.Token]
			heads[c] = max(heads[c], chat.Seq(row.Head))
		}
	}
	return heads, nil
}

// BackendPID returns the process id of a server process of Postgres, on Postgres's machine.
func (s *Store) BackendPID(ctx context.Context) (int, error) {
	pid, err := s.queries.BackendPID(ctx)
	if err != nil {
		return 0, fmt.Errorf("ask Postgres for its process: %w", err)
	}
	return int(pid), nil
}
