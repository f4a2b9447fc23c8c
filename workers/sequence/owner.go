package sequence

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/streams"
)

// owner is the loop around one partition's rule. Everything in it belongs to the loop, but for the channels.
type owner struct {
	cfg       Config
	g         *streams.Generation
	members   *streams.Members
	partition chat.Partition
	post      *streams.Post
	log       *slog.Logger
	wg        sync.WaitGroup

	rule *chat.Sequencer
	in   *streams.Reader[streams.Offered]
	data []byte // the block in flight

	seat      *seat            // among the owners that append
	committed chan commit      // how the block in flight ended
	answers   chan answer      // how the look-up under way ended
	known     chan []uint64    // identities for the filter; closed when it is complete
	stale     chan *chat.Event // events that say what is stale; nil: some may have been missed
	overrun   atomic.Bool      // stale had no room
	verdicts  chan hookAnswer  // what apps have said of messages
	hooking   int              // how many of those are awaited
	asking    bool
	unknown   bool // the log must be read before the next block

	full    time.Time     // when the log refused a block last, since one was committed
	purging sync.Mutex    // held while a purge is under way
	purged  chat.Position // guarded by purging
}

type commit struct {
	rev chat.Revision
	err error
}

type answer struct {
	asked chat.Needs
	at    time.Time
	found chat.Facts
	err   error

	unanswered []chat.Target // what was left out of the answer, and of what was asked
}

const (
	tickEvery  = 500 * time.Millisecond
	silence    = 10 * time.Second // the reader is opened anew when nothing came for so long, not even the own ticks
	takeAtOnce = 1024
	fullFor    = 2 * time.Second // after a refusal, until requests are let through again to see
)

// loop turns until ctx ends.
func (o *owner) loop(ctx context.Context) error {
	defer o.in.Close()
	defer o.seat.leave()
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	alive := time.Now()
	for {
		ready := o.in.Ready()
		if o.rule.Full() {
			ready = nil
		}
		select {
		case <-ctx.Done():
			o.finish(ctx)
			return ctx.Err()
		case <-ready:
			if o.offer() {
				alive = time.Now()
				o.post.Beat()
			}
		case <-o.seat.mine:
			o.seat.came()
		case <-o.seat.wait.C: // it has waited long enough
		case c := <-o.committed:
			if err := o.settle(ctx, c); err != nil {
				return err
			}
			alive = time.Now()
			o.post.Beat() // it has an answer, whatever it is
		case a := <-o.answers:
			o.learn(a)
		case a := <-o.verdicts:
			o.hear(a)
		case e := <-o.stale:
			o.rule.Heed(e, time.Now())
		case list, more := <-o.known:
			o.rule.Known(list)
			if !more {
				o.rule.Vouch()
				o.known = nil
			}
		case <-tick.C:
			if time.Since(alive) > silence {
				return errSilence
			}
			o.everySoOften(ctx)
		}
		if err := o.step(ctx); err != nil {
			return err
		}
	}
}

// offer gives the rule what came through the ingress, and reports whether anything came: the owner's own tick at least, twice a second.
func (o *owner) offer() bool {
	now := time.Now()
	offered := o.in.Take(takeAtOnce)
	for _, x := range offered {
		if x.Fault != nil {
			o.log.Error("a request cannot be read", "position", x.Position, "cause", x.Fault)
			o.cfg.Metrics.unreadable.Inc()
		}
		o.rule.Offer(x.Position, x.Request, now)
	}
	return len(offered) > 0
}

// step lets the rule take the next step, and carries it out.
func (o *owner) step(ctx context.Context) error {
	if o.unknown {
		if err := o.reload(ctx); err != nil {
			return fmt.Errorf("read the log after an unknown outcome: %w", err)
		}
		o.unknown = false
	}
	for o.data == nil && o.seat.ready(o.rule.Waiting(), time.Now()) {
		st := o.rule.Step(time.Now())
		o.cfg.Metrics.expired.Add(float64(st.Expired))
		o.cfg.Metrics.passed.Add(float64(st.Passed))
		o.cfg.Metrics.panics.Add(float64(st.Poison))
		for i := range st.Repeats {
			o.cfg.Metrics.repeats.Inc()
			if err := o.cfg.Conn.Signal(&st.Repeats[i]); err != nil {
				o.log.DebugContext(ctx, "the answer to a repeat was not sent", "cause", err)
			}
		}
		if st.Block != nil {
			o.data, o.seat.last = st.Data, len(st.Block.Records)
			o.append(st.Block.Prev)
			break
		}
		if len(st.Repeats) == 0 {
			o.seat.giveBack()
			break
		}
	}
	o.answer(ctx)
	o.lookUp(ctx)
	o.askApps(ctx)
	if o.data == nil {
		o.post.Report(uint64(o.rule.Floor()))
	}
	return nil
}

// answer tells those who wait in other processes what became of their requests.
func (o *owner) answer(ctx context.Context) {
	due := o.rule.Answers()
	for i := range due {
		if err := o.cfg.Conn.Answer(&due[i]); err != nil {
			o.log.DebugContext(ctx, "an answer was not sent; who waits asks again", "cause", err)
		}
	}
}

func (o *owner) append(prev chat.Revision) {
	o.cfg.Conn.Append(o.partition, o.data, prev, func(rev chat.Revision, err error) { o.committed <- commit{rev, err} })
}

// settle takes the outcome of the block in flight.
func (o *owner) settle(ctx context.Context, c commit) error {
	size := len(o.data)
	o.data = nil
	o.seat.giveBack()
	switch {
	case c.err == nil:
		e, err := o.rule.Committed(c.rev, time.Now())
		if err != nil {
			return err
		}
		o.answer(ctx)
		o.cfg.Metrics.committed(e.Block, size)
		o.full = time.Time{}
		o.post.Report(uint64(o.rule.Floor()))
		return nil
	case errors.Is(c.err, streams.ErrTransient):
		o.cfg.Metrics.outcomes.WithLabelValues("transient").Inc()
		o.rule.Unsettled() // the same block will be made again, of the same revision
		pause(ctx, 200*time.Microsecond)
		return nil
	case errors.Is(c.err, streams.ErrConflict):
		o.cfg.Metrics.outcomes.WithLabelValues("conflict").Inc()
		o.rule.Unsettled()
		o.unknown = true
		return nil
	}
	if errors.Is(c.err, streams.ErrFull) {
		o.cfg.Metrics.outcomes.WithLabelValues("full").Inc()
		if o.full.IsZero() {
			o.log.ErrorContext(ctx, "the log takes no more blocks; requests are refused", "cause", c.err)
		}
		o.full = time.Now()
		o.post.Full(true)
		o.rule.Unsettled() // the same requests are tried again; what arrives now, edges refuse
		pause(ctx, 100*time.Millisecond)
		return nil
	}
	o.cfg.Metrics.outcomes.WithLabelValues("unknown").Inc()
	o.log.WarnContext(ctx, "a block's outcome is unknown", "cause", c.err)
	o.rule.Unsettled()
	o.unknown = true
	pause(ctx, 20*time.Millisecond+rand.N(30*time.Millisecond)) //nolint:gosec // jitter
	return nil
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// finish waits for the block in flight, so that what it holds is not asked for again by the next owner in vain.
func (o *owner) finish(ctx context.Context) {
	if o.data == nil {
		return
	}
	select {
	case c := <-o.committed:
		if c.err != nil {
			return
		}
		if _, err := o.rule.Committed(c.rev, time.Now()); err == nil {
			o.answer(ctx)
		}
	case <-time.After(100 * time.Millisecond):
	}
}

// lookUp asks Postgres for what the rule needs, one question at a time.
func (o *owner) lookUp(ctx context.Context) {
	if o.asking {
		return
	}
	needs, ok := o.rule.Needs()
	if !ok {
		return
	}
	o.ask(ctx, needs)
}

func (o *owner) ask(ctx context.Context, needs chat.Needs) {
	o.asking = true
	at := time.Now()
	o.wg.Go(func() {
		limited, cancel := context.WithTimeout(ctx, o.cfg.LookUpPatience)
		defer cancel()
		a := answer{asked: needs, at: at, err: errors.New("the look-up panicked")}
		defer func() {
			if recover() != nil {
				o.cfg.Metrics.panics.Inc()
			}
			o.answers <- a
		}()
		a.err = o.find(limited, &a)
	})
}

func (o *owner) learn(a answer) {
	o.asking = false
	o.cfg.Metrics.lookUps.Observe(time.Since(a.at).Seconds())
	if a.err == nil {
		if o.rule.Failing() {
			o.log.Info("postgres answers again")
		}
		o.rule.Learn(a.asked, a.found, a.at, time.Now())
		o.rule.Unanswered(a.unanswered, a.at)
		return
	}
	if !o.rule.Failing() {
		o.log.Warn("postgres does not answer; what is not known is refused for now", "cause", a.err)
	}
	o.cfg.Metrics.lookUpFailures.Inc()
	o.rule.LookUpFailed(a.asked)
}

// everySoOften keeps the partition's health: its tick, what may be forgotten, whether Postgres answers again, and what of the ingress
// nobody needs any longer.
func (o *owner) everySoOften(ctx context.Context) {
	if err := o.cfg.Conn.Tick(o.partition, o.cfg.Node); err != nil {
		o.log.DebugContext(ctx, "no tick", "cause", err)
	}
	if o.overrun.Swap(false) {
		o.rule.Heed(nil, time.Now())
	}
	o.post.Full(time.Since(o.full) < fullFor)
	o.rule.Persisted(chat.Revision(o.members.Highest(streams.RolePersist, o.partition)), time.Now())
	if o.rule.Failing() && !o.asking {
		o.ask(ctx, chat.Needs{Apps: []chat.AppID{0}})
	}
	o.cfg.Metrics.waiting.WithLabelValues(o.partition.String()).Set(float64(o.rule.Waiting()))
	if o.partition == 0 {
		o.purge(ctx)
	}
}

// purge drops from the ingress what every partition has folded in, beside the loop. The owner of partition 0 does it for all.
func (o *owner) purge(ctx context.Context) {
	floors := make(map[chat.Partition]chat.Position)
	for p := range chat.Partition(o.cfg.Conn.Partitions()) {
		f, ok := floorOf(o.members, o.g.Ingress, p)
		if !ok {
			return // a partition without an owner: nobody knows what it needs
		}
		floors[p] = f
	}
	if !o.purging.TryLock() {
		return
	}
	o.wg.Go(func() {
		defer o.purging.Unlock()
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		if err := o.purgeTo(ctx, floors); err != nil {
			o.log.DebugContext(ctx, "ingress not purged", "cause", err)
		}
	})
}

// purgeTo purges up to the lowest floor. If that does not move, partitions that have nothing in the ingress do not count: a stream that is full takes
// not even the ticks that would move their floors.
func (o *owner) purgeTo(ctx context.Context, floors map[chat.Partition]chat.Position) error {
	floor := lowest(floors)
	if floor <= o.purged {
		// Read first: whatever comes to an idle partition after it was looked at has a higher position.
		end, err := o.cfg.Conn.IngressEnd(ctx)
		if err != nil {
			return err
		}
		for p, f := range floors {
			newest, err := o.cfg.Conn.NewestPosition(ctx, p)
			if err != nil {
				return err
			}
			if newest <= f {
				floors[p] = end
			}
		}
		if floor = lowest(floors); floor <= o.purged {
			return nil
		}
	}
	if err := o.cfg.Conn.PurgeIngress(ctx, o.g.Ingress, floor); err != nil {
		return err
	}
	o.purged = floor
	return nil
}

func lowest(floors map[chat.Partition]chat.Position) chat.Position {
	return slices.Min(slices.Collect(maps.Values(floors)))
}

// floorOf returns the lowest position that a sequencer of this life gives for a partition.
func floorOf(members *streams.Members, life chat.Life, p chat.Partition) (chat.Position, bool) {
	var floor uint64
	found := false
	for _, m := range members.Of(streams.RoleSequence) {
		if v, ok := m.Vector[p]; ok && m.Ingress == life && (!found || v < floor) {
			floor, found = v, true
		}
	}
	return chat.Position(floor), found
}
