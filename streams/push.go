package streams

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/chat/planted"
	"github.com/whaleshark-im/whaleshark/wire"
)

// dropped counts pushes with messages: a build with a planted fault drops every fiftieth.
var dropped atomic.Int64

func says(d chat.Delivery) bool {
	return d.Command == int32(wire.Send) || d.Command == int32(wire.GroupSend)
}

// Push hands frames to an edge. Done is called exactly once. A push whose outcome is unknown may be sent again: an edge drops
// what it was served before.
func (c *Conn) Push(edge chat.NodeID, p *chat.Push, done func(error)) {
	if planted.Is("push") && slices.ContainsFunc(p.Deliveries, says) && dropped.Add(1)%50 == 0 {
		go done(nil) // ends at once; the caller does not expect it before this returns
		return
	}
	c.pushes.to(c.pub, edge).put(edge, func(b []byte) []byte { return chat.AppendPush(b, p) }, done)
}

// pushMail is the mail of each edge: the pushes of several partitions that are handed out at the same time travel together.
type pushMail struct {
	mu sync.Mutex
	of map[chat.NodeID]*mail[chat.NodeID]
}

// manyEdges is how many edges are remembered before those that have come and gone are forgotten.
const manyEdges = 64

func (m *pushMail) to(pub *publisher, edge chat.NodeID) *mail[chat.NodeID] {
	m.mu.Lock()
	defer m.mu.Unlock()
	if to := m.of[edge]; to != nil {
		return to
	}
	if len(m.of) >= manyEdges {
		maps.DeleteFunc(m.of, func(_ chat.NodeID, m *mail[chat.NodeID]) bool { return m.idle() })
	}
	if m.of == nil {
		m.of = make(map[chat.NodeID]*mail[chat.NodeID])
	}
	to := &mail[chat.NodeID]{pub: pub, subject: pushSubject}
	m.of[edge] = to
	return to
}

// Pushed is what an edge reads: a push, or its own tick.
type Pushed struct {
	Sequence uint64     // up to where all has been read, in the present life of PUSH
	Push     *chat.Push // nil: a tick, or what cannot be read
}

// ReadPushes reads what is pushed to an edge, after a sequence of a generation's life of PUSH.
func (c *Conn) ReadPushes(ctx context.Context, g *Generation, edge chat.NodeID, after uint64) (*Reader[Pushed], error) {
	policy, start := from(after)
	return readEach(ctx, c, g, streamPush, "pushes", readerInbox, jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{pushSubject(edge)}, DeliverPolicy: policy, OptStartSeq: start,
	}, func(m jetstream.Msg, put func(Pushed)) {
		meta, err := m.Metadata()
		if err != nil {
			return
		}
		if m.Headers().Get(pushTickHeader) != "" {
			put(Pushed{Sequence: meta.Sequence.Stream})
			return
		}
		things, err := chat.DecodeParcel(m.Data())
		if err != nil {
			c.log.ErrorContext(ctx, "pushes cannot be read", "cause", err)
			return
		}
		for i, b := range things {
			p, err := chat.DecodePush(b)
			if err != nil {
				c.log.ErrorContext(ctx, "a push cannot be read", "cause", err)
			}
			x := Pushed{meta.Sequence.Stream, p}
			if i < len(things)-1 {
				x.Sequence-- // the entry is not read before its last push is
			}
			put(x)
		}
	})
}

// forgetPushes drops what an edge has read of its pushes, up to a sequence of a generation's life of PUSH. They would be dropped for their age, but
// at a high rate they fill the stream long before.
func (c *Conn) forgetPushes(ctx context.Context, g *Generation, edge chat.NodeID, read uint64) error {
	life, err := c.readLife(ctx, memoryStreams[1])
	if err != nil {
		return err
	}
	if life != g.Push {
		return errPast // the sequence means nothing in another life
	}
	var purged struct{}
	err = c.api(ctx, "STREAM.PURGE."+streamPush, map[string]any{"filter": pushSubject(edge), "seq": read + 1}, &purged)
	if err != nil {
		return fmt.Errorf("forget pushes that edge %s has read: %w", edge, err)
	}
	return nil
}

// TickPush sends an edge's tick through its own pushes.
func (c *Conn) TickPush(edge chat.NodeID) error {
	m := &nats.Msg{Subject: pushSubject(edge), Header: nats.Header{}}
	m.Header.Set(pushTickHeader, "1")
	if err := c.nc.PublishMsg(m); err != nil {
		return fmt.Errorf("tick pushes of %s: %w", edge, err)
	}
	return nil
}
