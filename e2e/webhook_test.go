package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/store"
	"github.com/whaleshark-im/whaleshark/streams"
	"github.com/whaleshark-im/whaleshark/wire"
)

// appServer is an app's own server, which fails now and then, but not twice with one event.
type appServer struct {
	mu     sync.Mutex
	failed map[string]bool
	told   map[string]int // how often it was told of a message, by the client's id of it
	events map[string]string
	online map[chat.UserID]int // how often it was told that a user has come, less how often that he has gone
	calls  int
}

func (a *appServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var body struct {
		MessageID string      `json:"messageId"`
		UserID    chat.UserID `json:"userId"`
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	event := r.Header.Get("webhook-id")
	if a.calls++; a.calls%7 == 0 && !a.failed[event] {
		a.failed[event] = true
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	switch _, known := a.events[event]; r.URL.Query().Get("command") {
	case chat.HookMessageSent:
		a.told[body.MessageID]++
		if before := a.events[event]; known && before != body.MessageID {
			w.WriteHeader(http.StatusConflict) // it will be seen as missing
		}
		a.events[event] = body.MessageID
	case chat.HookUserOnline:
		if a.events[event] = event; !known {
			a.online[body.UserID]++
		}
	case chat.HookUserOffline:
		if a.events[event] = event; !known {
			a.online[body.UserID]--
		}
	}
}

// tells waits until the app was told of all messages, and that all users are online.
func (a *appServer) tells(c *crowd) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	missing := 0
	for id := range c.acks {
		if a.told[id] == 0 {
			missing++
		}
	}
	if missing > 0 {
		return fmt.Errorf("of %d messages it was not told of %d", len(c.acks), missing)
	}
	for _, d := range slices.Concat(c.senders, c.readers) {
		if n := a.online[d.id.User]; n != 1 {
			return fmt.Errorf("%s was told to have come %d times more often than to have gone", d.id.User, n)
		}
	}
	return nil
}

// TestKilledWebhookWorkers kills a webhook worker in the middle of what it has to tell, and stops another; then Postgres is away for a while, and
// the broker starts again: whatever was acknowledged is told, each time under the same event id, and nobody who chats waits for it.
func TestKilledWebhookWorkers(t *testing.T) {
	h := open(t, streams.Layout{Partitions: 4}, "WHALESHARK_HOOK_PRIVATE=true", "WHALESHARK_FACT_TTL=1m")
	h.staff(1, 1, 1, 1)
	a := &appServer{
		failed: make(map[string]bool), told: make(map[string]int), events: make(map[string]string), online: make(map[chat.UserID]int),
	}
	server := httptest.NewServer(a)
	t.Cleanup(server.Close)
	if _, err := h.store.ChangeApp(t.Context(), store.DemoApp, func(app *chat.App) error {
		app.Hooks = chat.Hooks{URL: server.URL, Commands: []string{chat.HookMessageSent, chat.HookUserOnline, chat.HookUserOffline}}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	var workers []*process
	for i := range 3 {
		workers = append(workers, h.startWorker(streams.RoleWebhook, i))
	}
	h.ready(streams.RoleWebhook, 3)
	h.eventually(10*time.Second, "the workers listen", func() error {
		for p := range 4 {
			if _, err := h.store.HookMark(t.Context(), p, nothingYet); err != nil {
				return err
			}
		}
		return nil
	})
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	c := h.pairs(ctx, faultPairs)
	const each = faultEach / 2
	for name, hurt := range map[string]func(){
		"SIGKILL of one, SIGTERM of another": func() { workers[0].kill(); workers[1].stop() },
		"Postgres is away":                   func() { h.postgres.stop(); h.startPostgres() },
		"the broker starts again":            func() { h.nats.kill(); h.startNATS() },
	} {
		t.Run(name, func(t *testing.T) {
			hurting := make(chan struct{})
			time.AfterFunc(each*faultPace/3, func() { defer close(hurting); hurt() })
			c.talk(ctx, name, each, 8, faultPace)
			<-hurting
			within(t, time.Minute, "everything is told", func() error { return a.tells(c) })
		})
	}
	h.members = nil // they were watched on the broker before
	m := h.metrics(h.ready(streams.RoleWebhook, 1)[0])
	if m[`whaleshark_webhook_calls_total{command="message.send.after",outcome="ok"}`] == 0 || m["whaleshark_webhook_seconds_count"] == 0 {
		t.Errorf("the worker does not count what it does: %v", m)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	twice := 0
	for _, n := range a.told {
		if n > 1 {
			twice++
		}
	}
	t.Logf("of %d messages %d were told more than once, in %d calls", len(a.told), twice, a.calls)
}

func nothingYet(context.Context) (uint64, error) { return 0, errors.New("there is no mark yet") }

// TestAnAppJudgesMessages lets an app forbid and replace messages; when its server is away they are placed as they are, without a pause that
// anybody would notice twice.
func TestAnAppJudgesMessages(t *testing.T) {
	h := open(t, streams.Layout{Partitions: 1}, "WHALESHARK_HOOK_PRIVATE=true")
	h.staff(1, 1, 1, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var m struct {
			Body string `json:"messageBody"`
		}
		if err := json.NewDecoder(r.Body).Decode(&m); err != nil || r.URL.Query().Get("command") != chat.HookMessageSend {
			t.Errorf("it was asked %s: %v", r.URL.RawQuery, err)
		}
		switch m.Body {
		case "bad":
			fmt.Fprint(w, `{"code":4711,"msg":"not here"}`)
		case "rude":
			fmt.Fprint(w, `{"code":200,"data":{"messageBody":"polite"}}`)
		default:
			fmt.Fprint(w, `{"code":200,"msg":"ok","data":null}`)
		}
	}))
	t.Cleanup(server.Close)
	if _, err := h.store.ChangeApp(t.Context(), store.DemoApp, func(app *chat.App) error {
		app.Hooks = chat.Hooks{URL: server.URL, Commands: []string{chat.HookMessageSend}}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	h.startWorker(streams.RoleWebhook, 0)
	h.ready(streams.RoleWebhook, 1)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	alice, bob := h.device("alice", "a", "tcp"), h.device("bob", "b", "ws")
	for _, d := range []*device{alice, bob} {
		if _, err := d.connection(ctx); err != nil {
			t.Fatal(err)
		}
		defer d.close()
	}
	send := func(id, body string) error {
		t.Helper()
		c, err := alice.connection(ctx)
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Send(ctx, wire.Message{MessageID: id, To: "bob", Body: body})
		return err
	}
	h.eventually(20*time.Second, "the app's word counts", func() error {
		if err := send(fmt.Sprint("bad-", time.Now().UnixNano()), "bad"); err == nil {
			return errors.New("what it forbids is placed")
		}
		return nil
	})
	if e, ok := errors.AsType[chat.Error](send("bad", "bad")); !ok || e.Code != chat.Vetoed {
		t.Errorf("what it forbids gets %v", e)
	}
	for _, body := range []string{"rude", "hello"} {
		if err := send(body, body); err != nil {
			t.Fatal(err)
		}
	}
	h.persisted()
	said := make(map[string]string)
	rows, err := h.store.Messages(ctx, 0, 1<<53, 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		said[r.Record.MessageID] = r.Record.Body
	}
	if said["rude"] != "polite" || said["hello"] != "hello" || said["bad"] != "" {
		t.Errorf("what is said is %v", said)
	}
	server.Close()
	began := time.Now()
	for i := range 20 {
		if err := send(fmt.Sprint("away-", i), "bad"); err != nil {
			t.Fatal(err)
		}
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("20 messages took %v while the app's server was away", took)
	}
}
