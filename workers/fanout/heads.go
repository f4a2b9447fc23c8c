package fanout

import (
	"context"
	"time"

	"github.com/whaleshark-im/whaleshark/chat"
)

func (o *owner) setHead(c chat.Conversation, seq chat.Seq) {
	if len(o.heads) >= headLimit {
		clear(o.heads) // what is needed again is looked up
	}
	o.heads[c] = max(o.heads[c], seq)
}

// receipt relays a receiver's receipt to the devices of the sender: only from a member, only up to the head.
func (o *owner) receipt(out *batch, s *chat.Signal) {
	if s.Conversation.Kind == chat.Group {
		o.cfg.Metrics.receiptsDropped.WithLabelValues("in a group").Inc()
		return
	}
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

// haveSpoken reports whether a pair has a message, as far as it is at hand: nobody hears that a stranger is typing. What is not at hand is
// looked up for the next time.
func (o *owner) haveSpoken(c chat.Conversation) bool {
	head, known := o.heads[c]
	if _, asked := o.cold[c]; !known && !asked && len(o.cold) < coldLimit {
		o.cold[c] = nil
	}
	return head > 0
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
