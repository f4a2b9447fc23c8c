package e2e

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/store"
	"github.com/whaleshark-im/whaleshark/streams"
	"github.com/whaleshark-im/whaleshark/wire"
)

const (
	recallWindow  = 3 * time.Second
	presenceDelay = 300 * time.Millisecond
	kickGrace     = 500 * time.Millisecond
)

// TestConversation is the life of groups and pairs, told by what each device hears.
func TestConversation(t *testing.T) {
	t.Parallel() // with TestSync: it waits more than it works
	h := open(t, streams.Layout{}, fmt.Sprint("WHALESHARK_RECALL_WINDOW=", recallWindow),
		fmt.Sprint("WHALESHARK_PRESENCE_DELAY=", presenceDelay), fmt.Sprint("WHALESHARK_KICK_GRACE=", kickGrace))
	h.staff(2, 1, 1, 1)
	edges := h.ready(streams.RoleEdge, 2)
	for _, part := range []struct {
		what string
		tell func(scene)
	}{
		{"a group's members hear each other, and nobody else does", groupTalks},
		{"who may not speak in a group is told why", groupRefuses},
		{"reads move forward and reach the senders", readsMove},
		{"a group's senders hear once that they were read", groupReads},
		{"a recall takes what was said away everywhere", recallErases},
		{"what one sets of a conversation is his alone", settingsAreHis},
		{"typing arrives and leaves nothing behind", typingPasses},
		{"a phone kicks another phone, and no browser", phoneKicks},
		{"those who watch are told who comes and goes", watchersHear},
	} {
		t.Run(part.what, func(t *testing.T) { part.tell(scene{t, h, edges}) })
	}
	h.persisted()
	if out, err := h.try("audit", "verify"); err != nil {
		t.Errorf("audit verify: %v\n%s", err, out)
	}
}

// create makes a group of alice's.
func (h *house) create(t *testing.T, id string, members ...chat.UserID) chat.Conversation {
	t.Helper()
	_, err := h.store.CreateGroup(t.Context(), store.NewGroup{
		App: store.DemoApp, ID: id, Owner: "alice", Name: id, Type: store.PublicGroup, Members: members,
	})
	must(t, err)
	return chat.GroupOf(store.DemoApp, id)
}

func groupTalks(s scene) {
	t, h, edges := s.t, s.h, s.edges
	ctx := t.Context()
	phone, web := h.guest(t, edges[0], "alice", chat.Android), h.guest(t, edges[1], "alice", chat.Web)
	bob, a, b := h.guest(t, edges[0], "bob", chat.Web), h.guest(t, edges[1], "a", chat.IOS), h.guest(t, edges[1], "b", chat.Web)
	lld, late := h.guest(t, edges[0], "lld", chat.Web), h.guest(t, edges[0], "bantanger", chat.Windows)

	g := h.create(t, "g", "bob", "a", "b")
	all("the group is there", []*guest{phone, web}, "2002 alice>g [alice]")
	all("they are members", []*guest{phone, web, bob, a, b}, "2001 alice>g [bob a b]")
	phone.say(in("g"), "hello", 1)
	all("a message", []*guest{web, bob, a, b}, "2104 alice>g#1 hello")
	a.say(in("g"), "hi", 2)
	all("an answer", []*guest{phone, web, bob, b}, "2104 a>g#2 hi")
	nothingMore("neither the sending device nor an outsider is told", phone, a, lld, late)

	_, err := h.store.AddMembers(ctx, g, "alice", []chat.UserID{"bantanger"})
	must(t, err)
	all("one joins", []*guest{phone, web, bob, a, b, late}, "2001 alice>g [bantanger]")
	phone.say(in("g"), "welcome", 3)
	all("he hears what is said now", []*guest{web, bob, a, b, late}, "2104 alice>g#3 welcome")
	wantLines(t, "his history", late.messages(in("g")), "2104 alice>g#3 welcome")
	app, err := h.store.App(ctx, store.DemoApp)
	must(t, err)
	app.HistoryBeforeJoining = true
	must(t, h.store.SetApp(ctx, app))
	everything := []string{"2104 alice>g#1 hello", "2104 a>g#2 hi", "2104 alice>g#3 welcome"}
	wantLines(t, "his history where the app shows what was before", late.messages(in("g")), everything...)
	app.HistoryBeforeJoining = false
	must(t, h.store.SetApp(ctx, app))

	must(t, h.store.RemoveMember(ctx, g, "alice", "b"))
	all("one is removed", []*guest{phone, web, bob, a, b, late}, "2006 alice>g [b]")
	bob.say(in("g"), "gone", 4)
	all("the others talk on", []*guest{phone, web, a, late}, "2104 bob>g#4 gone")
	nothingMore("who was removed hears nothing", phone, web, bob, a, b, lld, late)
	wantLines(t, "the history of one who was removed", b.messages(in("g")), everything...)
}

func groupRefuses(s scene) {
	t, h, edges := s.t, s.h, s.edges
	ctx := t.Context()
	alice, bob, a := h.guest(t, edges[0], "alice", chat.Web), h.guest(t, edges[1], "bob", chat.Web), h.guest(t, edges[0], "a", chat.Web)
	members, lld := []*guest{alice, bob, a}, h.guest(t, edges[1], "lld", chat.Web)
	g := h.create(t, "quiet", "bob", "a")
	alice.hears("the group is there", "2002 alice>quiet [alice]")
	all("they are members", members, "2001 alice>quiet [bob a]")
	must(t, h.store.SetRole(ctx, g, "alice", "bob", chat.Manager))
	all("a manager", members, "2005 alice>quiet [bob]")
	lld.refused(in("quiet"), "from outside", chat.NotMember)
	lld.refused(in("nowhere"), "into the void", chat.GroupMissing)

	must(t, h.store.MuteMember(ctx, g, "bob", "a", time.Now().Add(time.Hour)))
	all("one is muted", members, "2010 bob>quiet [a]")
	a.refused(in("quiet"), "muted", chat.MemberIsMuted)
	must(t, h.store.MuteMember(ctx, g, "bob", "a", time.Time{}))
	all("he may speak again", members, "2010 bob>quiet [a]")
	a.say(in("quiet"), "muted", 1) // the same id: what was refused is judged anew
	all("he speaks", []*guest{alice, bob}, "2104 a>quiet#1 muted")

	must(t, h.store.MuteGroup(ctx, g, "bob", true))
	all("all are muted", members, "2009 bob>quiet []")
	a.refused(in("quiet"), "hush", chat.GroupIsMuted)
	bob.say(in("quiet"), "a manager speaks", 2)
	alice.say(in("quiet"), "so does the owner", 3)
	all("they are heard", []*guest{a}, "2104 bob>quiet#2 a manager speaks", "2104 alice>quiet#3 so does the owner")

	must(t, h.store.DestroyGroup(ctx, g, "alice"))
	alice.hears("the manager's", "2104 bob>quiet#2 a manager speaks")
	bob.hears("the owner's", "2104 alice>quiet#3 so does the owner")
	all("the end", members, "2007 alice>quiet []")
	alice.refused(in("quiet"), "too late", chat.GroupIsGone)
	nothingMore("what was refused is not told", alice, bob, a, lld)
}

func readsMove(s scene) {
	t, h, edges := s.t, s.h, s.edges
	a := h.guest(t, edges[0], "a", chat.Web)
	phone, web := h.guest(t, edges[0], "b", chat.Android), h.guest(t, edges[1], "b", chat.Web)
	for i := range 3 {
		a.say(with("b"), fmt.Sprint("m", i), chat.Seq(i+1))
	}
	all("three messages", []*guest{phone, web}, "1103 a>b#1 m0", "1103 a>b#2 m1", "1103 a>b#3 m2")
	if n := web.unread(with("a")); n != 3 {
		t.Errorf("%d messages are unread, want 3", n)
	}
	phone.read(with("a"), 2)
	web.hears("the reader's other device", "1053 b>a#2")
	a.hears("the sender", "1054 b>a#2")
	if n := web.unread(with("a")); n != 1 {
		t.Errorf("%d messages are unread, want 1", n)
	}
	phone.read(with("a"), 1)
	phone.read(with("a"), 99)
	web.hears("back moves nothing, and the newest message is the end", "1053 b>a#3")
	a.hears("back moves nothing, and the newest message is the end", "1054 b>a#3")
	if n := web.unread(with("a")); n != 0 {
		t.Errorf("%d messages are unread, want none", n)
	}
	a.say(with("b"), "m3", 4)
	a.say(with("b"), "m4", 5)
	must(t, a.recall(with("b"), 4))
	all("one of two is recalled", []*guest{phone, web}, "1103 a>b#4 m3", "1103 a>b#5 m4", "1052 a>b#4")
	if n := web.unread(with("a")); n != 1 {
		t.Errorf("%d messages are unread beside a recalled one, want 1", n)
	}
	nothingMore("that is all", a, phone, web)
}

func groupReads(s scene) {
	t, h, edges := s.t, s.h, s.edges
	alice, bob, lld := h.guest(t, edges[0], "alice", chat.Web), h.guest(t, edges[1], "bob", chat.Web), h.guest(t, edges[1], "lld", chat.Web)
	phone, web := h.guest(t, edges[0], "a", chat.Android), h.guest(t, edges[1], "a", chat.Web)
	everybody := []*guest{alice, bob, lld, phone, web}
	h.create(t, "r", "bob", "a", "lld")
	alice.hears("the group is there", "2002 alice>r [alice]")
	all("they are members", everybody, "2001 alice>r [bob a lld]")
	alice.say(in("r"), "one", 1)
	bob.say(in("r"), "two", 2)
	alice.say(in("r"), "three", 3)
	all("three messages", []*guest{lld, phone, web}, "2104 alice>r#1 one", "2104 bob>r#2 two", "2104 alice>r#3 three")
	alice.hears("the other's", "2104 bob>r#2 two")
	bob.hears("the other's", "2104 alice>r#1 one", "2104 alice>r#3 three")
	phone.read(wire.Where{Group: "r", To: "alice"}, 3)
	web.hears("the reader's other device", "2053 a>r of alice#3")
	alice.hears("a sender of two", "2054 a>r of alice#3")
	bob.hears("a sender of one", "2054 a>r of bob#3")
	if n := web.unread(in("r")); n != 0 {
		t.Errorf("%d messages are unread, want none", n)
	}
	phone.read(in("r"), 2)
	nothingMore("each is told once, and others are not", everybody...)
}

func recallErases(s scene) {
	t, h, edges := s.t, s.h, s.edges
	phone, web := h.guest(t, edges[0], "alice", chat.Android), h.guest(t, edges[1], "alice", chat.Web)
	bob := h.guest(t, edges[1], "bob", chat.Web)
	h.create(t, "c", "bob")
	all("the group is there", []*guest{phone, web}, "2002 alice>c [alice]")
	all("they are members", []*guest{phone, web, bob}, "2001 alice>c [bob]")
	bob.say(in("c"), "old", 1)
	old := time.Now()
	phone.say(with("bob"), "secret", 1)
	all("a message", []*guest{phone, web}, "2104 bob>c#1 old")
	all("a secret", []*guest{web, bob}, "1103 alice>bob#1 secret")

	wantCode(t, "another's message", bob.recall(with("alice"), 1), chat.NotYours)
	wantCode(t, "a message that is not there", phone.recall(with("bob"), 7), chat.MessageMissing)
	must(t, phone.recall(with("bob"), 1))
	all("the recall", []*guest{web, bob}, "1052 alice>bob#1")
	wantCode(t, "a second recall", web.recall(with("bob"), 1), chat.RecalledAlready)
	phone.say(with("bob"), "secret", 1) // a repeat gets its first answer
	wantLines(t, "the history", bob.messages(with("alice")), "1103 alice>bob#1 (recalled)")
	page, err := bob.c.Pull(t.Context(), wire.PullSince{})
	must(t, err)
	for _, m := range page.Messages {
		if strings.Contains(m.Body, "secret") {
			t.Errorf("a pull has %+v", m)
		}
	}
	h.persisted()
	rows, err := h.store.Messages(t.Context(), 0, 1<<53, 10_000)
	must(t, err)
	i := slices.IndexFunc(rows, func(m store.Message) bool { return m.Record.MessageID == "secret" })
	if i < 0 || rows[i].Recalled == 0 || rows[i].Record.Body != "" || !rows[i].Record.Erased {
		t.Errorf("the row of the recalled message is %+v", rows[max(i, 0)])
	}

	pause(t.Context(), time.Until(old.Add(recallWindow+100*time.Millisecond)))
	wantCode(t, "a message of long ago", bob.recall(in("c"), 1), chat.RecallTooLate)
	must(t, phone.recall(in("c"), 1)) // the owner may, at any time
	all("the owner's recall", []*guest{web, bob}, "1052 alice>c#1")
	nothingMore("refusals and the repeat are not told", phone, web, bob)
}

// set asks for a setting as an app server does, in the name of a guest's device.
func (h *house) set(g *guest, of chat.Conversation, s chat.Setting) {
	g.t.Helper()
	done := make(chan error, 1)
	h.conn.Submit(&chat.Request{
		Kind: chat.AskSetting, Conversation: of, Sender: g.id, Setting: &s, Deadline: time.Now().Add(10 * time.Second),
	}, func(err error) { done <- err })
	must(g.t, <-done)
}

func settingsAreHis(s scene) {
	t, h, edges := s.t, s.h, s.edges
	phone, web := h.guest(t, edges[0], "alice", chat.Android), h.guest(t, edges[1], "alice", chat.Web)
	b := h.guest(t, edges[1], "b", chat.Web)
	pair := chat.PairOf(store.DemoApp, "alice", "b")
	g := h.create(t, "s", "b")
	all("the group is there", []*guest{phone, web}, "2002 alice>s [alice]")
	all("they are members", []*guest{phone, web, b}, "2001 alice>s [b]")
	b.say(with("alice"), "one", 1)
	all("a message", []*guest{phone, web}, "1103 b>alice#1 one")

	h.set(phone, pair, chat.Setting{Mute: chat.On})
	web.hears("the other device", "5001 alice>b mute true")
	h.set(web, g, chat.Setting{Top: chat.On, Mute: chat.Off})
	phone.hears("the other device", "5001 alice>s mute false top true")
	h.set(b, pair, chat.Setting{Top: chat.On})
	cursor := web.leave()
	h.set(phone, pair, chat.Setting{Delete: true})
	h.eventually(10*time.Second, "what was deleted to be gone", func() error {
		if lines := phone.messages(with("b")); len(lines) > 0 {
			return fmt.Errorf("there is %v", lines)
		}
		return nil
	})
	if n := len(b.messages(with("alice"))); n != 1 {
		t.Errorf("the other user has %d messages, want the one", n)
	}
	web = h.guest(t, edges[1], "alice", chat.Web, cursor)
	web.hears("what was missed", "5001 alice>b mute true", "5000 alice>b")
	b.say(with("alice"), "two", 2)
	all("it comes back", []*guest{phone, web}, "1103 b>alice#2 two")
	wantLines(t, "the history", web.messages(with("b")), "1103 b>alice#2 two")
	if n := web.unread(with("b")); n != 1 {
		t.Errorf("%d messages are unread, want the new one", n)
	}
	nothingMore("the other user is told nothing", phone, web, b)
}

func typingPasses(s scene) {
	t, h, edges := s.t, s.h, s.edges
	alice, bob, a := h.guest(t, edges[0], "alice", chat.Web), h.guest(t, edges[1], "bob", chat.Web), h.guest(t, edges[1], "a", chat.Web)
	h.create(t, "y", "bob")
	alice.hears("the group is there", "2002 alice>y [alice]")
	all("they are members", []*guest{alice, bob}, "2001 alice>y [bob]")
	records := func() (n int) {
		for _, w := range []wire.Where{with("alice"), in("y")} {
			page, err := bob.c.History(t.Context(), wire.HistoryOf{Where: w, Limit: 1000})
			must(t, err)
			n += len(page.Records)
		}
		return n
	}
	before := records()
	must(t, alice.c.Type(wire.TypingIn{Where: with("bob")}))
	bob.hears("somebody types", "1055 alice>bob")
	must(t, alice.c.Type(wire.TypingIn{Where: in("y")}))
	bob.hears("somebody types in a group", "1055 alice>y")
	nothingMore("nobody else is told", alice, bob, a)
	if after := records(); before == 0 || after != before {
		t.Errorf("there were %d records before somebody typed, and %d after it", before, after)
	}
}

func phoneKicks(s scene) {
	t, h, edges := s.t, s.h, s.edges
	web, phone := h.guest(t, edges[1], "alice", chat.Web), h.guest(t, edges[0], "alice", chat.IOS)
	other := h.guest(t, edges[1], "alice", chat.Android)
	phone.hears("another phone has logged in", "9002 kicked")
	kicked := time.Now()
	select {
	case <-phone.c.Done():
	case <-time.After(10 * time.Second):
		t.Fatal("the kicked phone stays")
	}
	wantCode(t, "the kicked phone", phone.c.Err(), chat.Kicked)
	if took := time.Since(kicked); took < kickGrace/2 {
		t.Errorf("the kicked phone was closed after %v, and has a grace of %v", took, kickGrace)
	}
	bob := h.guest(t, edges[0], "bob", chat.Web)
	n, err := bob.send(with("alice"), "who is there?")
	must(t, err)
	all("those who stay", []*guest{web, other}, fmt.Sprintf("1103 bob>alice#%d who is there?", n))
}

func watchersHear(s scene) {
	t, h, edges := s.t, s.h, s.edges
	ctx := t.Context()
	bob := h.guest(t, edges[0], "bob", chat.Web)
	within(t, 5*time.Second, "nobody is left of those who were here before", func() error {
		w, err := bob.c.Watch(ctx, wire.WatchOf{Users: []chat.UserID{"alice", "lld"}})
		must(t, err)
		if want := []wire.UserStatus{{User: "alice", Status: wire.Offline}, {User: "lld", Status: wire.Offline}}; !slices.Equal(w.Users, want) {
			return fmt.Errorf("they are seen as %v, want %v", w.Users, want)
		}
		return nil
	})
	came := time.Now()
	phone := h.guest(t, edges[1], "alice", chat.Android)
	bob.hears("she comes", "4004 alice 1 ")
	if took := time.Since(came); took < presenceDelay {
		t.Errorf("it is told after %v, before the delay of %v", took, presenceDelay)
	}
	web := h.guest(t, edges[0], "alice", chat.Web)
	must(t, phone.c.SetStatus(wire.StatusSet{Status: 3, Custom: "lunch"}))
	web.hears("her other device", fmt.Sprintf("4005 %s 3 lunch", phone.id))
	bob.hears("who watches", "4004 alice 3 lunch")
	_, _ = phone.c.Close(), web.c.Close()
	bob.hears("she goes", "4004 alice 2 ")

	lld := h.guest(t, edges[1], "lld", chat.Web)
	bob.hears("he comes", "4004 lld 1 ")
	_ = lld.c.Close()
	h.guest(t, edges[1], "lld", chat.Web)
	pause(ctx, 3*presenceDelay) // longer than a word of it would take
	nothingMore("he was never away", bob)

	i := slices.IndexFunc(h.processes, func(p *process) bool { return p.cmd.Process.Pid == edges[1].PID })
	killed := time.Now()
	h.processes[i].kill()
	within(t, 20*time.Second, "he is seen to be gone with his edge", func() error {
		bob.mu.Lock()
		defer bob.mu.Unlock()
		if len(bob.heard) == 0 {
			return errors.New("nothing is said")
		}
		return nil
	})
	promise(t, "an edge is killed, and its users are offline", time.Since(killed), 4*time.Second+presenceDelay)
	bob.hears("he is gone with his edge", "4004 lld 2 ")
}
