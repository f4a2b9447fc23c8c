package webhook

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/whaleshark-im/whaleshark/chat"
)

const (
	retryEvery = 500 * time.Millisecond
	leaseFor   = 30 * time.Second // a taken call is another's after it; its attempt ends much earlier
	savingFor  = 2 * time.Second
)

// retry tries calls that are due until ctx ends: of each app some at a time, whoever the others are.
func (w *worker) retry(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	ended := make(chan chat.AppID, 64)
	busy := make(map[chat.AppID]bool)
	tick := time.NewTicker(retryEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		case <-w.wake:
		case app := <-ended:
			delete(busy, app)
		}
		resting := w.lanes.resting(time.Now())
		for app := range busy {
			resting = append(resting, app)
		}
		calls, err := w.cfg.Store.TakeCalls(ctx, resting, callsAtOnce, leaseFor)
		if err != nil {
			w.postgresFails(ctx, err)
			if err := rest(ctx, retryEvery); err != nil {
				return err
			}
			continue
		}
		for _, taken := range byApp(calls) {
			app := taken[0].Call.App
			busy[app] = true
			wg.Go(func() {
				w.retryApp(ctx, app, taken)
				select {
				case ended <- app:
				case <-ctx.Done():
				}
			})
		}
	}
}

func byApp(calls []chat.Attempt) (groups [][]chat.Attempt) {
	slices.SortFunc(calls, func(a, b chat.Attempt) int { return int(a.Call.App) - int(b.Call.App) })
	for len(calls) > 0 {
		n := slices.IndexFunc(calls, func(a chat.Attempt) bool { return a.Call.App != calls[0].Call.App })
		if n < 0 {
			n = len(calls)
		}
		groups, calls = append(groups, calls[:n]), calls[n:]
	}
	return groups
}

// retryApp tries calls of one app, and writes down what became of them.
func (w *worker) retryApp(ctx context.Context, app chat.AppID, calls []chat.Attempt) {
	hooks, err := w.hooks(ctx, app)
	if err != nil {
		w.postgresFails(ctx, err)
		return // they are due again after the lease
	}
	b := &batch{hooks: hooks, lane: w.lanes.get(app)}
	var left []chat.Attempt
	for i := range calls {
		if hooks.On(calls[i].Call.Command) {
			b.calls = append(b.calls, calls[i])
			continue
		}
		calls[i].Cause = "the app does not want to hear it any more"
		w.bury(ctx, &calls[i])
		left = append(left, calls[i])
	}
	done, failed := w.makeAll(ctx, b)
	saving, cancel := context.WithTimeout(context.WithoutCancel(ctx), savingFor)
	defer cancel()
	if err := w.cfg.Store.DropCalls(saving, done); err != nil {
		w.postgresFails(ctx, err)
	}
	if err := w.cfg.Store.PutOffCalls(saving, append(left, failed...)); err != nil {
		w.postgresFails(ctx, err)
	}
}

func (w *worker) postgresFails(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	w.metrics.failures.Inc()
	w.log.WarnContext(ctx, "postgres does not keep the calls of webhooks; trying again", "cause", err)
}
