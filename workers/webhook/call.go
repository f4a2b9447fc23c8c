package webhook

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/whaleshark-im/whaleshark/chat"
)

var errRests = errors.New("the receiver has failed too often; it is left alone for a while")

// try makes an attempt at news.
func (w *worker) try(ctx context.Context, l *lane, h *chat.Hooks, c *chat.Call) (outcome string, err error) {
	began := time.Now()
	if !l.allow(&l.news, began) {
		w.metrics.attempt(c.Command, refused, 0)
		return refused, errRests
	}
	err = w.guard(func() error {
		limited, cancel := context.WithTimeout(ctx, w.cfg.Patience)
		defer cancel()
		return w.poster.tell(limited, h, c)
	})
	switch {
	case err == nil:
		outcome = delivered
	case ctx.Err() != nil:
		outcome = givenUp
	default:
		outcome = failed
	}
	w.report(ctx, l, &l.news, c, outcome, began)
	return outcome, err
}

// report counts an attempt, tells the lane, and says when a receiver is left alone from now on, or is back.
func (w *worker) report(ctx context.Context, l *lane, b *breaker, c *chat.Call, outcome string, began time.Time) {
	w.metrics.attempt(c.Command, outcome, time.Since(began))
	switch was, is := l.report(b, outcome, time.Now()); {
	case is && !was:
		w.log.WarnContext(ctx, "a webhook has failed too often, and is left alone for a while", "app", c.App, "command", c.Command)
	case was && !is:
		w.log.InfoContext(ctx, "a webhook is back", "app", c.App, "command", c.Command)
	}
}

// wanted returns the calls that their apps want to hear, by app.
func (w *worker) wanted(ctx context.Context, notices []notice) ([]*batch, error) {
	var batches []*batch
	of := make(map[chat.AppID]*batch)
	for i := range notices {
		n := &notices[i]
		b := of[n.app]
		if b == nil {
			hooks, err := w.hooks(ctx, n.app)
			if err != nil {
				return nil, fmt.Errorf("what app %s wants to hear: %w", n.app, err)
			}
			b = &batch{hooks: hooks, lane: w.lanes.get(n.app)}
			of[n.app] = b
		}
		if !b.hooks.On(n.command) {
			continue
		}
		c, err := n.make()
		if err != nil {
			w.metrics.unreadable.Inc()
			w.log.ErrorContext(ctx, "what breaks its call is told to nobody", "app", n.app, "command", n.command, "cause", err)
			continue
		}
		if len(b.calls) == 0 {
			batches = append(batches, b)
		}
		b.calls = append(b.calls, chat.Attempt{Call: c})
	}
	return batches, nil
}

// batch is calls of one app.
type batch struct {
	hooks *chat.Hooks
	lane  *lane
	calls []chat.Attempt
}

// deliver makes first attempts, for as long as a batch may take, and returns the calls that are left.
func (w *worker) deliver(ctx context.Context, batches []*batch) (left []chat.Attempt) {
	limited, cancel := context.WithTimeout(ctx, w.cfg.Window)
	defer cancel()
	remains := make([][]chat.Attempt, len(batches))
	var wg sync.WaitGroup
	for i, b := range batches {
		wg.Go(func() {
			_, remains[i] = w.makeAll(limited, b)
			if limited.Err() != nil && ctx.Err() == nil {
				b.lane.lag(time.Now())
			}
		})
	}
	wg.Wait()
	for _, r := range remains {
		left = append(left, r...)
	}
	return left
}

// makeAll makes an attempt at each call of a batch, some at once, and returns the ids of those that have succeeded, and what became of the
// others.
func (w *worker) makeAll(ctx context.Context, b *batch) (done []int64, left []chat.Attempt) {
	next := make(chan *chat.Attempt, len(b.calls))
	for i := range b.calls {
		next <- &b.calls[i]
	}
	close(next)
	var mu sync.Mutex
	var wg sync.WaitGroup
	if len(b.calls) > 0 && b.lane.probes() { // one finds out whether the others are worth it
		w.makeOne(ctx, b, <-next, &mu, &done, &left)
	}
	for range min(len(next), callsAtOnce) {
		wg.Go(func() {
			for a := range next {
				w.makeOne(ctx, b, a, &mu, &done, &left)
			}
		})
	}
	wg.Wait()
	return done, left
}

func (w *worker) makeOne(ctx context.Context, b *batch, a *chat.Attempt, mu *sync.Mutex, done *[]int64, left *[]chat.Attempt) {
	outcome, err := givenUp, error(nil)
	switch {
	case ctx.Err() != nil:
	case a.ID == 0 && !b.lane.passes(time.Now()):
		outcome = refused
	default:
		select {
		case b.lane.calls <- struct{}{}:
			outcome, err = w.try(ctx, b.lane, b.hooks, &a.Call)
			<-b.lane.calls
		case <-ctx.Done():
		}
	}
	if outcome == failed {
		w.fail(ctx, a, err)
	}
	mu.Lock()
	defer mu.Unlock()
	if outcome == delivered {
		*done = append(*done, a.ID)
	} else {
		*left = append(*left, *a)
	}
}

// fail says when a call that has failed is tried next, if it is.
func (w *worker) fail(ctx context.Context, a *chat.Attempt, cause error) {
	a.Attempts++
	a.Cause = causeOf(cause)
	a.Wait = w.backoff(a.Attempts, rand.Float64()) //nolint:gosec // jitter
	if a.Attempts >= w.cfg.Attempts || errors.Is(cause, errGone) {
		w.bury(ctx, a)
	}
}

// bury says that a call is tried no more.
func (w *worker) bury(ctx context.Context, a *chat.Attempt) {
	a.Dead, a.Wait = true, 0
	w.metrics.buried.Inc()
	if w.lanes.get(a.Call.App).sayDead(time.Now()) {
		w.log.WarnContext(ctx, "calls of a webhook are dead, such as this", "app", a.Call.App, "command", a.Call.Command,
			"event", a.Call.Event, "cause", a.Cause)
	}
}

// backoff returns how long a call waits after so many attempts: up to four times as long as the time before. Chance, in [0, 1), says how
// much of it, so that calls that failed together do not come back together.
func (w *worker) backoff(attempts int, chance float64) time.Duration {
	most := w.cfg.Backoff
	for range attempts - 1 {
		if most = 4 * most; most >= w.cfg.BackoffAtMost {
			most = w.cfg.BackoffAtMost
			break
		}
	}
	return time.Duration(chance * float64(most))
}

const maxCause = 200 // bytes

// causeOf returns an error's text as Postgres takes it.
func causeOf(err error) string {
	text := err.Error()
	if errors.Is(err, context.DeadlineExceeded) {
		text = "it did not answer in time"
	}
	text = strings.Map(func(r rune) rune {
		if r < ' ' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	return strings.ToValidUTF8(text[:min(len(text), maxCause)], "")
}
