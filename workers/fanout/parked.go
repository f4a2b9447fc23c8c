package fanout

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/whaleshark-im/whaleshark/chat"
)

// What may wait for its group's members. More is given up, and read again from the log.
const (
	parkedRecords = 10_000
	parkedBytes   = 32 << 20
)

// groupsAtOnce is how many groups are looked up in one question.
const groupsAtOnce = 100

// parked holds the records of groups that could not be looked up. The devices that asked have their answers, and what is behind these
// records goes on. Until they are handed out, edges are not told that they are served beyond them: an owner that takes over begins
// there, and no cursor passes them. They are handed out as what passes is, with revision 0.
//
// The price: when the owner changes meanwhile, or when so much had to be given up that the log is read again, what is behind them is handed
// out twice, and clients drop it by its seq.
type parked struct {
	groups  map[chat.Conversation][]item // ascending by place
	records int
	bytes   int
	givenUp chat.Revision     // the first revision of what was given up; 0: nothing was
	probe   chat.Conversation // a group of it
	away    bool              // the last question was not answered: the loop does not wait for another one
	asking  bool
	atOnce  int // how many groups are asked for; fewer when an answer took too long
	answers chan rostersAnswer
}

type rostersAnswer struct {
	question question
	found    map[chat.Conversation]*group
	failed   bool
}

func newParked() *parked {
	return &parked{groups: make(map[chat.Conversation][]item), atOnce: groupsAtOnce, answers: make(chan rostersAnswer, 1)}
}

func (p *parked) has(c chat.Conversation) bool { return len(p.groups[c]) > 0 }

// served returns up to where edges are served that were handed everything up to a revision but for what is parked.
func (p *parked) served(to chat.Revision) chat.Revision {
	for _, waiting := range p.groups {
		to = min(to, waiting[0].revision-1)
	}
	if p.givenUp != 0 {
		to = min(to, p.givenUp-1)
	}
	return to
}

// add parks a record. It may be parked already: the log may be read again.
func (p *parked) add(it item) {
	c := it.record.Conversation
	waiting := p.groups[c]
	i, found := slices.BinarySearchFunc(waiting, it.place, func(x item, at chat.Place) int { return cmp.Compare(x.place, at) })
	if found || p.givenUp != 0 && it.revision >= p.givenUp {
		return // the log will be read again from there
	}
	p.groups[c] = slices.Insert(waiting, i, it)
	p.records++
	p.bytes += it.bytes()
	if p.records > parkedRecords || p.bytes > parkedBytes {
		p.giveUp(c)
	}
}

// giveUp forgets everything that is parked, but for where it begins.
func (p *parked) giveUp(newest chat.Conversation) {
	first := p.groups[newest][0].revision
	for _, waiting := range p.groups {
		first = min(first, waiting[0].revision)
	}
	p.givenUp, p.probe = first, newest
	clear(p.groups)
	p.records, p.bytes = 0, 0
}

// remove takes a group's records out.
func (p *parked) remove(c chat.Conversation) {
	for i := range p.groups[c] {
		p.bytes -= p.groups[c][i].bytes()
	}
	p.records -= len(p.groups[c])
	delete(p.groups, c)
}

// askRosters looks the groups of parked records up again, beside the loop.
func (o *owner) askRosters(ctx context.Context) {
	p := o.parked
	if p.asking || p.records == 0 && p.givenUp == 0 {
		return
	}
	q := question{at: o.revision, since: o.since, rewinds: o.rewinds}
	for c, waiting := range p.groups {
		if q.groups = append(q.groups, c); len(q.groups) == 1 || waiting[0].place < q.ended {
			q.ended = waiting[0].place
		}
		if len(q.groups) == p.atOnce {
			break
		}
	}
	if p.givenUp != 0 {
		q.groups = []chat.Conversation{p.probe} // all of it is read again once there are answers
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

// learnRosters hands out the records that waited, and asks for the next groups. They stay parked if the edges cannot be reached: then the
// log is read again.
func (o *owner) learnRosters(ctx context.Context, a rostersAnswer) error {
	p := o.parked
	p.asking = false
	if p.away = a.failed; p.away {
		p.atOnce = max(1, p.atOnce/2)
		return nil
	}
	p.atOnce = min(2*p.atOnce, groupsAtOnce)
	switch {
	case p.givenUp != 0:
		p.givenUp = 0
		return errBehind
	case a.question.rewinds != o.rewinds:
		o.askRosters(ctx) // the log goes on from elsewhere, and needs to know more
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
		for _, it := range waiting {
			it.revision = 0 // edges are told that they are served beyond it only when it is handed out
			o.group(out, &it, g)
		}
	}
	if err := o.handOut(ctx, out, o.revision, 0); err != nil {
		return err
	}
	for c, g := range a.found {
		p.remove(c)
		o.rosters.put(c, g)
	}
	o.askRosters(ctx)
	return nil
}
