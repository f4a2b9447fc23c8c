// Package fanout is the worker that turns the log into frames: it reads a partition's log in order, works out who gets what, and hands
// each edge one push for a batch of blocks.
//
// It keeps no checkpoint of its own. Each edge keeps the revision up to which it was served and drops what is not above it; an owner
// that starts begins at the lowest number of the edges that live.
//
// A group's members are a fold of its log, as everything is: they are looked up once, and every change that is read goes on from there. While
// Postgres does not answer, what is said in groups that were not looked up yet waits in memory, and the partition goes on without it.
package fanout

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/streams"
)

// Database is what the fan-out asks Postgres for.
type Database interface {
	LookUp(ctx context.Context, n chat.Needs) (chat.Facts, error)
}

// Config is what a fan-out worker needs.
type Config struct {
	Node     chat.NodeID
	Addrs    map[string]string // what the process listens on; see [streams.Member]
	Conn     *streams.Conn
	Database Database
	Log      *slog.Logger
	Metrics  *Metrics

	BroadcastLimit int // members; in larger groups read receipts and member events go to those concerned alone; 0: 500
	NotifyLimit    int // members; in larger groups messages become word that there is something new; 0: 10,000
}

func (c *Config) limits() limits {
	return limits{broadcast: cmp.Or(c.BroadcastLimit, 500), notify: cmp.Or(c.NotifyLimit, 10_000)}
}

// Run serves the node's share of partitions until ctx ends.
func Run(ctx context.Context, cfg Config) {
	prepare := func(ctx context.Context, g *streams.Generation, members *streams.Members) (streams.Duty, error) {
		routes, err := cfg.Conn.WatchRoutes(ctx, nil)
		return streams.Duty{
			Node: cfg.Node, Addrs: cfg.Addrs, Log: cfg.Log, Panicked: cfg.Metrics.panics.Inc,
			Own: func(ctx context.Context, p chat.Partition, post *streams.Post) error {
				return own(ctx, cfg, g, members, routes, p, post)
			},
		}, err
	}
	cfg.Conn.Work(ctx, streams.RoleFanout, prepare)
}

// own owns one partition until ctx ends.
func own(
	ctx context.Context, cfg Config, g *streams.Generation, members *streams.Members, routes *streams.Routes,
	p chat.Partition, post *streams.Post,
) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	o := &owner{
		cfg: cfg, members: members, routes: routes, partition: p, post: post,
		log:      cfg.Log.With("partition", p),
		served:   make(map[chat.NodeID]chat.Revision),
		heads:    make(map[chat.Conversation]chat.Seq),
		received: newReceipts(),
		answers:  make(chan headsAnswer, 1),
		cold:     make(map[chat.Conversation][]*chat.Signal),
		rosters:  newRosters(rosterLimit),
		parked:   newParked(),
		senders:  newLookUps(),
		recalled: newLately[chat.Place, struct{}](recallLimit),
		events:   make(chan telling),
	}
	defer cfg.Metrics.parked.DeleteLabelValues(p.String()) // it is the next owner's
	defer o.wg.Wait()
	defer cancel()
	if o.revision, err = o.start(ctx); err != nil {
		return fmt.Errorf("take over partition %d: %w", p, err)
	}
	o.since = o.revision
	o.post.Report(uint64(o.revision))
	if o.signals, err = cfg.Conn.ReadSignals(p, cfg.Metrics.signalsDropped.Inc); err != nil {
		return err
	}
	defer o.signals.Close()
	if o.in, err = cfg.Conn.FollowLog(ctx, p, o.revision); err != nil {
		return err
	}
	defer func() { o.in.Close() }()
	o.log.DebugContext(ctx, "reading the log", "after", o.revision)
	if p == 0 {
		o.wg.Go(func() { o.consumeEvents(ctx, g.RoutesReturned()) })
	}
	return o.loop(ctx)
}

// start returns the revision to read after: what the edge that is furthest behind was served up to. Without an edge there is nobody to
// serve with what has been. The edges that are there are met with it: whatever they need is read from now on.
func (o *owner) start(ctx context.Context) (chat.Revision, error) {
	after, err := o.cfg.Conn.LastRevision(ctx)
	if err != nil {
		return 0, err
	}
	clear(o.served)
	for _, m := range o.members.Of(streams.RoleEdge) {
		if v, ok := m.Vector[o.partition]; ok {
			o.served[m.Node] = chat.Revision(v)
			after = min(after, chat.Revision(v))
		}
	}
	return after, nil
}

// loop turns until ctx ends.
func (o *owner) loop(ctx context.Context) error {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-o.in.Ready():
			err = o.turn(ctx)
		case <-o.signals.Ready():
			err = o.turn(ctx)
		case a := <-o.answers:
			err = o.learnHeads(ctx, a)
		case a := <-o.parked.answers:
			err = o.learnRosters(ctx, a)
		case a := <-o.senders.answers:
			err = o.learnSenders(ctx, a)
		case t := <-o.events:
			err = o.tell(ctx, t)
		case <-tick.C:
			o.post.Beat()
			err = o.everySoOften(ctx)
		}
		if errors.Is(err, errBehind) {
			err = o.rewind(ctx)
		}
		o.cfg.Metrics.parked.WithLabelValues(o.partition.String()).Set(float64(o.parked.records))
		if err != nil {
			return err
		}
	}
}
