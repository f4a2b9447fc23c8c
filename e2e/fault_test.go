package e2e

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/streams"
	"github.com/whaleshark-im/whaleshark/wire"
)

// crowd is pairs of devices that talk while something dies. Each pair is a conversation of its own, so all partitions are busy.
type crowd struct {
	h       *house
	senders []*device
	readers []*device
	acks    map[string]chat.Seq
}

// pairs makes n pairs out of the users u1, u2, …, each with a device, and connects them all.
func (h *house) pairs(ctx context.Context, n int) *crowd {
	h.t.Helper()
	if err := h.store.SeedPairs(ctx, 10001, 2*n, func(int, int) {}); err != nil {
		h.t.Fatal(err)
	}
	c := &crowd{h: h, acks: make(map[string]chat.Seq)}
	for i := range n {
		transport := []string{"tcp", "ws"}[i%2]
		c.senders = append(c.senders, h.device(chat.UserID(fmt.Sprint("u", 2*i+1)), "s", transport))
		c.readers = append(c.readers, h.device(chat.UserID(fmt.Sprint("u", 2*i+2)), "r", transport))
	}
	for _, d := range slices.Concat(c.senders, c.readers) {
		if _, err := d.connection(ctx); err != nil {
			h.t.Fatal(err)
		}
		h.t.Cleanup(d.close)
	}
	return c
}

// talk lets every sender send n messages at a pace, and returns once all are acknowledged.
func (c *crowd) talk(ctx context.Context, prefix string, n, inFlight int, pace time.Duration) {
	c.h.t.Helper()
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i, d := range c.senders {
		wg.Go(func() {
			acks, err := d.talk(ctx, c.readers[i].id.User, fmt.Sprintf("%s-%d", prefix, i), n, inFlight, pace)
			mu.Lock()
			defer mu.Unlock()
			maps.Copy(c.acks, acks)
			if err != nil {
				c.h.t.Errorf("%s: %v", d.id, err)
			}
		})
	}
	wg.Wait()
}

// slowest returns how long a message took at most from its first attempt to its ack: the pause that a sender has felt.
func (c *crowd) slowest() time.Duration {
	var worst time.Duration
	for _, d := range c.senders {
		d.mu.Lock()
		worst = max(worst, d.slowest)
		d.slowest = 0
		d.mu.Unlock()
	}
	return worst
}

// delivered checks that the readers that were never cut off have seen every message once and in order; of those that were, that they
// saw nothing out of order.
func (c *crowd) delivered() {
	c.h.t.Helper()
	for i, d := range c.readers {
		conversation := chat.PairOf(10001, c.senders[i].id.User, d.id.User)
		n := 0
		for id := range c.acks {
			var pair, k int
			var prefix string
			if _, err := fmt.Sscanf(id, "%1s-%d-%d", &prefix, &pair, &k); err == nil && pair == i {
				n++
			}
		}
		d.mu.Lock()
		logins := d.logins
		d.mu.Unlock()
		if logins > 1 {
			c.inOrder(d, c.senders[i])
			continue
		}
		c.h.eventually(20*time.Second, fmt.Sprintf("%s has all messages", d.id), func() error {
			d.mu.Lock()
			defer d.mu.Unlock()
			if got := len(d.seen[conversation]); got < n {
				return fmt.Errorf("it has %d of %d", got, n)
			}
			return nil
		})
		d.sawAll(c.h.t, conversation, seqs(n))
	}
}

// inOrder checks that nothing came to a device after something newer, but for what its sender had sent again: a repeat is pushed once
// more, and one that the device had missed while it was cut off comes late.
func (c *crowd) inOrder(d, sender *device) {
	c.h.t.Helper()
	sender.mu.Lock()
	repeated := maps.Clone(sender.repeated)
	sender.mu.Unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	for id, what := range d.late {
		if !repeated[id] {
			c.h.t.Errorf("%s saw disorder: %s %s", d.id, id, what)
		}
	}
}

// promise prints a pause beside what is promised, and fails above three times that.
func promise(t *testing.T, what string, took, promised time.Duration) {
	t.Helper()
	t.Logf("%s: the longest pause was %v (promised: %v)", what, took.Round(time.Millisecond), promised)
	if took > 3*promised {
		t.Errorf("%s: the longest pause was %v, promised are %v", what, took, promised)
	}
}

const (
	faultPairs = 20
	faultEach  = 500 // messages a pair: 10,000 in all
	faultPace  = 16 * time.Millisecond
)

// TestKilledProcesses kills one process of each role in the middle of 10,000 messages: nothing is lost, doubled or out of order.
func TestKilledProcesses(t *testing.T) {
	h := open(t, streams.Layout{Partitions: 8})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	victims := make(map[streams.Role]*process)
	for i := range 3 {
		p := h.startEdge(fmt.Sprint("edge.", i))
		if i == 0 {
			victims[streams.RoleEdge] = p
		}
		for _, role := range []streams.Role{streams.RoleSequence, streams.RoleFanout, streams.RolePersist} {
			p := h.startWorker(role, i)
			if i == 0 {
				victims[role] = p
			}
		}
	}
	for _, role := range []streams.Role{streams.RoleEdge, streams.RoleSequence, streams.RoleFanout, streams.RolePersist} {
		h.ready(role, 3)
	}
	c := h.pairs(ctx, faultPairs)
	for i, role := range []streams.Role{streams.RoleSequence, streams.RoleFanout, streams.RolePersist, streams.RoleEdge} {
		t.Run("SIGKILL of a "+string(role), func(t *testing.T) {
			time.AfterFunc(faultEach*faultPace/3, victims[role].kill)
			c.talk(ctx, fmt.Sprint(i), faultEach, 8, faultPace)
			promise(t, "kill of a "+string(role), c.slowest(), 4*time.Second)
		})
	}
	h.holds(c.acks)
	c.delivered()
}

// TestWorkersComeAndGo lets workers of each role come and go in order, one to three and back to one: nobody waits longer than half a
// second.
func TestWorkersComeAndGo(t *testing.T) {
	h := open(t, streams.Layout{Partitions: 8})
	h.staff(2, 1, 1, 1)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c := h.pairs(ctx, faultPairs)
	for i, role := range []streams.Role{streams.RoleSequence, streams.RoleFanout, streams.RolePersist} {
		t.Run("1, 3, 1 of "+string(role), func(t *testing.T) {
			talked := make(chan struct{})
			go func() {
				defer close(talked)
				c.talk(ctx, fmt.Sprint(i), faultEach, 8, faultPace)
			}()
			first := h.processOf(role)
			second, third := h.startWorker(role, 1), h.startWorker(role, 2)
			h.ready(role, 3)
			first.stop()
			h.ready(role, 2)
			second.stop()
			h.ready(role, 1)
			<-talked
			_ = third
			promise(t, "1, 3, 1 of "+string(role), c.slowest(), 500*time.Millisecond)
		})
	}
	h.holds(c.acks)
	c.delivered()
}

// processOf returns the first process of a role that is alive.
func (h *house) processOf(role streams.Role) *process {
	h.t.Helper()
	for _, p := range h.processes {
		select {
		case <-p.done:
		default:
			if p.name == fmt.Sprint(role, ".0") {
				return p
			}
		}
	}
	h.t.Fatalf("no %s runs", role)
	return nil
}

// TestBrokerRestarts kills NATS in the middle of 10,000 messages and starts it again: what was acknowledged is there, once, and
// everything recovers by itself.
func TestBrokerRestarts(t *testing.T) {
	h := open(t, streams.Layout{Partitions: 8})
	h.staff(2, 2, 2, 2)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c := h.pairs(ctx, faultPairs)
	done := make(chan struct{})
	time.AfterFunc(faultEach*faultPace/3, func() {
		defer close(done)
		h.nats.kill()
		h.startNATS()
	})
	c.talk(ctx, "0", faultEach, 8, faultPace)
	<-done
	t.Logf("the longest pause was %v", c.slowest().Round(time.Millisecond))
	h.holds(c.acks)
	c.delivered()
}

// TestPostgresIsAway stops Postgres for 20 s: chats between known users go on, what nobody can vouch for gets a retryable error, nothing
// is placed twice, and the rows follow.
func TestPostgresIsAway(t *testing.T) {
	h := open(t, streams.Layout{Partitions: 4}, "WHALESHARK_ID_WINDOW=2s", "WHALESHARK_FACT_TTL=2s")
	h.staff(2, 2, 1, 1)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	alice, old := h.device("alice", "new", "tcp"), h.device("alice", "old", "ws")
	bob := h.device("bob", "b", "tcp")
	old.version = wire.Version1
	for _, d := range []*device{alice, old, bob} {
		if _, err := d.connection(ctx); err != nil {
			t.Fatal(err)
		}
		defer d.close()
	}
	acks := make(map[string]chat.Seq)
	say := func(d *device, to chat.UserID, id string) {
		t.Helper()
		ack, err := d.say(ctx, to, id, "body of "+id)
		if err != nil {
			t.Fatal(err)
		}
		if seq, again := acks[id]; again && seq != ack.Seq {
			t.Errorf("a repeat of %s got seq %d, and %d the first time", id, ack.Seq, seq)
		}
		acks[id] = ack.Seq
	}
	// once sends a single attempt, and returns what the server says of it.
	once := func(d *device, to chat.UserID, id string) (chat.Seq, error) {
		t.Helper()
		c, err := d.connection(ctx)
		if err != nil {
			t.Fatal(err)
		}
		limited, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		ack, err := c.Send(limited, wire.Message{MessageID: id, To: to, Body: "body of " + id})
		return ack.Seq, err
	}
	say(alice, "bob", "before")
	h.persisted()
	began := time.Now()
	for i := 0; time.Since(began) < 5*time.Second; i++ { // "before" leaves the window, and the filter of known ids is read
		say(alice, "bob", fmt.Sprint("warm-", i))
		say(old, "bob", fmt.Sprint("warm-old-", i))
	}
	h.postgres.stop()
	down := time.Now()
	worst := time.Duration(0)
	for i := 0; time.Since(down) < 20*time.Second; i++ {
		start := time.Now()
		say(alice, "bob", fmt.Sprint("during-", i))
		say(old, "bob", fmt.Sprint("during-old-", i))
		say(bob, "alice", fmt.Sprint("during-bob-", i))
		worst = max(worst, time.Since(start))
		if i == 50 {
			say(alice, "bob", "during-1") // a repeat from inside
			for _, unknown := range []struct {
				to chat.UserID
				id string
			}{{"bob", "before"}, {"lld", "cold"}} {
				seq, err := once(alice, unknown.to, unknown.id)
				if e, ok := errors.AsType[chat.Error](err); !ok || e.Code != chat.Unavailable {
					t.Errorf("%s to %s while Postgres is away: seq %d, %v; want %v", unknown.id, unknown.to, seq, err, chat.Unavailable)
				}
			}
		}
		pause(ctx, 10*time.Millisecond)
	}
	t.Logf("%d messages while Postgres was away; three of them took %v at most", len(acks), worst)
	h.startPostgres()
	say(alice, "bob", "before")
	say(alice, "lld", "cold")
	h.holds(acks)
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// TestTheLogIsFull fills the log up to its limit, as a disk that fills up does: messages get a retryable error at once, nothing that was
// acknowledged is lost, and when there is room again everything goes on.
func TestTheLogIsFull(t *testing.T) {
	h := open(t, streams.Layout{Partitions: 1, LogBytes: 2 << 20})
	h.staff(1, 1, 1, 1)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	alice, bob := h.device("alice", "a", "tcp"), h.device("bob", "b", "tcp")
	c, err := alice.connection(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer alice.close()
	if _, err := bob.connection(ctx); err != nil {
		t.Fatal(err)
	}
	defer bob.close()
	acks := make(map[string]chat.Seq)
	body := strings.Repeat("x", 30_000)
	refused, slowest := 0, time.Duration(0)
	for i := 0; refused < 20 && ctx.Err() == nil; i++ {
		id := fmt.Sprint("m", i)
		start := time.Now()
		limited, cancel := context.WithTimeout(ctx, ackPatience)
		ack, err := c.Send(limited, wire.Message{MessageID: id, To: "bob", Body: body})
		cancel()
		switch e, coded := errors.AsType[chat.Error](err); {
		case err == nil:
			acks[id] = ack.Seq
		case coded && e.Code == chat.Busy:
			refused++
			slowest = max(slowest, time.Since(start))
		case coded:
			t.Fatalf("%s: %v", id, err)
		}
	}
	t.Logf("%d messages were acknowledged before the log was full; %d were refused, after %v at most", len(acks), refused, slowest)
	if slowest > time.Second {
		t.Errorf("a refusal took %v", slowest)
	}
	h.logStream(func(js jetstream.JetStream, cfg jetstream.StreamConfig, _ jetstream.StreamState) error {
		cfg.MaxBytes = 64 << 20 // as an operator does who has made room
		_, err := js.UpdateStream(ctx, cfg)
		return err
	})
	ack, err := alice.say(ctx, "bob", "after", "there is room")
	if err != nil {
		t.Fatal(err)
	}
	acks["after"] = ack.Seq
	// A message that was under way when the log became full has no answer; sent again, it gets one.
	for i := range len(acks) + refused {
		id := fmt.Sprint("m", i)
		if ack, err = alice.say(ctx, "bob", id, body); err != nil {
			t.Fatal(err)
		}
		if seq, ok := acks[id]; ok && seq != ack.Seq {
			t.Errorf("%s was acknowledged as seq %d, and now as %d", id, seq, ack.Seq)
		}
		acks[id] = ack.Seq
	}
	h.holds(acks)
}
