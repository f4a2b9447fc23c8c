package store

import (
	"cmp"
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

// SetApp adds an app, or gives it these keys and options. Zero models and modes are the defaults.
func (s *Store) SetApp(ctx context.Context, app chat.App) error {
	return s.change(ctx, fmt.Sprintf("set app %s", app.ID), func(q *db.Queries) ([]chat.Event, error) {
		return setApp(ctx, q, app)
	})
}

// ChangeApp lets f change an app's options, and returns what they are then; [chat.AppMissing] if there is no such app.
func (s *Store) ChangeApp(ctx context.Context, id chat.AppID, f func(*chat.App) error) (app chat.App, err error) {
	err = s.change(ctx, fmt.Sprintf("change app %s", id), func(q *db.Queries) ([]chat.Event, error) {
		row, err := q.AppForChange(ctx, int32(id))
		if errors.Is(err, pgx.ErrNoRows) {
			return nil, chat.Error{Code: chat.AppMissing}
		}
		if err != nil {
			return nil, err
		}
		app = chatApp(db.AppsRow(row))
		if err := f(&app); err != nil {
			return nil, err
		}
		return setApp(ctx, q, app)
	})
	return app, err
}

// setApp writes an app, and says that what caches hold of it is stale.
func setApp(ctx context.Context, q *db.Queries, app chat.App) ([]chat.Event, error) {
	if err := checkApp(&app); err != nil {
		return nil, err
	}
	if err := q.SetApp(ctx, db.SetAppParams{
		AppID: int32(app.ID), Keys: app.Keys, CheckFriend: app.CheckFriend, CheckBlack: app.CheckBlack,
		LoginPolicy: int16(app.LoginPolicy), HistoryBeforeJoining: app.HistoryBeforeJoining, //nolint:gosec // checked
		RouteModel: int16(app.RouteModel), DeleteMode: int16(app.DeleteMode), //nolint:gosec // checked
		HookFailClosed: app.Hooks.FailClosed, HookUrl: app.Hooks.URL,
		HookSecrets: orEmpty(app.Hooks.Secrets), Hooks: orEmpty(app.Hooks.Commands),
	}); err != nil {
		return nil, err
	}
	return []chat.Event{{App: app.ID, Aggregate: chat.AppAggregate, Stale: chat.Stale{App: true}}}, nil
}

func orEmpty(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

func orNil(list []string) []string {
	if len(list) == 0 {
		return nil
	}
	return list
}

// checkApp says what is wrong with an app's options, and sets the defaults.
func checkApp(app *chat.App) error {
	app.RouteModel = cmp.Or(app.RouteModel, chat.RouteHash)
	app.DeleteMode = cmp.Or(app.DeleteMode, chat.DeleteEverywhere)
	bad := func(format string, args ...any) error {
		return chat.Errorf(chat.BadParameter, "app %s: %s", app.ID, fmt.Sprintf(format, args...))
	}
	switch n := len(app.Keys); {
	case n < 1 || n > 2:
		return bad("an app has one key, or two while they are changed; got %d", n)
	case app.LoginPolicy < 0 || app.LoginPolicy > chat.ManyDevices:
		return bad("there is no login policy %d", int(app.LoginPolicy))
	case app.RouteModel < chat.RouteRandom || app.RouteModel > chat.RouteHash:
		return bad("there is no route model %d", int(app.RouteModel))
	case app.DeleteMode < chat.DeleteEverywhere || app.DeleteMode > chat.DeleteSilently:
		return bad("there is no delete mode %d", int(app.DeleteMode))
	}
	if err := app.Hooks.Check(); err != nil {
		return bad("%v", err)
	}
	return nil
}

func chatApp(row db.AppsRow) chat.App {
	return chat.App{
		ID: chat.AppID(row.AppID), Keys: row.Keys, CheckFriend: row.CheckFriend, CheckBlack: row.CheckBlack,
		LoginPolicy: chat.LoginPolicy(row.LoginPolicy), HistoryBeforeJoining: row.HistoryBeforeJoining,
		RouteModel: chat.RouteModel(row.RouteModel), DeleteMode: chat.DeleteMode(row.DeleteMode),
		Hooks: chat.Hooks{URL: row.HookUrl, Secrets: orNil(row.HookSecrets), Commands: orNil(row.Hooks), FailClosed: row.HookFailClosed},
	}
}
