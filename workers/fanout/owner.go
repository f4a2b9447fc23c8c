package fanout

import (
	"context"
	"fmt"
	"log/slog"
	"sync"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/streams"
)

const (
	blocksAtOnce  = 64
	signalsAtOnce = 1024
	headLimit     = 100_000
	coldLimit     = 10_000  // signals that may wait for a head
	recallLimit   = 1 << 14 // recalled messages that are remembered: a repeat that was on its way then still holds the body
)

// owner is the loop around one partition. Everything in it belongs to the loop, but for the channel.
type owner struct {
	cfg       Config
	members   *streams.Members
	routes    *streams.Routes
	partition chat.Partition
	post      *streams.Post
	log       *slog.Logger
	wg        sync.WaitGroup

	in       *streams.Reader[streams.RawEntry]
	signals  *streams.Signals
	revision chat.Revision                 // what was handed out up to
	served   map[chat.NodeID]chat.Revision // what each edge was told that it is served up to
	heads    map[chat.Conversation]chat.Seq
	received *receipts

	cold    map[chat.Conversation][]*chat.Signal // receipts that wait for their conversation's head
	waiting int                                  // how many they are
	asking  bool
	answers chan headsAnswer

	rosters *rosters
	since   chat.Revision // a cold group has no change after it, up to revision, that is not parked
	parked  *parked
	rewinds int // how often the log was read again

	senders  *lookUps
	recalled *lately[chat.Place, struct{}]

	events chan telling // of partition 0's owner: events that are to be handed out

	removing sync.Mutex // held while routes of dead edges are removed
}

func (o *owner) newBatch() *batch {
	return newBatch(o.partition, func(u chat.UserKey) []chat.Route { return live(o.routes.Of(u), o.members.Dead) }, o.cfg.limits())
}

// turn hands out what has come: a batch of blocks, and then signals. Whatever a signal refers to that is in the log already is taken first, so
// that a receipt never overtakes its message; what both say goes to each edge in one push.
func (o *owner) turn(ctx context.Context) error {
	signals := o.signals.Take(signalsAtOnce)
	out, before := o.newBatch(), o.revision
	if raw := o.in.Take(blocksAtOnce); len(raw) > 0 {
		if err := o.entries(ctx, out, raw); err != nil {
			return err
		}
	}
	out.finish()
	out.revision = 0
	for _, s := range signals {
		o.signal(out, s)
	}
	o.askHeads(ctx)
	to := o.revision
	if to == before {
		to = 0
	}
	if err := o.dispatch(ctx, out, before, to); err != nil {
		return err
	}
	if to != 0 {
		if o.rosters.turn() {
			o.since = o.revision
		}
		o.post.Report(uint64(o.revision))
	}
	return nil
}

// entries takes a batch of blocks in.
//
// The fence closes the hole between a login and the log: a login writes its route before it is answered, so a block that is committed
// after the answer is read after the route was written; having read the blocks, the reader waits until its watch has every route that
// is there, and only then works out who gets them.
func (o *owner) entries(ctx context.Context, out *batch, raw []streams.RawEntry) error {
	if err := o.routes.Fence(ctx); err != nil {
		return err
	}
	items, last, err := o.decode(raw)
	if err != nil {
		return err
	}
	o.warm(ctx, items)
	out.lookAhead(items)
	for i := range items {
		o.record(out, &items[i])
	}
	o.revision = last
	return nil
}

// decode returns the records of blocks that follow what was handed out, and the last block's revision.
func (o *owner) decode(raw []streams.RawEntry) (items []item, last chat.Revision, err error) {
	last = o.revision
	for _, e := range raw {
		block, err := chat.DecodeBlock(e.Data)
		if err != nil {
			return nil, 0, fmt.Errorf("revision %d: %w", e.Revision, err)
		}
		if block.Prev > last {
			return nil, 0, fmt.Errorf("revision %d follows %d, and %d was read last", e.Revision, block.Prev, last)
		}
		for i := range block.Records {
			items = append(items, item{&block.Records[i], chat.PlaceOf(o.cfg.Conn.Base(), e.Revision, i), e.Revision})
		}
		last = e.Revision
	}
	return items, last, nil
}

// handOut ends a batch and sends it; the arguments are those of send.
func (o *owner) handOut(ctx context.Context, out *batch, before, to chat.Revision) error {
	out.finish()
	return o.dispatch(ctx, out, before, to)
}

// dispatch sends a batch that is finished.
func (o *owner) dispatch(ctx context.Context, out *batch, before, to chat.Revision) error {
	for reason, n := range out.degraded {
		o.cfg.Metrics.degraded.WithLabelValues(reason).Add(float64(n))
	}
	if err := o.send(ctx, out, before, to); err != nil {
		return err
	}
	o.askSenders(ctx, out.unknown)
	return nil
}

// recovered counts a panic. A record that panics harms no other.
func (o *owner) recovered(it *item) {
	if x := recover(); x != nil {
		o.cfg.Metrics.panics.Inc()
		o.log.Error("a record cannot be handed out", "place", it.place, "panic", fmt.Sprint(x))
	}
}

// record hands out one record, or parks it if its group is not known.
func (o *owner) record(out *batch, it *item) {
	defer o.recovered(it)
	r := it.record
	out.revision = it.revision
	if r.Kind == chat.RecallRecord {
		o.recalled.set(r.Recall.Place, struct{}{})
	}
	if r.Conversation.Kind == chat.Pair {
		if r.Kind == chat.MessageRecord {
			o.setHead(r.Conversation, r.Seq)
		}
		out.pair(r, it.place)
		return
	}
	out.answer(r)
	if r.Kind == chat.SettingRecord {
		out.setting(r, it.place)
	}
	if !needsGroup(r) {
		return
	}
	g := o.rosters.get(r.Conversation)
	if g == nil {
		o.parked.add(*it)
		return
	}
	size := g.size()
	o.group(out, it, g)
	g.forget(chat.PlaceOf(o.cfg.Conn.Base(), o.revision, 0))
	o.rosters.size += g.size() - size
}

// group hands out one record of a group that is known.
func (o *owner) group(out *batch, it *item, g *group) {
	defer o.recovered(it)
	out.revision = it.revision
	out.group(it.record, it.place, g)
}

// signal hands out one signal. A repeat of what is still to be read from the log is answered by the log, in its turn: now it would overtake
// the messages before it.
func (o *owner) signal(out *batch, s *chat.Signal) {
	switch {
	case s.Kind == chat.Received:
		o.receipt(out, s)
	case s.Kind == chat.Repeat && s.Place < chat.PlaceOf(o.cfg.Conn.Base(), o.revision+1, 0):
		if _, recalled := o.recalled.get(s.Place); recalled {
			s.Recalled = true // since it was answered
		}
		out.repeat(s, o.received.of(s))
	case s.Kind == chat.Typing && s.Conversation.Kind == chat.Pair && !o.haveSpoken(s.Conversation):
		o.cfg.Metrics.typingDropped.WithLabelValues("nothing said yet, or not at hand").Inc()
	case s.Kind == chat.Typing:
		now := chat.PlaceOf(o.cfg.Conn.Base(), o.revision+1, 0)
		if dropped := out.typing(s, o.rosters.get(s.Conversation), now); dropped != "" {
			o.cfg.Metrics.typingDropped.WithLabelValues(dropped).Inc()
		}
	}
}

// everySoOften tells edges that had nothing to deliver how far they are, and removes the routes of dead ones.
func (o *owner) everySoOften(ctx context.Context) error {
	out := o.newBatch()
	served := o.parked.served(o.revision)
	alive := make(map[chat.NodeID]bool)
	for _, m := range o.members.Of(streams.RoleEdge) {
		alive[m.Node] = true
		if max(o.served[m.Node], chat.Revision(m.Vector[o.partition])) < served {
			out.push(m.Node)
		}
	}
	for edge := range o.served {
		if !alive[edge] {
			delete(o.served, edge)
		}
	}
	if o.partition == 0 {
		o.removeDead(ctx)
	}
	o.askRosters(ctx)
	return o.send(ctx, out, o.revision, o.revision)
}

// removeDead removes the routes of edges that are gone, beside the loop. The owner of partition 0 does it for all.
func (o *owner) removeDead(ctx context.Context) {
	if !o.removing.TryLock() {
		return
	}
	var dead []chat.NodeID
	for _, edge := range o.routes.Edges() {
		if o.members.Dead(edge) {
			dead = append(dead, edge)
		}
	}
	o.wg.Go(func() {
		defer o.removing.Unlock()
		for _, edge := range dead {
			if err := o.routes.RemoveOf(ctx, edge); err != nil {
				o.log.DebugContext(ctx, "routes of a dead edge remain", "edge", edge, "cause", err)
				return
			}
			o.log.InfoContext(ctx, "routes of a dead edge removed", "edge", edge)
		}
	})
}
