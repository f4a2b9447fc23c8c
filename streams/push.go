package streams

import (
	"context"
	"fmt"
	"slices"
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
	m := &nats.Msg{Subject: pushSubject(edge), Data: chat.AppendPush(nil, p)}
	c.pub.publish(m, func(_ uint64, err error) { done(err) })
}

// Pushed is what an edge reads: a push, or its own tick.
type Pushed struct {
	Sequence uint64     // in the present life of PUSH
	Push     *chat.Push // nil: a tick
}

// ReadPushes reads what is pushed to an edge, after a sequence of a generation's life of PUSH.
func (c *Conn) ReadPushes(ctx context.Context, g *Generation, edge chat.NodeID, after uint64) (*Reader[Pushed], error) {
	policy, start := from(after)
	return read(ctx, c, g, streamPush, "pushes", readerInbox, jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{pushSubject(edge)}, DeliverPolicy: policy, OptStartSeq: start,
	}, func(m jetstream.Msg) (Pushed, bool) {
		meta, err := m.Metadata()
		if err != nil {
			return Pushed{}, false
		}
		if m.Headers().Get(pushTickHeader) != "" {
			return Pushed{Sequence: meta.Sequence.Stream}, true
		}
		p, err := chat.DecodePush(m.Data())
		if err != nil {
			c.log.ErrorContext(ctx, "a push cannot be read", "cause", err)
			return Pushed{}, false
		}
		return Pushed{meta.Sequence.Stream, p}, true
	})
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
