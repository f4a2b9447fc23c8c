package streams_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/streams"
	"github.com/whaleshark-im/whaleshark/streams/streamstest"
)

// eventually tries until it works.
func eventually(t *testing.T, what string, try func() error) {
	t.Helper()
	const patience = 15 * time.Second
	deadline := time.Now().Add(patience)
	for {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: after %v: %v", what, patience, err)
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		}
	}
}

type lives struct{ Ingress, Push, Route, Members chat.Life }

// generation returns the lives of a connection's present generation.
func generation(t *testing.T, c *streams.Conn) lives {
	t.Helper()
	got := make(chan lives, 1)
	ctx, cancel := context.WithCancel(t.Context())
	c.Run(ctx, "test", func(_ context.Context, g *streams.Generation) error {
		got <- lives{g.Ingress, g.Push, g.Route, g.Members}
		cancel()
		return nil
	})
	return <-got
}

func appendBlock(t *testing.T, c *streams.Conn, p chat.Partition, data string, prev chat.Revision) (chat.Revision, error) {
	t.Helper()
	type result struct {
		rev chat.Revision
		err error
	}
	done := make(chan result, 1)
	c.Append(p, []byte(data), prev, func(rev chat.Revision, err error) { done <- result{rev, err} })
	r := <-done
	return r.rev, r.err
}

func TestOnlyOneBlockFollowsARevision(t *testing.T) {
	c := streamstest.Connect(t, streamstest.Server(t), streams.Layout{})
	first, err := appendBlock(t, c, 1, "a", 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := appendBlock(t, c, 1, "b", 0); !errors.Is(err, streams.ErrConflict) {
		t.Errorf("a second block after nothing: %v, want %v", err, streams.ErrConflict)
	}
	if _, err := appendBlock(t, c, 2, "c", 0); err != nil {
		t.Errorf("another partition is disturbed: %v", err)
	}
	second, err := appendBlock(t, c, 1, "d", first)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	tail, err := c.ReadLog(t.Context(), 1, 0, func(e streams.RawEntry) error {
		got = append(got, fmt.Sprint(e.Partition, string(e.Data)))
		return nil
	})
	if err != nil || tail != second || !slices.Equal(got, []string{"1a", "1d"}) {
		t.Errorf("the log of partition 1 is %v up to %d, %v; want a and d up to %d", got, tail, err, second)
	}
}

func TestTheKVAPIWorksOnTheLog(t *testing.T) {
	s := streamstest.Server(t)
	c := streamstest.Connect(t, s, streams.Layout{})
	if _, err := appendBlock(t, c, 3, "a", 0); err != nil {
		t.Fatal(err)
	}
	kv, err := c.KeyValue(t.Context(), "LOG")
	if err != nil {
		t.Fatal(err)
	}
	e, err := kv.Get(t.Context(), "3")
	if err != nil || string(e.Value()) != "a" {
		t.Fatalf("key 3 is %v, %v; want a", e, err)
	}
	if _, err := kv.Update(t.Context(), "3", []byte("b"), e.Revision()); err != nil {
		t.Fatal(err)
	}
	history, err := kv.History(t.Context(), "3")
	if err != nil || len(history) != 2 {
		t.Errorf("key 3 has %d revisions, %v; want 2", len(history), err)
	}
}

// TestMemoryStreamsBeginANewLife restarts the broker: the log is there again, the memory streams have new lives, and whoever runs in
// a generation is told.
func TestMemoryStreamsBeginANewLife(t *testing.T) {
	s := streamstest.Server(t)
	c := streamstest.Connect(t, s, streams.Layout{Partitions: 7})
	old := generation(t, c)
	if _, err := appendBlock(t, c, 1, "a", 0); err != nil {
		t.Fatal(err)
	}
	s = streamstest.Restart(t, s)
	c2 := streamstest.Connect(t, s, streams.Layout{Partitions: 3})
	now := generation(t, c2)
	if now.Ingress == old.Ingress || now.Push == old.Push || now.Route == old.Route || now.Members == old.Members {
		t.Errorf("lives are %+v, and were %+v before the restart", now, old)
	}
	if got := generation(t, streamstest.Connect(t, s, streams.Layout{})); got != now {
		t.Errorf("another process sees the lives %+v, want %+v", got, now)
	}
	if tail, err := c2.Tail(t.Context(), 1); err != nil || tail == 0 {
		t.Errorf("the log's tail is %d, %v", tail, err)
	}
	if c2.Partitions() != 7 {
		t.Errorf("the log has %d partitions, want the 7 that it was created with", c2.Partitions())
	}
}

func request(id string) *chat.Request {
	return &chat.Request{
		Kind:         chat.AskMessage,
		Conversation: chat.PairOf(1, "a", "b"), Sender: chat.Device{App: 1, User: "a"}, MessageID: id, Body: string(make([]byte, 1000)),
		Deadline: time.Now().Add(time.Minute),
	}
}

func submit(c *streams.Conn, id string) error {
	done := make(chan error, 1)
	c.Submit(request(id), func(err error) { done <- err })
	return <-done
}

// TestAFullIngressRefusesAtOnce fills the ingress, and checks that a purge makes room and keeps the life.
func TestAFullIngressRefusesAtOnce(t *testing.T) {
	c := streamstest.Connect(t, streamstest.Server(t), streams.Layout{IngressBytes: 64 << 10})
	g := generation(t, c)
	accepted := 0
	var err error
	for err == nil && accepted < 1000 {
		if err = submit(c, fmt.Sprint(accepted)); err == nil {
			accepted++
		}
	}
	if e, ok := errors.AsType[chat.Error](err); !ok || e.Code != chat.Busy {
		t.Fatalf("the full ingress says %v, want %v", err, chat.Busy)
	}
	p := request("").Conversation.Partition(c.Partitions())
	r, err := c.ReadIngress(t.Context(), c.Generation(), p, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var read []streams.Offered
	for len(read) < accepted {
		<-r.Ready()
		read = append(read, r.Take(1000)...)
	}
	if err := c.PurgeIngress(t.Context(), g.Ingress, read[len(read)-1].Position); err != nil {
		t.Fatal(err)
	}
	if err := submit(c, "after"); err != nil {
		t.Errorf("after the purge: %v", err)
	}
	if err := c.PurgeIngress(t.Context(), g.Ingress, read[len(read)-1].Position+1); err != nil {
		t.Errorf("a purge of an ingress that is not full: %v", err)
	}
	if got := generation(t, c); got != g {
		t.Errorf("the life is %v, want %v: the purge took it", got.Ingress, g.Ingress)
	}
	if err := c.PurgeIngress(t.Context(), g.Ingress+1, 1); err == nil {
		t.Error("a purge up to a position of another life was carried out")
	}
}

func TestAFenceSeesEveryRouteBeforeIt(t *testing.T) {
	c := streamstest.Connect(t, streamstest.Server(t), streams.Layout{})
	var mu sync.Mutex
	came, changed, went := 0, 0, 0
	routes, err := c.WatchRoutes(t.Context(), func(was, is *chat.Route) {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case was == nil:
			came++
		case is == nil:
			went++
		case was.Session == is.Session && was.Status == 0 && is.Status == 2 && is.Custom == "é":
			changed++
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	user := chat.UserKey{App: 1, User: "a.b*c>d e/=ü"}
	for i := range chat.SessionID(50) {
		r := chat.Route{
			Device: chat.Device{App: 1, User: user.User, Client: chat.IOS, IMEI: fmt.Sprint(i)}, Edge: "e1", Session: i,
			Protocol: 3, Epoch: chat.Epoch(i + 10), Since: 5,
		}
		if err := c.PutRoute(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		if err := routes.Fence(t.Context()); err != nil {
			t.Fatal(err)
		}
		of := routes.Of(user)
		if len(of) != int(i)+1 || of[i] != r {
			t.Fatalf("after route %d the user has %d routes, the last %+v, want %+v", i, len(of), of[len(of)-1], r)
		}
	}
	said := routes.Of(user)[7]
	said.Status, said.Custom = 2, "é"
	if err := errors.Join(c.PutRoute(t.Context(), said), routes.Fence(t.Context())); err != nil {
		t.Fatal(err)
	}
	if of := routes.Of(user); len(of) != 50 || of[49] != said {
		t.Errorf("after a session has said something of itself the user has %d routes, the last %+v, want %+v", len(of), of[len(of)-1], said)
	}
	if err := routes.RemoveOf(t.Context(), "e1"); err != nil {
		t.Fatal(err)
	}
	if err := routes.Fence(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left := routes.OfEdge("e1"); len(left) != 0 {
		t.Errorf("%d routes are left", len(left))
	}
	eventually(t, "all changes are told", func() error {
		mu.Lock()
		defer mu.Unlock()
		if came != 50 || changed != 1 || went != 50 {
			return fmt.Errorf("%d routes came, %d changed, %d went; want 50, 1, 50", came, changed, went)
		}
		return nil
	})
}

// worker serves a role in which owning a partition means to beat and to note it.
type worker struct {
	node   chat.NodeID
	cancel context.CancelFunc
	done   chan struct{}

	mu    sync.Mutex
	owned map[chat.Partition]bool
	hang  chat.Partition // does not beat; -1: none
}

func startWorker(t *testing.T, c *streams.Conn) *worker {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	w := &worker{node: streams.NewNode(), cancel: cancel, done: make(chan struct{}), owned: make(map[chat.Partition]bool), hang: -1}
	t.Cleanup(func() { cancel(); <-w.done })
	go func() {
		defer close(w.done)
		c.Work(ctx, streams.RolePersist, func(context.Context, *streams.Generation, *streams.Members) (streams.Duty, error) {
			return streams.Duty{Node: w.node, Log: slog.New(slog.DiscardHandler), Own: w.own}, nil
		})
	}()
	return w
}

func (w *worker) own(ctx context.Context, p chat.Partition, post *streams.Post) error {
	w.set(p, true)
	defer w.set(p, false)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			w.mu.Lock()
			hang := w.hang == p
			w.mu.Unlock()
			if !hang {
				post.Beat()
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (w *worker) set(p chat.Partition, owned bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.owned[p] = owned
}

func (w *worker) owns() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, owned := range w.owned {
		if owned {
			n++
		}
	}
	return n
}

// TestWorkersShareThePartitions starts one worker, then another, then stops the first in order, and then lets a loop hang.
func TestWorkersShareThePartitions(t *testing.T) {
	c := streamstest.Connect(t, streamstest.Server(t), streams.Layout{Partitions: 16})
	all := func(ws ...*worker) func() error {
		return func() error {
			sum, least := 0, 16
			for _, w := range ws {
				sum += w.owns()
				least = min(least, w.owns())
			}
			if sum != 16 || least == 0 {
				return fmt.Errorf("%d partitions are owned, at least %d each", sum, least)
			}
			return nil
		}
	}
	a := startWorker(t, c)
	started := time.Now()
	eventually(t, "the first owns all", all(a))
	if took := time.Since(started); took > time.Second {
		t.Errorf("a lone worker waited %v before it took its share", took)
	}
	b := startWorker(t, c)
	eventually(t, "two share", all(a, b))
	stopped := time.Now()
	a.cancel()
	<-a.done
	eventually(t, "the second owns all", all(b))
	if took := time.Since(stopped); took > 1500*time.Millisecond {
		t.Errorf("a hand-over in order took %v, promised are 0.5 s", took)
	} else {
		t.Logf("hand-over in order: %v", took)
	}
	d := startWorker(t, c)
	eventually(t, "two share again", all(b, d))
	d.mu.Lock()
	for p, owned := range d.owned {
		if owned {
			d.hang = p
		}
	}
	hanging := d.hang
	d.mu.Unlock()
	eventually(t, "the other takes over what hangs", func() error {
		b.mu.Lock()
		defer b.mu.Unlock()
		if !b.owned[hanging] {
			return fmt.Errorf("partition %d still hangs", hanging)
		}
		return nil
	})
}

// TestAPanicEndsOneTurn lets the loop of one partition panic twice: it is begun again, and the other partitions go on.
func TestAPanicEndsOneTurn(t *testing.T) {
	c := streamstest.Connect(t, streamstest.Server(t), streams.Layout{Partitions: 2})
	var panics, turns, others atomic.Int32
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	t.Cleanup(func() { cancel(); <-done })
	own := func(ctx context.Context, p chat.Partition, _ *streams.Post) error {
		if p == 0 && turns.Add(1) <= 2 {
			panic("of a test")
		}
		others.Add(int32(p))
		<-ctx.Done()
		return ctx.Err()
	}
	go func() { // the cleanup ends it
		defer close(done)
		c.Work(ctx, streams.RolePersist, func(context.Context, *streams.Generation, *streams.Members) (streams.Duty, error) {
			return streams.Duty{
				Node: streams.NewNode(), Log: slog.New(slog.DiscardHandler), Own: own, Panicked: func() { panics.Add(1) },
			}, nil
		})
	}()
	eventually(t, "the third turn", func() error {
		if turns.Load() < 3 {
			return fmt.Errorf("%d turns", turns.Load())
		}
		return nil
	})
	if panics.Load() != 2 || others.Load() != 1 {
		t.Errorf("%d panics were told, and the other partition was begun %d times; want 2 and 1", panics.Load(), others.Load())
	}
}

// patron is an edge without clients.
type patron struct {
	mu     sync.Mutex
	vector map[chat.Partition]chat.Revision
	pushes []chat.Push
	routes []chat.Route
	asked  func() // is called before the routes are told, under the lock; may be nil
}

func (p *patron) Deliver(x *chat.Push) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pushes = append(p.pushes, *x)
	p.vector[x.Partition] = max(p.vector[x.Partition], x.To)
}

func (p *patron) Vector() map[chat.Partition]chat.Revision {
	p.mu.Lock()
	defer p.mu.Unlock()
	v := make(map[chat.Partition]chat.Revision)
	for k, r := range p.vector {
		v[k] = r
	}
	return v
}

func (p *patron) SetVector(v map[chat.Partition]chat.Revision) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.vector = v
}

func (p *patron) RouteSeen(_, _ *chat.Route) {}

func (p *patron) RoutesRead() {}

func (p *patron) Routes() []chat.Route {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.asked != nil {
		p.asked()
	}
	return slices.Clone(p.routes)
}

// TestRoutesThatChangeWhileTheyAreWritten begins a station whose sessions go and say something of themselves just then.
func TestRoutesThatChangeWhileTheyAreWritten(t *testing.T) {
	c := streamstest.Connect(t, streamstest.Server(t), streams.Layout{})
	routes, err := c.WatchRoutes(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	node, a := streams.NewNode(), chat.Device{App: 1, User: "a"}
	e := &patron{routes: []chat.Route{{Device: a, Edge: node, Session: 1}, {Device: a, Edge: node, Session: 2}}}
	n := 0
	e.asked = func() {
		if n++; n == 2 { // the first time they are about to be written
			e.routes = []chat.Route{{Device: a, Edge: node, Session: 2, Status: 3, Custom: "new"}}
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	station := c.NewStation(node, nil)
	ended := make(chan error, 1)
	go func() { ended <- station.Serve(ctx, e) }()
	eventually(t, "the routes are those of the sessions", func() error {
		of := routes.Of(chat.UserKey{App: 1, User: "a"})
		if !station.Announced() || len(of) != 1 || of[0] != e.routes[0] {
			return fmt.Errorf("announced: %t; the routes are %+v", station.Announced(), of)
		}
		return nil
	})
	if got := station.RoutesOf(chat.UserKey{App: 1, User: "a"}); station.Dead(node) || len(got) != 1 {
		t.Errorf("the station takes itself for dead: %t; it knows the routes %+v", station.Dead(node), got)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestAnEdgeIsDeadWhenTheOthersSaySo removes an edge's key, as the broker does when it expires.
func TestAnEdgeIsDeadWhenTheOthersSaySo(t *testing.T) {
	c := streamstest.Connect(t, streamstest.Server(t), streams.Layout{})
	members, err := c.WatchMembers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	node := streams.NewNode()
	station := c.NewStation(node, map[string]string{"tcp": "127.0.0.1:1"})
	e := &patron{routes: []chat.Route{{Device: chat.Device{App: 1, User: "a"}, Edge: node, Session: 1}}}
	ended := make(chan error, 1)
	go func() { ended <- station.Serve(context.Background(), e) }()
	eventually(t, "the edge is announced", func() error {
		if len(members.Of(streams.RoleEdge)) != 1 {
			return errors.New("it is not")
		}
		return nil
	})
	pushed := make(chan error, 1)
	c.Push(node, &chat.Push{Partition: 2, To: 9}, func(err error) { pushed <- err })
	if err := <-pushed; err != nil {
		t.Fatal(err)
	}
	eventually(t, "the push arrives and is told", func() error {
		if n := members.Highest(streams.RoleEdge, 2); n != 9 {
			return fmt.Errorf("the edge's number is %d", n)
		}
		return nil
	})
	kv, err := c.KeyValue(t.Context(), "MEMBERS")
	if err != nil {
		t.Fatal(err)
	}
	if err := kv.Purge(t.Context(), "edge."+string(node)); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if !errors.Is(err, streams.ErrDeclaredDead) {
			t.Errorf("the station ended with %v, want %v", err, streams.ErrDeclaredDead)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the edge has not noticed after 10 s")
	}
	if !members.Dead(node) {
		t.Error("the others do not take it for dead")
	}
}

// TestAKilledEdgeIsDead cuts an edge off, as a kill does: its key expires, and the others see it and its routes as gone.
func TestAKilledEdgeIsDead(t *testing.T) {
	server := streamstest.Server(t)
	c, doomed := streamstest.Connect(t, server, streams.Layout{}), streamstest.Connect(t, server, streams.Layout{})
	members, err := c.WatchMembers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	startWorker(t, c) // somebody goes on, and with him the clock by which members are judged
	node := streams.NewNode()
	e := &patron{routes: []chat.Route{{Device: chat.Device{App: 1, User: "a"}, Edge: node, Session: 1}}}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = doomed.NewStation(node, nil).Serve(ctx, e)
	}()
	eventually(t, "the edge is announced", func() error {
		if len(members.Of(streams.RoleEdge)) != 1 {
			return errors.New("it is not")
		}
		return nil
	})
	if members.Dead(node) {
		t.Error("an edge that is there is taken for dead")
	}
	doomed.NATS().Close()
	cut := time.Now()
	eventually(t, "the edge is dead", func() error {
		if !members.Dead(node) || len(members.Of(streams.RoleEdge)) != 0 {
			return errors.New("it is not")
		}
		return nil
	})
	t.Logf("dead after %v", time.Since(cut).Round(time.Millisecond))
	cancel()
	<-ended
}

// TestAnEdgeThatNobodyKnowsDiesToo asks about an edge that has routes and was never heard of.
func TestAnEdgeThatNobodyKnowsDiesToo(t *testing.T) {
	c := streamstest.Connect(t, streamstest.Server(t), streams.Layout{})
	members, err := c.WatchMembers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	startWorker(t, c)
	if members.Dead("unknown") {
		t.Error("an edge whose first word may be on its way is taken for dead")
	}
	eventually(t, "the unknown edge is dead", func() error {
		if !members.Dead("unknown") {
			return errors.New("it is not")
		}
		return nil
	})
}

// TestALogOfAnotherPartitioningIsRefused connects to a log that was written by a version that shared conversations out in another way.
func TestALogOfAnotherPartitioningIsRefused(t *testing.T) {
	s := streamstest.Server(t)
	c := streamstest.Connect(t, s, streams.Layout{})
	js, err := jetstream.New(c.NATS())
	if err != nil {
		t.Fatal(err)
	}
	log, err := js.Stream(t.Context(), "KV_LOG")
	if err != nil {
		t.Fatal(err)
	}
	cfg := log.CachedInfo().Config
	delete(cfg.Metadata, "whaleshark-partitioning")
	if _, err := js.UpdateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	_, err = streams.Connect(t.Context(), streams.Config{InProcess: s, Name: "test", Log: slog.New(slog.DiscardHandler)})
	if err == nil || !strings.Contains(err.Error(), "fnv1a32") {
		t.Errorf("the log is taken: %v", err)
	}
}

// TestPushesThatWereReadAreForgotten lets an edge read its pushes, and looks at what is left in the stream: those of another edge.
func TestPushesThatWereReadAreForgotten(t *testing.T) {
	const pushes = 50
	c := streamstest.Connect(t, streamstest.Server(t), streams.Layout{})
	e := &patron{}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- c.NewStation("reads", nil).Serve(ctx, e) }()
	done := make(chan error, 2*pushes)
	for i := range pushes {
		for _, edge := range []chat.NodeID{"reads", "away"} {
			c.Push(edge, &chat.Push{To: chat.Revision(i + 1)}, func(err error) { done <- err })
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		}
	}
	left := func(edge string) int {
		js, err := jetstream.New(c.NATS())
		if err != nil {
			t.Fatal(err)
		}
		s, err := js.Stream(t.Context(), "PUSH")
		if err != nil {
			t.Fatal(err)
		}
		info, err := s.Info(t.Context(), jetstream.WithSubjectFilter("push."+edge))
		if err != nil {
			t.Fatal(err)
		}
		return int(info.State.Subjects["push."+edge])
	}
	eventually(t, "what was read is forgotten", func() error {
		if n := left("reads"); n > 5 { // its newest ticks
			return fmt.Errorf("%d entries are left", n)
		}
		return nil
	})
	if n := left("away"); n != pushes {
		t.Errorf("%d of the %d pushes of another edge are left", n, pushes)
	}
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
}
