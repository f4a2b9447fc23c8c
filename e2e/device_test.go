package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/client"
	"github.com/whaleshark-im/whaleshark/streams"
	"github.com/whaleshark-im/whaleshark/wire"
)

// device is a client that behaves as a good one does: it sends again, with the same id, what had no ack or a retryable error, connects
// elsewhere when its edge is gone, drops what it has seen by its seq, and acknowledges what it gets.
type device struct {
	h         *house
	id        chat.Device
	transport string // tcp or ws
	version   int32
	log       func(format string, args ...any)

	mu         sync.Mutex
	c          *client.Client
	edge       chat.NodeID
	connecting chan struct{} // closed when somebody has finished connecting
	logins     int
	closed     bool

	seen     map[chat.Conversation][]chat.Seq // in the order of arrival
	twice    int                              // messages that arrived again
	sent     map[string]bool
	late     map[string]string // by message id: messages that came after a newer one
	receipts map[string]int    // 1107 by message id, relayed or in the receiver's stead
	served   map[string]int    // those in the receiver's stead
	repeated map[string]bool   // messages that this device sent again
	slowest  time.Duration     // from the first attempt to the ack
}

func (h *house) device(user chat.UserID, imei, transport string) *device {
	return &device{
		h: h, transport: transport, version: wire.Version3, log: h.t.Logf,
		id:       chat.Device{App: 10001, User: user, Client: chat.Web, IMEI: imei},
		seen:     make(map[chat.Conversation][]chat.Seq),
		receipts: make(map[string]int), served: make(map[string]int),
		late: make(map[string]string), sent: make(map[string]bool), repeated: make(map[string]bool),
	}
}

// addresses returns where edges are, the live ones alone.
func (h *house) addresses(transport string) []streams.Member {
	return slices.DeleteFunc(h.watch().Of(streams.RoleEdge), func(m streams.Member) bool { return !m.Active || m.Addrs[transport] == "" })
}

// connection returns a connection that is logged in, made if there is none.
func (d *device) connection(ctx context.Context) (*client.Client, error) {
	for {
		d.mu.Lock()
		if d.c != nil && d.c.Err() == nil {
			c := d.c
			d.mu.Unlock()
			return c, nil
		}
		if d.connecting == nil {
			d.connecting = make(chan struct{})
			d.mu.Unlock()
			c, edge, err := d.connect(ctx)
			d.mu.Lock()
			d.c, d.edge = c, edge
			close(d.connecting)
			d.connecting = nil
			if err == nil {
				d.logins++
				go d.comeBack(c) // ends with the connection
			}
			d.mu.Unlock()
			return c, err
		}
		wait := d.connecting
		d.mu.Unlock()
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// comeBack connects again when a connection has ended that nobody closed.
func (d *device) comeBack(c *client.Client) {
	<-c.Done()
	d.mu.Lock()
	closed := d.closed
	d.mu.Unlock()
	if !closed {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		_, _ = d.connection(ctx)
	}
}

// connect tries one edge after the other, from a random one on.
func (d *device) connect(ctx context.Context) (*client.Client, chat.NodeID, error) {
	for {
		edges := d.h.addresses(d.transport)
		rand.Shuffle(len(edges), func(i, j int) { edges[i], edges[j] = edges[j], edges[i] })
		for _, e := range edges {
			if c, err := d.login(ctx, e); err == nil {
				return c, e.Node, nil
			}
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return nil, "", fmt.Errorf("no edge takes %s: %w", d.id, ctx.Err())
		}
	}
}

func (d *device) login(ctx context.Context, e streams.Member) (*client.Client, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	c, err := client.Dial(ctx, client.Config{
		URL: clientURL(e, d.transport), Device: d.id, Version: d.version, Receipts: true,
		Handler: client.Handler{Message: d.message, Receipt: d.receipt},
	})
	if err != nil {
		return nil, err
	}
	if _, err := c.Login(ctx); err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

func (d *device) message(p wire.Placed) {
	c := chat.PairOf(d.id.App, p.From.User, p.To)
	d.mu.Lock()
	defer d.mu.Unlock()
	seen := d.seen[c]
	if slices.Contains(seen[max(0, len(seen)-2000):], p.Seq) {
		d.twice++
		return
	}
	if n := len(seen); n > 0 && p.Seq < seen[n-1] {
		d.late[p.MessageID] = fmt.Sprintf("%s: seq %d after %d", c, p.Seq, seen[n-1])
	}
	d.seen[c] = append(seen, p.Seq)
}

func (d *device) receipt(a wire.Arrived) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.receipts[a.MessageID]++
	if a.ServerSend {
		d.served[a.MessageID]++
	}
}

// ackPatience is how long a client waits for an ack before it sends again.
const ackPatience = 3 * time.Second

// say sends a message until it is acknowledged or finally refused.
func (d *device) say(ctx context.Context, to chat.UserID, id, body string) (wire.Ack, error) {
	started := time.Now()
	for attempt := 0; ; attempt++ {
		c, err := d.connection(ctx)
		if err != nil {
			return wire.Ack{}, err
		}
		if attempt > 0 {
			d.mu.Lock()
			d.repeated[id] = true
			d.mu.Unlock()
		}
		limited, cancel := context.WithTimeout(ctx, ackPatience)
		ack, err := c.Send(limited, wire.Message{MessageID: id, To: to, Body: body, First: d.first(id)})
		cancel()
		if err == nil {
			d.mu.Lock()
			d.slowest = max(d.slowest, time.Since(started))
			d.mu.Unlock()
			return ack, nil
		}
		if e, ok := errors.AsType[chat.Error](err); ok && !e.Code.Info().Retryable {
			return ack, err
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return ack, fmt.Errorf("%s: %w, and last %w", id, ctx.Err(), err)
		}
	}
}

// first reports whether a message was never sent before.
func (d *device) first(id string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	again := d.sent[id]
	d.sent[id] = true
	return !again
}

// talk sends n messages, some in flight at once, and returns the seqs they got by their ids.
func (d *device) talk(ctx context.Context, to chat.UserID, prefix string, n, inFlight int, pace time.Duration) (map[string]chat.Seq, error) {
	acks := make(map[string]chat.Seq, n)
	var mu sync.Mutex
	var first error
	var wg sync.WaitGroup
	slots := make(chan struct{}, inFlight)
	begin := time.Now()
	for i := range n {
		if wait := time.Until(begin.Add(time.Duration(i) * pace)); pace > 0 && wait > 0 {
			select {
			case <-time.After(wait):
			case <-ctx.Done():
			}
		}
		slots <- struct{}{}
		id := fmt.Sprintf("%s-%d", prefix, i)
		wg.Go(func() {
			defer func() { <-slots }()
			ack, err := d.say(ctx, to, id, "message "+id)
			mu.Lock()
			defer mu.Unlock()
			if err != nil && first == nil {
				first = err
			}
			acks[id] = ack.Seq
		})
	}
	wg.Wait()
	return acks, first
}

// close hangs up.
func (d *device) close() {
	d.mu.Lock()
	c := d.c
	d.c, d.closed = nil, true
	d.mu.Unlock()
	if c != nil {
		_ = c.Close()
	}
}

// sawAll checks that a device that was never cut off saw seqs 1 to n, each once and in order.
func (d *device) sawAll(tb testing.TB, c chat.Conversation, want []chat.Seq) {
	tb.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.late) > 0 {
		tb.Errorf("%s saw disorder: %v", d.id, d.late)
	}
	if got := d.seen[c]; !slices.Equal(got, want) {
		tb.Errorf("%s saw %d messages, want %d: first difference at %d", d.id, len(got), len(want), firstDifference(got, want))
	}
}

func firstDifference[T comparable](a, b []T) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return min(len(a), len(b))
}
