package store

import (
	"context"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/store/internal/db"
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

// Appoint makes a user an administrator of his app, who may do everything by the API; one that is not there is added.
func (s *Store) Appoint(ctx context.Context, key chat.UserKey) error {
	if key.User == "" || utf8.RuneCountInString(string(key.User)) > chat.MaxUserID {
		return chat.Errorf(chat.BadParameter, "a user's id has 1 to %d characters", chat.MaxUserID)
	}
	return s.change(ctx, fmt.Sprintf("appoint %s of app %s", key.User, key.App), func(q *db.Queries) ([]chat.Event, error) {
		err := q.AppointAdministrator(ctx, int32(key.App), string(key.User), adminUser)
		return []chat.Event{{
			App: key.App, Aggregate: chat.UserAggregate(key.User), Stale: chat.Stale{Users: []chat.UserID{key.User}},
		}}, err
	})
}
