package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/store"
)

type migrateCmd struct {
	dataFlags
	databaseFlags
}

func (migrateCmd) Help() string {
	return `Brings the database to the schema that this binary needs. It may be run at any time, by several processes at once, and while the
version before is still at work.

Examples:

    whaleshark migrate
    whaleshark migrate --database postgres://im@10.0.0.6/im`
}

func (c migrateCmd) Run(ctx context.Context, log *slog.Logger, out io.Writer) error {
	url, err := c.url(c.dataFlags)
	if err != nil {
		return err
	}
	if err := store.Migrate(ctx, url, log); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "the database has schema version %d\n", store.Version)
	return err
}

type seedCmd struct {
	Users int `placeholder:"N" help:"Also add the users u1 to uN to the app, befriended in pairs: u1 and u2, u3 and u4, and so on."`
	appFlags
	dataFlags
	databaseFlags
}

func (seedCmd) Help() string {
	return `Adds demo data: app 10001 with the users lld, a, b, alice and bob, who are all friends, and a few more. What is there stays as it is.

Examples:

    whaleshark seed
    whaleshark seed --users 100000`
}

func (c seedCmd) Run(ctx context.Context, out io.Writer) error {
	s, err := openStore(ctx, c.databaseFlags, c.dataFlags)
	if err != nil {
		return err
	}
	defer s.Close()
	if err := s.Seed(ctx); err != nil {
		return err
	}
	fmt.Fprintf(out, "the demo data is in: app %s, users alice, bob and others\n", store.DemoApp)
	if c.Users <= 0 {
		return nil
	}
	if err := s.SeedPairs(ctx, c.App, c.Users, newProgress(out, "users").show); err != nil {
		return err
	}
	fmt.Fprintf(out, "and users u1 to u%d of app %s\n", c.Users, c.App)
	return nil
}

// openStore opens a migrated database.
func openStore(ctx context.Context, f databaseFlags, d dataFlags) (*store.Store, error) {
	url, err := f.url(d)
	if err != nil {
		return nil, err
	}
	s, err := store.Open(ctx, url, store.Options{})
	if err != nil {
		return nil, err
	}
	if err := s.Ready(ctx); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

type appCmd struct {
	Set appSetCmd `cmd:"" help:"Add an app, or change its keys and options."`
}

type appSetCmd struct {
	ID          chat.AppID `arg:"" help:"App id."`
	Key         []string   `required:"" help:"A key that signs userSigns; give two while clients change from one to the other."`
	CheckFriend bool       `help:"A message needs a friendship both ways."`
	CheckBlack  bool       `help:"And nobody may have blocked the other; counts only with --check-friend."`

	LoginPolicy          string `enum:"default,single,double,triple,multi" default:"default" help:"Which devices of a user may be logged in at once: ${enum}."`
	HistoryBeforeJoining bool   `help:"New members of a group see what was said before."`

	Administrator []chat.UserID `placeholder:"USER" help:"Makes a user an administrator of the app, who may do everything by the HTTP API; one that is not there is added."`

	HookURL        string   `name:"hook-url" placeholder:"URL" help:"Where the app's own server is told what happens; http or https."`
	HookSecret     []string `placeholder:"SECRET" sep:"none" help:"Signs what it is told: whsec_ and base64, or any text; two while it is changed."`
	Hooks          []string `placeholder:"COMMAND" help:"What it is told, and asked: message.send.after, user.online and so on; may be given several times."`
	HookFailClosed bool     `help:"What it is asked about is refused when it does not answer."`
	dataFlags
	databaseFlags
}

func (appSetCmd) Help() string {
	return `Adds an app, or gives one that is there these keys and options and no others.

Examples:

    whaleshark app set 10001 --key bantanger
    whaleshark app set 10002 --key new --key old --check-friend --check-black --administrator boss
    whaleshark app set 10003 --key k --login-policy single --history-before-joining
    whaleshark app set 10001 --key bantanger --hook-url http://127.0.0.1:8989/callback --hook-secret s3cret --hooks message.send.after,message.recall`
}

func (c appSetCmd) Run(ctx context.Context) error {
	app := chat.App{
		ID: c.ID, Keys: c.Key, CheckFriend: c.CheckFriend, CheckBlack: c.CheckBlack, HistoryBeforeJoining: c.HistoryBeforeJoining,
		Hooks: chat.Hooks{URL: c.HookURL, Secrets: c.HookSecret, Commands: c.Hooks, FailClosed: c.HookFailClosed},
	}
	if c.LoginPolicy != app.LoginPolicy.String() {
		var err error
		if app.LoginPolicy, err = chat.ParseLoginPolicy(c.LoginPolicy); err != nil {
			return err
		}
	}
	s, err := openStore(ctx, c.databaseFlags, c.dataFlags)
	if err != nil {
		return err
	}
	defer s.Close()
	if err := s.SetApp(ctx, app); err != nil {
		return err
	}
	for _, u := range c.Administrator {
		if err := s.Appoint(ctx, chat.UserKey{App: app.ID, User: u}); err != nil {
			return err
		}
	}
	return nil
}

type signCmd struct {
	User   string        `arg:"" help:"User id."`
	Key    string        `help:"The app's key. Without it: the first one of the app's row in the database."`
	Expire time.Duration `default:"24h" help:"How long the userSign is valid."`
	appFlags
	dataFlags
	databaseFlags
}

func (signCmd) Help() string {
	return `Mints a userSign, with which a user logs in, and prints it.

Examples:

    whaleshark sign alice
    whaleshark sign alice --app 10002 --key new --expire 1h`
}

func (c signCmd) Run(ctx context.Context, out io.Writer) error {
	key, err := c.key(ctx)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, chat.Sign(c.App, key, chat.UserID(c.User), time.Now(), c.Expire))
	return err
}

func (c signCmd) key(ctx context.Context) (string, error) {
	if c.Key != "" {
		return c.Key, nil
	}
	s, err := openStore(ctx, c.databaseFlags, c.dataFlags)
	if err != nil {
		return "", err
	}
	defer s.Close()
	app, err := s.App(ctx, c.App)
	if err != nil {
		return "", fmt.Errorf("read the key of app %s: %w", c.App, err)
	}
	if len(app.Keys) == 0 {
		return "", errors.New("the app has no key")
	}
	return app.Keys[0], nil
}
