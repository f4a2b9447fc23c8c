package webhook

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/directory"
	"github.com/whaleshark-im/whaleshark/sql/store"
	"github.com/whaleshark-im/whaleshark/streams"
)

// Config is what a webhook worker needs. A zero field has the default that its comment names.
type Config struct {
	Node      chat.NodeID
	Addrs     map[string]string // what the process listens on; see [streams.Member]
	Conn      *streams.Conn
	Store     *store.Store
	Directory *directory.Directory // of apps
	Log       *slog.Logger
	Metrics   *Metrics

	AllowPrivate bool // receivers may be at addresses that are not of the internet

	Patience      time.Duration // a call may take; default 5 s
	Window        time.Duration // the first attempts of a batch may take; default 1 s
	Attempts      int           // at a call, before it is dead; default 10
	Backoff       time.Duration // after the first attempt at most, and four times as long after each other; default 10 s
	BackoffAtMost time.Duration // default 8 h
	PresenceDelay time.Duration // for which a user must be here, or away, before it is told; default 2 s
	BreakFor      time.Duration // a breaker is open at first; default 10 s
}

func (c Config) withDefaults() Config {
	c.Patience = cmp.Or(c.Patience, 5*time.Second)
	c.Window = cmp.Or(c.Window, time.Second)
	c.Attempts = cmp.Or(c.Attempts, 10)
	c.Backoff = cmp.Or(c.Backoff, 10*time.Second)
	c.BackoffAtMost = cmp.Or(c.BackoffAtMost, 8*time.Hour)
	c.PresenceDelay = cmp.Or(c.PresenceDelay, 2*time.Second)
	c.BreakFor = cmp.Or(c.BreakFor, breakFor)
	return c
}

// worker is what all loops of a process share.
type worker struct {
	// Set once, read by anyone.
	cfg     Config
	poster  *poster
	metrics *Metrics
	log     *slog.Logger

	// For anyone; each looks after itself.
	lanes *lanes
	wake  chan struct{} // has room for one: a call is due now
}

func newWorker(cfg Config) *worker {
	cfg = cfg.withDefaults()
	return &worker{
		cfg: cfg, poster: newPoster(cfg.AllowPrivate), metrics: cfg.Metrics, log: cfg.Log,
		lanes: newLanes(cfg.BreakFor), wake: make(chan struct{}, 1),
	}
}

// Run serves the node's share of partitions, answers questions and tries again what has failed, until ctx ends.
func Run(ctx context.Context, cfg Config) {
	w := newWorker(cfg)
	var wg sync.WaitGroup
	wg.Go(func() { w.again(ctx, "retry", w.retry) })
	wg.Go(func() { w.again(ctx, "answer questions", w.serveQuestions) })
	cfg.Conn.Work(ctx, streams.RoleWebhook, func(_ context.Context, _ *streams.Generation, members *streams.Members) (streams.Duty, error) {
		return streams.Duty{
			Node: cfg.Node, Addrs: cfg.Addrs, Log: cfg.Log, Panicked: w.metrics.panics.Inc,
			Own: func(ctx context.Context, p chat.Partition, post *streams.Post) error {
				return w.own(ctx, members, p, post)
			},
		}, nil
	})
	wg.Wait()
}

// own owns one partition until ctx ends; the owner of partition 0 also hears the events, and who comes and goes.
func (w *worker) own(ctx context.Context, members *streams.Members, p chat.Partition, post *streams.Post) error {
	g, ctx := errgroup.WithContext(ctx)
	loop := func(f func(context.Context) error) {
		g.Go(func() error { return w.guard(func() error { return f(ctx) }) })
	}
	loop(func(ctx context.Context) error { return follow(ctx, w, w.logOf(p), post) })
	if p == 0 {
		loop(func(ctx context.Context) error { return follow(ctx, w, w.events(), &streams.Post{}) })
		loop(func(ctx context.Context) error { return newPresence(w, members).run(ctx) })
		loop(w.keepHouse)
	}
	return g.Wait()
}

// again runs a loop until ctx ends, once more after a moment whenever it ends by itself.
func (w *worker) again(ctx context.Context, what string, f func(context.Context) error) {
	for ctx.Err() == nil {
		err := w.guard(func() error { return f(ctx) })
		if ctx.Err() != nil {
			return
		}
		w.log.WarnContext(ctx, "starting again", "what", what, "cause", err)
		_ = rest(ctx, time.Second)
	}
}

// guard turns a panic of f into an error: it ends this turn alone.
func (w *worker) guard(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			w.metrics.panics.Inc()
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	return f()
}

// hurry says that a call is due now.
func (w *worker) hurry() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func rest(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

const (
	countEvery  = 10 * time.Second
	countAtMost = 10_000
	purgeEvery  = time.Hour
	deadAtMost  = 30 * 24 * time.Hour
)

// keepHouse counts the calls that wait, and forgets those that have been dead for long.
func (w *worker) keepHouse(ctx context.Context) error {
	defer w.metrics.queue.Set(0) // another tells it from now on
	defer w.metrics.dead.Set(0)
	var purged time.Time
	for ; ctx.Err() == nil; _ = rest(ctx, countEvery) {
		waiting, dead, err := w.cfg.Store.CountCalls(ctx, countAtMost)
		if err == nil {
			w.metrics.queue.Set(float64(waiting))
			w.metrics.dead.Set(float64(dead))
		}
		if time.Since(purged) < purgeEvery {
			continue
		}
		n, err := w.cfg.Store.PurgeDeadCalls(ctx, deadAtMost)
		if err != nil {
			continue
		}
		if purged = time.Now(); n > 0 {
			w.log.InfoContext(ctx, "forgot dead webhook calls", "calls", n)
		}
	}
	return ctx.Err()
}

// hooks returns what an app wants to be told; nothing if there is no such app.
func (w *worker) hooks(ctx context.Context, app chat.AppID) (*chat.Hooks, error) {
	a, err := w.cfg.Directory.App(ctx, app)
	if refusal, ok := errors.AsType[chat.Error](err); ok && refusal.Code == chat.AppMissing {
		return &chat.Hooks{}, nil
	}
	return &a.Hooks, err
}
