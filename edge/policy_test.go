package edge

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/streams"
	"github.com/whaleshark-im/whaleshark/streams/streamstest"
	"github.com/whaleshark-im/whaleshark/wire"
)

// policies is a Directory in which everybody exists, and an app's number is its policy; that of app 9 is the deployment's.
type policies struct{}

func (policies) App(_ context.Context, id chat.AppID) (chat.App, error) {
	app := chat.App{ID: id}
	if id != 9 {
		app.LoginPolicy = chat.LoginPolicy(id)
	}
	return app, nil
}

func (policies) User(context.Context, chat.UserKey) (chat.User, error) { return chat.User{}, nil }

// realEdge is an edge among real streams, reached by pipes.
type realEdge struct {
	*Edge
	station *streams.Station
	pipes   chan net.Conn
}

func startReal(t *testing.T, c *streams.Conn, cfg Config) *realEdge {
	t.Helper()
	l := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
	cfg.Node, cfg.Auth, cfg.DrainWindow = streams.NewNode(), AuthOptional, -1
	e := &realEdge{station: c.NewStation(cfg.Node, nil), pipes: l.conns}
	e.Edge = New(cfg, e.station, policies{})
	e.listeners.tcp = l
	ctx, stop := context.WithCancel(context.Background())
	stationCtx, stopStation := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := e.station.Serve(stationCtx, e); err != nil {
			t.Errorf("the station ended with %v", err)
		}
	})
	var ended sync.WaitGroup
	ended.Go(func() {
		if err := e.Run(ctx); err != nil {
			t.Errorf("the edge ended with %v", err)
		}
	})
	t.Cleanup(func() {
		stop()
		ended.Wait()
		stopStation()
		running.Wait()
	})
	eventually(t, "the edge is announced", e.station.Announced)
	return e
}

// guest is a client of a real edge. What comes is collected until something must come.
type guest struct {
	conn   net.Conn
	device chat.Device
	frames chan wire.Down // closed when the connection is
}

func (e *realEdge) visit(t *testing.T, d chat.Device) *guest {
	t.Helper()
	ours, theirs := net.Pipe()
	e.pipes <- theirs
	t.Cleanup(func() { _ = ours.Close() })
	g := &guest{conn: ours, device: d, frames: make(chan wire.Down, 100)}
	go func() { // ends with the connection
		defer close(g.frames)
		decoder := wire.NewDownDecoder(ours, 1<<20)
		for {
			f, err := decoder.Decode()
			if err != nil {
				return
			}
			f.Body = append([]byte(nil), f.Body...)
			g.frames <- f
		}
	}()
	g.write(t, wire.Login, fmt.Sprintf(`{"userId":%q}`, d.User))
	return g
}

func (g *guest) write(t *testing.T, command wire.Command, body string) {
	t.Helper()
	_ = g.conn.SetWriteDeadline(time.Now().Add(10 * time.Second))
	_, err := g.conn.Write(wire.AppendUp(nil, &wire.Up{
		Command: command, Version: wire.Version3, ClientType: g.device.Client, App: g.device.App, IMEI: []byte(g.device.IMEI), Body: []byte(body),
	}))
	if err != nil {
		t.Errorf("%s writes %v: %v", g.device, command, err)
	}
}

// hears returns the next frame, and its code if it has one; command 0: the connection is closed.
func (g *guest) hears(t *testing.T) (wire.Command, chat.Code) {
	t.Helper()
	select {
	case f := <-g.frames:
		switch f.Command { //nolint:exhaustive // those that have a code
		case wire.LoginAck:
			w, err := wire.ParseWelcome(f.Body)
			if err != nil {
				t.Error(err)
			}
			return f.Command, w.Code
		case wire.Refuse:
			r, err := wire.ParseRefusal(f.Body)
			if err != nil {
				t.Error(err)
			}
			return f.Command, r.Code
		}
		return f.Command, 0
	case <-time.After(20 * time.Second):
		t.Errorf("%s hears nothing", g.device)
		return 0, 0
	}
}

func (g *guest) wants(t *testing.T, why string, command wire.Command, code chat.Code) {
	t.Helper()
	if got, c := g.hears(t); got != command || c != code {
		t.Errorf("%s: %s hears %v with code %v; want %v with %v", why, g.device, got, c, command, code)
	}
}

// kickTable is the original's table: what becomes of an older session (the row) when a device of another client type, or of the same
// with another imei, logs in (the column). The order of the types is webapi, web, ios, android, windows, mac.
var kickTable = map[chat.LoginPolicy][6]string{
	chat.OneDevice:    {"KKKKKK", "KKKKKK", "KKKKKK", "KKKKKK", "KKKKKK", "KKKKKK"},
	chat.TwoDevices:   {"K.KKKK", "......", "K.KKKK", "K.KKKK", "K.KKKK", "K.KKKK"},
	chat.ThreeDevices: {"......", "......", "..KK..", "..KK..", "....KK", "....KK"},
	chat.ManyDevices:  {"......", "......", "......", "......", "......", "......"},
}

// TestPoliciesEndSessionsEverywhere logs each pair of client types in under each policy, with the same imei and another, on the same edge
// and on another: 720 users at once.
func TestPoliciesEndSessionsEverywhere(t *testing.T) {
	nats := streamstest.Server(t)
	cfg := Config{KickGrace: 200 * time.Millisecond, LoginPolicy: chat.TwoDevices}
	edges := []*realEdge{
		startReal(t, streamstest.Connect(t, nats, streams.Layout{}), cfg), startReal(t, streamstest.Connect(t, nats, streams.Layout{}), cfg),
	}
	type pair struct {
		app          chat.AppID
		older, newer *guest
		there        *realEdge // that of the older one
		want         byte      // K: kicked; R: replaced; .: stays
	}
	var pairs []*pair
	var logins sync.WaitGroup
	for _, app := range []chat.AppID{1, 2, 3, 4, 9} {
		table := kickTable[chat.LoginPolicy(app)]
		if app == 9 {
			table = kickTable[chat.TwoDevices]
		}
		for older := range 6 {
			for newer := range 6 {
				for n := range 4 {
					p := &pair{app: app, there: edges[0], want: table[older][newer]}
					sameIMEI, elsewhere := n&1 == 0, n&2 != 0
					user := chat.UserID(fmt.Sprint(older, newer, n))
					first := chat.Device{App: app, User: user, Client: chat.ClientType(older), IMEI: "x"}
					second := chat.Device{App: app, User: user, Client: chat.ClientType(newer), IMEI: "y"}
					if sameIMEI {
						second.IMEI = "x"
					}
					if first == second {
						p.want = 'R'
					}
					pairs = append(pairs, p)
					logins.Go(func() {
						p.older = p.there.visit(t, first)
						p.older.wants(t, "the older", wire.LoginAck, chat.OK)
						where := edges[0]
						if elsewhere {
							where = edges[1]
						}
						p.newer = where.visit(t, second)
						p.newer.wants(t, "the newer", wire.LoginAck, chat.OK)
					})
				}
			}
		}
	}
	logins.Wait()
	if t.Failed() {
		return
	}
	// Routes are seen in one order: when this login has its effect on an edge, all others have had theirs.
	for i, e := range edges {
		probe := e.visit(t, chat.Device{App: 1, User: "probe", IMEI: fmt.Sprint(i)})
		probe.wants(t, "the probe", wire.LoginAck, chat.OK)
		edges[1-i].visit(t, chat.Device{App: 1, User: "probe", IMEI: fmt.Sprint(i, "newer")}).wants(t, "the probe", wire.LoginAck, chat.OK)
		probe.wants(t, "the probe", wire.Kick, 0)
	}
	var checks sync.WaitGroup
	for _, p := range pairs {
		checks.Go(func() {
			why := fmt.Sprintf("app %d, %s then %s", p.app, p.older.device, p.newer.device)
			switch p.want {
			case 'R':
				p.older.wants(t, why, wire.Refuse, chat.Replaced)
				p.older.wants(t, why, 0, 0)
			case 'K':
				p.older.wants(t, why, wire.Kick, 0)
				p.older.wants(t, why, wire.Refuse, chat.Kicked)
				p.older.wants(t, why, 0, 0)
			default:
				p.older.write(t, wire.Ping, "")
				p.older.wants(t, why, wire.Ping, 0)
			}
			p.newer.write(t, wire.Ping, "")
			p.newer.wants(t, why, wire.Ping, 0)
			left := map[byte]int{'R': 1, 'K': 1, '.': 2}[p.want]
			eventually(t, why+": their routes", func() bool { return len(p.there.station.RoutesOf(userOf(p.older.device))) == left })
		})
	}
	checks.Wait()
}

// TestLoginsAtOnce logs several devices of one user in at the same moment on two edges: the newest session remains, and it alone.
func TestLoginsAtOnce(t *testing.T) {
	nats := streamstest.Server(t)
	cfg := Config{KickGrace: 100 * time.Millisecond}
	edges := []*realEdge{
		startReal(t, streamstest.Connect(t, nats, streams.Layout{}), cfg), startReal(t, streamstest.Connect(t, nats, streams.Layout{}), cfg),
	}
	var users sync.WaitGroup
	for i := range 100 {
		users.Go(func() {
			user := chat.UserKey{App: 1, User: chat.UserID(fmt.Sprint("u", i))}
			guests := make([]*guest, 4)
			var logins sync.WaitGroup
			for n := range guests {
				logins.Go(func() {
					d := chat.Device{App: user.App, User: user.User, Client: chat.ClientType(n), IMEI: "x"}
					guests[n] = edges[n%2].visit(t, d)
				})
			}
			logins.Wait()
			if err := oneRemains(t, edges, user, guests); err != nil {
				t.Errorf("%s: %v", user.User, err)
			}
		})
	}
	users.Wait()
}

// oneRemains waits until all but one of the guests have been kicked, and checks that his is the route that is left.
func oneRemains(t *testing.T, edges []*realEdge, user chat.UserKey, guests []*guest) error {
	t.Helper()
	closed := make(chan *guest, len(guests))
	for _, g := range guests {
		g.wants(t, "a login", wire.LoginAck, chat.OK)
		go func() { // ends with the guest's connection
			kicked := false
			for f := range g.frames {
				kicked = kicked || f.Command == wire.Kick
			}
			if kicked {
				closed <- g
			}
		}()
	}
	left := make(map[*guest]bool)
	for _, g := range guests {
		left[g] = true
	}
	for len(left) > 1 {
		select {
		case g := <-closed:
			delete(left, g)
		case <-time.After(20 * time.Second):
			return fmt.Errorf("%d sessions remain", len(left))
		}
	}
	for _, e := range edges {
		eventually(t, "one route remains", func() bool { return len(e.station.RoutesOf(user)) == 1 })
		for g := range left {
			if r := e.station.RoutesOf(user)[0]; r.Device != g.device {
				return fmt.Errorf("the route is that of %s, and %s remains", r.Device, g.device)
			}
		}
	}
	select {
	case <-closed:
		return errors.New("nobody remains")
	default:
		return nil
	}
}

// TestStatusesCrossEdges watches a user from another edge than his.
func TestStatusesCrossEdges(t *testing.T) {
	nats := streamstest.Server(t)
	cfg := Config{PresenceDelay: -1}
	here := startReal(t, streamstest.Connect(t, nats, streams.Layout{}), cfg)
	there := startReal(t, streamstest.Connect(t, nats, streams.Layout{}), cfg)
	alice := here.visit(t, chat.Device{App: 4, User: "alice"})
	alice.wants(t, "a login", wire.LoginAck, chat.OK)
	alice.write(t, wire.Watch, `{"userIds":["bob"]}`)
	wants := func(g *guest, why string, command wire.Command, payload string) {
		t.Helper()
		select {
		case f := <-g.frames:
			if f.Command != command || string(f.Body) != payload {
				t.Fatalf("%s: got %v %s; want %v %s", why, f.Command, f.Body, command, payload)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("%s: nothing came", why)
		}
	}
	wants(alice, "the watch", wire.Watch, `{"code":200,"msg":"success","data":{"ttlMs":3600000,"users":[{"userId":"bob","status":2}]}}`)
	pad, phone := here.visit(t, chat.Device{App: 4, User: "bob", IMEI: "pad"}), there.visit(t, chat.Device{App: 4, User: "bob", IMEI: "phone"})
	pad.wants(t, "a login", wire.LoginAck, chat.OK)
	phone.wants(t, "a login", wire.LoginAck, chat.OK)
	wants(alice, "bob comes", wire.StatusNotify, `{"userId":"bob","status":1}`)
	phone.write(t, wire.Status, `{"status":1,"customStatus":"é"}`)
	wants(pad, "the other device", wire.StatusSync, `{"userId":"bob","status":1,"customStatus":"é","appId":4,"clientType":0,"imei":"phone"}`)
	wants(alice, "bob's status", wire.StatusNotify, `{"userId":"bob","status":1,"customStatus":"é"}`)
	pad.write(t, wire.Status, `{"status":4}`)
	wants(phone, "the other device", wire.StatusSync, `{"userId":"bob","status":4,"appId":4,"clientType":0,"imei":"pad"}`)
	wants(alice, "the last word counts", wire.StatusNotify, `{"userId":"bob","status":4}`)
	_, _ = pad.conn.Close(), phone.conn.Close()
	wants(alice, "bob goes", wire.StatusNotify, `{"userId":"bob","status":2}`)
}
