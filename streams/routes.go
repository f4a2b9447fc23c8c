package streams

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/whaleshark-im/whaleshark/chat"
)

// routeValue is what a route's key does not tell.
type routeValue struct {
	Client   chat.ClientType `json:"client"`
	IMEI     string          `json:"imei"`
	Protocol int32           `json:"protocol"`
	Epoch    chat.Epoch      `json:"epoch"`
	Since    int64           `json:"since"`
	Status   int32           `json:"status,omitempty"`
	Custom   string          `json:"custom,omitempty"`
}

// PutRoute writes a session's route, and returns once the broker has it.
func (c *Conn) PutRoute(ctx context.Context, r chat.Route) error {
	value, err := json.Marshal(routeValue{
		Client: r.Device.Client, IMEI: r.Device.IMEI, Protocol: r.Protocol, Epoch: r.Epoch, Since: r.Since, Status: r.Status, Custom: r.Custom,
	})
	if err != nil {
		return fmt.Errorf("write the route of %s: %w", r.Device, err)
	}
	if _, err := c.publishWait(ctx, &nats.Msg{Subject: routeSubject(r), Data: value}); err != nil {
		return fmt.Errorf("write the route of %s: %w", r.Device, err)
	}
	return nil
}

// markerTTL is how long the mark of a removed key stays for watchers to see.
const markerTTL = "10s"

func removal(subject string) *nats.Msg {
	m := &nats.Msg{Subject: subject, Header: nats.Header{}}
	m.Header.Set("KV-Operation", "PURGE")
	m.Header.Set(jetstream.MsgRollup, jetstream.MsgRollupSubject)
	m.Header.Set(jetstream.MsgTTLHeader, markerTTL)
	return m
}

// DropRoute removes a session's route.
func (c *Conn) DropRoute(ctx context.Context, r chat.Route) error {
	if _, err := c.publishWait(ctx, removal(routeSubject(r))); err != nil {
		return fmt.Errorf("remove the route of %s: %w", r.Device, err)
	}
	return nil
}

// Routes is every route, watched into memory.
type Routes struct {
	c *Conn
	r *Reader[routeChange]

	mu      sync.Mutex
	users   map[chat.UserKey][]chat.Route
	edges   map[chat.NodeID]int // how many routes each edge has
	applied progress            // the sequence up to which the bucket has been taken in
	fences  shared
}

type routeChange struct {
	seq    uint64
	route  chat.Route
	gone   bool
	voided bool // no route: the life's entry, or what cannot be read
}

// WatchRoutes watches the bucket until ctx ends. Seen is told, in the bucket's order, what each entry has changed: a session's route as it was
// and as it is, and nil where there is none; it may be nil itself. It is called once the change is in. WatchRoutes returns once all
// that was there is in.
func (c *Conn) WatchRoutes(ctx context.Context, seen func(was, is *chat.Route)) (*Routes, error) {
	w := &Routes{
		c:       c,
		users:   make(map[chat.UserKey][]chat.Route),
		edges:   make(map[chat.NodeID]int),
		applied: newProgress(),
	}
	var err error
	w.r, err = read(ctx, c, c.Generation(), streamRoute, "routes", readerInbox, jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{routePrefix + ">"}, DeliverPolicy: jetstream.DeliverLastPerSubjectPolicy,
	}, decodeRoute)
	if err != nil {
		return nil, err
	}
	go w.follow(ctx, seen) // ends with ctx
	if err := w.Fence(ctx); err != nil {
		return nil, err
	}
	return w, nil
}

func decodeRoute(m jetstream.Msg) (routeChange, bool) {
	meta, err := m.Metadata()
	if err != nil {
		return routeChange{}, false
	}
	ch := routeChange{seq: meta.Sequence.Stream}
	if ch.route, err = parseRouteSubject(m.Subject()); err != nil {
		ch.voided = true
		return ch, true
	}
	if ch.gone = removed(m.Headers()); ch.gone {
		return ch, true
	}
	var v routeValue
	if err := json.Unmarshal(m.Data(), &v); err != nil {
		ch.voided = true
		return ch, true
	}
	ch.route.Device.Client, ch.route.Device.IMEI = v.Client, v.IMEI
	ch.route.Protocol, ch.route.Epoch, ch.route.Since = v.Protocol, v.Epoch, v.Since
	ch.route.Status, ch.route.Custom = v.Status, v.Custom
	return ch, true
}

// removed reports whether an entry of a bucket says that its key is gone: removed, or expired.
func removed(h nats.Header) bool {
	return h.Get("KV-Operation") != "" || h.Get("Nats-Marker-Reason") != ""
}

func (w *Routes) follow(ctx context.Context, seen func(was, is *chat.Route)) {
	defer w.r.Close()
	for {
		select {
		case <-w.r.Ready():
		case <-ctx.Done():
			return
		}
		changes := w.r.Take(readerInbox)
		before := make([]*chat.Route, len(changes))
		w.mu.Lock()
		for i, ch := range changes {
			before[i] = w.apply(ch)
		}
		w.mu.Unlock()
		if n := len(changes); n > 0 {
			w.applied.advance(changes[n-1].seq)
		}
		if seen == nil {
			continue
		}
		for i := range changes {
			switch ch := &changes[i]; {
			case ch.voided:
			case !ch.gone:
				seen(before[i], &ch.route)
			case before[i] != nil:
				seen(before[i], nil)
			}
		}
	}
}

// apply takes a change in, and returns the session's route as it was; nil if there was none.
func (w *Routes) apply(ch routeChange) (was *chat.Route) {
	if ch.voided {
		return nil
	}
	r := ch.route
	key := chat.UserKey{App: r.Device.App, User: r.Device.User}
	routes := w.users[key]
	i := slices.IndexFunc(routes, func(o chat.Route) bool { return o.Edge == r.Edge && o.Session == r.Session })
	if i >= 0 {
		was = &routes[i] // of a slice that nobody changes: readers hold it, too
	}
	switch {
	case ch.gone && was != nil:
		routes = slices.Concat(routes[:i], routes[i+1:])
		if w.edges[r.Edge]--; w.edges[r.Edge] == 0 {
			delete(w.edges, r.Edge)
		}
	case ch.gone:
		return nil
	case was != nil: // what was written last stands last
		routes = append(slices.Concat(routes[:i], routes[i+1:]), r)
	default:
		routes = append(routes[:len(routes):len(routes)], r)
		w.edges[r.Edge]++
	}
	if len(routes) == 0 {
		delete(w.users, key)
	} else {
		w.users[key] = routes
	}
	return was
}

// Of returns a user's routes in the order in which they were written. The slice must not be changed.
func (w *Routes) Of(user chat.UserKey) []chat.Route {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.users[user]
}

// Edges returns the edges that have routes.
func (w *Routes) Edges() []chat.NodeID {
	w.mu.Lock()
	defer w.mu.Unlock()
	edges := make([]chat.NodeID, 0, len(w.edges))
	for e := range w.edges {
		edges = append(edges, e)
	}
	return edges
}

// OfEdge returns the routes of an edge.
func (w *Routes) OfEdge(edge chat.NodeID) []chat.Route {
	w.mu.Lock()
	defer w.mu.Unlock()
	var of []chat.Route
	for _, routes := range w.users {
		for _, r := range routes {
			if r.Edge == edge {
				of = append(of, r)
			}
		}
	}
	return of
}

// RemoveOf removes all routes of an edge that is dead.
func (w *Routes) RemoveOf(ctx context.Context, edge chat.NodeID) error {
	for _, r := range w.OfEdge(edge) {
		if err := w.c.DropRoute(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

// Fence returns once everything that was in the bucket when it was called has been taken in. Those who call it while a fence is under way
// share the next.
func (w *Routes) Fence(ctx context.Context) error {
	return w.fences.share(ctx, func() error { return w.c.fence(context.WithoutCancel(ctx), streamRoute, &w.applied) })
}

// progress is how far a watch has taken its bucket in, for those who wait for it.
type progress struct {
	mu    sync.Mutex
	seq   uint64
	moved chan struct{} // closed when seq grows
}

func newProgress() progress { return progress{moved: make(chan struct{})} }

func (p *progress) advance(seq uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seq = max(p.seq, seq)
	close(p.moved)
	p.moved = make(chan struct{})
}

func (p *progress) now() (uint64, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seq, p.moved
}

// fence waits until a watch has taken in all that its bucket holds now.
func (c *Conn) fence(ctx context.Context, stream string, watch *progress) error {
	ctx, cancel := context.WithTimeout(ctx, requestPatience)
	defer cancel()
	last, err := c.lastSequence(ctx, stream)
	if err != nil {
		return fmt.Errorf("fence %s: %w", stream, err)
	}
	for {
		applied, moved := watch.now()
		if applied >= last {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return fmt.Errorf("fence %s at %d of %d: %w", stream, applied, last, ctx.Err())
		}
	}
}

// lastSequence returns the sequence of a stream's last entry, from the leader. Asking for the entry is cheaper than asking for
// the stream's state; but a mark that has expired may have been the last, and then there is no such entry.
func (c *Conn) lastSequence(ctx context.Context, stream string) (uint64, error) {
	if stream == streamRoute && c.direct {
		if seq, ok := c.lastDirect(ctx, stream); ok {
			return seq, nil
		}
	}
	for range 3 {
		e, err := c.getMessage(ctx, stream, map[string]any{"last_by_subj": ">"})
		if err == nil {
			return e.Seq, nil
		}
		if !errors.Is(err, errNoEntry) {
			return 0, err
		}
		n, err := c.newestEntry(ctx, stream)
		if err == nil || !errors.Is(err, errNoEntry) {
			return n, err
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	return 0, errNoEntry
}

// lastDirect is lastSequence by a road that costs the broker a third; false if it does not lead there.
func (c *Conn) lastDirect(ctx context.Context, stream string) (uint64, bool) {
	m, err := c.nc.RequestWithContext(ctx, "$JS.API.DIRECT.GET."+stream, []byte(`{"last_by_subj":">"}`))
	if err != nil {
		return 0, false
	}
	seq, err := strconv.ParseUint(m.Header.Get(jetstream.SequenceHeader), 10, 64)
	return seq, err == nil
}

// newestEntry looks for the newest entry that is still there, which costs the broker a look at every subject.
func (c *Conn) newestEntry(ctx context.Context, stream string) (uint64, error) {
	e, err := c.getMessage(ctx, stream, map[string]any{"last_by_subj": "$KV.>"})
	if err != nil {
		return 0, err
	}
	return e.Seq, nil
}
