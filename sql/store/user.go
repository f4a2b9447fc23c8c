package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/whaleshark-im/whaleshark/chat"
)

// User types, as the original numbers them.
const (
	plainUser = 1
	adminUser = 100
)

// User returns a user's row, or [chat.UserMissing].
func (s *Store) User(ctx context.Context, key chat.UserKey) (chat.User, error) {
	row, err := s.queries.UserByKey(ctx, int32(key.App), string(key.User))
	if errors.Is(err, pgx.ErrNoRows) {
		return chat.User{}, chat.Error{Code: chat.UserMissing}
	}
	if err != nil {
		return chat.User{}, fmt.Errorf("read user %s of app %s: %w", key.User, key.App, err)
	}
	return chat.User{Forbidden: row.Forbidden, Silent: row.Silent, Admin: row.UserType == adminUser}, nil
}
