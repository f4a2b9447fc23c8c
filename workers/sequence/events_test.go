package sequence_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/store"
	"github.com/whaleshark-im/whaleshark/sql/storetest"
	"github.com/whaleshark-im/whaleshark/streams"
	"github.com/whaleshark-im/whaleshark/streams/streamstest"
	"github.com/whaleshark-im/whaleshark/workers/sequence"
)

// heard collects events by aggregate, each number once.
type heard struct {
	mu     sync.Mutex
	orders map[string][]int64
	seen   map[int64]bool
}

func (h *heard) take(events []chat.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range events {
		if !h.seen[e.ID] {
			h.seen[e.ID] = true
			h.orders[e.Aggregate] = append(h.orders[e.Aggregate], e.ID)
		}
	}
}

func (h *heard) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.seen)
}

// consume hears events under a name, until the test ends; now and then it dies before it has said that it has them.
func consume(t *testing.T, c *streams.Conn, name string, dies bool) *heard {
	t.Helper()
	h := &heard{orders: make(map[string][]int64), seen: make(map[int64]bool)}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			_ = c.ConsumeEvents(ctx, name, func(_ context.Context, events []chat.Event) error {
				if dies && rand.N(3) == 0 {
					return errors.New("it dies")
				}
				h.take(events)
				return nil
			})
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
	return h
}

func tell(t *testing.T, s *store.Store, n int) map[string]int {
	t.Helper()
	counts := make(map[string]int)
	for range n {
		a := fmt.Sprint("user/", rand.N(5))
		counts[a]++
		if err := s.Tell(t.Context(), chat.Event{App: 1, Aggregate: a}); err != nil {
			t.Fatal(err)
		}
	}
	return counts
}

// wantEvents waits until all events were heard, and checks that those of each aggregate came in the order of their numbers.
func wantEvents(t *testing.T, h *heard, counts map[string]int) {
	t.Helper()
	n := 0
	for _, x := range counts {
		n += x
	}
	for limit := time.After(30 * time.Second); h.count() < n; {
		select {
		case <-limit:
			t.Fatalf("%d of %d events were heard within 30 s", h.count(), n)
		case <-time.After(10 * time.Millisecond):
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	got := make(map[string]int)
	for a, ids := range h.orders {
		got[a] = len(ids)
		for i := 1; i < len(ids); i++ {
			if ids[i] < ids[i-1] {
				t.Errorf("of %s event %d came after %d", a, ids[i], ids[i-1])
			}
		}
	}
	if diff := cmp.Diff(counts, got); diff != "" {
		t.Errorf("events by aggregate (-told +heard):\n%s", diff)
	}
}

func TestEventsAreRelayedInOrder(t *testing.T) {
	s, c := storetest.New(t), streamstest.Connect(t, streamstest.Server(t), streams.Layout{})
	all, dying := consume(t, c, "all", false), consume(t, c, "dying", true)
	start(t, sequence.Config{Conn: c, Database: s, Events: s})
	counts := tell(t, s, 200)
	c.Nudge()
	wantEvents(t, all, counts)
	wantEvents(t, dying, counts)
	left, err := s.Events(t.Context(), 10)
	if err != nil || len(left) != 0 {
		t.Errorf("%d events are left in the outbox, %v; want none", len(left), err)
	}
}

// TestARelayThatDiesTellsNothingTwiceOrNever lets the relay die between publishing and forgetting.
func TestARelayThatDiesTellsNothingTwiceOrNever(t *testing.T) {
	s, c := storetest.New(t), streamstest.Connect(t, streamstest.Server(t), streams.Layout{})
	h := consume(t, c, "all", false)
	flaky := &forgetful{Store: s}
	start(t, sequence.Config{Conn: c, Database: s, Events: flaky})
	wantEvents(t, h, tell(t, s, 100))
}

// forgetful is an outbox whose worker dies now and then before it has forgotten what was published: the next one publishes it again.
type forgetful struct{ *store.Store }

func (f *forgetful) ForgetEvents(ctx context.Context, ids []int64) error {
	if rand.N(2) == 0 {
		return errors.New("it dies")
	}
	return f.Store.ForgetEvents(ctx, ids)
}
