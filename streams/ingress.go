package streams

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/whaleshark-im/whaleshark/chat"
)

// Submit puts a request into the ingress. Done is called exactly once, from another goroutine or at once: with nil when the request
// is in, with a chat.Error when it certainly is not, with any other error when nobody knows.
func (c *Conn) Submit(q *chat.Request, done func(error)) {
	p := q.Conversation.Partition(c.partitions)
	form := func(b []byte) []byte { return chat.AppendMailed(b, q) }
	c.ingress[p].put(q.Conversation, form, func(err error) {
		switch {
		case errors.Is(err, ErrFull):
			err = chat.Errorf(chat.Busy, "")
		case errors.Is(err, ErrNotSent):
			err = chat.Errorf(chat.Unavailable, "")
		}
		done(err)
	})
}

// Offered is what an owner reads from its partition's ingress: a request, or an owner's tick.
type Offered struct {
	Position chat.Position
	Request  *chat.Request // nil: a tick, or what cannot be read
	Fault    error         // why it cannot be read
}

// ReadIngress reads a partition's ingress after a position of a generation's life.
func (c *Conn) ReadIngress(ctx context.Context, g *Generation, p chat.Partition, after chat.Position) (*Reader[Offered], error) {
	tick := ingressTick(p)
	return readEach(ctx, c, g, streamIngress, "the ingress", readerInbox, jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{ingressFilter(p)}, DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: after.Next(),
	}, func(m jetstream.Msg, put func(Offered)) {
		meta, err := m.Metadata()
		if err != nil {
			return
		}
		entry := meta.Sequence.Stream
		if m.Subject() == tick {
			put(Offered{Position: chat.PositionOf(entry, 0)})
			return
		}
		things, err := chat.DecodeParcel(m.Data())
		if err == nil && len(things) > chat.MaxParcel {
			err = fmt.Errorf("%d requests in one entry", len(things))
		}
		if err != nil {
			put(Offered{Position: chat.PositionOf(entry, 0), Fault: err})
			return
		}
		for i, b := range things {
			o := Offered{Position: chat.PositionOf(entry, len(things)-1-i)}
			if o.Position <= after {
				continue
			}
			o.Request, o.Fault = chat.DecodeMailed(b)
			put(o)
		}
	})
}

// NewestPosition returns the position of the newest entry of a partition's ingress, ticks included, from the leader; 0 if there is none.
func (c *Conn) NewestPosition(ctx context.Context, p chat.Partition) (chat.Position, error) {
	e, err := c.getMessage(ctx, streamIngress, map[string]any{"last_by_subj": ingressFilter(p)})
	if errors.Is(err, errNoEntry) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read the newest position of partition %d: %w", p, err)
	}
	return chat.PositionOf(e.Seq, 0), nil
}

// IngressEnd returns the position of the newest entry of all partitions.
func (c *Conn) IngressEnd(ctx context.Context) (chat.Position, error) {
	end, err := c.lastSequence(ctx, streamIngress)
	if err != nil {
		return 0, fmt.Errorf("read the end of the ingress: %w", err)
	}
	return chat.PositionOf(end, 0), nil
}

// firstEntry returns the sequence of a partition's first entry with requests that are after a position; 0 if only ticks came after it.
func (c *Conn) firstEntry(ctx context.Context, p chat.Partition, after chat.Position) (uint64, error) {
	for next := after.Next(); ; {
		e, err := c.getMessage(ctx, streamIngress, map[string]any{"next_by_subj": ingressFilter(p), "seq": next})
		if errors.Is(err, errNoEntry) {
			return 0, nil
		}
		if err != nil {
			return 0, fmt.Errorf("read the ingress of partition %d from entry %d: %w", p, next, err)
		}
		if e.Subject != ingressTick(p) {
			return e.Seq, nil
		}
		next = e.Seq + 1
	}
}

// Unfolded returns how many entries of a partition's ingress its sequencers have still to fold in: those from the first with requests after
// the highest floor that one of them tells to the newest. The partitions share the sequence, so it is a bound.
// False if no sequencer tells a floor in the ingress's present life.
func (w *Members) Unfolded(ctx context.Context, p chat.Partition) (uint64, bool, error) {
	floor, known := chat.Position(0), false
	for _, m := range w.Of(RoleSequence) {
		if v, ok := m.Vector[p]; ok && m.Ingress == w.c.gen.Load().Ingress {
			floor, known = max(floor, chat.Position(v)), true
		}
	}
	if !known {
		return 0, false, nil
	}
	newest, err := w.c.NewestPosition(ctx, p)
	if err != nil {
		return 0, false, err
	}
	first, err := w.c.firstEntry(ctx, p, floor)
	if err != nil || first == 0 || first >= newest.Next() {
		return 0, err == nil, err
	}
	return newest.Next() - first, true, nil
}

// Tick sends an owner's tick through its partition's ingress. Nobody waits for it: what counts is that it comes out again.
func (c *Conn) Tick(p chat.Partition, node chat.NodeID) error {
	if err := c.nc.Publish(ingressTick(p), []byte(node)); err != nil {
		return fmt.Errorf("tick partition %d: %w", p, err)
	}
	return nil
}

// PurgeIngress drops what all partitions have folded in: every entry of which nothing is after a position of this life.
//
// The entry that carries the life moves to the end first, so that the purge does not take it. In a full stream there is no room for
// it; then the purge comes first, and for a moment the stream has no life (see beginLife).
func (c *Conn) PurgeIngress(ctx context.Context, life chat.Life, upTo chat.Position) error {
	m := memoryStreams[0]
	e, err := c.getMessage(ctx, m.name, map[string]any{"last_by_subj": m.lifeSubject})
	if err != nil {
		return fmt.Errorf("purge the ingress: %w", err)
	}
	if string(e.Data) != strconv.FormatUint(uint64(life), 10) {
		return errors.New("purge the ingress: it has begun a new life")
	}
	moved := true
	if e.Seq < upTo.Next() {
		_, err = c.publishWait(ctx, lifeMessage(m, e.Data, e.Seq))
		if moved = !errors.Is(err, ErrFull); moved && err != nil {
			return fmt.Errorf("purge the ingress: %w", err)
		}
	}
	var purged struct {
		Purged uint64 `json:"purged"`
	}
	err = c.api(ctx, "STREAM.PURGE."+m.name, map[string]any{"seq": upTo.Next()}, &purged)
	if !moved { // whatever became of the purge: it may have been carried out
		if _, again := c.publishWait(ctx, lifeMessage(m, e.Data, 0)); again != nil && !errors.Is(again, ErrConflict) {
			err = errors.Join(err, fmt.Errorf("keep its life: %w", again))
		}
	}
	if err != nil {
		return fmt.Errorf("purge the ingress: %w", err)
	}
	return nil
}
