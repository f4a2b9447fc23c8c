package store_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/store"
	"github.com/whaleshark-im/whaleshark/sql/storetest"
)

// life is a group's log as it may come about: everything that is done is allowed.
type life struct {
	rng     *rand.Rand
	log     testLog
	group   chat.Conversation
	version int64
	owner   chat.UserID
	in      []chat.UserID // without the owner
	out     []chat.UserID
	seq     chat.Seq
	stands  []chat.Targeted
	roster  chat.Roster

	settings map[chat.UserID]chat.Settings
}

func (l *life) change(c chat.Change) chat.Record {
	l.version++
	c.Version = l.version
	return change(l.group.A, c)
}

func take(rng *rand.Rand, from *[]chat.UserID) chat.UserID {
	i := rng.IntN(len(*from))
	u := (*from)[i]
	*from = slices.Delete(*from, i, i+1)
	return u
}

// next returns what happens next.
func (l *life) next(place chat.Place) chat.Record {
	if l.version == 0 {
		return l.change(chat.Change{Kind: chat.GroupCreated, Users: []chat.UserID{l.owner}})
	}
	anyone := append([]chat.UserID{l.owner}, l.in...)
	who := anyone[l.rng.IntN(len(anyone))]
	one := []chat.UserID{who}
	switch n := l.rng.IntN(20); {
	case n < 4 && len(l.out) > 0:
		users := []chat.UserID{take(l.rng, &l.out)}
		if len(l.out) > 0 {
			users = append(users, take(l.rng, &l.out))
		}
		l.in = append(l.in, users...)
		return l.change(chat.Change{Kind: chat.MembersJoined, Users: users, Role: chat.MemberRole(l.rng.IntN(2))})
	case n < 7 && len(l.in) > 0:
		u := take(l.rng, &l.in)
		l.out = append(l.out, u)
		return l.change(chat.Change{Kind: chat.MemberLeft, Users: []chat.UserID{u}})
	case n < 9 && len(l.in) > 0:
		return l.change(chat.Change{Kind: chat.RoleSet, Users: []chat.UserID{l.in[0]}, Role: chat.MemberRole(l.rng.IntN(2))})
	case n < 11:
		return l.change(chat.Change{Kind: chat.MemberMuted, Users: one, Until: int64(place)})
	case n < 13 && len(l.in) > 0:
		u := take(l.rng, &l.in)
		l.in = append(l.in, l.owner)
		l.owner = u
		return l.change(chat.Change{Kind: chat.GroupTransferred, Users: []chat.UserID{u}})
	case n < 14:
		return l.change([]chat.Change{
			{Kind: chat.GroupMuted, On: l.rng.IntN(2) == 0},
			{Kind: chat.GroupUpdated, Info: `{"groupName":"x"}`},
			{Kind: chat.MemberUpdated, Users: one, Info: `{"alias":"x"}`},
		}[l.rng.IntN(3)])
	case n < 16 && len(l.stands) > 0:
		i := l.rng.IntN(len(l.stands))
		m := l.stands[i]
		l.stands = slices.Delete(l.stands, i, i+1)
		return chat.Record{
			Kind: chat.RecallRecord, Conversation: l.group, Sender: chat.Device{App: app, User: m.Sender}, Seq: m.Seq,
			Recall: &chat.Recall{Place: m.Place, Sender: m.Sender, MessageID: m.MessageID},
		}
	case n < 17 && l.seq > 0:
		return read(who, l.group, l.seq)
	case n < 18:
		return setting(who, l.group, chat.Setting{
			Mute: chat.Switch(l.rng.IntN(3)), Top: chat.Switch(l.rng.IntN(2)), Delete: l.rng.IntN(2) == 0,
		})
	}
	l.seq++
	id := fmt.Sprint("m", l.seq)
	l.stands = append(l.stands, chat.Targeted{Sender: who, MessageID: id, Seq: l.seq, Place: place})
	return said(who, l.group.A, id)
}

// entries returns a log of n blocks.
func (l *life) entries(n int) []chat.Entry {
	var entries []chat.Entry
	for range n {
		var records []chat.Record
		for i := range 1 + l.rng.IntN(4) {
			place := chat.PlaceOf(base, l.log.rev+3, i)
			r := l.next(place)
			switch r.Kind { //nolint:exhaustive // of the others nothing is remembered
			case chat.GroupRecord:
				l.roster.Fold(place, r.Change)
			case chat.SettingRecord:
				s := l.settings[r.Sender.User]
				s.Fold(place, r.Setting)
				l.settings[r.Sender.User] = s
			}
			records = append(records, r)
		}
		entries = append(entries, l.log.block(records...))
	}
	return entries
}

// state is all that Apply writes, as lines.
func state(t *testing.T, url string) []string {
	t.Helper()
	var lines []string
	for _, query := range []string{
		`SELECT row(user_id, joined, left_place, role, muted_until, place, changed)::text FROM membership`,
		`SELECT row(token, kind, a, b, head, last_place, changed, version, muted, destroyed, group_place)::text FROM conversation`,
		`SELECT row(user_id, seq, place)::text FROM read_position`,
		`SELECT row(user_id, app_id, muted, top, cleared, place)::text FROM conversation_setting`,
		`SELECT row(place, seq, recalled, body, extra)::text FROM message`,
		`SELECT row(place, kind)::text FROM record`,
	} {
		lines = append(lines, texts(t, url, query)...)
	}
	slices.Sort(lines)
	return lines
}

// TestBatchesDoNotMatter applies the life of a group block by block, in batches, all at once, and twice: the rows are the same, and
// the members are those of a roster.
func TestBatchesDoNotMatter(t *testing.T) {
	for seed := range uint64(6) {
		l := &life{
			rng: rand.New(rand.NewPCG(seed, 1)), group: chat.GroupOf(app, "g"), owner: "u0", out: []chat.UserID{"u1", "u2", "u3", "u4", "u5"},
			settings: make(map[chat.UserID]chat.Settings),
		}
		entries := l.entries(60)
		var want []string
		for _, size := range []int{1, 7, len(entries)} {
			url := storetest.URL(t)
			s := storetest.Open(t, url)
			mark := chat.Mark{}
			for batch := range slices.Chunk(entries, size) {
				mark = apply(t, s, mark, batch...).Mark
			}
			got := state(t, url)
			if want == nil {
				want = got
				sameMembers(t, s, l)
				sameSettings(t, s, l)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("life %d in batches of %d blocks (-one by one +got):\n%s", seed, size, diff)
			}
			if size == 7 {
				applyAgain(t, s, url, entries)
				if diff := cmp.Diff(want, state(t, url)); diff != "" {
					t.Fatalf("life %d applied again (-want +got):\n%s", seed, diff)
				}
			}
		}
	}
}

// applyAgain applies entries that are in, in other batches; messages would be put aside for being there.
func applyAgain(t *testing.T, s *store.Store, url string, entries []chat.Entry) {
	t.Helper()
	run(t, url, `DELETE FROM mark`)
	mark := chat.Mark{}
	for batch := range slices.Chunk(entries, 5) {
		mark = apply(t, s, mark, batch...).Mark
	}
}

func sameMembers(t *testing.T, s *store.Store, l *life) {
	t.Helper()
	facts, err := s.LookUp(t.Context(), chat.Needs{Groups: []chat.Conversation{l.group}, Partition: partition, EndedBefore: 1})
	if err != nil {
		t.Fatal(err)
	}
	state := facts.Groups[l.group]
	for _, u := range append(append([]chat.UserID{l.owner}, l.in...), l.out...) {
		want, there := l.roster.Member(u)
		i := slices.IndexFunc(state.Members, func(m chat.Membership) bool { return m.User == u && m.Left == 0 })
		switch {
		case there != (i >= 0):
			t.Errorf("%s is a member: %t in the roster, %t in the rows", u, there, i >= 0)
		case there && state.Members[i] != want:
			t.Errorf("rows have %+v; want %+v", state.Members[i], want)
		}
	}
	if state.Version != l.roster.Version() || state.Muted != l.roster.Muted() || state.Mark != l.log.prev.Revision {
		t.Errorf("rows have the group %+v; want version %d, muted %t, mark %d", state, l.roster.Version(), l.roster.Muted(), l.log.prev.Revision)
	}
}

func sameSettings(t *testing.T, s *store.Store, l *life) {
	t.Helper()
	for _, u := range append(append([]chat.UserID{l.owner}, l.in...), l.out...) {
		err := s.Look(t.Context(), func(look *store.Snapshot) error {
			talks, err := look.Talks(t.Context(), chat.UserKey{App: app, User: u}, []chat.Conversation{l.group})
			if err == nil && (len(talks) != 1 || talks[0].Settings != l.settings[u]) {
				t.Errorf("rows have %s's settings in %+v; want %+v", u, talks, l.settings[u])
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestASettingIsNobodyElsesNews lets a user set something where nothing was said yet, and where something was.
func TestASettingIsNobodyElsesNews(t *testing.T) {
	url := storetest.URL(t)
	s := storetest.Open(t, url)
	var l testLog
	pair, group := chat.PairOf(app, "a", "b"), chat.GroupOf(app, "g")
	first := l.block(setting("a", pair, chat.Setting{Mute: chat.On}), created("g", "a"), joined("g", 2, "b"), setting("a", group, chat.Setting{Top: chat.On}))
	mark := apply(t, s, chat.Mark{}, first).Mark
	changed := func(u chat.UserID) string {
		t.Helper()
		var lines []string
		err := s.Look(t.Context(), func(look *store.Snapshot) error {
			talks, err := look.ChangedTalks(t.Context(), chat.UserKey{App: app, User: u}, 0, nil, 10)
			for _, x := range talks {
				lines = append(lines, fmt.Sprintf("%s %d mute %d top %d cleared %d", x.Conversation, x.Changed-chat.PlaceOf(base, first.Revision, 0),
					x.Settings.Mute, x.Settings.Top, max(0, x.Settings.Cleared-chat.PlaceOf(base, first.Revision, 0))))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(lines, "; ")
	}
	for u, want := range map[chat.UserID]string{
		"a": "10001/p/a/b 0 mute 2 top 0 cleared 0; 10001/g/g 3 mute 0 top 2 cleared 0",
		"b": "10001/g/g 2 mute 0 top 0 cleared 0",
	} {
		if got := changed(u); got != want {
			t.Errorf("for %s has changed %s; want %s", u, got, want)
		}
	}
	apply(t, s, mark, l.block(message("b", "a", "1", "hi"), setting("a", pair, chat.Setting{Delete: true}), setting("b", group, chat.Setting{Mute: chat.On})))
	for u, want := range map[chat.UserID]string{
		"a": "10001/g/g 3 mute 0 top 2 cleared 0; 10001/p/a/b 3073 mute 2 top 0 cleared 3073",
		"b": "10001/p/a/b 3072 mute 0 top 0 cleared 0; 10001/g/g 3074 mute 2 top 0 cleared 0",
	} {
		if got := changed(u); got != want {
			t.Errorf("then for %s has changed %s; want %s", u, got, want)
		}
	}
}

func TestRecalledBodiesAreGone(t *testing.T) {
	url := storetest.URL(t)
	s := storetest.Open(t, url)
	run(t, url, `ALTER TABLE message ADD CONSTRAINT poison CHECK (body IS NULL OR body <> 'poison')`)
	var l testLog
	first := l.block(message("a", "b", "1", "one"), message("a", "b", "2", "poison"), message("a", "b", "3", "poison"), message("b", "a", "4", "four"))
	within := first.Block.Records[2]
	again := recall("a", first, 0)
	first.Block.Records = append(first.Block.Records, recall("a", first, 2))
	mark := apply(t, s, chat.Mark{}, first).Mark
	second := l.block(recall("a", first, 0), recall("a", first, 1), again)
	apply(t, s, mark, second)

	for i, m := range rows(t, s) {
		recalled := map[int]chat.Place{0: chat.PlaceOf(base, second.Revision, 0), 1: chat.PlaceOf(base, first.Revision, 4)}[i]
		if m.Recalled != recalled || m.Record.Erased != (recalled != 0) || m.Record.Body != map[int]string{2: "four"}[i] {
			t.Errorf("row %d is recalled at %d, %+v; want %d", i, m.Recalled, m.Record, recalled)
		}
	}
	aside, err := s.Rejected(t.Context(), 0, 1<<53)
	if err != nil || len(aside) != 1 || aside[0].Record.Body != "" || aside[0].Recalled != chat.PlaceOf(base, second.Revision, 1) {
		t.Errorf("put aside: %+v, %v; want the message that was recalled there", aside, err)
	}
	target := chat.Target{Conversation: within.Conversation, Seq: 2}
	facts, err := s.LookUp(t.Context(), chat.Needs{Targets: []chat.Target{target}, IDs: []chat.ID{first.Block.Records[1].ID()}})
	if err != nil || facts.Targets[target] != targeted(first, 1, true) || !facts.IDs[first.Block.Records[1].ID()].Recalled {
		t.Errorf("the message that was put aside is %+v, %+v, %v; want it recalled", facts.Targets[target], facts.IDs, err)
	}
}

func TestReadsMoveForward(t *testing.T) {
	url := storetest.URL(t)
	s := storetest.Open(t, url)
	var l testLog
	pair := chat.PairOf(app, "a", "b")
	first := l.block(message("a", "b", "1", ""), message("a", "b", "2", ""), read("b", pair, 1))
	second := l.block(read("b", pair, 2), read("a", pair, 1))
	mark := apply(t, s, chat.Mark{}, first).Mark
	apply(t, s, mark, second)
	applyAgain(t, s, url, []chat.Entry{first, second})
	want := []string{fmt.Sprintf("(a,1,%d)", chat.PlaceOf(base, second.Revision, 1)), fmt.Sprintf("(b,2,%d)", chat.PlaceOf(base, second.Revision, 0))}
	if diff := cmp.Diff(want, texts(t, url, `SELECT row(user_id, seq, place)::text FROM read_position ORDER BY user_id`)); diff != "" {
		t.Errorf("positions (-want +got):\n%s", diff)
	}
	if n := count(t, url, `SELECT changed FROM conversation`); chat.Place(n) != chat.PlaceOf(base, second.Revision, 1) {
		t.Errorf("the pair has changed at %d; want the newest read", n)
	}
}

func TestWideGroupsTellTheirMembersNothing(t *testing.T) {
	url := storetest.URL(t)
	s, err := store.Open(t.Context(), url, store.Options{WideGroup: 3})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var l testLog
	g := chat.GroupOf(app, "g")
	entries := []chat.Entry{
		l.block(created("g", "o"), joined("g", 2, "a", "b"), said("o", "g", "1")),
		l.block(joined("g", 3, "c")),
		l.block(said("o", "g", "2"), joined("g", 4, "d"), left("g", 5, "b")),
		l.block(left("g", 6, "c"), said("o", "g", "3"), read("a", g, 3)),
	}
	at := func(n, index int) chat.Place { return chat.PlaceOf(base, entries[n].Revision, index) }
	wants := []struct {
		wide    int
		changed map[string]chat.Place
	}{
		{0, map[string]chat.Place{"o": at(0, 2), "a": at(0, 2), "b": at(0, 2)}},
		{4, map[string]chat.Place{"o": at(0, 2), "a": at(0, 2), "b": at(0, 2), "c": at(1, 0)}},
		{5, map[string]chat.Place{"o": at(0, 2), "a": at(0, 2), "b": at(2, 2), "c": at(1, 0), "d": at(2, 1)}},
		{5, map[string]chat.Place{"o": at(0, 2), "a": at(3, 2), "b": at(2, 2), "c": at(3, 0), "d": at(2, 1)}},
	}
	mark := chat.Mark{}
	for i, e := range entries {
		mark = apply(t, s, mark, e).Mark
		var want []string
		for u, p := range wants[i].changed {
			want = append(want, fmt.Sprintf("(%s,%d)", u, p))
		}
		slices.Sort(want)
		if diff := cmp.Diff(want, texts(t, url, `SELECT row(user_id, changed)::text FROM membership ORDER BY user_id`)); diff != "" {
			t.Errorf("after block %d (-want +got):\n%s", i, diff)
		}
		if n := count(t, url, `SELECT count(*) FROM membership WHERE wide`); n != wants[i].wide {
			t.Errorf("after block %d %d stays are wide; want %d", i, n, wants[i].wide)
		}
	}
	if n := count(t, url, `SELECT changed FROM conversation`); chat.Place(n) != at(3, 1) {
		t.Errorf("the group has changed at %d; want %d: reads do not count", n, at(3, 1))
	}
	last := l.block(setting("a", g, chat.Setting{Mute: chat.On}))
	apply(t, s, mark, last)
	for u, want := range map[chat.UserID]chat.Place{"a": chat.PlaceOf(base, last.Revision, 0), "d": at(3, 1), "c": at(3, 0)} {
		err := s.Look(t.Context(), func(look *store.Snapshot) error {
			talks, err := look.ChangedTalks(t.Context(), chat.UserKey{App: app, User: u}, 0, nil, 10)
			if err == nil && (len(talks) != 1 || talks[0].Changed != want) {
				t.Errorf("for %s has changed %+v; want the group, once, at %d", u, talks, want)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestRefusedRecordsOfEveryKindAreSetAside(t *testing.T) {
	url := storetest.URL(t)
	s := storetest.Open(t, url)
	run(t, url, `ALTER TABLE read_position ADD CONSTRAINT poison CHECK (user_id <> 'eve')`,
		`ALTER TABLE conversation_setting ADD CONSTRAINT poison CHECK (user_id <> 'eve')`,
		`ALTER TABLE membership ADD CONSTRAINT poison CHECK (user_id <> 'eve')`)
	var l testLog
	g := chat.GroupOf(app, "g")
	entry := l.block(created("g", "o"), joined("g", 2, "a", "eve", "b"), said("o", "g", "1"), read("eve", g, 1), read("a", g, 1),
		setting("eve", g, chat.Setting{Mute: chat.On}), setting("a", g, chat.Setting{Mute: chat.On}))
	applied := apply(t, s, chat.Mark{}, entry)
	aside, err := s.Rejected(t.Context(), 0, 1<<53)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(applied.Rejected, aside); diff != "" || len(aside) != 3 || aside[0].Place.Index() != 1 || aside[1].Place.Index() != 3 || aside[2].Place.Index() != 5 {
		t.Errorf("put aside: %+v; want eve's joining, read and setting (-applied +read):\n%s", aside, diff)
	}
	if got := strings.Join(texts(t, url, `SELECT user_id FROM membership ORDER BY 1`), " "); got != "a b o" {
		t.Errorf("members are %s; want a b o", got)
	}
	facts, err := s.LookUp(t.Context(), chat.Needs{Heads: []chat.Conversation{g}, Reads: []chat.ReadKey{{Conversation: g, User: "a"}}})
	if err != nil || facts.Heads[g] != 1 || facts.Reads[chat.ReadKey{Conversation: g, User: "a"}] != 1 || applied.Messages != 1 {
		t.Errorf("facts %+v, %v, %d messages; want the message and a's read to be in", facts, err, applied.Messages)
	}
}

func TestOutboxForgetsWhatIsIn(t *testing.T) {
	s, _, g := groupOf(t)
	var l testLog
	var records []chat.Record
	for _, c := range news(t, s, 0)[:3] {
		records = append(records, change(g.A, c))
	}
	apply(t, s, chat.Mark{}, l.block(records...))
	if left := news(t, s, 0); len(left) != 1 || left[0].Version != 4 {
		t.Errorf("the outbox has %+v; want version 4 alone", left)
	}
}
