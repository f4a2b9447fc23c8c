package chat

import (
	"slices"
	"time"
)

// Step is what a sequencer wants done.
type Step struct {
	Block   *Block   // to be committed after the tail; nil: nothing to commit
	Data    []byte   // the block's binary form
	Repeats []Signal // stored messages that were sent again: their acks are due once more
	Expired int      // requests that were past their deadline; nobody is told, so they may be sent again
	Poison  int      // requests whose judgement panicked; they are refused in the block
}

// Step judges what waits, and returns the next block if none is in flight. The order within a conversation is that of the ingress; a
// request that needs a look-up holds back its own conversation alone.
func (s *Sequencer) Step(now time.Time) Step {
	if s.block != nil || len(s.waiting) == 0 {
		return Step{}
	}
	b := blockBuilder{
		s:      s,
		placed: make(map[Conversation]Seq),
		ids:    make(map[ID]bool),
		held:   make(map[Conversation]bool),
	}
	rest := s.waiting[:0:0]
	for i, p := range s.waiting {
		if b.full(p) {
			rest = append(rest, s.waiting[i:]...)
			break
		}
		if !b.take(p, now) {
			b.held[p.q.Conversation] = true
			rest = append(rest, p)
		}
	}
	s.waiting = rest
	s.slide()
	if len(b.records) > 0 {
		s.inflight = b.taken
		s.block = &Block{
			Partition:  s.cfg.Partition,
			Prev:       s.tail.Revision,
			Time:       now,
			Checkpoint: s.checkpoint(),
			Records:    b.records,
		}
		b.out.Block = s.block
		b.out.Data = AppendBlock(nil, s.block, s.tail.Hash)
	}
	return b.out
}

// checkpoint tells what is handled once the block in flight is committed: up to Low everything, and above it what this owner has
// handled before what still waits, and what an earlier owner had handled and this one was never offered.
func (s *Sequencer) checkpoint() Checkpoint {
	cp := Checkpoint{Life: s.cfg.Life, Low: max(s.offered, s.cp.Low)}
	if len(s.waiting) > 0 {
		cp.Low = s.waiting[0].pos - 1
	}
	next := 0
	for _, p := range s.window {
		if next < len(s.waiting) && s.waiting[next] == p {
			next++
		} else if p.pos > cp.Low {
			cp.Above = append(cp.Above, p.pos)
		}
	}
	for _, pos := range s.cp.Above {
		if pos > cp.Low {
			cp.Above = append(cp.Above, pos)
		}
	}
	slices.Sort(cp.Above)
	cp.Above = slices.Compact(cp.Above)
	return cp
}

// Committed says that the block in flight is the log's, at this revision.
func (s *Sequencer) Committed(rev Revision, now time.Time) (Entry, error) {
	if s.block == nil {
		panic("chat: committed, but no block is in flight")
	}
	e := Entry{rev, s.block}
	for _, p := range s.inflight {
		s.finish(p)
	}
	s.block, s.inflight = nil, nil
	return e, s.fold(e, now)
}

// Unsettled says that nobody knows, or that it is known not to be so: the block in flight may be in the log or not. Its requests wait
// again, in their order; the owner reads the log's tail and folds it, which drops those that are in it after all.
func (s *Sequencer) Unsettled() {
	if s.block == nil {
		panic("chat: unsettled, but no block is in flight")
	}
	s.waiting = append(s.waiting, s.inflight...)
	slices.SortFunc(s.waiting, func(a, b *pending) int { return int(a.pos) - int(b.pos) }) //nolint:gosec // far below 2^63
	s.block, s.inflight = nil, nil
}

// blockBuilder is one pass of Step.
type blockBuilder struct {
	s       *Sequencer
	out     Step
	records []Record
	taken   []*pending
	bytes   int
	placed  map[Conversation]Seq  // the heads after this block
	ids     map[ID]bool           // the identities in this block
	held    map[Conversation]bool // a request before this one waits
}

func (b *blockBuilder) full(p *pending) bool {
	return len(b.records) >= b.s.cfg.BlockRecords || (b.bytes > 0 && b.bytes+p.bytes() > b.s.cfg.BlockBytes)
}

// take judges one request, and reports whether it need not wait any longer.
func (b *blockBuilder) take(p *pending, now time.Time) bool {
	if b.held[p.q.Conversation] || b.ids[p.id] {
		return false
	}
	if now.After(p.q.Deadline) {
		b.out.Expired++
		b.s.finish(p)
		return true
	}
	v := b.s.judge(p, now)
	switch v.kind {
	case hold:
		return false
	case repeat:
		b.out.Repeats = append(b.out.Repeats, repeatOf(p.q, v.stored))
		b.s.finish(p)
	case place:
		b.place(p)
	case refuse:
		if v.poison {
			b.out.Poison++
		}
		b.refuse(p, v.code)
	}
	return true
}

func (b *blockBuilder) place(p *pending) {
	c := p.q.Conversation
	seq, ok := b.placed[c]
	if !ok {
		seq = b.s.heads[c].seq
	}
	seq++
	b.placed[c] = seq
	b.ids[p.id] = true
	b.add(p, Record{
		Kind:         MessageRecord,
		Conversation: c,
		Sender:       p.q.Sender,
		MessageID:    p.q.MessageID,
		Seq:          seq,
		MessageTime:  p.q.MessageTime,
		Digest:       DigestOf(p.q.Body, p.q.Extra),
		Body:         p.q.Body,
		Extra:        p.q.Extra,
	})
}

func (b *blockBuilder) refuse(p *pending, code Code) {
	b.add(p, Record{
		Kind:         RefusalRecord,
		Conversation: p.q.Conversation,
		Sender:       p.q.Sender,
		MessageID:    p.q.MessageID,
		Code:         code,
	})
}

func (b *blockBuilder) add(p *pending, r Record) {
	b.records = append(b.records, r)
	b.taken = append(b.taken, p)
	b.bytes += p.bytes()
}

// bytes returns how much of a block the request takes at most.
func (p *pending) bytes() int {
	const fixed = 96 // kind, lengths, numbers, digest
	c, q := &p.q.Conversation, p.q
	return fixed + len(c.A) + len(c.B) + len(q.Sender.User) + len(q.Sender.IMEI) + len(q.MessageID) + len(q.Body) + len(q.Extra)
}

func repeatOf(q *Request, s Stored) Signal {
	return Signal{
		Kind:         Repeat,
		Conversation: q.Conversation,
		From:         q.Sender,
		MessageID:    q.MessageID,
		Seq:          s.Seq,
		Place:        s.Place,
		MessageTime:  q.MessageTime,
		Body:         q.Body,
		Extra:        q.Extra,
	}
}

type verdictKind uint8

const (
	hold verdictKind = iota
	repeat
	place
	refuse
)

type verdict struct {
	kind   verdictKind
	stored Stored
	code   Code
	poison bool
}

// judge says what becomes of a request. One whose judgement panics is refused, and harms nobody else.
func (s *Sequencer) judge(p *pending, now time.Time) (v verdict) {
	defer func() {
		if recover() != nil {
			v = verdict{kind: refuse, code: Internal, poison: true}
		}
	}()
	if stored, ok := s.storedBefore(p); ok {
		if stored.Digest != DigestOf(p.q.Body, p.q.Extra) {
			return verdict{kind: refuse, code: MessageIDReused}
		}
		return verdict{kind: repeat, stored: stored}
	}
	if s.lacks(p, now) {
		if s.know.failing {
			return verdict{kind: refuse, code: Unavailable}
		}
		return verdict{kind: hold}
	}
	if code := s.know.judge(p.q, p.peer); code != OK {
		return verdict{kind: refuse, code: code}
	}
	return verdict{kind: place}
}

func (s *Sequencer) storedBefore(p *pending) (Stored, bool) {
	if stored, ok := s.ids.known[p.id]; ok {
		return stored, true
	}
	a := s.found[p.id]
	return a.stored, a.exists
}

// lacks reports whether something must be looked up before p can be judged, and asks for it.
func (s *Sequencer) lacks(p *pending, now time.Time) bool {
	lacks := s.know.missing(p.q, p.peer, &s.ask, now)
	if _, ok := s.heads[p.q.Conversation]; !ok {
		lacks = true
		s.ask.head(p.q.Conversation)
	}
	if !s.isNew(p, now) {
		lacks = true
		s.ask.id(p.id)
	}
	return lacks
}

// isNew reports whether it is certain that p's message was never placed: Postgres has said so, or the filter denies it. Only while
// Postgres does not answer is a client's word enough that this is its first attempt, and only if the filter has not seen the identity,
// however much of the past it knows.
func (s *Sequencer) isNew(p *pending, now time.Time) bool {
	if a, ok := s.found[p.id]; ok && !a.exists && now.Sub(a.asked) < minIDWindow {
		return true
	}
	return (s.vouch || s.know.failing && p.q.First) && !s.filter.Has(p.id.Prefix())
}
