package store_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

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
	if steps != int(store.Version) {
		t.Errorf("%d steps were logged by all; want %d", steps, store.Version)
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
