// Package directory remembers the apps and users of Postgres, for all who must know them at every turn: edges at logins, the API at requests. What
// it remembers holds for a while, or until an event says that it is stale; while Postgres does not answer it serves what it knew last.
package directory

import (
	"cmp"
	"context"
	"time"

	"github.com/whaleshark-im/whaleshark/chat"
)

// Source tells of apps and users. What does not exist is a [chat.Error]; every other error means that it cannot tell now.
type Source interface {
	App(ctx context.Context, app chat.AppID) (chat.App, error)
	User(ctx context.Context, user chat.UserKey) (chat.User, error)
}

// Events tell what has become stale.
type Events interface {
	HearEvents(ctx context.Context, heard func(*chat.Event), lost func()) error
}

// Config tunes a directory. A zero field has the default that its comment names.
type Config struct {
	TTL     time.Duration // how long an answer holds; default 30 s
	Timeout time.Duration // how long the source may take; default 2 s
	Size    int           // how many apps and how many users are remembered; default 100,000
}

func (c Config) withDefaults() Config {
	c.TTL = cmp.Or(c.TTL, 30*time.Second)
	c.Timeout = cmp.Or(c.Timeout, 2*time.Second)
	c.Size = cmp.Or(c.Size, 100_000)
	return c
}

// Directory knows apps and users. Its methods may be called at once by many.
type Directory struct {
	apps  *cache[chat.AppID, chat.App]
	users *cache[chat.UserKey, chat.User]
}

// New returns a directory that remembers nothing yet.
func New(cfg Config, s Source) *Directory {
	cfg = cfg.withDefaults()
	return &Directory{apps: newCache(cfg, s.App), users: newCache(cfg, s.User)}
}

// App returns an app, or [chat.AppMissing].
func (d *Directory) App(ctx context.Context, id chat.AppID) (chat.App, error) {
	return d.apps.get(ctx, id)
}

// User returns a user, or [chat.UserMissing].
func (d *Directory) User(ctx context.Context, key chat.UserKey) (chat.User, error) {
	return d.users.get(ctx, key)
}

// Follow forgets what events say is stale, until ctx ends. When some may have been missed, everything is.
func (d *Directory) Follow(ctx context.Context, events Events) error {
	return events.HearEvents(ctx, d.Heed, d.ForgetAll)
}

// Heed forgets what an event says is stale.
func (d *Directory) Heed(e *chat.Event) {
	if e.Stale.App {
		d.apps.forget(e.App)
	}
	for _, u := range e.Stale.Users {
		d.users.forget(chat.UserKey{App: e.App, User: u})
	}
}

// ForgetAll lets everything be asked for anew.
func (d *Directory) ForgetAll() {
	d.apps.forgetAll()
	d.users.forgetAll()
}
