package store_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/store"
	"github.com/whaleshark-im/whaleshark/sql/storetest"
)

// count returns the one number that a query finds.
func count(t *testing.T, url, sql string) int {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	var n int
	if err := conn.QueryRow(t.Context(), sql).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestSeedTwiceKeepsWhatIsThere(t *testing.T) {
	url := storetest.URL(t)
	s := storetest.Open(t, url)
	if err := s.Seed(t.Context()); err != nil {
		t.Fatal(err)
	}
	changed := chat.App{
		ID: store.DemoApp, Keys: []string{"new", "bantanger"}, RouteModel: chat.RouteHash, DeleteMode: chat.DeleteEverywhere,
	}
	if err := s.SetApp(t.Context(), changed); err != nil {
		t.Fatal(err)
	}
	if err := s.Seed(t.Context()); err != nil {
		t.Fatal(err)
	}
	apps, err := s.Apps(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]chat.App{changed}, apps); diff != "" {
		t.Errorf("apps after the second seed (-want +got):\n%s", diff)
	}
	if admin, err := s.User(t.Context(), chat.UserKey{App: store.DemoApp, User: "admin"}); err != nil || !admin.Admin {
		t.Errorf("admin: %+v, %v; want an administrator", admin, err)
	}
	if n := count(t, url, `SELECT count(*) FROM app_user`); n != 15 {
		t.Errorf("%d users; want 15", n)
	}
	if n := count(t, url, `SELECT friend_allow_type FROM app_user WHERE user_id = 'bantanger'`); n != 2 {
		t.Errorf("bantanger's friend_allow_type is %d; want 2", n)
	}
	if n := count(t, url, `SELECT count(*) FROM friendship`); n != 3*2+5*4 {
		t.Errorf("%d sides of friendships; want %d", n, 3*2+5*4)
	}
}

func TestSeedAddsGroups(t *testing.T) {
	s := storetest.New(t)
	for range 2 {
		if err := s.Seed(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	team, original := chat.GroupOf(store.DemoApp, "team"), chat.GroupOf(store.DemoApp, "27a35ff2f9be4cc9a8d3db1ad3322804")
	want := []chat.Outgoing{
		{ID: 1, Conversation: original, By: "bantanger", Change: chat.Change{Kind: chat.GroupCreated, Version: 1, Users: []chat.UserID{"bantanger"}}},
		{ID: 2, Conversation: original, By: "bantanger", Change: chat.Change{Kind: chat.MembersJoined, Version: 2, Users: []chat.UserID{"10001", "10002"}}},
		{
			ID: 3, Conversation: original, By: "bantanger",
			Change: chat.Change{Kind: chat.RoleSet, Version: 3, Users: []chat.UserID{"10001"}, Role: chat.Manager},
		},
		{ID: 4, Conversation: team, By: "alice", Change: chat.Change{Kind: chat.GroupCreated, Version: 1, Users: []chat.UserID{"alice"}}},
		{ID: 5, Conversation: team, By: "alice", Change: chat.Change{Kind: chat.MembersJoined, Version: 2, Users: []chat.UserID{"lld", "a", "b", "bob"}}},
	}
	got, err := s.Outgoing(t.Context(), 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	for i := range got {
		if c := &got[i].Change; (c.Info != "") != (c.Kind == chat.GroupCreated) {
			t.Errorf("change %d of kind %d describes its group as %q", i, c.Kind, c.Info)
		}
		got[i].Change.Info = ""
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("outbox (-want +got):\n%s", diff)
	}
}

func TestSeedGroupAddsWhoIsMissing(t *testing.T) {
	url := storetest.URL(t)
	s := storetest.Open(t, url)
	if err := s.Seed(t.Context()); err != nil {
		t.Fatal(err)
	}
	var told []int
	for _, n := range []int{3, 2_150} {
		if err := s.SeedGroup(t.Context(), store.DemoApp, "crowd", "alice", n, func(done, _ int) { told = append(told, done) }); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]int{3, 2_000, 2_150}, told); diff != "" {
		t.Errorf("progress (-want +got):\n%s", diff)
	}
	if n := count(t, url, `SELECT count(*) FROM group_member WHERE group_id = 'crowd'`); n != 2_151 {
		t.Errorf("%d members; want 2151", n)
	}
	if n := count(t, url, `SELECT version FROM chat_group WHERE group_id = 'crowd'`); n != 1+1+20+2 {
		t.Errorf("version %d; want 24: created, 1 joining of 3, 20 of 100 each but the first three, 2 of 150", n)
	}
}

func TestSeedPairsBefriendsNeighbors(t *testing.T) {
	url := storetest.URL(t)
	s := storetest.Open(t, url)
	if err := s.SeedPairs(t.Context(), 5, 10, nil); !errors.Is(err, chat.Error{Code: chat.AppMissing}) {
		t.Errorf("pairs in an app that does not exist: %v; want %v", err, chat.AppMissing)
	}
	if err := s.SetApp(t.Context(), chat.App{ID: 5, Keys: []string{"k"}}); err != nil {
		t.Fatal(err)
	}
	var told []int
	for _, n := range []int{7, 7, 20_003} { // an odd one, again, and more than one step
		if err := s.SeedPairs(t.Context(), 5, n, func(done, _ int) { told = append(told, done) }); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]int{7, 7, 20_000, 20_003}, told); diff != "" {
		t.Errorf("progress (-want +got):\n%s", diff)
	}
	if n := count(t, url, `SELECT count(*) FROM app_user`); n != 20_003 {
		t.Errorf("%d users; want 20003", n)
	}
	if n := count(t, url, `SELECT count(*) FROM friendship`); n != 20_002 {
		t.Errorf("%d sides of friendships; want 20002", n)
	}
	facts, err := s.LookUp(t.Context(), chat.Needs{Relations: []chat.RelationKey{
		{App: 5, From: "u7", To: "u8"}, {App: 5, From: "u8", To: "u7"}, {App: 5, From: "u8", To: "u9"},
	}})
	if err != nil || len(facts.Relations) != 2 {
		t.Errorf("relations of u8: %v, %v; want both sides with u7, none with u9", facts.Relations, err)
	}
}

func TestMissingRowsAreErrorsForClients(t *testing.T) {
	s := storetest.New(t)
	if _, err := s.App(t.Context(), 1); !errors.Is(err, chat.Error{Code: chat.AppMissing}) {
		t.Errorf("app: %v; want %v", err, chat.AppMissing)
	}
	if _, err := s.User(t.Context(), chat.UserKey{App: 1, User: "u"}); !errors.Is(err, chat.Error{Code: chat.UserMissing}) {
		t.Errorf("user: %v; want %v", err, chat.UserMissing)
	}
	for _, keys := range [][]string{nil, {"a", "b", "c"}} {
		if err := s.SetApp(t.Context(), chat.App{ID: 1, Keys: keys}); !errors.As(err, new(chat.Error)) {
			t.Errorf("an app with %d keys: %v; want an error for its operator", len(keys), err)
		}
	}
}
