package e2e

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/streams"
	"github.com/whaleshark-im/whaleshark/wire"
)

// TestSync lets devices go away and come back: they are told what they have missed, or that it is too much, and can ask for all of it.
func TestSync(t *testing.T) {
	t.Parallel() // with TestConversation
	h := open(t, streams.Layout{})
	h.staff(2, 1, 1, 1)
	edges := h.ready(streams.RoleEdge, 2)
	for _, part := range []struct {
		what string
		tell func(scene)
	}{
		{"who was away hears what was missed, and then what is new", missedIsTold},
		{"who was away for too long asks for it", tooMuchIsAsked},
		{"chats go on without Postgres, and history follows", postgresAway},
	} {
		t.Run(part.what, func(t *testing.T) { part.tell(scene{t, h, edges}) })
	}
	h.persisted()
	if out, err := h.try("audit", "verify"); err != nil {
		t.Errorf("audit verify: %v\n%s", err, out)
	}
}

// leave ends a session once everything in the log has come, and returns the cursor with which to come back.
func (g *guest) leave() chat.Place {
	g.t.Helper()
	nothingMore("before leaving", g)
	g.mu.Lock()
	cursor := g.cursor
	g.mu.Unlock()
	_ = g.c.Close()
	return cursor
}

func missedIsTold(s scene) {
	t, h, edges := s.t, s.h, s.edges
	ctx := t.Context()
	alice, a := h.guest(t, edges[0], "alice", chat.Web), h.guest(t, edges[1], "a", chat.Web)
	bob, phone := h.guest(t, edges[0], "bob", chat.Web), h.guest(t, edges[1], "bob", chat.Android)
	present := []*guest{alice, a, phone}
	g := h.create(t, "g", "bob", "a")
	alice.hears("the group is there", "2002 alice>g [alice]")
	all("they are members", append(present, bob), "2001 alice>g [bob a]")
	alice.say(with("bob"), "before", 1)
	all("a message", []*guest{bob, phone}, "1103 alice>bob#1 before")
	bob.say(with("alice"), "his own", 2)
	all("an answer", []*guest{alice, phone}, "1103 bob>alice#2 his own")
	cursor := bob.leave()

	alice.say(with("bob"), "one", 3)
	alice.read(with("bob"), 2)
	all("a message and a read", []*guest{phone}, "1103 alice>bob#3 one", "1054 alice>bob#2")
	a.say(in("g"), "two", 1)
	all("a message in the group", []*guest{alice, phone}, "2104 a>g#1 two")
	must(t, alice.recall(with("bob"), 1))
	phone.hears("a recall of what he has", "1052 alice>bob#1")
	alice.say(with("bob"), "taken back", 4)
	must(t, alice.recall(with("bob"), 4))
	phone.hears("a recall of what he does not have", "1103 alice>bob#4 taken back", "1052 alice>bob#4")
	_, err := h.store.AddMembers(ctx, g, "alice", []chat.UserID{"b"})
	must(t, err)
	all("one joins", present, "2001 alice>g [b]")
	phone.say(in("g"), "three", 2)
	all("he writes himself, on his phone", []*guest{alice, a}, "2104 bob>g#2 three")
	phone.read(with("alice"), 4)
	alice.hears("he reads, on his phone", "1054 bob>alice#4")
	must(t, h.store.RemoveMember(ctx, g, "alice", "a"))
	all("one is removed", present, "2006 alice>g [a]")

	bob = h.guest(t, edges[1], "bob", chat.Web, cursor)
	missed := []string{
		"1103 alice>bob#3 one",
		"1054 alice>bob#2",
		"2104 a>g#1 two",
		"1052 alice>bob#1",
		"1103 alice>bob#4 (recalled)",
		"1052 alice>bob#4",
		"2001 alice>g [b]",
		"2104 bob>g#2 three",
		"1053 bob>alice#4",
		"2006 alice>g [a]",
	}
	if w := bob.welcome; w.Truncated || int(w.Resumed) != len(missed) {
		t.Errorf("he is told of %d records (truncated: %v), want %d", w.Resumed, w.Truncated, len(missed))
	}
	bob.hears("what he has missed", missed...)
	alice.say(with("bob"), "live", 5)
	bob.hears("what is new", "1103 alice>bob#5 live")
	phone.hears("what is new", "1103 alice>bob#5 live")
	nothingMore("nothing comes twice", alice, a, bob, phone)
}

func tooMuchIsAsked(s scene) {
	t, h, edges := s.t, s.h, s.edges
	const missed = 1010 // a login is sent 1,000
	a, b := h.guest(t, edges[0], "a", chat.Web), h.guest(t, edges[1], "b", chat.Web)
	a.say(with("b"), "m1", 1)
	b.hears("a message", "1103 a>b#1 m1")
	cursor := b.leave()
	var wg sync.WaitGroup
	slots := make(chan struct{}, 32)
	for i := range missed {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			if _, err := a.send(with("b"), fmt.Sprint("missed ", i)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()

	b = h.guest(t, edges[0], "b", chat.Web, cursor)
	if !b.welcome.Truncated {
		t.Errorf("the login is answered with %+v, and not that it is too much", b.welcome)
	}
	nothingMore("what is too much is not sent", b)
	page, err := b.c.Changes(t.Context(), wire.ChangesSince{Cursor: cursor})
	must(t, err)
	if c := page.Conversations; len(c) != 1 || c[0].Where != with("a") || c[0].Head != missed+1 || c[0].Unread != missed+1 || !page.Completed {
		t.Errorf("the changes are %+v", page)
	}
	all := b.messages(with("a"))
	if len(all) != missed+1 || all[0] != "1103 a>b#1 m1" {
		t.Errorf("history has %d messages, the first is %q; want %d", len(all), all[:1], missed+1)
	}
	said := make(map[string]bool)
	for i, line := range all {
		var seq int
		var body string
		if _, err := fmt.Sscanf(line, "1103 a>b#%d %s", &seq, &body); err != nil || seq != i+1 {
			t.Errorf("message %d of history is %q", i+1, line)
		}
		said[line[len(fmt.Sprintf("1103 a>b#%d ", seq)):]] = true
	}
	if len(said) != missed+1 {
		t.Errorf("history tells %d bodies, want %d", len(said), missed+1)
	}
	pulls(t, b, all)
	a.say(with("b"), "live", missed+2)
	b.hears("what is new", fmt.Sprintf("1103 a>b#%d live", missed+2))
}

// pulls pulls everything page by page: the newest thousand messages of all conversations, in order.
func pulls(t *testing.T, b *guest, history []string) {
	t.Helper()
	var lines []string
	var places []chat.Place
	var last chat.Place
	for first := true; ; first = false {
		page, err := b.c.Pull(t.Context(), wire.PullSince{Last: last, Limit: 300})
		must(t, err)
		if page.Truncated != first { // the second page is within reach
			t.Errorf("a pull from %d says truncated: %v", last, page.Truncated)
		}
		for _, m := range page.Messages {
			lines, places = append(lines, says(t, m)), append(places, m.Place)
		}
		if page.Completed {
			break
		}
		if page.Max <= last {
			t.Fatalf("a pull from %d ends at %d and is not complete", last, page.Max)
		}
		last = page.Max
	}
	if !slices.IsSorted(places) {
		t.Error("a pull is not in the order of the log")
	}
	if want := history[len(history)-1000:]; !slices.Equal(lines, want) {
		t.Errorf("a pull has %d messages, and the newest 1,000 of history were wanted; they differ from message %d on", len(lines), firstDifference(lines, want))
	}
}

func postgresAway(s scene) {
	t, h, edges := s.t, s.h, s.edges
	alice, bob := h.guest(t, edges[0], "alice", chat.Web), h.guest(t, edges[1], "bob", chat.Web)
	pair, group := chat.Seq(5), chat.Seq(2) // what was said before
	talk := func(id string) {
		t.Helper()
		pair++
		group++
		alice.say(with("bob"), id, pair)
		bob.hears("a message", fmt.Sprintf("1103 alice>bob#%d %s", pair, id))
		alice.say(in("g"), id+" all", group)
		bob.hears("a message in the group", fmt.Sprintf("2104 alice>g#%d %s all", group, id))
	}
	talk("warm")
	h.postgres.stop()
	down := time.Now()
	for i := 0; time.Since(down) < 2*time.Second; i++ {
		talk(fmt.Sprint("without ", i))
	}
	_, err := bob.c.History(t.Context(), wire.HistoryOf{Where: with("alice")})
	wantCode(t, "history while Postgres is away", err, chat.Unavailable)
	_, err = bob.c.Changes(t.Context(), wire.ChangesSince{})
	wantCode(t, "changes while Postgres is away", err, chat.Unavailable)
	bob.read(with("alice"), pair)
	alice.hears("a read", fmt.Sprintf("1054 bob>alice#%d", pair))

	h.startPostgres()
	within(t, 20*time.Second, "history is answered again", func() error {
		_, err := bob.c.History(t.Context(), wire.HistoryOf{Where: with("alice")})
		return err
	})
	talk("again")
	if got := bob.messages(with("alice")); len(got) != int(pair) {
		t.Errorf("history has %d messages of the pair, want %d", len(got), pair)
	}
	if got := bob.messages(in("g")); len(got) != int(group) {
		t.Errorf("history has %d messages of the group, want %d", len(got), group)
	}
	if n := bob.unread(with("alice")); n != 1 {
		t.Errorf("%d messages are unread, want 1", n)
	}
	nothingMore("that is all", alice, bob)
}
