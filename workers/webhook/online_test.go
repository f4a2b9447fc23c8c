package webhook

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/streams"
)

// edge keeps an edge known until stop is called, or the test ends.
func (h *house) edge() (node chat.NodeID, stop func()) {
	h.t.Helper()
	node = streams.NewNode()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = h.conn.Announce(ctx, streams.RoleEdge, node, nil) })
	stop = func() { cancel(); wg.Wait() }
	h.t.Cleanup(stop)
	return node, stop
}

func route(edge chat.NodeID, session chat.SessionID, app chat.AppID, user chat.UserID) chat.Route {
	return chat.Route{Device: chat.Device{App: app, User: user, Client: chat.IOS, IMEI: "i"}, Edge: edge, Session: session}
}

func (h *house) put(r chat.Route) {
	h.t.Helper()
	if err := h.conn.PutRoute(h.t.Context(), r); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) drop(r chat.Route) {
	h.t.Helper()
	if err := h.conn.DropRoute(h.t.Context(), r); err != nil {
		h.t.Fatal(err)
	}
}

// seen returns what was told of a user: 1 online, 2 offline.
func (x *receiver) seen(t testing.TB, user chat.UserID) (states []int) {
	t.Helper()
	for _, c := range x.all() {
		var b presenceTold
		if err := json.Unmarshal([]byte(c.Body), &b); err != nil {
			t.Fatal(err)
		}
		want := map[int]string{statusOnline: chat.HookUserOnline, statusOffline: chat.HookUserOffline}[b.Status]
		if c.Command != want || b.AppID != app || b.Time == 0 || (b.ClientType != nil) != (b.Status == statusOnline) {
			t.Errorf("told %+v", c)
		}
		if b.UserID == user {
			states = append(states, b.Status)
		}
	}
	return states
}

func (h *house) sees(x *receiver, what string, user chat.UserID, want ...int) {
	h.t.Helper()
	h.eventually(what, func() bool { return slices.Equal(x.seen(h.t, user), want) })
}

func TestWhoComesAndGoesIsTold(t *testing.T) {
	h := open(t)
	x := receive(t, nil)
	h.app(app, x.server.URL, chat.HookUserOnline, chat.HookUserOffline)
	h.app(10002, x.server.URL, chat.HookMessageSent)
	edge, stopEdge := h.edge()
	other, _ := h.edge()
	h.put(route(edge, 1, app, "early"))
	stop := h.start()
	h.sees(x, "who was there before is told", "early", 1)

	// carol comes, and her second device is nothing new; nor is another app's user.
	h.put(route(edge, 2, app, "carol"))
	h.put(route(other, 2, app, "carol"))
	h.put(route(edge, 3, 10002, "dave"))
	h.sees(x, "carol has come", "carol", 1)

	// A session that is replaced within the delay: she was never away. The user after her shows that it was looked at.
	h.drop(route(edge, 2, app, "carol"))
	h.drop(route(other, 2, app, "carol"))
	h.put(route(other, 4, app, "carol"))
	h.put(route(edge, 5, app, "erin"))
	h.sees(x, "erin has come", "erin", 1)
	h.sees(x, "and of carol nothing is told", "carol", 1)

	h.drop(route(other, 4, app, "carol"))
	h.sees(x, "carol has gone", "carol", 1, 2)
	stopEdge()
	h.sees(x, "so have those of an edge that has gone", "erin", 1, 2)
	h.sees(x, "so have those of an edge that has gone", "early", 1, 2)

	// While no worker is there somebody comes and somebody goes: the next one tells.
	h.put(route(other, 6, app, "frank"))
	h.put(route(other, 7, app, "grace"))
	h.sees(x, "frank has come", "frank", 1)
	h.sees(x, "grace has come", "grace", 1)
	stop()
	h.drop(route(other, 6, app, "frank"))
	h.put(route(other, 8, app, "heidi"))
	h.start()
	h.sees(x, "heidi had come", "heidi", 1)
	h.sees(x, "frank had gone", "frank", 1, 2)
	h.sees(x, "grace had stayed", "grace", 1)
	if told, err := h.store.ToldOnline(t.Context()); err != nil || len(told) != 2 {
		t.Errorf("noted as online are %v, %v; want grace and heidi", told, err)
	}
}

// TestNobodyListensAnyMore forgets who is online, so that an app that listens again hears of everybody.
func TestNobodyListensAnyMore(t *testing.T) {
	h := open(t)
	x := receive(t, nil)
	h.app(app, x.server.URL, chat.HookUserOnline)
	edge, _ := h.edge()
	h.put(route(edge, 1, app, "carol"))
	stop := h.start()
	h.sees(x, "carol has come", "carol", 1)
	stop()
	h.app(app, x.server.URL, chat.HookMessageSent)
	stop = h.start()
	h.eventually("nobody is noted", func() bool {
		told, err := h.store.ToldOnline(t.Context())
		return err == nil && len(told) == 0
	})
	stop()
	h.app(app, x.server.URL, chat.HookUserOnline)
	h.start(func(c *Config) { c.PresenceDelay = 10 * time.Millisecond })
	h.sees(x, "carol is told anew", "carol", 1, 1)
}
