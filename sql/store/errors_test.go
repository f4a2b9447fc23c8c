package store_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/store"
	"github.com/whaleshark-im/whaleshark/sql/storetest"
)

func TestUnavailableTellsPostgresFromTheRest(t *testing.T) {
	state := func(code string) error { return fmt.Errorf("apply: %w", &pgconn.PgError{Code: code}) }
	for name, c := range map[string]struct {
		err  error
		want bool
	}{
		"shutdown by an operator": {state("57P01"), true},
		"crash of a neighbor":     {state("57P02"), true},
		"starting up":             {state("57P03"), true},
		"statement timeout":       {state("57014"), true},
		"too many connections":    {state("53300"), true},
		"disk full":               {state("53100"), true},
		"deadlock":                {state("40P01"), true},
		"a standby":               {state("25006"), true},
		"a constraint":            {state("23514"), false},
		"a missing table":         {state("42P01"), false},
		"deadline":                {fmt.Errorf("look up: %w", context.DeadlineExceeded), true},
		"canceled":                {fmt.Errorf("look up: %w", context.Canceled), false},
		"connection torn":         {fmt.Errorf("receive: %w", io.ErrUnexpectedEOF), true},
		"connection reset":        {&net.OpError{Op: "read", Err: errors.New("reset by peer")}, true},
		"mark moved":              {store.ErrMarkMoved, false},
		"user missing":            {chat.Error{Code: chat.UserMissing}, false},
		"none":                    {nil, false},
	} {
		if got := store.Unavailable(c.err); got != c.want {
			t.Errorf("%s: unavailable is %t; want %t", name, got, c.want)
		}
	}
}

func TestNobodyThereIsUnavailable(t *testing.T) {
	url := "postgres://nobody@/nothing?host=" + filepath.Join(t.TempDir(), "no")
	s := storetest.Open(t, url)
	if err := s.Ready(t.Context()); !store.Unavailable(err) {
		t.Errorf("ready: %v; want it unavailable", err)
	}
}

func TestEndedSessionIsUnavailableAndTheNextWorks(t *testing.T) {
	url := storetest.URL(t)
	s := storetest.Open(t, url)
	run(t, url, `CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END $$`,
		`CREATE TRIGGER die BEFORE INSERT ON message FOR EACH ROW EXECUTE FUNCTION die()`)
	var l testLog
	entry := l.block(message("a", "b", "1", "hi"))
	if _, err := s.Apply(t.Context(), partition, base, chat.Mark{}, []chat.Entry{entry}); !store.Unavailable(err) {
		t.Errorf("apply in a session that is ended: %v; want it unavailable", err)
	}
	run(t, url, `DROP TRIGGER die ON message`)
	if applied := apply(t, s, chat.Mark{}, entry); applied.Messages != 1 {
		t.Errorf("the next apply wrote %d rows; want 1", applied.Messages)
	}
}

func TestDeadlineIsKept(t *testing.T) {
	url := storetest.URL(t)
	s := storetest.Open(t, url)
	var l testLog
	mark := apply(t, s, chat.Mark{}, l.block(message("a", "b", "1", "hi"))).Mark
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	for _, sql := range []string{`BEGIN`, `LOCK TABLE mark`} { // somebody else's long transaction
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = s.Apply(ctx, partition, base, mark, []chat.Entry{l.block(message("a", "b", "2", "hi"))})
	if !errors.Is(err, context.DeadlineExceeded) || !store.Unavailable(err) {
		t.Errorf("apply: %v; want its deadline, unavailable", err)
	}
}
