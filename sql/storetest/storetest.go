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
func New(t testing.TB) *store.Store {
	t.Helper()
	return Open(t, URL(t))
}

// Open returns a store on a database that [URL] has made.
func Open(t testing.TB, url string) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), url, store.Options{Name: t.Name()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// URL returns a database of the test's own, migrated and empty.
func URL(t testing.TB) string {
	t.Helper()
	return clone(t, "whaleshark")
}

// EmptyURL returns a database of the test's own that was never migrated.
func EmptyURL(t testing.TB) string {
	t.Helper()
	return clone(t, "template1")
}

var clones atomic.Int64

func clone(t testing.TB, template string) string {
	t.Helper()
	url, err := server()
	if err != nil {
		t.Fatal(err)
	}
	config, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	config.Database = "postgres" // a template has no connections
	name := fmt.Sprintf("test_%d", clones.Add(1))
	exec := func(ctx context.Context, sql string) {
		t.Helper()
		conn, err := pgx.ConnectConfig(ctx, config)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(ctx) //nolint:errcheck // nothing is left in it
		if _, err := conn.Exec(ctx, sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	exec(t.Context(), "CREATE DATABASE "+name+" TEMPLATE "+template)
	t.Cleanup(func() { exec(context.Background(), "DROP DATABASE "+name+" WITH (FORCE)") })
	u, err := neturl.Parse(url)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + name
	return u.String()
}

// server returns the URL of the process's server, whose database is migrated: the template of all others.
var server = sync.OnceValues(func() (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	dir, err := os.MkdirTemp("", "whaleshark-test-")
	if err != nil {
		return "", err
	}
	if err := os.Chmod(dir, 0o711); err != nil { //nolint:gosec // the server's user passes through
		return "", err
	}
	if err := undertaker(dir); err != nil {
		return "", err
	}
	i, err := postgres.Start(ctx, postgres.Config{Dir: filepath.Join(dir, "pg"), Log: slog.New(slog.DiscardHandler), Settings: map[string]string{
		"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "shared_buffers": "64MB",
	}})
	if err != nil {
		return "", err
	}
	return i.URL(), store.Migrate(ctx, i.URL(), slog.New(slog.DiscardHandler))
})

// undertaker starts a shell that waits for the end of this process, tests that panic or are killed included, and then ends the
// server and removes its folder. It waits on a pipe that only this process holds open.
func undertaker(dir string) error {
	const script = `
cat
pid=$(head -n 1 "$0/pg/data/postmaster.pid") && kill -QUIT "$pid"
for i in 1 2 3 4 5 6 7 8 9 10; do test -e "$0/pg/data/postmaster.pid" || break; sleep 0.1; done
rm -rf "$0"`
	in, out, err := os.Pipe()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(context.Background(), "sh", "-c", script, dir)
	cmd.Stdin = in
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a Ctrl-C is for the tests
	err = errors.Join(cmd.Start(), in.Close())
	alive = out
	return err
}

// alive is the undertaker's pipe; it is never closed.
var alive *os.File
