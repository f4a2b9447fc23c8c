package webhook

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/store"
)

// hmacOf is what Standard Webhooks says a signature is.
func hmacOf(key []byte, content string) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(content))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

func TestWhatIsInTheLogIsTold(t *testing.T) {
	h := open(t)
	x := receive(t, nil)
	h.app(app, x.server.URL+"/callback?token=t%2F1", chat.HookMessageSent, chat.HookMessageRead, chat.HookMessageRecall)
	h.append(h.message(app, "before anybody listened"))
	h.start()
	m := h.message(app, `hi <b> & "you"`)
	at := h.append(m)[0]
	group := chat.Conversation{App: app, Kind: chat.Group, A: "team"}
	more := h.append(
		chat.Record{Kind: chat.ReadRecord, Conversation: m.Conversation, Sender: chat.Device{App: app, User: "bob"}, Seq: m.Seq, Read: &chat.Read{}},
		chat.Record{Kind: chat.RefusalRecord, Conversation: m.Conversation, Sender: m.Sender, MessageID: "no", Code: chat.FriendDeleted},
		chat.Record{
			Kind: chat.RecallRecord, Conversation: m.Conversation, Sender: m.Sender, MessageID: "r1", Seq: m.Seq,
			Recall: &chat.Recall{Place: at, Sender: "alice", MessageID: m.MessageID},
		},
		chat.Record{
			Kind: chat.MessageRecord, Conversation: group, Sender: m.Sender, MessageID: "g1", Seq: 1, Body: "all", Extra: "e",
			Digest: chat.DigestOf("all", "e"),
		},
		chat.Record{Kind: chat.ReadRecord, Conversation: group, Sender: m.Sender, Seq: 1, Read: &chat.Read{}},
	)
	h.eventually("five calls", func() bool { return len(x.all()) == 5 })
	calls := make(map[string]map[string]any)
	for _, c := range x.all() {
		if c.App != "10001" {
			t.Errorf("appId is %q", c.App)
		}
		var body map[string]any
		if err := json.Unmarshal([]byte(c.Body), &body); err != nil {
			t.Fatal(err)
		}
		calls[c.Command+" "+c.Event] = body
	}
	key := func(p chat.Place) string { return fmt.Sprintf("log-%d", p) }
	want := map[string]map[string]any{
		"message.send.after " + key(at): {
			"appId": 10001.0, "fromId": "alice", "toId": "bob", "conversationType": 0.0, "clientType": 1.0, "imei": "i1",
			"messageKey": float64(at), "messageSequence": 2.0, "messageId": "m2", "messageBody": `hi <b> & "you"`, "messageTime": 1700000000123.0,
		},
		"message.read " + key(more[0]): {
			"appId": 10001.0, "fromId": "bob", "toId": "alice", "conversationType": 0.0, "clientType": 0.0, "imei": "",
			"messageKey": float64(more[0]), "messageSequence": 2.0,
		},
		"message.recall " + key(more[2]): {
			"appId": 10001.0, "fromId": "alice", "toId": "bob", "conversationType": 0.0, "clientType": 1.0, "imei": "i1",
			"messageKey": float64(at), "messageSequence": 2.0, "messageId": "m2", "senderId": "alice", "recallKey": float64(more[2]),
		},
		"message.send.after " + key(more[3]): {
			"appId": 10001.0, "fromId": "alice", "groupId": "team", "conversationType": 1.0, "clientType": 1.0, "imei": "i1",
			"messageKey": float64(more[3]), "messageSequence": 1.0, "messageId": "g1", "messageBody": "all", "extra": "e", "messageTime": 0.0,
		},
		"message.read " + key(more[4]): {
			"appId": 10001.0, "fromId": "alice", "groupId": "team", "conversationType": 1.0, "clientType": 1.0, "imei": "i1",
			"messageKey": float64(more[4]), "messageSequence": 1.0,
		},
	}
	if diff := cmp.Diff(want, calls); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestEventsAreTold(t *testing.T) {
	h := open(t)
	x := receive(t, nil)
	h.app(app, x.server.URL, chat.HookFriendAdded)
	h.start()
	publish := func(id int64, hook *chat.HookCall) {
		t.Helper()
		if err := h.conn.PublishEvent(t.Context(), &chat.Event{ID: id, App: app, Aggregate: "user/alice", Hook: hook}); err != nil {
			t.Fatal(err)
		}
	}
	publish(1, nil)
	publish(2, &chat.HookCall{Command: chat.HookFriendDeleted, Body: []byte(`{"nobody":"asked"}`)})
	publish(3, &chat.HookCall{Command: chat.HookFriendAdded, Body: []byte(`{"fromId":"alice"}`)})
	publish(4, &chat.HookCall{Command: chat.HookFriendAdded})
	h.eventually("two calls", func() bool { return len(x.all()) == 2 })
	want := map[string]string{"event-3": `{"fromId":"alice"}`, "event-4": `{}`}
	for _, c := range x.all() {
		if want[c.Event] != c.Body || c.Command != chat.HookFriendAdded {
			t.Errorf("told %+v", c)
		}
	}
}

// TestNothingIsLost tries receivers that are slow, away, wrong and redirecting, and get well again.
func TestNothingIsLost(t *testing.T) {
	elsewhere := receive(t, nil)
	for name, ill := range map[string]func(int, http.ResponseWriter, *http.Request){
		"an error": status(http.StatusInternalServerError),
		"missing":  status(http.StatusNotFound),
		"redirecting": func(_ int, w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.server.URL, http.StatusTemporaryRedirect)
		},
		"slow":       func(_ int, _ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"hanging up": func(int, http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t)
			x := receive(t, ill)
			h.app(app, x.server.URL, chat.HookMessageSent)
			h.start(func(c *Config) { c.Patience, c.Window = 100*time.Millisecond, 100*time.Millisecond })
			h.say(20)
			h.eventually("all wait", func() bool { return len(h.waiting()) == 20 })
			x.become(nil)
			h.eventually("all are delivered", func() bool { return len(h.waiting()) == 0 })
			if n := len(x.events()); n != 20 {
				t.Errorf("%d events were told; want 20", n)
			}
		})
	}
	if calls := elsewhere.all(); len(calls) > 0 {
		t.Errorf("a redirection was followed %d times", len(calls))
	}
}

func TestAReceiverThatIsAwayComesBack(t *testing.T) {
	h := open(t)
	x := receive(t, nil)
	addr := x.server.Listener.Addr().String()
	h.app(app, x.server.URL, chat.HookMessageSent)
	x.server.Close()
	h.start()
	h.say(20)
	h.eventually("all wait", func() bool { return len(h.waiting()) == 20 })
	for _, c := range h.waiting() {
		if strings.Contains(c.Cause, "http") {
			t.Errorf("the cause tells the URL: %q", c.Cause)
		}
	}
	back := &http.Server{Addr: addr, Handler: x, ReadHeaderTimeout: time.Second}
	go func() { _ = back.ListenAndServe() }() // ends with the test
	t.Cleanup(func() { _ = back.Close() })
	h.eventually("all are delivered", func() bool { return len(h.waiting()) == 0 && len(x.events()) == 20 })
}

func TestDeadLetters(t *testing.T) {
	h := open(t)
	x := receive(t, status(http.StatusInternalServerError))
	h.app(app, x.server.URL, chat.HookMessageSent)
	h.start(func(c *Config) { c.Attempts, c.BreakFor = 3, time.Millisecond })
	h.say(3)
	h.eventually("all are dead", func() bool {
		calls, err := h.store.WaitingCalls(t.Context(), store.CallFilter{Dead: true, Limit: 10})
		if err != nil {
			t.Fatal(err)
		}
		return len(calls) == 3
	})
	for _, c := range h.waiting() {
		if c.Attempts != 3 || !c.Dead || c.Cause != "it answered 500" {
			t.Errorf("a dead call is %+v", c)
		}
	}
	for event, n := range x.events() {
		if n != 3 {
			t.Errorf("%s was tried %d times; want 3", event, n)
		}
	}
	x.become(nil)
	if n, err := h.store.RetryCalls(t.Context(), []int64{h.waiting()[0].ID}); n != 1 || err != nil {
		t.Fatalf("%d are retried, %v", n, err)
	}
	h.eventually("one is delivered", func() bool { return len(h.waiting()) == 2 })
	if n, err := h.store.RetryDeadCalls(t.Context(), 0); n != 2 || err != nil {
		t.Fatalf("%d are retried, %v", n, err)
	}
	h.eventually("all are delivered", func() bool { return len(h.waiting()) == 0 })
	x.become(status(http.StatusGone))
	h.say(1)
	h.eventually("what it says is gone is dead at once", func() bool {
		calls := h.waiting()
		return len(calls) == 1 && calls[0].Dead && calls[0].Attempts == 1
	})
}

func TestABreakerSparesItsReceiver(t *testing.T) {
	h := open(t)
	x := receive(t, status(http.StatusServiceUnavailable))
	h.app(app, x.server.URL, chat.HookMessageSent)
	h.start(func(c *Config) { c.BreakFor = time.Hour })
	h.say(100)
	h.eventually("all wait", func() bool { return len(h.waiting()) == 100 })
	if n := len(x.all()); n < breakAfter || n > breakAfter+callsAtOnce {
		t.Errorf("it was called %d times; want the breaker to open after %d", n, breakAfter)
	}
}

// TestASlowAppIsInNobodysWay floods an app whose receiver never answers, and looks at how fast another app's calls arrive.
func TestASlowAppIsInNobodysWay(t *testing.T) {
	h := open(t)
	slow := receive(t, func(_ int, _ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	fast := receive(t, nil)
	h.app(app, slow.server.URL, chat.HookMessageSent)
	h.app(10002, fast.server.URL, chat.HookMessageSent)
	h.start()
	began := time.Now()
	for range 200 {
		h.append(h.message(app, "x"), h.message(10002, "y"))
	}
	h.eventually("the fast app has all", func() bool { return len(fast.events()) == 200 })
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("the fast app had its calls after %v; a batch waits for a second at most, and that once in ten", took)
	}
}

func TestPrivateAddressesAreRefused(t *testing.T) {
	h := open(t)
	x := receive(t, nil)
	u, err := url.Parse(x.server.URL)
	if err != nil {
		t.Fatal(err)
	}
	p := newPoster(false)
	for _, host := range []string{"127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "[::1]", "0.0.0.0", "2130706433", "169.254.169.254"} {
		hooks := &chat.Hooks{URL: "http://" + host + ":" + u.Port()}
		if err := p.tell(t.Context(), hooks, &chat.Call{App: app, Event: "e"}); err == nil {
			t.Errorf("%s was called", host)
		} else if host != "2130706433" && !strings.Contains(err.Error(), "not an address of the internet") {
			t.Errorf("%s: %v", host, err)
		}
	}
	for _, bad := range []string{"ftp://example.org", "file:///etc/passwd", "example.org/hook", "http://[", ""} {
		if err := p.tell(t.Context(), &chat.Hooks{URL: bad}, &chat.Call{App: app, Event: "e"}); err == nil {
			t.Errorf("%q was called", bad)
		}
	}
	h.app(app, x.server.URL, chat.HookMessageSent)
	h.start(func(c *Config) { c.AllowPrivate = false })
	h.say(1)
	h.eventually("the refusal is told", func() bool {
		calls := h.waiting()
		return len(calls) == 1 && strings.Contains(calls[0].Cause, "not an address of the internet")
	})
	if calls := x.all(); len(calls) > 0 {
		t.Errorf("it was called: %v", calls)
	}
}

// TestAWorkerIsKilledBeforeItsMark makes first attempts as a worker does that dies before it writes the mark: the next one makes them again,
// with the same event ids.
func TestAWorkerIsKilledBeforeItsMark(t *testing.T) {
	h := open(t)
	x := receive(t, nil)
	h.app(app, x.server.URL, chat.HookMessageSent)
	stop := h.start()
	stop()
	h.say(3)
	w := newWorker(h.config())
	entries, err := h.conn.FollowLog(t.Context(), 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer entries.Close()
	var notices []notice
	h.eventually("three calls", func() bool {
		for _, e := range entries.Take(10) {
			notices = append(notices, hearBlock(e, h.conn.Base()).notices...)
		}
		return len(notices) == 3
	})
	batches, err := w.wanted(t.Context(), notices)
	if err != nil {
		t.Fatal(err)
	}
	if left := w.deliver(t.Context(), batches); len(left) > 0 {
		t.Fatalf("%v are left", left)
	}
	h.start()
	h.eventually("each comes once more", func() bool {
		events := x.events()
		for _, n := range notices {
			if events[n.call().Event] != 2 {
				return false
			}
		}
		return len(events) == 3
	})
	h.eventually("and the mark is at the log's end", func() bool {
		mark, err := h.store.HookMark(t.Context(), 0, nil)
		return err == nil && mark == uint64(h.tail.Revision)
	})
}

// TestOfTwoOwnersOneGoesOn lets two hear the same: the mark lets one of them go on, and the other begins again.
func TestOfTwoOwnersOneGoesOn(t *testing.T) {
	h := open(t)
	heard := store.Heard{Source: 0, From: 0, To: 5, Left: []chat.Attempt{{Call: chat.Call{App: app, Event: "log-1", HookCall: chat.HookCall{
		Command: chat.HookMessageSent, Body: []byte("{}"),
	}}}}}
	if _, err := h.store.HookMark(t.Context(), 0, func(context.Context) (uint64, error) { return 0, nil }); err != nil {
		t.Fatal(err)
	}
	if err := h.store.Hear(t.Context(), heard); err != nil {
		t.Fatal(err)
	}
	if err := h.store.Hear(t.Context(), heard); !errors.Is(err, store.ErrMarkMoved) {
		t.Errorf("the second gets %v", err)
	}
	if n := len(h.waiting()); n != 1 {
		t.Errorf("%d calls wait; want one", n)
	}
}

// TestARecalledMessageIsNotKept erases what a call that waits would tell.
func TestARecalledMessageIsNotKept(t *testing.T) {
	h := open(t)
	x := receive(t, status(http.StatusInternalServerError))
	h.app(app, x.server.URL, chat.HookMessageSent)
	h.start(func(c *Config) { c.BreakFor, c.Backoff, c.BackoffAtMost = time.Millisecond, time.Hour, time.Hour })
	m := h.message(app, "a secret")
	at := h.append(m)[0]
	h.eventually("it waits", func() bool { return len(h.waiting()) == 1 })
	h.append(chat.Record{
		Kind: chat.RecallRecord, Conversation: m.Conversation, Sender: m.Sender, MessageID: "r1", Seq: m.Seq,
		Recall: &chat.Recall{Place: at, Sender: "alice", MessageID: m.MessageID},
	})
	h.eventually("the recall was heard", func() bool {
		mark, err := h.store.HookMark(t.Context(), 0, nil)
		return err == nil && mark == uint64(h.tail.Revision)
	})
	x.become(nil)
	if _, err := h.store.RetryCalls(t.Context(), []int64{h.waiting()[0].ID}); err != nil {
		t.Fatal(err)
	}
	h.eventually("it is delivered", func() bool { return len(h.waiting()) == 0 })
	calls := x.all()
	if last := calls[len(calls)-1].Body; strings.Contains(last, "a secret") || !strings.Contains(last, `"recalled":true`) {
		t.Errorf("it tells %s", last)
	}
}
