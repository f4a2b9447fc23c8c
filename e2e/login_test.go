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
	"github.com/whaleshark-im/whaleshark/streams"
	"github.com/whaleshark-im/whaleshark/wire"
)

// visitor is one connection of a device to an edge that is chosen.
type visitor struct {
	edge    streams.Member
	c       *client.Client
	welcome wire.Welcome
	err     error // of the login

	mu   sync.Mutex
	seen []string // ids of messages
}

// visit logs a device in on an edge, by protocol 3. The connection ends with the test.
func (h *house) visit(t *testing.T, edge streams.Member, transport string, d chat.Device, sign string) *visitor {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	v := &visitor{edge: edge}
	v.c, v.err = client.Dial(ctx, client.Config{
		URL: clientURL(edge, transport), Device: d, UserSign: sign, Receipts: true, Handler: client.Handler{Message: v.message},
	})
	if v.err == nil {
		t.Cleanup(func() { _ = v.c.Close() })
		v.welcome, v.err = v.c.Login(ctx)
	}
	return v
}

func (v *visitor) message(p wire.Placed) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.seen = append(v.seen, p.MessageID)
}

func (v *visitor) saw(id string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Contains(v.seen, id)
}

// there reports whether the session lives.
func (v *visitor) there() bool { return v.err == nil && v.c.Err() == nil }

// code returns what a login was answered with.
func (v *visitor) code() chat.Code {
	if v.err == nil {
		return chat.OK
	}
	e, _ := errors.AsType[chat.Error](v.err)
	return e.Code
}

func (h *house) sign(args ...string) string {
	h.t.Helper()
	return strings.TrimSpace(h.run(append([]string{"sign"}, args...)...))
}

func phone(app chat.AppID, user chat.UserID) chat.Device {
	return chat.Device{App: app, User: user, Client: chat.Android, IMEI: "phone"}
}

// TestLogin logs in with and without proof, everywhere at once, while the database is away and while an edge goes.
func TestLogin(t *testing.T) {
	h := open(t, streams.Layout{}, "WHALESHARK_DIRECTORY_TTL=1s", "WHALESHARK_DIRECTORY_TIMEOUT=500ms")
	h.staff(3, 1, 1, 1)
	edges := h.ready(streams.RoleEdge, 3)
	strict := h.startEdgeWith("edge.strict", "--auth", "required") // the later flag counts

	t.Run("who proves what", func(t *testing.T) { proofs(t, h, edges[0], strict) })
	t.Run("one device everywhere at once", func(t *testing.T) { race(t, h, edges) })
	t.Run("an edge goes", func(t *testing.T) { edgeGoes(t, h, edges) })
	t.Run("the database is away", func(t *testing.T) { databaseAway(t, h, edges[0]) })
}

// proofs logs in with all kinds of userSigns.
func proofs(t *testing.T, h *house, lax, strict streams.Member) {
	t.Helper()
	valid := h.sign("alice")
	expired := chat.Sign(10001, "bantanger", "alice", time.Now().Add(-time.Hour), time.Minute)
	for _, c := range []struct {
		what        string
		device      chat.Device
		sign        string
		strict, lax chat.Code
	}{
		{"no userSign", phone(10001, "alice"), "", chat.SignMissing, chat.OK},
		{"a valid one", phone(10001, "alice"), valid, chat.OK, chat.OK},
		{"one made with another key", phone(10001, "alice"), h.sign("alice", "--key", "other"), chat.SignWrong, chat.SignWrong},
		{"one that has been changed", phone(10001, "alice"), valid[:20] + "x" + valid[21:], chat.SignWrong, chat.SignWrong},
		{"nonsense", phone(10001, "alice"), "nonsense", chat.SignWrong, chat.SignWrong},
		{"an expired one", phone(10001, "alice"), expired, chat.SignExpired, chat.SignExpired},
		{"one of another user", phone(10001, "alice"), h.sign("bob"), chat.SignOtherUser, chat.SignOtherUser},
		{"one of another app", phone(10001, "alice"), h.sign("alice", "--app", "10002", "--key", "bantanger"), chat.SignWrong, chat.SignWrong},
		{"a user that is not there", phone(10001, "nobody"), h.sign("nobody"), chat.UserMissing, chat.UserMissing},
		{"an app that is not there", phone(7, "alice"), "", chat.AppMissing, chat.AppMissing},
	} {
		if got := h.visit(t, strict, "tcp", c.device, c.sign).code(); got != c.strict {
			t.Errorf("%s, where one is required: %v, want %v", c.what, got, c.strict)
		}
		if got := h.visit(t, lax, "ws", c.device, c.sign).code(); got != c.lax {
			t.Errorf("%s, where one is optional: %v, want %v", c.what, got, c.lax)
		}
	}
}

// race logs one device in on all edges at the same moment, again and again: the newest session survives, and it alone.
func race(t *testing.T, h *house, edges []streams.Member) {
	t.Helper()
	const rounds = 50
	device := phone(10001, "bob")
	var mu sync.Mutex
	var newest chat.Route
	routes, err := h.conn.WatchRoutes(t.Context(), func(_, is *chat.Route) {
		mu.Lock()
		defer mu.Unlock()
		if is != nil && is.Device == device && is.Newer(newest) {
			newest = *is
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	alice := h.device("alice", "a", "tcp")
	defer alice.close()
	var took []time.Duration
	replaced := 0
	for round := range rounds {
		visitors := make([]*visitor, len(edges))
		var wg sync.WaitGroup
		started := time.Now()
		for i, e := range edges {
			wg.Go(func() { visitors[i] = h.visit(t, e, []string{"tcp", "ws"}[(i+round)%2], device, "") })
		}
		wg.Wait()
		for _, v := range visitors {
			if c := v.code(); c != chat.OK && c != chat.Replaced {
				t.Fatalf("round %d: a login was answered with %v: %v", round, c, v.err)
			}
		}
		var survivor *visitor
		h.eventually(5*time.Second, fmt.Sprintf("round %d: one session and one route remain", round), func() error {
			survivor = nil
			for _, v := range visitors {
				if v.there() && survivor != nil {
					return errors.New("two sessions live")
				} else if v.there() {
					survivor = v
				}
			}
			left := routes.Of(chat.UserKey{App: 10001, User: "bob"})
			mu.Lock()
			defer mu.Unlock()
			switch {
			case survivor == nil:
				return errors.New("no session lives")
			case len(left) != 1:
				return fmt.Errorf("there are the routes %v", left)
			case left[0] != newest:
				return fmt.Errorf("the route is %v, and the newest was %v", left[0], newest)
			case left[0].Session.String() != survivor.welcome.Session.String() || left[0].Edge != survivor.edge.Node:
				return fmt.Errorf("the route is %v, and session %v at %s lives", left[0], survivor.welcome.Session, survivor.edge.Node)
			}
			return nil
		})
		took = append(took, time.Since(started))
		id := fmt.Sprint("race-", round)
		if _, err := alice.say(t.Context(), "bob", id, "who is it?"); err != nil {
			t.Fatal(err)
		}
		h.eventually(5*time.Second, id+" arrives", func() error {
			if !survivor.saw(id) {
				return errors.New("it has not")
			}
			return nil
		})
		for _, v := range visitors {
			if v != survivor && v.saw(id) {
				t.Errorf("round %d: a session that was replaced got a message", round)
			}
			if e, _ := errors.AsType[chat.Error](v.c.Err()); v != survivor && e.Code != chat.Replaced {
				t.Errorf("round %d: a session that was replaced ended with %v", round, v.c.Err())
			}
			if v != survivor {
				replaced++
			}
		}
	}
	t.Logf("%d rounds, %d sessions replaced; one remained after p50 %v, at most %v",
		rounds, replaced, quantile(took, 0.5), quantile(took, 1))
}

// databaseAway logs in while Postgres is down: whom the edge knows comes in, of others it cannot tell.
func databaseAway(t *testing.T, h *house, edge streams.Member) {
	t.Helper()
	if v := h.visit(t, edge, "tcp", phone(10001, "alice"), ""); v.err != nil {
		t.Fatal(v.err)
	}
	h.postgres.stop()
	// For longer than what the edge knows holds.
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	for range 20 {
		<-again.C
		if v := h.visit(t, edge, "tcp", phone(10001, "alice"), ""); v.err != nil {
			t.Fatalf("alice cannot log in while the database is away: %v", v.err)
		}
	}
	v := h.visit(t, edge, "tcp", phone(10001, "u3"), "")
	if code := v.code(); code != chat.Unavailable || !code.Info().Retryable {
		t.Errorf("whom the edge does not know is answered with %v, want %v, to be tried again", code, chat.Unavailable)
	}
	h.startPostgres()
	h.eventually(20*time.Second, "u3 logs in when the database is back", func() error {
		return h.visit(t, edge, "tcp", phone(10001, "u3"), "").err
	})
}

// edgeGoes stops an edge in order: its clients are told, closed, and go on elsewhere.
func edgeGoes(t *testing.T, h *house, edges []streams.Member) {
	t.Helper()
	const n = 40
	leaving := edges[1]
	if err := h.store.SeedPairs(t.Context(), 10001, n, nil); err != nil {
		t.Fatal(err)
	}
	var guests []*visitor
	for i := range n {
		v := h.visit(t, leaving, []string{"tcp", "ws"}[i%2], phone(10001, chat.UserID(fmt.Sprint("u", i+1))), "")
		if v.err != nil {
			t.Fatal(v.err)
		}
		guests = append(guests, v)
	}
	routes, err := h.conn.WatchRoutes(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	relic := h.login(t, routes, leaving, "tcp", 10001, "lld", 1, "web")

	i := slices.IndexFunc(h.processes, func(p *process) bool { return p.cmd.Process.Pid == leaving.PID })
	started := time.Now()
	h.processes[i].stop()
	t.Logf("the edge was gone %v after SIGTERM, with %d clients", time.Since(started).Round(time.Millisecond), n+1)
	for i, v := range guests {
		select {
		case <-v.c.Done():
		case <-time.After(5 * time.Second):
			t.Fatalf("client %d was not closed", i)
		}
		if e, ok := errors.AsType[chat.Error](v.c.Err()); !ok || e.Code != chat.GoingAway {
			t.Errorf("client %d ended with %v, want to be told that the edge goes away", i, v.c.Err())
		}
	}
	relic.wantClosed(t, "the edge goes away")
	if left := h.ready(streams.RoleEdge, 3); slices.ContainsFunc(left, func(m streams.Member) bool { return m.Node == leaving.Node }) {
		t.Error("the edge is still among the members")
	}
	for _, e := range routes.Edges() {
		if e == leaving.Node {
			t.Error("the edge has left routes behind")
		}
	}

	back := h.visit(t, edges[2], "ws", phone(10001, "u2"), "")
	other := h.visit(t, edges[0], "tcp", phone(10001, "u1"), "")
	if err := errors.Join(back.err, other.err); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := other.c.Send(ctx, wire.Message{MessageID: "elsewhere", To: "u2", Body: "here we are", First: true}); err != nil {
		t.Fatal(err)
	}
	h.eventually(5*time.Second, "the message arrives elsewhere", func() error {
		if !back.saw("elsewhere") {
			return errors.New("it has not")
		}
		return nil
	})
}
