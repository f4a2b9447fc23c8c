package edge

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The facts that the tests share: one app, whose users are the lower-case names.
const (
	app = chat.AppID(10001)
	key = "bantanger"
)

// facts is a Directory. Fields are set before it is asked, or under its lock.
type facts struct {
	mu    sync.Mutex
	down  error         // what every question is answered with
	held  chan struct{} // what every question waits for; nil: nothing
	asked int
	users map[chat.UserID]bool
}

func newFacts() *facts {
	return &facts{users: map[chat.UserID]bool{"alice": true, "bob": true, "lld": true, "a": true, "b": true}}
}

func (f *facts) App(_ context.Context, id chat.AppID) (chat.App, error) {
	if f.held != nil {
		<-f.held
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked++
	switch {
	case f.down != nil:
		return chat.App{}, f.down
	case id != app:
		return chat.App{}, chat.Error{Code: chat.AppMissing}
	}
	return chat.App{ID: app, Keys: []string{key}}, nil
}

func (f *facts) User(_ context.Context, u chat.UserKey) (chat.User, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked++
	switch {
	case f.down != nil:
		return chat.User{}, f.down
	case !f.users[u.User] && !strings.HasPrefix(string(u.User), "guest"):
		return chat.User{}, chat.Error{Code: chat.UserMissing}
	}
	return chat.User{}, nil
}

// recorder is a Streams that remembers what it was given. What it answers is set before it is asked, or under its lock.
type recorder struct {
	mu        sync.Mutex
	requests  []*chat.Request
	signals   []*chat.Signal
	routes    map[chat.UserKey][]chat.Route // of this edge and of others
	dead      map[chat.NodeID]bool
	seen      func(was, is *chat.Route) // is told of what is written, as the watch does; nil: nobody is
	submit    error
	signal    error
	putRoute  func(ctx context.Context, r chat.Route) error
	dropRoute error
}

func newRecorder() *recorder {
	return &recorder{routes: make(map[chat.UserKey][]chat.Route), dead: make(map[chat.NodeID]bool)}
}

func (r *recorder) Submit(q *chat.Request, done func(error)) {
	r.mu.Lock()
	err := r.submit
	r.requests = append(r.requests, q)
	r.mu.Unlock()
	done(err)
}

func (r *recorder) Signal(s *chat.Signal) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.signals = append(r.signals, s)
	return r.signal
}

func (r *recorder) PutRoute(ctx context.Context, route chat.Route) error {
	r.mu.Lock()
	put := r.putRoute
	r.mu.Unlock()
	if put != nil {
		if err := put(ctx, route); err != nil {
			return err
		}
	}
	r.change(route, false)
	return nil
}

// change changes a route, be it of this edge or of another, and tells of it.
func (r *recorder) change(route chat.Route, gone bool) {
	r.mu.Lock()
	user := userOf(route.Device)
	var kept []chat.Route // a new slice: others hold the old one
	var was, is *chat.Route
	for _, o := range r.routes[user] {
		if o.Edge == route.Edge && o.Session == route.Session {
			was = &o
		} else {
			kept = append(kept, o)
		}
	}
	if !gone {
		is = &route
		kept = append(kept, route)
	}
	if r.routes[user] = kept; len(kept) == 0 {
		delete(r.routes, user)
	}
	seen := r.seen
	r.mu.Unlock()
	if seen != nil && (was != nil || is != nil) {
		seen(was, is)
	}
}

func (r *recorder) DropRoute(_ context.Context, route chat.Route) error {
	r.change(route, true)
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.dropRoute
}

func (r *recorder) RoutesOf(user chat.UserKey) []chat.Route {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.routes[user]
}

func (r *recorder) Dead(edge chat.NodeID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.dead[edge]
}

func (r *recorder) Cursor() chat.Place { return 77 }

func (r *recorder) set(change func(*recorder)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(r)
}

// takeRequests returns what was submitted since the last call.
func (r *recorder) takeRequests() []*chat.Request {
	r.mu.Lock()
	defer r.mu.Unlock()
	q := r.requests
	r.requests = nil
	return q
}

func (r *recorder) takeSignals() []*chat.Signal {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.signals
	r.signals = nil
	return s
}

// routeCount returns how many routes of the edge there are.
func (r *recorder) routeCount() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, routes := range r.routes {
		for _, route := range routes {
			if route.Edge == "edge-1" {
				n++
			}
		}
	}
	return n
}

// testEdge is an edge that runs in a synctest bubble and is reached by pipes.
type testEdge struct {
	*Edge
	t        *testing.T
	streams  *recorder
	facts    *facts
	registry *prometheus.Registry
	pipes    chan net.Conn
	stop     func()
	clients  []*testClient
}

// pipes is a listener whose connections come from a channel.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// converse runs an edge in a bubble, and f beside it.
func converse(t *testing.T, cfg Config, f func(*testEdge)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
		te := &testEdge{t: t, streams: newRecorder(), facts: newFacts(), registry: prometheus.NewRegistry(), pipes: l.conns}
		cfg.Node, cfg.Metrics = "edge-1", te.registry
		te.Edge = New(cfg, te.streams, te.facts)
		te.streams.seen = te.RouteSeen
		te.listeners.tcp = l
		ctx, cancel := context.WithCancel(t.Context())
		te.stop = cancel
		done := make(chan error, 1)
		go func() { done <- te.Run(ctx) }() // ends with ctx, before the bubble does
		f(te)
		cancel()
		synctest.Wait()
		for _, c := range te.clients {
			_ = c.conn.Close()
		}
		if err := <-done; err != nil {
			t.Errorf("the edge stopped with %v", err)
		}
		if n := te.streams.routeCount(); n != 0 {
			t.Errorf("%d routes are left after the edge has stopped", n)
		}
		if s := te.Stats(); s != (Stats{}) {
			t.Errorf("%+v are left after the edge has stopped", s)
		}
	})
}

// wantCounted compares a counter with what it should have counted.
func (te *testEdge) wantCounted(metric, label string, want float64) {
	te.t.Helper()
	synctest.Wait()
	if got := counted(te.t, te.registry, metric, label); got != want {
		te.t.Errorf("%s{%s} is %v; want %v", metric, label, got, want)
	}
}

func counted(t *testing.T, registry *prometheus.Registry, metric, label string) float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != "whaleshark_edge_"+metric {
			continue
		}
		for _, m := range f.GetMetric() {
			if len(m.GetLabel()) > 0 && m.GetLabel()[0].GetValue() == label {
				return m.GetCounter().GetValue()
			}
		}
	}
	return 0
}

// testClient is a client at the other end of a pipe.
type testClient struct {
	t       *testing.T
	conn    net.Conn
	decoder *wire.DownDecoder
	version int32
	device  chat.Device
}

func (te *testEdge) dial(version int32) *testClient {
	te.t.Helper()
	ours, theirs := net.Pipe()
	te.pipes <- theirs
	c := &testClient{
		t: te.t, conn: ours, decoder: wire.NewDownDecoder(ours, 1<<20), version: version,
		device: chat.Device{App: app, Client: chat.IOS, IMEI: "phone"},
	}
	te.clients = append(te.clients, c)
	return c
}

// login dials and logs in.
func (te *testEdge) login(version int32, user chat.UserID) *testClient {
	te.t.Helper()
	return te.loginAs(version, chat.Device{App: app, User: user, Client: chat.IOS, IMEI: "phone"})
}

func (te *testEdge) loginAs(version int32, d chat.Device) *testClient {
	te.t.Helper()
	c := te.dial(version)
	c.device = d
	c.write(wire.Login, `{"userId":"`+string(d.User)+`"}`)
	if version >= 3 {
		if w := c.readWelcome(); w.Code != chat.OK {
			te.t.Fatalf("the login of %s is answered with %+v", d, w)
		}
	}
	synctest.Wait()
	return c
}

// write writes a frame with the client's header.
func (c *testClient) write(command wire.Command, body string) {
	c.t.Helper()
	c.writeRaw(wire.AppendUp(nil, &wire.Up{
		Command: command, Version: c.version, ClientType: c.device.Client, App: c.device.App, IMEI: []byte(c.device.IMEI), Body: []byte(body),
	}))
}

func (c *testClient) writeRaw(b []byte) {
	c.t.Helper()
	_ = c.conn.SetWriteDeadline(time.Now().Add(time.Minute))
	if _, err := c.conn.Write(b); err != nil {
		c.t.Fatalf("write: %v", err)
	}
}

func (c *testClient) read() (wire.Down, error) {
	_ = c.conn.SetReadDeadline(time.Now().Add(time.Minute))
	return c.decoder.Decode()
}

// want reads a frame and compares it.
func (c *testClient) want(reason string, command wire.Command, payload string) {
	c.t.Helper()
	f, err := c.read()
	if err != nil {
		c.t.Fatalf("%s: read: %v; want %v %s", reason, err, command, payload)
	}
	if f.Command != command || string(f.Body) != payload {
		c.t.Fatalf("%s:\n got %v %s\nwant %v %s", reason, f.Command, f.Body, command, payload)
	}
}

func (c *testClient) readWelcome() wire.Welcome {
	c.t.Helper()
	f, err := c.read()
	if err != nil || f.Command != wire.LoginAck {
		c.t.Fatalf("read %v %s, %v; want an answer to the login", f.Command, f.Body, err)
	}
	w, err := wire.ParseWelcome(f.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return w
}

// wantCode reads a frame that must be an answer with a code; of a refused message it must name m1.
func (c *testClient) wantCode(reason string, command wire.Command, code chat.Code) {
	c.t.Helper()
	f, err := c.read()
	if err != nil {
		c.t.Fatalf("%s: read: %v; want %v with code %v", reason, err, command, code)
	}
	var got chat.Code
	switch f.Command { //nolint:exhaustive // those that have a code
	case wire.SendAck, wire.GroupSendAck, wire.RecallAck, wire.Watch, wire.Changes, wire.History, wire.Pull: // all begin alike
		a, err := wire.ParseAck(f.Body)
		if err != nil {
			c.t.Fatal(err)
		}
		got = a.Code
	case wire.LoginAck:
		w, err := wire.ParseWelcome(f.Body)
		if err != nil {
			c.t.Fatal(err)
		}
		got = w.Code
	case wire.Refuse:
		r, err := wire.ParseRefusal(f.Body)
		if err != nil {
			c.t.Fatal(err)
		}
		got = r.Code
	}
	if f.Command != command || got != code {
		c.t.Fatalf("%s: got %v %s; want %v with code %v", reason, f.Command, f.Body, command, code)
	}
}

// wantIdle checks that nothing comes, and that the connection is open.
func (c *testClient) wantIdle(reason string) {
	c.t.Helper()
	synctest.Wait()
	_ = c.conn.SetReadDeadline(time.Now().Add(time.Millisecond))
	f, err := c.decoder.Decode()
	if timeout, ok := errors.AsType[net.Error](err); !ok || !timeout.Timeout() {
		c.t.Fatalf("%s: got %v %s, %v; want silence", reason, f.Command, f.Body, err)
	}
}

// wantClosed checks that the connection ends without another frame.
func (c *testClient) wantClosed(reason string) {
	c.t.Helper()
	if f, err := c.read(); !errors.Is(err, io.EOF) {
		c.t.Fatalf("%s: got %v %s, %v; want the end", reason, f.Command, f.Body, err)
	}
}

// advance lets time pass.
func (te *testEdge) advance(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func TestConversation(t *testing.T) {
	converse(t, Config{Auth: AuthOptional}, func(te *testEdge) {
		alice := te.login(1, "alice")
		alice.wantIdle("a login of version 1 is not answered")
		alice.write(wire.Ping, "{}")
		alice.wantIdle("nor is its ping")

		bob := te.login(3, "bob")
		bob.write(wire.Ping, "")
		f, err := bob.read()
		if err != nil || f.Command != wire.Ping {
			t.Fatalf("the ping of version 3 is answered with %v, %v", f.Command, err)
		}

		alice.write(wire.Send, `{"messageId":"m1","toId":"bob","messageBody":"hi","fromId":"mallory","appId":7,"first":true}`)
		synctest.Wait()
		q := te.streams.takeRequests()
		if len(q) != 1 || q[0].Sender != alice.device || q[0].MessageID != "m1" || q[0].Body != "hi" || q[0].First ||
			q[0].Conversation != chat.PairOf(app, "alice", "bob") {
			t.Fatalf("submitted: %+v", q)
		}
		alice.wantIdle("who places a message answers it")

		te.Deliver(&chat.Push{Partition: 2, To: 7, Deliveries: []chat.Delivery{
			{Revision: 7, Command: int32(wire.SendAck), Payload: []byte(`{"code":200}`), Sessions: []chat.SessionID{1}},
			{Revision: 7, Command: int32(wire.Send), Payload: []byte(`{"messageId":"m1"}`), Sessions: []chat.SessionID{2, 99}},
		}})
		alice.want("the ack", wire.SendAck, `{"code":200}`)
		bob.want("the message", wire.Send, `{"messageId":"m1"}`)
		te.wantCounted("dropped_total", dropAbsent, 1)

		bob.write(wire.Receive, `{"toId":"alice","messageSequence":1,"messageKey":7168,"fromId":"mallory"}`)
		synctest.Wait()
		s := te.streams.takeSignals()
		if len(s) != 1 || s[0].From != bob.device || s[0].Seq != 1 || s[0].Place != 7168 || s[0].Kind != chat.Received ||
			s[0].Conversation != chat.PairOf(app, "alice", "bob") {
			t.Fatalf("signals: %+v", s)
		}

		bob.write(wire.Send, `{"messageId":"m2","toId":"alice","messageBody":"ho","first":true}`)
		synctest.Wait()
		if q := te.streams.takeRequests(); len(q) != 1 || !q[0].First {
			t.Fatalf("submitted: %+v; want the first attempt to be vouched for", q)
		}

		alice.write(wire.Logout, "")
		alice.wantClosed("logout")
	})
}
