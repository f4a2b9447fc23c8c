package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/store/internal/db"
)

// Sequences are a user's own numbers of what has changed last for him.
type Sequences struct {
	Friendship    int64
	FriendRequest int64
	FriendGroup   int64
}

// Sequences returns a user's sequences; they are 0 as long as nothing has happened.
func (s *Store) Sequences(ctx context.Context, key chat.UserKey) (Sequences, error) {
	row, err := s.queries.SequencesOf(ctx, int32(key.App), string(key.User))
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return Sequences{}, fmt.Errorf("read the sequences of %s: %w", key.User, err)
	}
	return Sequences(row), nil
}

// bump moves the sequences of users on by so much each, and returns them as they are then. Until the transaction ends nobody else changes
// anything of theirs. The users come in the order of their ids, so that two changes of the same users cannot wait for each other.
func bump(ctx context.Context, q *db.Queries, app chat.AppID, by map[chat.UserID]Sequences) (map[chat.UserID]Sequences, error) {
	now := make(map[chat.UserID]Sequences, len(by))
	for _, u := range slices.Sorted(maps.Keys(by)) {
		row, err := q.BumpSequences(ctx, db.BumpSequencesParams{
			AppID: int32(app), UserID: string(u),
			Friendship: by[u].Friendship, FriendRequest: by[u].FriendRequest, FriendGroup: by[u].FriendGroup,
		})
		if err != nil {
			return nil, fmt.Errorf("move the sequences of %s: %w", u, err)
		}
		now[u] = Sequences(row)
	}
	return now, nil
}
