package store_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/store"
	"github.com/whaleshark-im/whaleshark/sql/storetest"
)

func TestLookUpFindsWhatExistsInOneRoundTrip(t *testing.T) {
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
	run(t, url,
		`UPDATE app_user SET forbidden = true WHERE user_id = 'a'`,
		`UPDATE app_user SET silent = true WHERE user_id = 'b'`,
		`UPDATE app_user SET deleted_at = now() WHERE user_id = 'lld'`,
		`UPDATE friendship SET deleted = true WHERE from_id = 'a' AND to_id = 'b'`,
		`UPDATE friendship SET blocked = true WHERE from_id = 'b' AND to_id = 'a'`)
	other := chat.App{
		ID: 7, Keys: []string{"old", "new"}, CheckBlack: true, RouteModel: chat.RouteRandom, DeleteMode: chat.DeleteSilently,
		Hooks: chat.Hooks{URL: "https://example.org/hook", Commands: []string{chat.HookMessageSent}, Secrets: []string{"s"}, FailClosed: true},
	}
	if err := s.SetApp(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	var l testLog
	entry := l.block(message("alice", "bob", "m1", "hi"), message("alice", "bob", "m2", "ho"))
	apply(t, s, chat.Mark{}, entry)
	second := entry.Block.Records[1]
	unknown := message("alice", "bob", "m3", "")
	team, nothing := chat.GroupOf(app, "team"), chat.GroupOf(app, "nothing")
	recalled := l.block(recall("alice", entry, 0), read("bob", second.Conversation, 2), created("team", "alice"), joined("team", 2, "bob", "a"),
		left("team", 3, "a"), groupMuted("team", 4))
	apply(t, s, chat.Mark{Revision: entry.Revision, Hash: entry.Block.Hash}, recalled)
	at := func(index int) chat.Place { return chat.PlaceOf(base, recalled.Revision, index) }
	target := func(seq chat.Seq, place chat.Place) chat.Target {
		return chat.Target{Conversation: second.Conversation, Seq: seq, Place: place}
	}
	range2 := chat.SeqRange{Conversation: second.Conversation, After: 0, To: 2}
	alice, bob := chat.ReadKey{Conversation: second.Conversation, User: "alice"}, chat.ReadKey{Conversation: second.Conversation, User: "bob"}

	user := func(u chat.UserID) chat.UserKey { return chat.UserKey{App: app, User: u} }
	side := func(from, to chat.UserID) chat.RelationKey { return chat.RelationKey{App: app, From: from, To: to} }
	before := sent.queries.Load()
	facts, err := s.LookUp(t.Context(), chat.Needs{
		Apps:      []chat.AppID{app, 7, 8},
		Users:     []chat.UserKey{user("alice"), user("admin"), user("a"), user("b"), user("lld"), user("nobody"), {App: 7, User: "alice"}},
		Relations: []chat.RelationKey{side("a", "b"), side("b", "a"), side("alice", "bob"), side("alice", "10001")},
		Heads:     []chat.Conversation{second.Conversation, chat.PairOf(7, "alice", "bob"), chat.PairOf(app, "a", "b")},
		IDs:       []chat.ID{second.ID(), unknown.ID(), entry.Block.Records[0].ID()},
		Groups:    []chat.Conversation{team, nothing},
		Reads:     []chat.ReadKey{alice, bob},
		Targets:   []chat.Target{target(1, 0), target(2, 0), target(3, 0), target(0, chat.PlaceOf(base, entry.Revision, 1)), target(0, 5)},
		Senders:   []chat.SeqRange{range2, {Conversation: second.Conversation, After: 2, To: 9}},
		Partition: partition,
	})
	if err != nil {
		t.Fatal(err)
	}
	wanted := chat.Facts{
		Apps: map[chat.AppID]chat.App{
			app: {
				ID: app, Keys: []string{"bantanger"}, CheckFriend: true, CheckBlack: true,
				RouteModel: chat.RouteHash, DeleteMode: chat.DeleteEverywhere,
			},
			7: other,
		},
		Users: map[chat.UserKey]chat.User{
			user("alice"): {}, user("admin"): {Admin: true}, user("a"): {Forbidden: true}, user("b"): {Silent: true},
		},
		Relations: map[chat.RelationKey]chat.Relation{
			side("a", "b"): {Deleted: true}, side("b", "a"): {Blocked: true}, side("alice", "bob"): {},
		},
		Heads: map[chat.Conversation]chat.Seq{second.Conversation: 2},
		IDs: map[chat.ID]chat.Stored{
			second.ID(): {Seq: 2, Place: chat.PlaceOf(base, entry.Revision, 1), Digest: second.Digest},
			entry.Block.Records[0].ID(): {
				Seq: 1, Place: chat.PlaceOf(base, entry.Revision, 0), Digest: entry.Block.Records[0].Digest, Recalled: true,
			},
		},
		Groups: map[chat.Conversation]chat.GroupState{
			team: {Version: 4, Muted: true, At: at(5), Mark: recalled.Revision, Members: []chat.Membership{
				{User: "alice", Joined: at(2), Role: chat.Owner, At: at(2)}, {User: "bob", Joined: at(3), At: at(3)},
			}},
			nothing: {Mark: recalled.Revision},
		},
		Reads: map[chat.ReadKey]chat.Seq{bob: 2},
		Targets: map[chat.Target]chat.Targeted{
			target(1, 0): targeted(entry, 0, true),
			target(2, 0): targeted(entry, 1, false),
			target(0, chat.PlaceOf(base, entry.Revision, 1)): targeted(entry, 1, false),
		},
		Senders: map[chat.SeqRange][]chat.UserID{range2: {"alice"}},
	}
	slices.SortFunc(facts.Groups[team].Members, func(x, y chat.Membership) int { return strings.Compare(string(x.User), string(y.User)) })
	if diff := cmp.Diff(wanted, facts); diff != "" {
		t.Errorf("facts (-want +got):\n%s", diff)
	}
	if batches, queries := sent.batches.Load(), sent.queries.Load()-before; batches != 1 || queries != 0 {
		t.Errorf("%d batches and %d statements beside them; want 1 and 0", batches, queries)
	}

	for ended, n := range map[chat.Place]int{at(4) + 1: 2, at(4): 3, 1: 3} {
		facts, err := s.LookUp(t.Context(), chat.Needs{Groups: []chat.Conversation{team}, Partition: partition, EndedBefore: ended})
		if err != nil || len(facts.Groups[team].Members) != n {
			t.Errorf("stays that did not end before place %d: %v, %v; want %d", ended, facts.Groups[team].Members, err, n)
		}
	}
	sent.batches.Store(1)
	empty, err := s.LookUp(t.Context(), chat.Needs{})
	if err != nil || len(empty.Apps) != 0 || sent.batches.Load() != 1 {
		t.Errorf("a look-up of nothing: %v, %v; %d batches; want nothing sent", empty, err, sent.batches.Load())
	}
}

func TestHotQueriesUseIndexes(t *testing.T) {
	url := storetest.URL(t)
	s := storetest.Open(t, url)
	if err := s.Seed(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.SeedPairs(t.Context(), app, 5000, nil); err != nil {
		t.Fatal(err)
	}
	var l testLog
	mark := chat.Mark{}
	for i := range 10 {
		mark = apply(t, s, mark, l.block(talk(1000, 1000, fmt.Sprint("b", i))...)).Mark
	}
	if err := s.SeedGroup(t.Context(), app, "g1", "u1", 3000, nil); err != nil {
		t.Fatal(err)
	}
	var joining []chat.Record
	for i := range 200 {
		g, users := fmt.Sprint("g", i), make([]chat.UserID, 0, 50)
		for u := range 50 {
			users = append(users, chat.UserID(fmt.Sprint("u", u)))
		}
		joining = append(joining, created(g, "o"), joined(g, 2, users...))
	}
	mark = apply(t, s, mark, l.block(joining...)).Mark
	var reads []chat.Record
	for i := range 1000 {
		reads = append(reads, read("u1", chat.PairOf(app, "u1", chat.UserID(fmt.Sprint("u", i))), 1))
	}
	apply(t, s, mark, l.block(reads...))
	run(t, url, `ANALYZE`)
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())

	tokens := []string{chat.PairOf(app, "u1", "u2").String(), chat.PairOf(app, "u3", "u4").String()}
	groups := []string{chat.GroupOf(app, "g1").String()}
	r := talk(1, 1, "b0")[0]
	ids := []chat.ID{r.ID()}
	for _, q := range []struct {
		name, sql string
		args      []any
	}{
		{"users", store.UsersByKey, []any{[]int32{10001, 10001}, []string{"u1", "u2"}}},
		{"relations", store.RelationsByKey, []any{[]int32{10001, 10001}, []string{"u1", "u2"}, []string{"u2", "u1"}}},
		{"heads", store.HeadsByToken, []any{tokens}},
		{"ids", store.MessagesByIdentity, []any{ids}},
		{"messages", store.Messages, []any{int64(0), int64(5_000), int32(100)}},
		{"known ids", store.KnownIDs, []any{int32(partition)}},
		{"groups", store.GroupsByToken, []any{int32(partition), groups, int64(0)}},
		{"reads", store.ReadsByKey, []any{[]int32{0, 1}, tokens, []string{"u1", "u3"}}},
		{"targets", store.TargetsByKey, []any{[]int32{0, 1}, tokens, []int64{1, 0}, []int64{0, 5}}},
		{"senders", store.SendersByRange, []any{[]int32{0, 1}, tokens, []int64{0, 0}, []int64{2, 2}}},
		{"recalls", store.RecallMessages, []any{[]int64{1, 2}, []int64{3, 4}, []int64{5, 6}}},
		{"changed stays", store.ChangeStays, []any{
			[]int64{1, 2},
			[]string{"u1", "u2"},
			[]int64{1, 1},
			[]int64{0, 0},
			[]int64{1, 1},
			[]bool{true, true},
			[]int16{1, 1},
			[]bool{true, true},
			[]int64{1, 1},
		}},
		{"members", store.TouchMembers, []any{[]int64{1, 2}, []int64{3, 4}}},
		{"readers", store.TouchReaders, []any{[]int64{1, 2}, []string{"u1", "u2"}, []int64{3, 4}}},
		{"owners", store.DemoteOwners, []any{[]int64{1, 2}, []int64{3, 4}}},
		{"folded", store.ForgetOutgoing, []any{[]int32{10001}, []string{"g1"}, []int64{3}}},
		{"outbox", store.Outgoing, []any{int64(5), int32(10)}},
		{"members of a group", store.MembersByID, []any{int32(app), "g1", []string{"u1", "u2"}}},
	} {
		t.Run(q.name, func(t *testing.T) {
			for _, table := range scanned(t, conn, q.sql, q.args) {
				switch table {
				case "rejected_record", "known_ids", "mark": // a few rows here: no plan needs an index
				default:
					t.Errorf("reads all of %s:\n%s", table, q.sql)
				}
			}
		})
	}
}

// scanned returns the tables that a query reads from one end to the other.
func scanned(t *testing.T, conn *pgx.Conn, sql string, args []any) []string {
	t.Helper()
	var raw []byte
	if err := conn.QueryRow(t.Context(), "EXPLAIN (FORMAT JSON) "+strings.TrimSpace(sql), args...).Scan(&raw); err != nil {
		t.Fatal(err)
	}
	type node struct {
		Type     string `json:"Node Type"`
		Relation string `json:"Relation Name"`
		Plans    []json.RawMessage
	}
	var tables []string
	var walk func(raw json.RawMessage)
	walk = func(raw json.RawMessage) {
		var n node
		if err := json.Unmarshal(raw, &n); err != nil {
			t.Fatal(err)
		}
		if n.Type == "Seq Scan" {
			tables = append(tables, n.Relation)
		}
		for _, p := range n.Plans {
			walk(p)
		}
	}
	var plans []struct{ Plan json.RawMessage }
	if err := json.Unmarshal(raw, &plans); err != nil {
		t.Fatal(err)
	}
	walk(plans[0].Plan)
	return tables
}
