package store_test

import (
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/store"
	"github.com/whaleshark-im/whaleshark/sql/storetest"
)

// TestUsersAreImportedInTheirOrder imports users while somebody else adds the same ones: whoever is first, nobody waits for the other in a circle.
func TestUsersAreImportedInTheirOrder(t *testing.T) {
	url := storetest.URL(t)
	s := storetest.Open(t, url)
	db, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(t.Context())
	tx, err := db.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	add := func(user string) {
		t.Helper()
		if _, err := tx.Exec(t.Context(), `INSERT INTO app_user (app_id, user_id) VALUES (10001, $1)`, user); err != nil {
			t.Fatal(err)
		}
	}
	add("y")
	imported := make(chan error, 1)
	go func() { // ends when the transaction does
		added, err := s.ImportUsers(t.Context(), app, []store.NewUser{
			{Profile: store.Profile{ID: "z"}}, {Profile: store.Profile{ID: "y"}}, {Profile: store.Profile{ID: "x"}},
		})
		if len(added) != 1 || added[0] != "x" {
			t.Errorf("%v were added; want x", added)
		}
		imported <- err
	}()
	limit := time.After(10 * time.Second)
	for count(t, url, `SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()`) == 0 {
		select {
		case <-limit:
			t.Fatal("the import waits for nobody")
		case <-time.After(5 * time.Millisecond):
		}
	}
	add("z")
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-imported; err != nil {
		t.Error(err)
	}
}

// TestAnAdministratorMayHaveALongName counts characters, not bytes.
func TestAnAdministratorMayHaveALongName(t *testing.T) {
	s := storetest.New(t)
	long := chat.UserKey{App: app, User: chat.UserID(strings.Repeat("鯨", chat.MaxUserID))}
	if err := s.Appoint(t.Context(), long); err != nil {
		t.Error(err)
	}
	if u, err := s.User(t.Context(), long); err != nil || !u.Admin {
		t.Errorf("he is %+v, %v; want an administrator", u, err)
	}
	long.User += "鯨"
	if err := s.Appoint(t.Context(), long); err == nil {
		t.Errorf("an id of %d characters was taken", chat.MaxUserID+1)
	}
}
