package streams

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/whaleshark-im/whaleshark/chat"
)

// Submit puts a request into the ingress. Done is called exactly once, from another goroutine or at once: with nil when the request
// is in, with a chat.Error when it certainly is not, with any other error when nobody knows.
func (c *Conn) Submit(q *chat.Request, done func(error)) {
	m := &nats.Msg{
		Subject: ingressSubject(q.Conversation.Partition(c.partitions), q.Conversation),
		Data:    chat.AppendRequest(nil, q),
	}
	if q.Reply != "" {
		m.Header = nats.Header{replyHeader: {q.Reply}}
	}
	c.pub.publish(m, func(_ uint64, err error) {
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
	policy, start := from(uint64(after))
	return read(ctx, c, g, streamIngress, "the ingress", readerInbox, jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{ingressFilter(p)}, DeliverPolicy: policy, OptStartSeq: start,
	}, func(m jetstream.Msg) (Offered, bool) {
		meta, err := m.Metadata()
		if err != nil {
			return Offered{}, false
		}
		o := Offered{Position: chat.Position(meta.Sequence.Stream)}
		if m.Subject() == tick {
			return o, true
		}
		if o.Request, o.Fault = chat.DecodeRequest(m.Data()); o.Fault != nil {
			o.Request = nil
			return o, true
		}
		o.Request.Reply = m.Headers().Get(replyHeader)
		return o, true
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
	return chat.Position(e.Seq), nil
}

// IngressEnd returns the position of the newest entry of all partitions.
func (c *Conn) IngressEnd(ctx context.Context) (chat.Position, error) {
	end, err := c.lastSequence(ctx, streamIngress)
	if err != nil {
		return 0, fmt.Errorf("read the end of the ingress: %w", err)
	}
	return chat.Position(end), nil
}

// firstRequest returns the position of a partition's first request after a position; 0 if only ticks came after it.
func (c *Conn) firstRequest(ctx context.Context, p chat.Partition, after chat.Position) (chat.Position, error) {
	for {
		e, err := c.getMessage(ctx, streamIngress, map[string]any{"next_by_subj": ingressFilter(p), "seq": uint64(after) + 1})
		if errors.Is(err, errNoEntry) {
			return 0, nil
		}
		if err != nil {
			return 0, fmt.Errorf("read the ingress of partition %d after %d: %w", p, after, err)
		}
		if after = chat.Position(e.Seq); e.Subject != ingressTick(p) {
			return after, nil
		}
	}
}

// Unfolded returns how many positions of a partition's ingress its sequencers have still to fold in: those from the first request after
// the highest floor that one of them tells to the newest entry. The partitions share the positions, so it is a bound for the requests.
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
	first, err := w.c.firstRequest(ctx, p, floor)
	if err != nil || first == 0 || first > newest {
		return 0, err == nil, err
	}
	return uint64(newest - first + 1), true, nil
}

// Tick sends an owner's tick through its partition's ingress. Nobody waits for it: what counts is that it comes out again.
func (c *Conn) Tick(p chat.Partition, node chat.NodeID) error {
	if err := c.nc.Publish(ingressTick(p), []byte(node)); err != nil {
		return fmt.Errorf("tick partition %d: %w", p, err)
	}
	return nil
}

// PurgeIngress drops what all partitions have folded in: everything up to a position of this life.
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
	if e.Seq <= uint64(upTo) {
		_, err = c.publishWait(ctx, lifeMessage(m, e.Data, e.Seq))
		if moved = !errors.Is(err, ErrFull); moved && err != nil {
			return fmt.Errorf("purge the ingress: %w", err)
		}
	}
	var purged struct {
		Purged uint64 `json:"purged"`
	}
	err = c.api(ctx, "STREAM.PURGE."+m.name, map[string]any{"seq": uint64(upTo) + 1}, &purged)
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

// Signal sends a signal to the fan-out of its conversation's partition. It may be lost.
func (c *Conn) Signal(s *chat.Signal) error {
	if err := c.nc.Publish(signalSubject(s.Conversation.Partition(c.partitions)), chat.AppendSignal(nil, s)); err != nil {
		return fmt.Errorf("signal: %w", err)
	}
	return nil
}

// Signals are the signals of a partition, for its fan-out.
type Signals struct {
	in  *inbox[*chat.Signal]
	sub *nats.Subscription
}

// ReadSignals listens to a partition's signals. Those that come faster than they are taken are dropped, and counted by dropped.
func (c *Conn) ReadSignals(p chat.Partition, dropped func()) (*Signals, error) {
	s := &Signals{in: newInbox[*chat.Signal](readerInbox * 4)}
	var err error
	s.sub, err = c.nc.Subscribe(signalSubject(p), func(m *nats.Msg) {
		if x, err := chat.DecodeSignal(m.Data); err != nil || !s.in.offer(x) {
			dropped()
		}
	})
	if err != nil {
		return nil, fmt.Errorf("listen to signals of partition %d: %w", p, err)
	}
	return s, nil
}

// Ready yields when there is something to take.
func (s *Signals) Ready() <-chan struct{} { return s.in.ready }

// Take returns what has come.
func (s *Signals) Take(limit int) []*chat.Signal { return s.in.take(limit) }

// Close stops listening.
func (s *Signals) Close() { _ = s.sub.Unsubscribe() }
