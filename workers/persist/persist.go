// Package persist is the worker that writes the log into Postgres: the rows of a batch of blocks and the partition's mark in one
// transaction, so that each block is written exactly once, however many owners there are for a moment.
package persist

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/store"
	"github.com/whaleshark-im/whaleshark/streams"
)

// Config is what a persist worker needs.
type Config struct {
	Node    chat.NodeID
	Addrs   map[string]string // what the process listens on; see [streams.Member]
	Conn    *streams.Conn
	Store   *store.Store
	Log     *slog.Logger
	Metrics *Metrics
}

// Metrics counts what the persist workers of a process do.
type Metrics struct {
	blocks, messages, rejected, failures, panics prometheus.Counter
	seconds                                      prometheus.Histogram
}

// NewMetrics registers them.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	f := promauto.With(reg)
	counter := func(name, help string) prometheus.Counter {
		return f.NewCounter(prometheus.CounterOpts{Name: "whaleshark_persist_" + name, Help: help})
	}
	return &Metrics{
		blocks:   counter("blocks_total", "Blocks written to Postgres."),
		messages: counter("messages_total", "Messages written to Postgres."),
		rejected: counter("rejected_total", "Messages that Postgres refused for themselves, and that were put aside."),
		failures: counter("failures_total", "Transactions that failed and are tried again."),
		panics:   counter("panics_total", "Loops that a panic ended, and that were started again."),
		seconds: f.NewHistogram(prometheus.HistogramOpts{
			Name: "whaleshark_persist_seconds", Help: "How long a transaction takes.", Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14),
		}),
	}
}

const (
	messagesAtOnce = 1000 // in a transaction, about
	blocksAtOnce   = 512

	// A transaction costs about the same whether it writes one row or fifty, and nobody waits for the rows: what they would be read for is
	// in the log as well. So a transaction waits until enough is there, but not long.
	enough    = 500
	enoughFor = 50 * time.Millisecond
	patience  = 30 * time.Second // a transaction that takes longer has failed
)

// Run serves the node's share of partitions until ctx ends.
func Run(ctx context.Context, cfg Config) {
	prepare := func(context.Context, *streams.Generation, *streams.Members) (streams.Duty, error) {
		return streams.Duty{
			Node: cfg.Node, Addrs: cfg.Addrs, Log: cfg.Log, Panicked: cfg.Metrics.panics.Inc,
			Own: func(ctx context.Context, p chat.Partition, post *streams.Post) error {
				return own(ctx, cfg, p, post)
			},
		}, nil
	}
	cfg.Conn.Work(ctx, streams.RolePersist, prepare)
}

// own owns one partition until ctx ends.
func own(ctx context.Context, cfg Config, p chat.Partition, post *streams.Post) (err error) {
	o := &owner{cfg: cfg, partition: p, post: post, log: cfg.Log.With("partition", p)}
	if err := o.findMark(ctx); err != nil {
		return err
	}
	post.Report(uint64(o.mark.Revision))
	if o.in, err = cfg.Conn.FollowLog(ctx, p, o.mark.Revision); err != nil {
		return err
	}
	defer o.in.Close()
	o.log.DebugContext(ctx, "writing the log to postgres", "after", o.mark.Revision)
	return o.loop(ctx)
}

type owner struct {
	cfg       Config
	partition chat.Partition
	post      *streams.Post
	log       *slog.Logger

	in      *streams.Reader[streams.RawEntry]
	mark    chat.Mark
	behind  []chat.Entry // read and not written
	records int          // in them
	chain   chat.Hash    // of the newest block that was read
}

// findMark asks Postgres where to go on, for as long as it does not answer, and checks that the log has that block.
func (o *owner) findMark(ctx context.Context) error {
	said := false
	for {
		mark, err := o.cfg.Store.Mark(ctx, o.partition)
		if err == nil {
			o.mark, o.chain = mark, mark.Hash
			return o.checkMark(ctx)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !said {
			o.log.WarnContext(ctx, "waiting for postgres to tell its mark", "cause", err)
			said = true
		}
		if err := o.wait(ctx, 500*time.Millisecond); err != nil {
			return err
		}
	}
}

// checkMark refuses to go on from a mark that this log does not have: rows that are written after it would have a hole before them.
func (o *owner) checkMark(ctx context.Context) error {
	if o.mark.Revision == 0 {
		return nil
	}
	e, ok, err := o.cfg.Conn.Entry(ctx, o.mark.Revision)
	if err != nil {
		return err
	}
	if ok && e.Partition == o.partition {
		block, err := chat.DecodeBlock(e.Data)
		if err == nil && block.Hash == o.mark.Hash {
			return nil
		}
	}
	return fmt.Errorf("postgres has partition %d up to revision %d, and the log does not hold that block: "+
		"the database and the log do not belong together; restore the log's archive, or the database that goes with this log",
		o.partition, o.mark.Revision)
}

// wait waits a moment, and goes on beating: an owner that waits for Postgres does not hang.
func (o *owner) wait(ctx context.Context, d time.Duration) error {
	o.post.Beat()
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (o *owner) loop(ctx context.Context) error {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	var due <-chan time.Time
	for {
		write := false
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
			o.post.Beat()
		case <-due:
			write = true
		case <-o.in.Ready():
			if err := o.read(); err != nil {
				return err
			}
			if write = o.records >= enough; due == nil {
				due = time.After(enoughFor)
			}
		}
		if write {
			if err := o.write(ctx); err != nil {
				return err
			}
			due = nil
		}
	}
}

// read takes what has come, and checks that it goes on where the mark is.
func (o *owner) read() error {
	for _, raw := range o.in.Take(blocksAtOnce) {
		block, err := chat.SkimBlockAfter(raw.Data, o.chain)
		if err != nil {
			return fmt.Errorf("revision %d: %w", raw.Revision, err)
		}
		o.chain = block.Hash
		o.behind = append(o.behind, chat.Entry{Revision: raw.Revision, Block: block})
		o.records += len(block.Records)
	}
	return nil
}

// write writes everything that was read, some blocks a transaction. While Postgres does not answer it waits and tries again.
func (o *owner) write(ctx context.Context) error {
	for len(o.behind) > 0 {
		n := portion(o.behind)
		err := o.apply(ctx, o.behind[:n])
		switch {
		case err == nil:
			o.behind = o.behind[n:]
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, store.ErrMarkMoved):
			return err // another owner wrote; begin again from where it is
		default:
			o.cfg.Metrics.failures.Inc()
			o.log.WarnContext(ctx, "postgres does not take rows; trying again", "cause", err)
			if err := o.wait(ctx, 500*time.Millisecond); err != nil {
				return err
			}
		}
	}
	o.behind, o.records = nil, 0
	return nil
}

// portion returns how many of the entries go into one transaction.
func portion(entries []chat.Entry) int {
	messages := 0
	for i, e := range entries {
		if messages += len(e.Block.Records); messages >= messagesAtOnce {
			return i + 1
		}
	}
	return len(entries)
}

func (o *owner) apply(ctx context.Context, entries []chat.Entry) error {
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	stop := make(chan struct{})
	defer close(stop)
	go o.beatUntil(stop) // ends with this call: a long transaction does not hang
	started := time.Now()
	applied, err := o.cfg.Store.Apply(limited, o.partition, o.cfg.Conn.Base(), o.mark, entries)
	if err != nil {
		return err
	}
	o.mark = applied.Mark
	o.post.Report(uint64(o.mark.Revision))
	o.cfg.Metrics.seconds.Observe(time.Since(started).Seconds())
	o.cfg.Metrics.blocks.Add(float64(len(entries)))
	o.cfg.Metrics.messages.Add(float64(applied.Messages))
	o.cfg.Metrics.rejected.Add(float64(len(applied.Rejected)))
	for _, r := range applied.Rejected {
		o.log.ErrorContext(ctx, "postgres refused a message; it was put aside", "place", r.Place, "cause", r.Cause)
	}
	return nil
}

func (o *owner) beatUntil(stop <-chan struct{}) {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			o.post.Beat()
		case <-stop:
			return
		}
	}
}
