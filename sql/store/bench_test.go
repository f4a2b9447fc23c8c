package store_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/store"
	"github.com/whaleshark-im/whaleshark/sql/storetest"
)

func TestCountMessages(t *testing.T) {
	s := storetest.New(t)
	var l testLog
	first := l.block(message("alice", "bob", "m1", "1"), message("alice", "bob", "m2", "2"), message("bob", "alice", "m3", "3"))
	second := l.block(message("a", "b", "m1", "1"))
	apply(t, s, chat.Mark{}, first, second)
	pair, other, none := chat.PairOf(app, "alice", "bob"), chat.PairOf(app, "a", "b"), chat.PairOf(app, "a", "nobody")

	got, err := s.CountMessages(t.Context(), []store.Range{{pair, 1, 3}, {none, 1, 3}, {pair, 2, 9}, {other, 1, 1}})
	if diff := cmp.Diff([]int64{3, 0, 2, 1}, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	heads, err := s.HeadsOf(t.Context(), []chat.Conversation{pair, none, other})
	if diff := cmp.Diff(map[chat.Conversation]chat.Seq{pair: 3, other: 1}, heads); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if pid, err := s.BackendPID(t.Context()); err != nil || pid <= 1 {
		t.Errorf("the backend's process is %d, %v", pid, err)
	}
}

func TestSeedFriends(t *testing.T) {
	url := storetest.URL(t)
	s := storetest.Open(t, url)
	if err := s.Seed(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time changes nothing
		if err := s.SeedFriends(t.Context(), store.DemoApp, "u1", 2, 6, 2); err != nil {
			t.Fatal(err)
		}
	}
	for sql, want := range map[string]int{
		"SELECT count(*) FROM friendship WHERE from_id = 'u1'":                                 3,
		"SELECT count(*) FROM friendship WHERE to_id = 'u1' AND from_id IN ('u2', 'u4', 'u6')": 3,
	} {
		if got := count(t, url, sql); got != want {
			t.Errorf("%s: %d, want %d", sql, got, want)
		}
	}
}
