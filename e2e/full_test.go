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

	"github.com/nats-io/nats.go/jetstream"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/client"
	"github.com/whaleshark-im/whaleshark/streams"
	"github.com/whaleshark-im/whaleshark/wire"
)

// pusher sends without waiting, and remembers what became of each message.
type pusher struct {
	c  *client.Client
	to chat.UserID

	mu      sync.Mutex
	open    map[string]time.Time // no answer yet
	acked   map[string]chat.Seq
	refused map[string]bool
	slowest time.Duration // until a refusal
	faults  []error
}

// pushFrom logs a user in on an edge.
func (h *house) pushFrom(edge streams.Member, user, to chat.UserID) *pusher {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), 5*time.Second)
	defer cancel()
	p := &pusher{to: to, open: make(map[string]time.Time), acked: make(map[string]chat.Seq), refused: make(map[string]bool)}
	var err error
	p.c, err = client.Dial(ctx, client.Config{
		URL: "tcp://" + edge.Addrs["tcp"], Device: chat.Device{App: 10001, User: user, Client: chat.Web, IMEI: "pusher"},
	})
	if err == nil {
		_, err = p.c.Login(ctx)
	}
	if err != nil {
		h.t.Fatalf("%s: %v", user, err)
	}
	h.t.Cleanup(func() { _ = p.c.Close() })
	return p
}

func (p *pusher) push(id, body string) {
	at := time.Now()
	p.mu.Lock()
	p.open[id] = at
	p.mu.Unlock()
	p.c.Start(wire.Message{MessageID: id, To: p.to, Body: body}, func(a wire.Ack, err error) {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.open, id)
		e, refused := errors.AsType[chat.Error](err)
		switch {
		case err == nil:
			p.acked[id] = a.Seq
		case refused && e.Code == chat.Busy:
			p.refused[id] = true
			p.slowest = max(p.slowest, time.Since(at))
		case !errors.Is(err, client.ErrClosed):
			p.faults = append(p.faults, fmt.Errorf("%s: %w", id, err))
		}
	})
}

// state counts: without an answer, acknowledged, refused.
func (p *pusher) state() (open, acked, refused int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.open), len(p.acked), len(p.refused)
}

// startEdgeWith starts an edge with further flags, and returns it when the others know of it.
func (h *house) startEdgeWith(name string, flags ...string) streams.Member {
	h.t.Helper()
	p := h.start(name, append([]string{"edge", "--tcp", "127.0.0.1:0", "--ws", "127.0.0.1:0", "--auth", "optional"}, flags...)...)
	var edge streams.Member
	h.eventually(20*time.Second, name+" is active", func() error {
		for _, m := range h.watch().Of(streams.RoleEdge) {
			if m.PID == p.cmd.Process.Pid && m.Active {
				edge = m
				return nil
			}
		}
		return errors.New("it is not")
	})
	return edge
}

// TestFullIngress pushes into an ingress of 1 MiB that nobody empties: what has no room is refused at once and the edge's memory stays
// as it is; when a sequencer comes, what was taken is placed, once, and what had waited for too long is not.
func TestFullIngress(t *testing.T) {
	h := open(t, streams.Layout{IngressBytes: 1 << 20}, "WHALESHARK_INGRESS_BYTES=1048576")
	edge := h.startEdgeWith("edge", "--request-timeout", "60s")
	impatient := h.startEdgeWith("edge.impatient", "--request-timeout", "2s")
	h.startWorker(streams.RoleFanout, 0)
	h.startWorker(streams.RolePersist, 0)
	h.ready(streams.RoleFanout, 1)
	h.ready(streams.RolePersist, 1)
	if err := h.store.SeedPairs(t.Context(), 10001, 10, nil); err != nil {
		t.Fatal(err)
	}
	body := strings.Repeat("x", 1000)

	late := h.pushFrom(impatient, "u9", "u10")
	for i := range 200 {
		late.push(fmt.Sprint("late-", i), body)
	}
	var pushers []*pusher
	for i := range 4 {
		pushers = append(pushers, h.pushFrom(edge, chat.UserID(fmt.Sprint("u", 2*i+1)), chat.UserID(fmt.Sprint("u", 2*i+2))))
	}
	h.collect(edge)
	before := h.metrics(edge).resident()
	h.pushAll(pushers, body, 5*time.Second)
	after := h.metrics(edge).resident()

	var taken, refused int
	var slowest time.Duration
	for _, p := range pushers {
		o, a, r := p.state()
		if a > 0 {
			t.Errorf("%d messages were acknowledged, and nobody had placed them", a)
		}
		taken, refused, slowest = taken+o, refused+r, max(slowest, p.slowest)
	}
	t.Logf("%d messages wait in the ingress, %d were refused, each within %v; the edge held %s before and %s after",
		taken, refused, slowest.Round(time.Millisecond), mib(before), mib(after))
	if refused == 0 || slowest > time.Second {
		t.Errorf("%d messages were refused, the slowest within %v, want some, within a second", refused, slowest)
	}
	if after > before+16<<20 {
		t.Errorf("the edge held %s before the pushing and %s after it", mib(before), mib(after))
	}
	h.recovers(pushers, late)
}

// pushAll lets all push, 250 messages a second each.
func (h *house) pushAll(pushers []*pusher, body string, phase time.Duration) {
	h.t.Helper()
	const pace = 4 * time.Millisecond
	var wg sync.WaitGroup
	for i, p := range pushers {
		wg.Go(func() {
			tick := time.NewTicker(pace)
			defer tick.Stop()
			for k := range int(phase / pace) {
				<-tick.C
				p.push(fmt.Sprintf("push-%d-%d", i, k), body)
			}
		})
	}
	wg.Wait()
	h.eventually(5*time.Second, "the newest message has its refusal", func() error {
		last := fmt.Sprintf("push-0-%d", int(phase/pace)-1)
		pushers[0].mu.Lock()
		defer pushers[0].mu.Unlock()
		if !pushers[0].refused[last] {
			return errors.New("it has not")
		}
		return nil
	})
}

// recovers starts a sequencer and checks what becomes of those that were taken, and of those that came too late.
func (h *house) recovers(pushers []*pusher, late *pusher) {
	t := h.t
	t.Helper()
	started := time.Now()
	h.startWorker(streams.RoleSequence, 0)
	acks := make(map[string]chat.Seq)
	for _, p := range pushers {
		h.eventually(20*time.Second, "all that were taken have their ack", func() error {
			if n, _, _ := p.state(); n > 0 {
				return fmt.Errorf("%d messages to %s have not", n, p.to)
			}
			return nil
		})
		p.mu.Lock()
		for id, seq := range p.acked {
			acks[id] = seq
		}
		if len(p.faults) > 0 {
			t.Errorf("%d messages to %s were answered strangely, the first: %v", len(p.faults), p.to, p.faults[0])
		}
		p.mu.Unlock()
	}
	t.Logf("all %d that were taken were acknowledged within %v of a sequencer's start", len(acks), time.Since(started).Round(time.Millisecond))

	h.eventually(10*time.Second, "there is room again", func() error {
		late.mu.Lock()
		delete(late.refused, "fresh") // of the attempt before
		late.mu.Unlock()
		late.push("fresh", "in time")
		var err error
		h.eventually(5*time.Second, "an answer", func() error {
			late.mu.Lock()
			defer late.mu.Unlock()
			if _, open := late.open["fresh"]; open {
				return errors.New("none")
			}
			if late.refused["fresh"] {
				err = errors.New("it was refused")
			}
			return nil
		})
		return err
	})
	open, acked, _ := late.state()
	if open != 200 || acked != 1 {
		t.Errorf("of 200 messages that were too old %d have no ack, and %d others have one; want 200 and 1", open, acked)
	}
	acks["fresh"] = late.acked["fresh"]
	h.holds(acks)

	// The clients do what clients do: they send again what has no ack.
	again := h.device("u9", "again", "tcp")
	defer again.close()
	for i := range 200 {
		id := fmt.Sprint("late-", i)
		ack, err := again.say(t.Context(), "u10", id, strings.Repeat("x", 1000))
		if err != nil {
			t.Fatal(err)
		}
		acks[id] = ack.Seq
	}
	h.holds(acks)
}

// TestBacklogOfLargeMessages lets large messages pile up before a fan-out comes: together they are far more than the broker takes in one
// piece, and they are delivered all the same, in order.
func TestBacklogOfLargeMessages(t *testing.T) {
	const n = 80
	h := open(t, streams.Layout{Partitions: 1})
	// All of it may wait for the client: here it is the pushes that are tried, not the client's speed.
	edge := h.startEdgeWith("edge", "--queue-bytes", "16777216")
	h.startWorker(streams.RoleSequence, 0)
	h.startWorker(streams.RolePersist, 0)
	h.ready(streams.RoleSequence, 1)
	bob := h.device("bob", "b", "ws")
	if _, err := bob.connection(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer bob.close()
	alice := h.pushFrom(edge, "alice", "bob")
	// Each of these bytes is six in JSON.
	body := strings.Repeat("\x01", 10_000)
	for i := range n {
		alice.push(fmt.Sprint("large-", i), body)
	}
	h.eventually(20*time.Second, "all messages are in the log", func() error {
		var bytes uint64
		h.logStream(func(_ jetstream.JetStream, _ jetstream.StreamConfig, s jetstream.StreamState) error {
			bytes = s.Bytes
			return nil
		})
		if bytes < n*10_000 {
			return fmt.Errorf("%d bytes are", bytes)
		}
		return nil
	})
	h.startWorker(streams.RoleFanout, 0)
	h.eventually(20*time.Second, "all messages arrive", func() error {
		if open, acked, _ := alice.state(); acked < n {
			return fmt.Errorf("%d have no ack", open)
		}
		bob.mu.Lock()
		defer bob.mu.Unlock()
		if got := len(bob.seen[chat.PairOf(10001, "alice", "bob")]); got < n {
			return fmt.Errorf("bob has %d", got)
		}
		return nil
	})
	bob.sawAll(t, chat.PairOf(10001, "alice", "bob"), seqs(n))
	h.holds(alice.acked)
	var all []chat.Seq
	for _, seq := range alice.acked {
		all = append(all, seq)
	}
	if slices.Sort(all); !slices.Equal(all, seqs(n)) {
		t.Errorf("the acks have seqs %v", all)
	}
}
