package sequence

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/whaleshark-im/whaleshark/chat"
)

// EventOutbox is where Postgres keeps events until the stream has them.
type EventOutbox interface {
	Events(ctx context.Context, limit int) ([]chat.Event, error) // the oldest first
	ForgetEvents(ctx context.Context, ids []int64) error
}

const (
	eventsEvery  = 50 * time.Millisecond
	eventsAtOnce = 500
)

// eventRelay puts events from the outbox into their stream: each at least once, and those of one aggregate in their order. Of an aggregate one
// is on its way at a time; what could not be published stops its aggregate until the next turn, and no other.
type eventRelay struct {
	outbox   EventOutbox
	publish  func(ctx context.Context, e *chat.Event) error
	patience time.Duration // of a question to Postgres
	nudges   <-chan struct{}
	log      *slog.Logger
}

// run relays until ctx ends.
func (r *eventRelay) run(ctx context.Context) {
	failing := false
	for wait := eventsEvery; ctx.Err() == nil; {
		n, err := r.turn(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			wait, failing = eventsEvery, false
		default:
			if !failing {
				r.log.WarnContext(ctx, "events wait in the outbox", "cause", err)
			}
			wait, failing = min(2*wait, relayBackOff), true
		}
		if n == eventsAtOnce && err == nil {
			continue
		}
		select {
		case <-r.nudges:
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
}

// turn publishes the oldest events, and forgets those that the stream has. It returns how many there were.
func (r *eventRelay) turn(ctx context.Context) (int, error) {
	limited, cancel := context.WithTimeout(ctx, r.patience)
	defer cancel()
	events, err := r.outbox.Events(limited, eventsAtOnce)
	if err != nil || len(events) == 0 {
		return 0, err
	}
	done, fault := r.publishAll(ctx, events)
	if len(done) == 0 {
		return len(events), fault
	}
	forgetting, cancel := context.WithTimeout(ctx, r.patience)
	defer cancel()
	if err := r.outbox.ForgetEvents(forgetting, done); err != nil {
		return len(events), err
	}
	return len(events), fault
}

// publishAll returns the numbers of the events that are published, and why others are not.
func (r *eventRelay) publishAll(ctx context.Context, events []chat.Event) (done []int64, fault error) {
	type aggregate struct {
		app  chat.AppID
		name string
	}
	chains := make(map[aggregate][]*chat.Event)
	for i := range events {
		key := aggregate{events[i].App, events[i].Aggregate}
		chains[key] = append(chains[key], &events[i])
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, chain := range chains {
		wg.Go(func() {
			for _, e := range chain {
				err := r.publish(ctx, e)
				mu.Lock()
				if err == nil {
					done = append(done, e.ID)
				} else {
					fault = err
				}
				mu.Unlock()
				if err != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	return done, fault
}
