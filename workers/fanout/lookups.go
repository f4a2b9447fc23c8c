package fanout

import (
	"context"
	"time"

	"github.com/whaleshark-im/whaleshark/chat"
)

// lookUpLimit is how many reads may wait until the senders of what was read are looked up.
const lookUpLimit = 1000

// lookUps holds the reads of messages whose senders are not remembered. Their receipts are handed out as what passes is: one that is lost
// is made good by the sender's next sync.
type lookUps struct {
	waiting []unknownSenders
	asking  bool
	answers chan sendersAnswer
}

type sendersAnswer struct {
	asked  []unknownSenders
	found  chat.Facts
	failed bool
}

func newLookUps() *lookUps { return &lookUps{answers: make(chan sendersAnswer, 1)} }

// askSenders looks up who sent what was read, beside the loop.
func (o *owner) askSenders(ctx context.Context, more []unknownSenders) {
	l := o.senders
	if room := max(0, lookUpLimit-len(l.waiting)); len(more) > room {
		o.cfg.Metrics.readsDropped.WithLabelValues("too many look-ups").Add(float64(len(more) - room))
		more = more[:room]
	}
	l.waiting = append(l.waiting, more...)
	if l.asking || len(l.waiting) == 0 {
		return
	}
	asked := l.waiting
	l.waiting, l.asking = nil, true
	needs := chat.Needs{Partition: o.partition}
	met := make(map[chat.SeqRange]bool)
	for _, u := range asked {
		if !met[u.messages] {
			met[u.messages] = true
			needs.Senders = append(needs.Senders, u.messages)
		}
	}
	o.wg.Go(func() {
		limited, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		found, err := o.cfg.Database.LookUp(limited, needs)
		if err != nil {
			o.cfg.Metrics.lookUpFailures.Inc()
			o.log.DebugContext(ctx, "senders cannot be looked up", "reads", len(asked), "cause", err)
		}
		l.answers <- sendersAnswer{asked, found, err != nil}
	})
}

// learnSenders tells those whose messages were read.
func (o *owner) learnSenders(ctx context.Context, a sendersAnswer) error {
	o.senders.asking = false
	if a.failed {
		o.cfg.Metrics.readsDropped.WithLabelValues("no senders").Add(float64(len(a.asked)))
		o.askSenders(ctx, nil)
		return nil
	}
	out := o.newBatch()
	for _, u := range a.asked {
		c := u.messages.Conversation
		g := o.rosters.get(c)
		if g == nil {
			o.cfg.Metrics.readsDropped.WithLabelValues("group not at hand").Inc()
			continue
		}
		for _, sender := range a.found.Senders[u.messages] {
			out.owe(c, sender, u.position, g)
		}
	}
	return o.handOut(ctx, out, o.revision, 0)
}
