package fanout

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/streams"
)

const (
	blocksAtOnce  = 64
	signalsAtOnce = 1024
	headLimit     = 100_000
	coldLimit     = 10_000 // signals that may wait for a head
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

	removing sync.Mutex // held while routes of dead edges are removed
}

// entries hands out a batch of blocks.
//
// The fence closes the hole between a login and the log: a login writes its route before it is answered, so a block that is committed
// after the answer is read after the route was written; having read the blocks, the reader waits until its watch has every route that
// is there, and only then works out who gets them.
func (o *owner) entries(ctx context.Context, raw []streams.RawEntry) error {
	if len(raw) == 0 {
		return nil
	}
	if err := o.routes.Fence(ctx); err != nil {
		return err
	}
	out := o.newBatch()
	before := o.revision
	for _, r := range raw {
		block, err := chat.DecodeBlock(r.Data)
		if err != nil {
			return fmt.Errorf("revision %d: %w", r.Revision, err)
		}
		if block.Prev > o.revision {
			return fmt.Errorf("revision %d follows %d, and %d was read last", r.Revision, block.Prev, o.revision)
		}
		for i := range block.Records {
			o.record(out, r.Revision, i, &block.Records[i])
		}
		o.revision = r.Revision
	}
	if err := o.send(ctx, out, before, o.revision); err != nil {
		return err
	}
	o.post.Report(uint64(o.revision))
	return nil
}

// record hands out one record. One that panics is counted, and harms no other.
func (o *owner) record(out *batch, rev chat.Revision, index int, r *chat.Record) {
	defer func() {
		if x := recover(); x != nil {
			o.cfg.Metrics.panics.Inc()
			o.log.Error("a record cannot be handed out", "revision", rev, "index", index, "panic", fmt.Sprint(x))
		}
	}()
	out.revision = rev
	switch r.Kind {
	case chat.MessageRecord:
		o.setHead(r.Conversation, r.Seq)
		out.message(r, chat.PlaceOf(o.cfg.Conn.Base(), rev, index))
	case chat.RefusalRecord:
		out.refusal(r)
	}
}

func (o *owner) setHead(c chat.Conversation, seq chat.Seq) {
	if len(o.heads) >= headLimit {
		clear(o.heads) // what is needed again is looked up
	}
	o.heads[c] = max(o.heads[c], seq)
}

// handleSignals hands out what passes. Whatever it refers to that is in the log already is read first, so that a receipt never
// overtakes its message.
func (o *owner) handleSignals(ctx context.Context, signals []*chat.Signal) error {
	if err := o.entries(ctx, o.in.Take(blocksAtOnce)); err != nil {
		return err
	}
	out := o.newBatch()
	for _, s := range signals {
		o.signal(out, s)
	}
	o.askHeads(ctx)
	return o.send(ctx, out, o.revision, 0)
}

// signal hands out one signal. A repeat of what is still to be read from the log is answered by the log, in its turn: now it would overtake
// the messages before it.
func (o *owner) signal(out *batch, s *chat.Signal) {
	switch {
	case s.Kind == chat.Received:
		o.receipt(out, s)
	case s.Kind == chat.Repeat && s.Place < chat.PlaceOf(o.cfg.Conn.Base(), o.revision+1, 0):
		out.repeat(s, o.received.of(s))
	}
}

// receipt relays a receiver's receipt to the devices of the sender: only from a member, only up to the head.
func (o *owner) receipt(out *batch, s *chat.Signal) {
	if _, member := s.Conversation.Peer(s.From.User); !member {
		o.cfg.Metrics.receiptsDropped.WithLabelValues("not a member").Inc()
		return
	}
	head, known := o.heads[s.Conversation]
	switch {
	case !known && o.waiting >= coldLimit:
		o.cfg.Metrics.receiptsDropped.WithLabelValues("too many look-ups").Inc()
	case !known:
		o.cold[s.Conversation] = append(o.cold[s.Conversation], s)
		o.waiting++
	case s.Seq < 1 || s.Seq > head:
		o.cfg.Metrics.receiptsDropped.WithLabelValues("above the head").Inc()
	default:
		o.received.add(s)
		out.receipt(s)
	}
}

type headsAnswer struct {
	asked []chat.Conversation
	found chat.Facts
	err   error
}

// askHeads looks up the heads of conversations that this owner has not seen a message of.
func (o *owner) askHeads(ctx context.Context) {
	if o.asking || len(o.cold) == 0 {
		return
	}
	var needs chat.Needs
	for c := range o.cold {
		needs.Heads = append(needs.Heads, c)
	}
	o.asking = true
	o.wg.Go(func() {
		limited, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		found, err := o.cfg.Database.LookUp(limited, needs)
		o.answers <- headsAnswer{needs.Heads, found, err}
	})
}

// learnHeads relays the receipts that waited. When Postgres does not answer they are dropped: a client that misses one sends its message
// again, and the message is pushed once more.
func (o *owner) learnHeads(ctx context.Context, a headsAnswer) error {
	o.asking = false
	out := o.newBatch()
	for _, c := range a.asked {
		waited := o.cold[c]
		delete(o.cold, c)
		o.waiting -= len(waited)
		if a.err != nil {
			o.cfg.Metrics.receiptsDropped.WithLabelValues("no head").Add(float64(len(waited)))
			continue
		}
		o.setHead(c, a.found.Heads[c])
		for _, s := range waited {
			o.receipt(out, s)
		}
	}
	o.askHeads(ctx)
	return o.send(ctx, out, o.revision, 0)
}

// everySoOften tells edges that had nothing to deliver how far they are, and removes the routes of dead ones.
func (o *owner) everySoOften(ctx context.Context) error {
	out := o.newBatch()
	alive := make(map[chat.NodeID]bool)
	for _, m := range o.members.Of(streams.RoleEdge) {
		alive[m.Node] = true
		if max(o.served[m.Node], chat.Revision(m.Vector[o.partition])) < o.revision {
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

// errBehind says that an edge needs what this owner has read already.
var errBehind = errors.New("an edge has come that is further behind")

// meet looks at edges that this owner does not know yet. One whose clients stayed while the broker was started again announces itself anew,
// and may need what was handed out before it did: raising its number then would be a hole.
func (o *owner) meet(ctx context.Context, out *batch, before chat.Revision) error {
	for edge := range out.pushes {
		if _, known := o.served[edge]; known {
			continue
		}
		vector, there, err := o.members.Vector(ctx, streams.RoleEdge, edge, o.partition)
		switch {
		case err != nil:
			return err
		case !there:
			delete(out.pushes, edge) // it has gone, or it comes back and is behind then
		case chat.Revision(vector) < before:
			return errBehind
		default:
			o.served[edge] = chat.Revision(vector)
		}
	}
	return nil
}

// rewind goes back to what the edge that is furthest behind needs. The others drop what they were served.
func (o *owner) rewind(ctx context.Context) error {
	after, err := o.start(ctx)
	if err != nil {
		return err
	}
	in, err := o.cfg.Conn.FollowLog(ctx, o.partition, after)
	if err != nil {
		return err
	}
	o.log.InfoContext(ctx, "an edge is further behind; reading the log again", "after", after, "before", o.revision)
	o.in.Close()
	o.in, o.revision = in, after
	return nil
}

// send hands each edge its push, in parts if it is large, and waits until the broker has them all. What the broker does not take is sent
// again, for as long as the edge lives. Before is what was handed out when the batch began, to is what an edge is served up to after it.
func (o *owner) send(ctx context.Context, out *batch, before, to chat.Revision) error {
	if err := o.meet(ctx, out, before); err != nil {
		return err
	}
	type result struct {
		edge chat.NodeID
		err  error
	}
	heard := make(chan result, len(out.pushes))
	open := make(map[chat.NodeID][]*chat.Push, len(out.pushes)) // the first of each is on its way
	push := func(edge chat.NodeID) {
		o.cfg.Conn.Push(edge, open[edge][0], func(err error) { heard <- result{edge, err} })
	}
	for edge, p := range out.pushes {
		p.To = to
		open[edge] = parts(p)
		push(edge)
	}
	for len(open) > 0 {
		r := <-heard
		switch {
		case r.err == nil:
			p := open[r.edge][0]
			o.served[r.edge] = max(o.served[r.edge], p.To)
			o.cfg.Metrics.pushed(p)
			if open[r.edge] = open[r.edge][1:]; len(open[r.edge]) > 0 {
				push(r.edge)
			} else {
				delete(open, r.edge)
			}
		case ctx.Err() != nil:
			return ctx.Err()
		case o.members.Dead(r.edge):
			delete(open, r.edge)
		default:
			o.cfg.Metrics.pushFailures.Inc()
			wait := 5 * time.Millisecond
			if errors.Is(r.err, streams.ErrFull) || errors.Is(r.err, streams.ErrNotSent) {
				wait = 50 * time.Millisecond
			}
			select {
			case <-time.After(wait):
			case <-ctx.Done():
				return ctx.Err()
			}
			o.post.Beat()
			push(r.edge)
		}
	}
	return nil
}
