package e2e

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/client"
	"github.com/whaleshark-im/whaleshark/sql/store"
	"github.com/whaleshark-im/whaleshark/streams"
	"github.com/whaleshark-im/whaleshark/wire"
)

// guest is a device at an edge that is chosen, and what it has heard: a line a frame, in order.
type guest struct {
	t       *testing.T
	h       *house
	id      chat.Device
	c       *client.Client
	welcome wire.Welcome

	mu     sync.Mutex
	heard  []string // what nobody has asked for yet
	cursor chat.Place
}

// guest logs a device in; with a cursor it resumes. The connection ends with the test.
func (h *house) guest(t *testing.T, edge streams.Member, user chat.UserID, kind chat.ClientType, cursor ...chat.Place) *guest {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	g := &guest{t: t, h: h, id: chat.Device{App: store.DemoApp, User: user, Client: kind, IMEI: fmt.Sprint("imei-", kind)}}
	cfg := client.Config{
		URL: "tcp://" + edge.Addrs["tcp"], Device: g.id, Ping: 100 * time.Millisecond,
		Handler: client.Handler{Frame: g.frame, Pong: func(p wire.Pong) {
			g.mu.Lock()
			defer g.mu.Unlock()
			g.cursor = p.Cursor
		}},
	}
	if kind == chat.Web {
		cfg.URL = "ws://" + edge.Addrs["ws"] + "/ws"
	}
	if len(cursor) > 0 {
		cfg.Resume, cfg.Cursor = true, cursor[0]
	}
	var err error
	if g.c, err = client.Dial(ctx, cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = g.c.Close() })
	if g.welcome, err = g.c.Login(ctx); err != nil {
		t.Fatalf("%s: %v", g.id, err)
	}
	return g
}

func (g *guest) frame(c wire.Command, payload []byte) {
	text, err := tell(c, payload)
	if err != nil {
		text = err.Error()
	}
	if text == "" {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.heard = append(g.heard, fmt.Sprint(int(c), text))
}

// tell puts a frame that tells something of others into words: who, where, and what.
func tell(c wire.Command, payload []byte) (string, error) {
	at := func(from chat.UserID, w wire.Where, n chat.Seq) string {
		s := fmt.Sprintf(" %s>%s", from, w.Group+string(w.To))
		if w.Group != "" && w.To != "" {
			s = fmt.Sprintf(" %s>%s of %s", from, w.Group, w.To)
		}
		if n > 0 {
			s += fmt.Sprintf("#%d", n)
		}
		return s
	}
	switch c { //nolint:exhaustive // answers are waited for where they are asked for
	case wire.Send, wire.GroupSend:
		p, err := wire.ParsePlaced(payload)
		if p.Recalled {
			p.Body += "(recalled)"
		}
		return at(p.From.User, wire.Where{To: p.To, Group: p.Group}, p.Seq) + " " + p.Body, err
	case wire.ReadNotify, wire.ReadReceipt, wire.GroupReadNotify, wire.GroupReadReceipt:
		p, err := wire.ParseReadPosition(payload)
		return at(p.Reader, p.Where, p.Seq), err
	case wire.RecallNotify:
		p, err := wire.ParseRecalled(payload)
		return at(p.By, p.Where, p.Seq), err
	case wire.AddedMember, wire.CreatedGroup, wire.ExitGroup, wire.UpdatedMember, wire.DeletedMember, wire.DestroyGroup,
		wire.TransferGroup, wire.MuteGroup, wire.SpeakMember:
		p, err := wire.ParseGroupEvent(c, payload)
		who := p.Members
		if p.Member != "" {
			who = []chat.UserID{p.Member}
		}
		return fmt.Sprintf("%s %v", at(p.By, wire.Where{Group: p.Group}, 0), who), err
	case wire.Typing:
		p, err := wire.ParseTypingBy(payload)
		return at(p.From.User, p.Where, 0), err
	case wire.StatusNotify:
		p, err := wire.ParseUserStatus(payload)
		return fmt.Sprintf(" %s %d %s", p.User, p.Status, p.Custom), err
	case wire.StatusSync:
		p, err := wire.ParseDeviceStatus(payload)
		return fmt.Sprintf(" %s %d %s", p.Device, p.Status, p.Custom), err
	case wire.Kick:
		return " kicked", nil
	}
	return "", nil
}

// hears waits until the guest has heard so many lines, and wants them to be these, in this order.
func (g *guest) hears(why string, want ...string) {
	g.t.Helper()
	var got []string
	within(g.t, 10*time.Second, fmt.Sprintf("%s: %s hears %q", why, g.id, want), func() error {
		g.mu.Lock()
		defer g.mu.Unlock()
		if len(g.heard) < len(want) {
			return fmt.Errorf("it has heard %q", g.heard)
		}
		got, g.heard = g.heard[:len(want)], g.heard[len(want):]
		return nil
	})
	if !slices.Equal(got, want) {
		g.t.Fatalf("%s: %s hears %q, want %q", why, g.id, got, want)
	}
}

// all lets every guest hear the same.
func all(why string, guests []*guest, want ...string) {
	for _, g := range guests {
		g.t.Helper()
		g.hears(why, want...)
	}
}

// nothingMore waits until everything that is in the log has been told to the guests, and wants nothing of it to be for them.
func nothingMore(why string, guests ...*guest) {
	for _, g := range guests {
		g.t.Helper()
		end := g.h.end(g.t)
		within(g.t, 10*time.Second, why+": "+g.id.String()+" is told that there is nothing more", func() error {
			g.mu.Lock()
			defer g.mu.Unlock()
			if g.cursor < end {
				return fmt.Errorf("its cursor is at %d of %d", g.cursor, end)
			}
			return nil
		})
		g.hears(why)
		g.mu.Lock()
		if len(g.heard) > 0 {
			g.t.Errorf("%s: %s hears %q as well", why, g.id, g.heard)
		}
		g.mu.Unlock()
	}
}

// end returns the place of the newest block of the log.
func (h *house) end(t *testing.T) chat.Place {
	t.Helper()
	var end chat.Revision
	for p := range chat.Partition(h.conn.Partitions()) {
		tail, err := h.conn.Tail(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		end = max(end, tail)
	}
	return chat.PlaceOf(h.conn.Base(), end, 0)
}

// within tries until it works, and fails the test, which may be a part of the house's, with the last cause.
func within(t *testing.T, patience time.Duration, what string, try func() error) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for err := try(); err != nil; err = try() {
		if time.Now().After(deadline) {
			t.Fatalf("%s: after %v: %v", what, patience, err)
		}
		pause(t.Context(), 5*time.Millisecond)
	}
}

// say sends a message, and wants it to be numbered.
func (g *guest) say(where wire.Where, id string, want chat.Seq) {
	g.t.Helper()
	if got, err := g.send(where, id); err != nil || got != want {
		g.t.Fatalf("%s says %s to %v: it is numbered %d, %v; want %d", g.id, id, where, got, err, want)
	}
}

// send sends a message, whose id is its body.
func (g *guest) send(where wire.Where, id string) (chat.Seq, error) {
	ctx, cancel := context.WithTimeout(g.t.Context(), 10*time.Second)
	defer cancel()
	a, err := g.c.Send(ctx, wire.Message{MessageID: id, To: where.To, Group: where.Group, Body: id, First: true})
	return a.Seq, err
}

func (g *guest) refused(where wire.Where, id string, want chat.Code) {
	g.t.Helper()
	_, err := g.send(where, id)
	wantCode(g.t, fmt.Sprintf("%s says %s to %v", g.id, id, where), err, want)
}

func (g *guest) recall(where wire.Where, n chat.Seq) error {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(g.t.Context(), 10*time.Second)
	defer cancel()
	_, err := g.c.Recall(ctx, wire.RecallOf{Where: where, Seq: n})
	return err
}

func (g *guest) read(where wire.Where, n chat.Seq) {
	g.t.Helper()
	must(g.t, g.c.MarkRead(wire.ReadUpTo{Where: where, Seq: n}))
}

// messages asks for a conversation's history, and returns its messages as the guest would have heard them.
func (g *guest) messages(where wire.Where) (lines []string) {
	g.t.Helper()
	for after := chat.Seq(0); ; {
		page, err := g.c.History(g.t.Context(), wire.HistoryOf{Where: where, FromSeq: after + 1})
		must(g.t, err)
		for _, r := range page.Records {
			if m := r.Message; m != nil {
				lines, after = append(lines, says(g.t, *m)), m.Seq
			}
		}
		if page.Completed || len(page.Records) == 0 {
			return lines
		}
	}
}

// says is what a guest hears of a message.
func says(t *testing.T, m wire.Placed) string {
	t.Helper()
	c := wire.Send
	if m.Group != "" {
		c = wire.GroupSend
	}
	text, err := tell(c, wire.AppendPlaced(nil, &m))
	must(t, err)
	return fmt.Sprint(int(c), text)
}

// unread returns how many messages of a conversation the guest has not read.
func (g *guest) unread(where wire.Where) int64 {
	g.t.Helper()
	page, err := g.c.Changes(g.t.Context(), wire.ChangesSince{})
	must(g.t, err)
	for _, c := range page.Conversations {
		if c.Where == where {
			return c.Unread
		}
	}
	g.t.Fatalf("%s has no conversation %v: %v", g.id, where, page.Conversations)
	return 0
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantCode(t *testing.T, what string, err error, want chat.Code) {
	t.Helper()
	if e, ok := errors.AsType[chat.Error](err); !ok || e.Code != want {
		t.Errorf("%s: %v; want %d: %s", what, err, want, want.Info().Meaning)
	}
}

func wantLines(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

func with(user chat.UserID) wire.Where { return wire.Where{To: user} }
func in(group string) wire.Where       { return wire.Where{Group: group} }

const (
	recallWindow  = 3 * time.Second
	presenceDelay = 300 * time.Millisecond
	kickGrace     = 500 * time.Millisecond
)

// TestConversation is the life of groups and pairs, told by what each device hears.
func TestConversation(t *testing.T) {
	h := open(t, streams.Layout{}, fmt.Sprint("WHALESHARK_RECALL_WINDOW=", recallWindow),
		fmt.Sprint("WHALESHARK_PRESENCE_DELAY=", presenceDelay), fmt.Sprint("WHALESHARK_KICK_GRACE=", kickGrace))
	h.staff(2, 1, 1, 1)
	edges := h.ready(streams.RoleEdge, 2)
	for _, part := range []struct {
		what string
		tell func(*testing.T, *house, []streams.Member)
	}{
		{"a group's members hear each other, and nobody else does", groupTalks},
		{"who may not speak in a group is told why", groupRefuses},
		{"reads move forward and reach the senders", readsMove},
		{"a group's senders hear once that they were read", groupReads},
		{"a recall takes what was said away everywhere", recallErases},
		{"typing arrives and leaves nothing behind", typingPasses},
		{"a phone kicks another phone, and no browser", phoneKicks},
		{"those who watch are told who comes and goes", watchersHear},
	} {
		t.Run(part.what, func(t *testing.T) { part.tell(t, h, edges) })
	}
	h.persisted()
	if out, err := h.try("audit", "verify"); err != nil {
		t.Errorf("audit verify: %v\n%s", err, out)
	}
}

func (h *house) create(t *testing.T, id string, owner chat.UserID, members ...chat.UserID) chat.Conversation {
	t.Helper()
	_, err := h.store.CreateGroup(t.Context(), store.NewGroup{App: store.DemoApp, ID: id, Owner: owner, Name: id, Members: members})
	must(t, err)
	return chat.GroupOf(store.DemoApp, id)
}

func groupTalks(t *testing.T, h *house, edges []streams.Member) {
	ctx := t.Context()
	phone, web := h.guest(t, edges[0], "alice", chat.Android), h.guest(t, edges[1], "alice", chat.Web)
	bob, a, b := h.guest(t, edges[0], "bob", chat.Web), h.guest(t, edges[1], "a", chat.IOS), h.guest(t, edges[1], "b", chat.Web)
	lld, late := h.guest(t, edges[0], "lld", chat.Web), h.guest(t, edges[0], "bantanger", chat.Windows)

	g := h.create(t, "g", "alice", "bob", "a", "b")
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

func groupRefuses(t *testing.T, h *house, edges []streams.Member) {
	ctx := t.Context()
	alice, bob, a := h.guest(t, edges[0], "alice", chat.Web), h.guest(t, edges[1], "bob", chat.Web), h.guest(t, edges[0], "a", chat.Web)
	members, lld := []*guest{alice, bob, a}, h.guest(t, edges[1], "lld", chat.Web)
	g := h.create(t, "quiet", "alice", "bob", "a")
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

func readsMove(t *testing.T, h *house, edges []streams.Member) {
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

func groupReads(t *testing.T, h *house, edges []streams.Member) {
	alice, bob, lld := h.guest(t, edges[0], "alice", chat.Web), h.guest(t, edges[1], "bob", chat.Web), h.guest(t, edges[1], "lld", chat.Web)
	phone, web := h.guest(t, edges[0], "a", chat.Android), h.guest(t, edges[1], "a", chat.Web)
	everybody := []*guest{alice, bob, lld, phone, web}
	h.create(t, "r", "alice", "bob", "a", "lld")
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

func recallErases(t *testing.T, h *house, edges []streams.Member) {
	phone, web := h.guest(t, edges[0], "alice", chat.Android), h.guest(t, edges[1], "alice", chat.Web)
	bob := h.guest(t, edges[1], "bob", chat.Web)
	h.create(t, "c", "alice", "bob")
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

func typingPasses(t *testing.T, h *house, edges []streams.Member) {
	alice, bob, a := h.guest(t, edges[0], "alice", chat.Web), h.guest(t, edges[1], "bob", chat.Web), h.guest(t, edges[1], "a", chat.Web)
	h.create(t, "y", "alice", "bob")
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

func phoneKicks(t *testing.T, h *house, edges []streams.Member) {
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

func watchersHear(t *testing.T, h *house, edges []streams.Member) {
	ctx := t.Context()
	bob := h.guest(t, edges[0], "bob", chat.Web)
	w, err := bob.c.Watch(ctx, wire.WatchOf{Users: []chat.UserID{"alice", "lld"}})
	must(t, err)
	if want := []wire.UserStatus{{User: "alice", Status: wire.Offline}, {User: "lld", Status: wire.Offline}}; !slices.Equal(w.Users, want) {
		t.Errorf("they are seen as %v, want %v", w.Users, want)
	}
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
	lld = h.guest(t, edges[1], "lld", chat.Web)
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
