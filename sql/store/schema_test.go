package store_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"golang.org/x/sync/errgroup"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/migrations"
	"github.com/whaleshark-im/whaleshark/sql/store"
	"github.com/whaleshark-im/whaleshark/sql/storetest"
)

func TestManyMigrateAtOnceAndOneDoes(t *testing.T) {
	url := storetest.EmptyURL(t)
	s := storetest.Open(t, url)
	err := s.Ready(t.Context())
	if want := fmt.Sprintf("has schema version 0; this binary needs %d", store.Version); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("ready before: %v; want an error with %q", err, want)
	}

	logs := make([]bytes.Buffer, 6)
	var g errgroup.Group
	for i := range logs {
		g.Go(func() error { return store.Migrate(t.Context(), url, slog.New(slog.NewTextHandler(&logs[i], nil))) })
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	steps := 0
	for i := range logs {
		steps += strings.Count(logs[i].String(), "schema migrated")
	}
	files, err := fs.Glob(migrations.FS, "*.sql")
	if err != nil || steps != len(files) {
		t.Errorf("%d steps were logged by all, %v; want %d", steps, err, len(files))
	}
	if err := s.Ready(t.Context()); err != nil {
		t.Errorf("ready after: %v", err)
	}
}

func TestNewerSchemaIsReady(t *testing.T) {
	url := storetest.URL(t)
	run(t, url, fmt.Sprintf(`INSERT INTO goose_db_version (version_id, is_applied) VALUES (%d, true)`, store.Version+1))
	if err := storetest.Open(t, url).Ready(t.Context()); err != nil {
		t.Errorf("ready with a schema that a newer binary has migrated: %v", err)
	}
}

// TestPairsOfBeforeKnowTheirUsers migrates a database that has conversations from the time when a token was all they had.
func TestPairsOfBeforeKnowTheirUsers(t *testing.T) {
	url := storetest.EmptyURL(t)
	config, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	conn := stdlib.OpenDB(*config)
	defer conn.Close()
	provider, err := goose.NewProvider(goose.DialectPostgres, conn, migrations.FS, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := provider.UpTo(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	strange := chat.PairOf(app, "a=b/c.", "\u00fc\u4e2d \U0001f433")
	for i, c := range []chat.Conversation{chat.PairOf(app, "alice", "bob"), strange} {
		run(t, url, fmt.Sprintf(`INSERT INTO conversation (app_id, token, head, last_place) VALUES (%d, '%s', 1, %d)`, c.App, c, 1000+i))
	}
	if _, err := provider.Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := []string{"(0,alice,bob,1000)", fmt.Sprintf(`(0,%s,"%s",1001)`, strange.A, strange.B)}
	if diff := cmp.Diff(want, texts(t, url, `SELECT row(kind, a, b, changed)::text FROM conversation ORDER BY last_place`)); diff != "" {
		t.Errorf("conversations (-want +got):\n%s", diff)
	}
	if _, err := provider.DownTo(t.Context(), 1); err != nil {
		t.Errorf("and back: %v", err)
	}
}
