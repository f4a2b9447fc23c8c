package fanout

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/whaleshark-im/whaleshark/chat"
)

// parkedLimit is how many records may wait for their group's members; what one reading of the log adds to them comes on top.
const parkedLimit = 10_000

// parked holds the records of groups that could not be looked up. The devices that asked have their answers, and the edges were told that
// they are served beyond these records: so they are handed out as what passes is, with revision 0.
//
// The price: a fan-out that ends meanwhile takes them with it. The members' clients see a gap in the seqs then, and their sync heals it.
type parked struct {
	groups  map[chat.Conversation][]item // ascending by place
	records int
	away    bool // the last question was not answered: the loop does not wait for another one
	asking  bool
	answers chan rostersAnswer
}

type rostersAnswer struct {
	question question
	found    map[chat.Conversation]*group
	failed   bool
}

func newParked() *parked {
	return &parked{groups: make(map[chat.Conversation][]item), answers: make(chan rostersAnswer, 1)}
}

func (p *parked) has(c chat.Conversation) bool { return len(p.groups[c]) > 0 }

// full reports whether the log is not to be read on.
func (p *parked) full() bool { return p.records >= parkedLimit }

// add parks a record, and reports whether it was not parked yet: the log may be read again.
func (p *parked) add(it item) bool {
	it.revision = 0
	waiting := p.groups[it.record.Conversation]
	i, found := slices.BinarySearchFunc(waiting, it.place, func(x item, at chat.Place) int { return cmp.Compare(x.place, at) })
	if found {
		return false
	}
	p.groups[it.record.Conversation] = slices.Insert(waiting, i, it)
	p.records++
	return true
}

// remove takes a group's records out and returns how many they were.
func (p *parked) remove(c chat.Conversation) int {
	n := len(p.groups[c])
	delete(p.groups, c)
	p.records -= n
	return n
}

// askRosters looks the groups of parked records up again, beside the loop.
func (o *owner) askRosters(ctx context.Context) {
	p := o.parked
	if p.asking || p.records == 0 {
		return
	}
	q := question{at: o.revision, since: o.since}
	for c, waiting := range p.groups {
		q.groups = append(q.groups, c)
		if q.ended == 0 || waiting[0].place < q.ended {
			q.ended = waiting[0].place
		}
	}
	p.asking = true
	o.wg.Go(func() {
		limited, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		found, err := o.look(limited, q)
		if err != nil {
			o.cfg.Metrics.lookUpFailures.Inc()
			o.log.DebugContext(ctx, "groups cannot be looked up", "groups", len(q.groups), "cause", err)
		}
		p.answers <- rostersAnswer{q, found, err != nil}
	})
}

// learnRosters hands out the records that waited. They stay parked if the edges cannot be reached: then the log is read again.
func (o *owner) learnRosters(ctx context.Context, a rostersAnswer) error {
	p := o.parked
	p.asking = false
	if p.away = a.failed; p.away {
		return nil
	}
	out := o.newBatch()
	for c, g := range a.found {
		waiting := p.groups[c]
		if len(waiting) == 0 || waiting[0].place < a.question.ended {
			delete(a.found, c) // what the log had when it was read again needs to know more
			continue
		}
		out.lookAhead(waiting)
		for i := range waiting {
			o.group(out, &waiting[i], g)
		}
	}
	if err := o.handOut(ctx, out, o.revision, 0); err != nil {
		return err
	}
	for c, g := range a.found {
		o.cfg.Metrics.parked.Sub(float64(p.remove(c)))
		o.rosters.put(c, g)
	}
	return nil
}
