package e2e

import (
	"context"
	"encoding/json"
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

func nothingYet(context.Context) (uint64, error) { return 0, fmt.Errorf("there is no mark yet") }
