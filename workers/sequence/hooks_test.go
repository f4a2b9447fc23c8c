package sequence_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/storetest"
	"github.com/whaleshark-im/whaleshark/streams"
	"github.com/whaleshark-im/whaleshark/streams/streamstest"
	"github.com/whaleshark-im/whaleshark/workers/sequence"
)

// askedApp starts a sequencer whose app wants to be asked before a message.
func askedApp(t *testing.T, failClosed bool) (*streams.Conn, *streams.Conn) {
	t.Helper()
	db := storetest.New(t)
	if err := db.Seed(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := db.ChangeApp(t.Context(), 10001, func(a *chat.App) error {
		a.Hooks = chat.Hooks{
			URL: "https://app.example/callback", Secrets: []string{"c2VjcmV0"}, Commands: []string{chat.HookMessageSend}, FailClosed: failClosed,
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	s := streamstest.Server(t)
	start(t, sequence.Config{Conn: streamstest.Connect(t, s, streams.Layout{}), Database: db})
	return streamstest.Connect(t, s, streams.Layout{}), streamstest.Connect(t, s, streams.Layout{})
}

// theApp answers by what a message says, and remembers what it was asked.
type theApp struct {
	mu    sync.Mutex
	asked []string
	until chan struct{} // a message that says "slow" waits for it, or for the patience of who asks
}

func (a *theApp) answer(ctx context.Context, q *chat.Request) chat.HookVerdict {
	a.mu.Lock()
	a.asked = append(a.asked, q.MessageID)
	a.mu.Unlock()
	switch word, rest, _ := strings.Cut(q.Body, " "); word {
	case "veto":
		return chat.HookVerdict{Kind: chat.HookVetoed}
	case "say":
		return chat.HookVerdict{Kind: chat.HookReplaced, Body: rest}
	case "garble":
		return chat.HookVerdict{Kind: chat.HookReplaced, Body: "\x00"}
	case "slow":
		select {
		case <-a.until:
		case <-ctx.Done():
		}
	}
	return chat.HookVerdict{Kind: chat.HookAllowed}
}

func (a *theApp) times(id string) (n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, x := range a.asked {
		if x == id {
			n++
		}
	}
	return n
}

func (a *theApp) serve(t *testing.T, c *streams.Conn) {
	t.Helper()
	if err := c.ServeBefore(t.Context(), a.answer); err != nil {
		t.Fatal(err)
	}
}

// waitFor waits until the app was asked about a message.
func (a *theApp) waitFor(t *testing.T, id string) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); a.times(id) == 0; <-time.After(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after 20 s the app was not asked about %s", id)
		}
	}
}

func TestAppsVetoAndReplace(t *testing.T) {
	c, there := askedApp(t, true)
	app := &theApp{}
	app.serve(t, there)
	replaced := message("alice", "bob", "m3", "say hello")
	for _, x := range []struct {
		q    *chat.Request
		code chat.Code
		seq  chat.Seq
	}{
		{message("alice", "bob", "m1", "hi"), chat.OK, 1},
		{message("alice", "bob", "m2", "veto this"), chat.Vetoed, 0},
		{replaced, chat.OK, 2},
		{replaced, chat.OK, 2}, // a repeat
		{message("alice", "bob", "m3", "hello"), chat.MessageIDReused, 0},
		{message("alice", "bob", "m4", "garble"), chat.Unavailable, 0},
	} {
		if a := ask(t, c, x.q); a.Code != x.code || a.Seq != x.seq {
			t.Errorf("%s, %q, is answered with %s, seq %d; want %s, seq %d", x.q.MessageID, x.q.Body, a.Code, a.Seq, x.code, x.seq)
		}
	}
	var got []string
	for _, r := range records(t, c, 5) {
		got = append(got, fmt.Sprintf("%s %q %t %s", r.MessageID, r.Body, r.AskedFor() == chat.DigestOf("say hello", ""), r.Code))
	}
	want := []string{
		`m1 "hi" false code(0)`, `m2 "" false vetoed`, `m3 "hello" true code(0)`, `m3 "" false message_id_reused`, `m4 "" false unavailable`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the log (-want +got):\n%s", diff)
	}
	if n := app.times("m3"); n != 1 {
		t.Errorf("the app was asked about m3 %d times, want once", n)
	}
}

func TestNobodyAnswersForTheApp(t *testing.T) {
	for failClosed, want := range map[bool]chat.Code{false: chat.OK, true: chat.Unavailable} {
		c, _ := askedApp(t, failClosed)
		if a := ask(t, c, message("alice", "bob", "m1", "hi")); a.Code != want {
			t.Errorf("fail-closed %t: %s, want %s", failClosed, a.Code, want)
		}
	}
}

// TestASlowAppHoldsItsConversationAlone: what is behind a message that waits keeps its order, other conversations and reads go on, and when
// the app does not answer in time, the message goes on as it is.
func TestASlowAppHoldsItsConversationAlone(t *testing.T) {
	c, there := askedApp(t, false)
	app := &theApp{until: make(chan struct{})}
	app.serve(t, there)
	ask(t, c, message("alice", "bob", "m0", "hi"))
	submit(t, c, message("alice", "bob", "m1", "slow"), message("bob", "alice", "m2", "quick"), message("alice", "bob", "m3", "quick"))
	app.waitFor(t, "m3") // it is asked about while m1 waits
	read := message("bob", "alice", "", "")
	read.Kind, read.Seq = chat.AskRead, 1
	submit(t, c, message("alice", "lld", "other", "hi"), read)

	got := make(map[string]int)
	for i, r := range records(t, c, 6) {
		got[fmt.Sprint(r.MessageID, r.Kind)] = i
	}
	order := []string{"m01", "m11", "m21", "m31"}
	if !slices.IsSortedFunc(order, func(a, b string) int { return got[a] - got[b] }) || got["other1"] > got["m11"] || got["3"] > got["m11"] {
		t.Errorf("the order is %v; want %v, and the other conversation's and the read before m1", got, order)
	}
}

func TestTooManyWaitForTheirApp(t *testing.T) {
	c, there := askedApp(t, false)
	app := &theApp{until: make(chan struct{})}
	app.serve(t, there)
	const n = 140
	var all []*chat.Request
	for i := range n {
		q := message("alice", "bob", fmt.Sprint("m", i), "quick")
		if i == 0 {
			q.Body = "slow"
		}
		all = append(all, q)
	}
	submit(t, c, all[0])
	app.waitFor(t, "m0")
	submit(t, c, all[1:]...)
	behind := nearby(t, c, all[0].Conversation)
	submit(t, c, behind)
	records(t, c, 1) // it is in the log: the sequencer has taken all that were before it
	close(app.until)
	busy := 0
	for _, r := range records(t, c, n+1) {
		if r.Code == chat.Busy {
			busy++
		} else if r.Kind != chat.MessageRecord {
			t.Errorf("%s became %s", r.MessageID, r.Code)
		}
	}
	if busy == 0 || busy > n-128 {
		t.Errorf("%d of %d were too many, want at most %d, and one at least", busy, n, n-128)
	}
}

// nearby returns a message of another conversation in the same partition.
func nearby(t *testing.T, c *streams.Conn, of chat.Conversation) *chat.Request {
	t.Helper()
	friends := []chat.UserID{"lld", "a", "b", "alice", "bob"}
	for _, from := range friends {
		for _, to := range friends {
			q := message(from, to, "nearby", "quick")
			if from != to && q.Conversation != of && q.Conversation.Partition(c.Partitions()) == of.Partition(c.Partitions()) {
				return q
			}
		}
	}
	t.Fatalf("no other conversation is in the partition of %s", of)
	return nil
}
