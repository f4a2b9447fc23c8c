package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/store/internal/db"
)

// App returns an app's row, or [chat.AppMissing].
func (s *Store) App(ctx context.Context, id chat.AppID) (chat.App, error) {
	row, err := s.queries.AppByID(ctx, int32(id))
	if errors.Is(err, pgx.ErrNoRows) {
		return chat.App{}, chat.Error{Code: chat.AppMissing}
	}
	if err != nil {
		return chat.App{}, fmt.Errorf("read app %s: %w", id, err)
	}
	return chatApp(db.AppsRow(row)), nil
}

// Apps returns all apps in the order of their ids.
func (s *Store) Apps(ctx context.Context) ([]chat.App, error) {
	rows, err := s.queries.Apps(ctx)
	if err != nil {
		return nil, fmt.Errorf("read apps: %w", err)
	}
	apps := make([]chat.App, len(rows))
	for i, row := range rows {
		apps[i] = chatApp(row)
	}
	return apps, nil
}

// SetApp adds an app, or gives it these keys and options.
func (s *Store) SetApp(ctx context.Context, app chat.App) error {
	if n := len(app.Keys); n < 1 || n > 2 {
		return chat.Errorf(chat.BadParameter, "app %s: an app has one key, or two while they are changed; got %d", app.ID, n)
	}
	arg := db.SetAppParams{
		AppID: int32(app.ID), Keys: app.Keys, CheckFriend: app.CheckFriend, CheckBlack: app.CheckBlack,
		LoginPolicy: int16(app.LoginPolicy), HistoryBeforeJoining: app.HistoryBeforeJoining, //nolint:gosec // a policy is 0 to 4
	}
	if p := app.LoginPolicy; p < 0 || p > chat.ManyDevices {
		return chat.Errorf(chat.BadParameter, "app %s: there is no login policy %d", app.ID, int(p))
	}
	if err := s.queries.SetApp(ctx, arg); err != nil {
		return fmt.Errorf("set app %s: %w", app.ID, err)
	}
	return nil
}

func chatApp(row db.AppsRow) chat.App {
	return chat.App{
		ID: chat.AppID(row.AppID), Keys: row.Keys, CheckFriend: row.CheckFriend, CheckBlack: row.CheckBlack,
		LoginPolicy: chat.LoginPolicy(row.LoginPolicy), HistoryBeforeJoining: row.HistoryBeforeJoining,
	}
}
