package store_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/migrations"
	"github.com/whaleshark-im/whaleshark/sql/store"
	"github.com/whaleshark-im/whaleshark/sql/storetest"
)

// TestWhatPeopleCostInStatements counts what is sent to Postgres, BEGIN and COMMIT included.
func TestWhatPeopleCostInStatements(t *testing.T) {
	url := storetest.URL(t)
	var sent counter
	s, err := store.Open(t.Context(), url, store.Options{Tracer: &sent})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Seed(t.Context()); err != nil {
		t.Fatal(err)
	}
	alice := chat.UserKey{App: app, User: "alice"}
	add := func(to chat.UserID) error {
		_, err := s.AddFriend(t.Context(), app, store.NewFriend{Side: store.Side{From: "alice", To: to}}, func(*store.Befriended) []chat.Event {
			return []chat.Event{{App: app, Aggregate: chat.UserAggregate("alice")}, {App: app, Aggregate: chat.UserAggregate(to)}}
		})
		return err
	}
	for _, c := range []struct {
		what string
		most int64
		do   func() error
	}{
		{"profiles of 1,000", 1, func() error {
			_, err := s.Profiles(t.Context(), app, make([]chat.UserID, 1000))
			return err
		}},
		{"a friend who need not be asked", 9, func() error { return add("10001") }},
		{"a friend who is asked first", 8, func() error { return add("bantanger") }},
		{"a deleted friend", 5, func() error {
			return s.DeleteFriend(t.Context(), app, store.Side{From: "alice", To: "bob"}, func(store.Friendship) chat.Event {
				return chat.Event{App: app, Aggregate: chat.UserAggregate("alice")}
			})
		}},
		{"a sync of friends", 1, func() error {
			_, err := s.FriendshipsAfter(t.Context(), alice, 0, 101)
			return err
		}},
		{"a sync of requests", 1, func() error {
			_, err := s.FriendRequestsAfter(t.Context(), alice, 0, 101)
			return err
		}},
		{"a check of 1,000 friends, both ways", 1, func() error {
			_, err := s.FriendshipsBetween(t.Context(), app, make([]store.Side, 2000))
			return err
		}},
	} {
		before := sent.queries.Load() + sent.batches.Load()
		if err := c.do(); err != nil {
			t.Fatalf("%s: %v", c.what, err)
		}
		if n := sent.queries.Load() + sent.batches.Load() - before; n > c.most {
			t.Errorf("%s takes %d statements; want at most %d", c.what, n, c.most)
		}
	}
}

// TestEventsOfManyFriendsAreParted shows that no event grows with the number of friends: it must fit into a message.
func TestEventsOfManyFriendsAreParted(t *testing.T) {
	url := storetest.URL(t)
	s := storetest.Open(t, url)
	run(t, url, `INSERT INTO friendship (app_id, from_id, to_id) SELECT 10001, 'hub', 'p' || i FROM generate_series(1, 1200) AS i`)
	if err := s.DeleteFriends(t.Context(), app, "hub", func(int64) chat.Event {
		return chat.Event{App: app, Aggregate: chat.UserAggregate("hub"), Frames: []chat.EventFrame{{Command: 3016}}}
	}); err != nil {
		t.Fatal(err)
	}
	events, err := s.Events(t.Context(), 10)
	if err != nil {
		t.Fatal(err)
	}
	var frames, stale []int
	for _, e := range events {
		frames, stale = append(frames, len(e.Frames)), append(stale, len(e.Stale.Relations))
	}
	if diff := cmp.Diff([][]int{{1, 0, 0}, {500, 500, 200}}, [][]int{frames, stale}); diff != "" {
		t.Errorf("frames and stale relations of each event (-want +got):\n%s", diff)
	}
}

// TestEventsOfManyFriendGroupsAreParted deletes as many as one request may.
func TestEventsOfManyFriendGroupsAreParted(t *testing.T) {
	url := storetest.URL(t)
	s := storetest.Open(t, url)
	run(t, url, `INSERT INTO friend_group (app_id, from_id, name, sequence) SELECT 10001, 'hub', 'n' || i, i FROM generate_series(1, 1000) AS i`)
	names, told := make([]string, 1000), 0
	for i := range names {
		names[i] = fmt.Sprint("n", i+1)
	}
	hub := chat.UserKey{App: app, User: "hub"}
	if err := s.DeleteFriendGroups(t.Context(), hub, names, func(gone []store.Grouped) chat.Event {
		told += len(gone)
		return chat.Event{App: app, Aggregate: chat.UserAggregate("hub"), Frames: make([]chat.EventFrame, len(gone))}
	}); err != nil {
		t.Fatal(err)
	}
	events, err := s.Events(t.Context(), 1000)
	if err != nil || told != 1000 || len(events) != 10 {
		t.Fatalf("%d groups are told of in %d events, %v; want 1000 in 10", told, len(events), err)
	}
	for _, e := range events {
		if n := len(e.Frames); n != 100 {
			t.Errorf("an event tells of %d; want 100", n)
		}
	}
}

const numbers = `SELECT from_id || ' ' || to_id || ' ' || friend_sequence || ' of ' || friendship
	FROM friendship JOIN user_sequence ON friendship.app_id = user_sequence.app_id AND user_id = from_id ORDER BY from_id, to_id`

// TestFriendshipsOfBeforeAreNumbered migrates a database that has friendships from the time when nobody synced them.
func TestFriendshipsOfBeforeAreNumbered(t *testing.T) {
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
	if _, err := provider.UpTo(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	for _, pair := range []string{"'a', 'b'", "'a', 'c'", "'b', 'a'"} {
		run(t, url, fmt.Sprintf(`INSERT INTO friendship (app_id, from_id, to_id) VALUES (10001, %s)`, pair))
	}
	if _, err := provider.Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a b 1 of 2", "a c 2 of 2", "b a 1 of 1"}, texts(t, url, numbers)); diff != "" {
		t.Errorf("the numbers (-want +got):\n%s", diff)
	}
	if _, err := provider.DownTo(t.Context(), 2); err != nil {
		t.Errorf("and back: %v", err)
	}
}

func TestSeededFriendshipsAreNumbered(t *testing.T) {
	url := storetest.URL(t)
	s := storetest.Open(t, url)
	for range 2 { // what is there stays as it is
		if err := s.Seed(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := s.SeedPairs(t.Context(), app, 4, nil); err != nil {
			t.Fatal(err)
		}
	}
	all := texts(t, url, numbers)
	want := []string{"10001 10002 1 of 2", "10001 bantanger 2 of 2", "10002 10001 1 of 2", "10002 bantanger 2 of 2", "a alice 1 of 4", "a b 2 of 4"}
	if diff := cmp.Diff(want, all[:len(want)]); diff != "" {
		t.Errorf("the numbers (-want +got):\n%s", diff)
	}
	want = []string{"u1 u2 1 of 1", "u2 u1 1 of 1", "u3 u4 1 of 1", "u4 u3 1 of 1"}
	if diff := cmp.Diff(want, all[len(all)-len(want):]); diff != "" {
		t.Errorf("the numbers of the pairs (-want +got):\n%s", diff)
	}
}
