// Package storetest gives tests a real Postgres. The first test of a process that asks starts a private server, every test has a database of its
// own, and nothing is left when the process ends, however it ends. Without PostgreSQL's binaries a test fails, and says how to install them.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	neturl "net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/whaleshark-im/whaleshark/sql/postgres"
	"github.com/whaleshark-im/whaleshark/sql/store"
)

// New returns a store on a database of the test's own, migrated and empty.
func New(tb testing.TB) *store.Store {
	tb.Helper()
	return Open(tb, URL(tb))
}

// Open returns a store on a database that [URL] has made.
func Open(tb testing.TB, url string) *store.Store {
	tb.Helper()
	s, err := store.Open(tb.Context(), url, store.Options{Name: tb.Name()})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.Close)
	return s
}

// URL returns a database of the test's own, migrated and empty.
func URL(tb testing.TB) string {
	tb.Helper()
	return clone(tb, "whaleshark")
}

// EmptyURL returns a database of the test's own that was never migrated.
func EmptyURL(tb testing.TB) string {
	tb.Helper()
	return clone(tb, "template1")
}

var clones atomic.Int64

func clone(tb testing.TB, template string) string {
	tb.Helper()
	server, err := server()
	if err != nil {
		tb.Fatal(err)
	}
	config, err := pgx.ParseConfig(server.url)
	if err != nil {
		tb.Fatal(err)
	}
	config.Database = "postgres" // a template has no connections
	name := fmt.Sprintf("test_%d", clones.Add(1))
	exec := func(ctx context.Context, sql string) {
		tb.Helper()
		conn, err := pgx.ConnectConfig(ctx, config)
		if err != nil {
			tb.Fatal(err)
		}
		defer conn.Close(ctx) // nothing is left in it
		if _, err := conn.Exec(ctx, sql); err != nil {
			tb.Fatalf("%s: %v", sql, err)
		}
	}
	exec(tb.Context(), "CREATE DATABASE "+name+" TEMPLATE "+template)
	tb.Cleanup(func() { exec(context.Background(), "DROP DATABASE "+name+" WITH (FORCE)") })
	u, err := neturl.Parse(server.url)
	if err != nil {
		tb.Fatal(err)
	}
	u.Path = "/" + name
	return u.String()
}

// running is the process's server.
type running struct {
	url   string   // its database is migrated: the template of all others
	alive *os.File // what the undertaker listens to; only the end of the process closes it
}

var server = sync.OnceValues(func() (*running, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	dir, err := os.MkdirTemp("", "whaleshark-test-")
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(dir, 0o711); err != nil { // the server's user passes through
		return nil, err
	}
	alive, err := undertaker(dir)
	if err != nil {
		return nil, err
	}
	log := slog.New(slog.DiscardHandler)
	i, err := postgres.Start(ctx, postgres.Config{Dir: filepath.Join(dir, "pg"), Log: log, Settings: map[string]string{
		"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "shared_buffers": "64MB",
	}})
	if err != nil {
		return nil, err
	}
	return &running{url: i.URL(), alive: alive}, store.Migrate(ctx, i.URL(), log)
})

// undertaker starts a shell that waits for the end of this process, tests that panic or are killed included, and then ends the
// server and removes its folder. It waits on a pipe that only this process holds open.
func undertaker(dir string) (alive *os.File, err error) {
	const script = `
cat
pid=$(head -n 1 "$0/pg/data/postmaster.pid") && kill -QUIT "$pid"
for i in 1 2 3 4 5 6 7 8 9 10; do test -e "$0/pg/data/postmaster.pid" || break; sleep 0.1; done
rm -rf "$0"`
	waits, alive, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(context.Background(), "sh", "-c", script, dir)
	cmd.Stdin = waits
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a Ctrl-C is for the tests
	return alive, errors.Join(cmd.Start(), waits.Close())
}
