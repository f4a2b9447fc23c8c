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
	Passed  int      // reads that move nothing, changes that are in already or not next, settings that may not be: passed over, and no device is told
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
			rest = append(rest, p)
		}
	}
	s.waiting = rest
	s.slide()
	b.flushReads(nil)
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
		s.answerCommitted(p, e)
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

	// Most blocks have none of these; the maps are made when they are needed.
	versions map[Conversation]int64 // of groups, after this block
	recalled map[Place]bool         // the messages that are recalled in this block
	readers  map[ReadKey]*Record    // reads to come at the end of the block, each reader's once
	reads    []*Record              // … in their order
	waits    map[ReadKey]bool       // readers whose further reads are for the next block
	awaited  map[Conversation]int   // messages that wait for their app, and those behind them
}

func (b *blockBuilder) full(p *pending) bool {
	return len(b.records)+len(b.reads) >= b.s.cfg.BlockRecords || (b.bytes > 0 && b.bytes+p.bytes() > b.s.cfg.BlockBytes)
}

// take judges one request, and reports whether it need not wait any longer.
func (b *blockBuilder) take(p *pending, now time.Time) bool {
	if b.mustWait(p, now) {
		return false
	}
	if now.After(p.q.Deadline) {
		b.out.Expired++
		b.s.finish(p)
		return true
	}
	v := b.judge(p, now)
	if v.poison {
		b.out.Poison++
	}
	switch v.kind {
	case hold:
		b.hold(p)
		return false
	case await:
		b.await(p.q.Conversation)
		return false
	case pass:
		b.out.Passed++
		b.s.answer(p.q, v.code, v.seq, 0)
		b.s.finish(p)
	case repeat:
		b.out.Repeats = append(b.out.Repeats, repeatOf(p.q, v.stored))
		b.s.answer(p.q, OK, v.stored.Seq, v.stored.Place)
		b.s.finish(p)
	case place:
		b.place(p, &v)
	case refuse:
		b.refuse(p, v.code)
	}
	return true
}

// mustWait reports whether a request cannot be judged yet, whatever is known. The order of a conversation is kept; a read alone neither waits
// for what is before it nor holds up what is behind. What follows a change of a group is judged by the roster after it, in the next block;
// but for the next change. Behind a message that waits for its app, recalls go on as well.
func (b *blockBuilder) mustWait(p *pending, now time.Time) bool {
	c := p.q.Conversation
	if p.q.Kind == AskRead {
		return b.versions[c] != 0
	}
	if b.awaited[c] > 0 && p.q.Kind != AskRecall {
		b.waitBehind(p, now)
		return true
	}
	if b.held[c] {
		return true
	}
	if p.q.Kind == AskMessage && b.ids[p.id] || p.q.Kind != AskChange && b.versions[c] != 0 {
		b.hold(p)
		return true
	}
	return false
}

func (b *blockBuilder) hold(p *pending) {
	if p.q.Kind != AskRead {
		b.held[p.q.Conversation] = true
	}
}

// headOf returns a conversation's head after this block.
func (b *blockBuilder) headOf(c Conversation) Seq {
	if seq, ok := b.placed[c]; ok {
		return seq
	}
	return b.s.heads[c].seq
}

func (b *blockBuilder) place(p *pending, v *verdict) {
	switch p.q.Kind {
	case AskMessage:
		b.placeMessage(p, v.replaced)
	case AskRead:
		b.placeRead(p, v.read, v.seq)
	case AskRecall:
		b.placeRecall(p, v.target)
	case AskChange:
		b.placeChange(p)
	case AskSetting:
		b.placeSetting(p)
	}
}

func (b *blockBuilder) placeMessage(p *pending, replaced *HookVerdict) {
	c := p.q.Conversation
	seq := b.headOf(c) + 1
	b.placed[c] = seq
	b.ids[p.id] = true
	r := Record{
		Kind:         MessageRecord,
		Conversation: c,
		Sender:       p.q.Sender,
		MessageID:    p.q.MessageID,
		Seq:          seq,
		MessageTime:  p.q.MessageTime,
		Digest:       DigestOf(p.q.Body, p.q.Extra),
		Body:         p.q.Body,
		Extra:        p.q.Extra,
	}
	if replaced != nil {
		r.replace(replaced.Body, replaced.Extra)
	}
	b.add(p, r)
}

// placeRead keeps a read for the end of the block, where it is above all that it covers. Another read of the same reader goes on with it,
// unless it names somebody else.
func (b *blockBuilder) placeRead(p *pending, from, seq Seq) {
	key := ReadKey{p.q.Conversation, p.q.Sender.User}
	r, ok := b.readers[key]
	if !ok {
		r = &Record{Kind: ReadRecord, Conversation: key.Conversation, Read: &Read{From: from}}
		if b.readers == nil {
			b.readers = make(map[ReadKey]*Record)
		}
		b.readers[key] = r
		b.reads = append(b.reads, r)
	}
	r.Sender, r.Seq = p.q.Sender, seq
	if p.q.Named != "" {
		r.Read.Named = p.q.Named
	}
	b.taken = append(b.taken, p)
	b.bytes += p.bytes()
}

// waitForNext leaves a reader's further reads for the next block, in their order: a record has room for one name, and in a group whoever is
// named is to hear of it.
func (b *blockBuilder) waitForNext(key ReadKey) {
	if b.waits == nil {
		b.waits = make(map[ReadKey]bool)
	}
	b.waits[key] = true
}

// flushReads adds the reads to the block: those of one conversation, or all.
func (b *blockBuilder) flushReads(only *Conversation) {
	rest := b.reads[:0]
	for _, r := range b.reads {
		if only != nil && r.Conversation != *only {
			rest = append(rest, r)
		} else {
			b.records = append(b.records, *r)
		}
	}
	b.reads = rest
}

func (b *blockBuilder) placeRecall(p *pending, t *Targeted) {
	if b.recalled == nil {
		b.recalled = make(map[Place]bool)
	}
	b.recalled[t.Place] = true
	b.add(p, Record{
		Kind:         RecallRecord,
		Conversation: p.q.Conversation,
		Sender:       p.q.Sender,
		MessageID:    p.q.MessageID,
		Seq:          t.Seq,
		Recall:       &Recall{Place: t.Place, Sender: t.Sender, MessageID: t.MessageID},
	})
}

// placeChange puts the reads that were judged before the change in front of it.
func (b *blockBuilder) placeChange(p *pending) {
	if b.versions == nil {
		b.versions = make(map[Conversation]int64)
	}
	c := p.q.Conversation
	b.flushReads(&c)
	b.versions[c] = p.q.Change.Version
	b.add(p, Record{Kind: GroupRecord, Conversation: c, Sender: p.q.Sender, Change: p.q.Change})
}

func (b *blockBuilder) refuse(p *pending, code Code) {
	r := Record{
		Kind:         RefusalRecord,
		Conversation: p.q.Conversation,
		Sender:       p.q.Sender,
		MessageID:    p.q.MessageID,
		Code:         code,
	}
	if p.q.Kind == AskRecall {
		r.Kind, r.Seq, r.Recall = RecallRefusalRecord, p.q.Seq, &Recall{Place: p.q.Place}
	}
	b.add(p, r)
}

func (b *blockBuilder) add(p *pending, r Record) {
	p.index = len(b.records)
	b.records = append(b.records, r)
	b.taken = append(b.taken, p)
	b.bytes += p.bytes()
}

// bytes returns how much of a block the request takes at most.
func (p *pending) bytes() int {
	const (
		fixed  = 96   // kind, lengths, numbers, digest
		target = 1024 // the identity of a message that is recalled
	)
	c, q := &p.q.Conversation, p.q
	n := fixed + len(c.A) + len(c.B) + len(q.Sender.User) + len(q.Sender.IMEI) + len(q.MessageID) + len(q.Body) + len(q.Extra) + len(q.Named)
	if q.Kind == AskRecall {
		n += target
	}
	if q.Change != nil {
		for _, u := range q.Change.Users {
			n += len(u) + 2
		}
		n += len(q.Change.Info)
	}
	if p.hook != nil {
		n += len(Digest{}) + len(p.hook.verdict.Body) + len(p.hook.verdict.Extra)
	}
	return n
}

// repeatOf tells of a stored message that was sent again: with what is to be pushed once more, unless it was recalled. Of one that was
// replaced only the log has what it says; nothing is pushed then, either.
func repeatOf(q *Request, s Stored) Signal {
	r := Signal{
		Kind:         Repeat,
		Conversation: q.Conversation,
		From:         q.Sender,
		MessageID:    q.MessageID,
		Seq:          s.Seq,
		Place:        s.Place,
		MessageTime:  q.MessageTime,
		Recalled:     s.Recalled || s.Replaced,
	}
	if !r.Recalled {
		r.Body, r.Extra = q.Body, q.Extra
	}
	return r
}
