package chat

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// Sequencer is the rule of one partition: it judges requests in the order of the ingress, numbers the messages of each conversation,
// and makes the next block of the log. It is pure: requests, facts, outcomes and the time come in; blocks, answers and questions
// come out. The owner of a partition carries them out; two owners at once are harmless, because only one of two blocks that follow
// the same revision can be committed.
//
// Its state is a fold over the log: Postgres up to the mark, and every block after it. A new owner makes one with [NewSequencer],
// gives it the blocks from the mark on ([Sequencer.Anchor], [Sequencer.Fold]), then what comes through the ingress
// ([Sequencer.Offer]), and calls [Sequencer.Step] until nothing comes out. Each block that Step returns ends in exactly one of
// [Sequencer.Committed] and [Sequencer.Unsettled]; until then Step returns no other.
type Sequencer struct {
	cfg SequencerConfig

	// The fold.
	tail   Mark // the newest block
	cp     Checkpoint
	heads  map[Conversation]head
	reads  map[ReadKey]head // read positions
	groups groups
	ids    ids
	recall recalls
	mark   Revision // how far Postgres is known to be
	filter Filter   // every identity in the log, once complete
	vouch  bool     // the filter is complete

	// The mark as it was known a while ago: no answer that still counts is older. See [Sequencer.Persisted].
	settled  Revision
	settling Revision
	since    time.Time

	// What is being judged.
	know    knowledge
	ask     asking
	found   map[ID]idAnswer
	targets map[Target]targetAnswer

	offered  Position
	window   []*pending // everything offered that is not yet done up to the first that is not, ascending
	waiting  []*pending // of those, the ones to be judged, ascending
	inflight []*pending // of those, the ones in the block whose outcome is awaited
	block    *Block

	answers []Answer          // due; see [Sequencer.Answers]
	hooks   map[HookKey]*hook // questions to apps that somebody waits for …
	unasked []*hook           // … and those of them that are still to be asked
}

// SequencerConfig is what a sequencer must be told. Zero limits mean the defaults.
type SequencerConfig struct {
	Partition Partition
	Base      Revision // of places; see [PlaceOf]
	Life      Life     // of the ingress that the positions offered belong to

	IDWindow      time.Duration // identities are remembered at least this long; at least 2 s; default 5 min
	IDLimit       int           // and of those that Postgres has, at most so many; default 65,536
	FactTTL       time.Duration // how long a row of Postgres is believed; default 10 s
	FactLimit     int           // how many rows of a kind are kept; default 100,000
	HeadLimit     int           // how many heads are kept; default 200,000
	ReadLimit     int           // how many read positions are kept; default 200,000
	RosterLimit   int           // how many rosters are kept; default 10,000
	RosterMembers int           // and how many members they have, with 16 added for each; default 2,000,000
	RecallWindow  time.Duration // how long a sender may recall a message; default 2 min
	WindowLimit   int           // how many requests may wait; default 16,384
	BlockBytes    int           // default 256 KiB
	BlockRecords  int           // default [MaxBlockRecords]
}

// minIDWindow is how long an answer of Postgres about an identity stays true: what it did not know then is remembered that long.
const minIDWindow = 2 * time.Second

func (c *SequencerConfig) defaults() {
	c.IDWindow = max(minIDWindow, or(c.IDWindow, 5*time.Minute))
	c.IDLimit = or(c.IDLimit, 1<<16)
	c.FactTTL = or(c.FactTTL, 10*time.Second)
	c.FactLimit = or(c.FactLimit, 100_000)
	c.HeadLimit = or(c.HeadLimit, 200_000)
	c.ReadLimit = or(c.ReadLimit, 200_000)
	c.RosterLimit = or(c.RosterLimit, 10_000)
	c.RosterMembers = or(c.RosterMembers, 2_000_000)
	c.RecallWindow = or(c.RecallWindow, 2*time.Minute)
	c.WindowLimit = or(c.WindowLimit, 1<<14)
	c.BlockBytes = or(c.BlockBytes, maxBlockBytes)
	c.BlockRecords = min(or(c.BlockRecords, MaxBlockRecords), MaxBlockRecords)
}

func or[T comparable](value, otherwise T) T {
	var zero T
	if value == zero {
		return otherwise
	}
	return value
}

type head struct {
	seq Seq
	rev Revision // the block that it is of; 0: Postgres told
	at  time.Time
}

type idAnswer struct {
	stored Stored
	exists bool
	asked  time.Time
}

type targetAnswer struct {
	message Targeted
	exists  bool
	unknown bool // nobody could tell
	asked   time.Time
}

// pending is a request on its way from the ingress into the log.
type pending struct {
	q    *Request
	pos  Position
	at   time.Time // when it was offered
	id   ID        // of a message
	peer UserID    // in a pair
	done bool      // nothing of it is awaited; its position may be passed

	index int // of its record in the block in flight; a read has none of its own

	hook    *hook // the question to its app, once it is raised
	crowded bool  // too many messages of its conversation wait for their app
}

// NewSequencer returns a sequencer for a partition whose log is empty.
func NewSequencer(cfg SequencerConfig) *Sequencer {
	cfg.defaults()
	return &Sequencer{
		cfg:     cfg,
		cp:      Checkpoint{Life: cfg.Life},
		heads:   make(map[Conversation]head),
		reads:   make(map[ReadKey]head),
		groups:  make(groups),
		know:    knowledge{ttl: cfg.FactTTL, limit: cfg.FactLimit},
		ask:     newAsking(),
		found:   make(map[ID]idAnswer),
		targets: make(map[Target]targetAnswer),
	}
}

// Anchor starts the fold at an entry whose records Postgres has.
func (s *Sequencer) Anchor(e Entry) {
	s.tail = Mark{e.Revision, e.Block.Hash}
	s.mark = e.Revision
	s.passed(e.Block.Checkpoint)
}

// Resume takes in a checkpoint of a block before the anchor, when the anchor's is of another life.
func (s *Sequencer) Resume(cp Checkpoint) { s.passed(cp) }

// Fold takes in the next block of the log, whoever made it. Requests that it has handled are dropped.
// An error means that the log is broken; the sequencer must not be used after it.
func (s *Sequencer) Fold(e Entry, now time.Time) error {
	if s.block != nil {
		panic("chat: fold while a block is in flight")
	}
	return s.fold(e, now)
}

func (s *Sequencer) fold(e Entry, now time.Time) error {
	if e.Block.Prev != s.tail.Revision || e.Revision <= s.tail.Revision {
		return fmt.Errorf("revision %d follows %d, but the newest is %d", e.Revision, e.Block.Prev, s.tail.Revision)
	}
	for i := range e.Block.Records {
		r := &e.Block.Records[i]
		place := PlaceOf(s.cfg.Base, e.Revision, i)
		switch r.Kind {
		case MessageRecord:
			if err := s.foldMessage(r, e.Revision, place, now); err != nil {
				return err
			}
		case ReadRecord:
			key := ReadKey{r.Conversation, r.Sender.User}
			s.reads[key] = head{max(s.reads[key].seq, r.Seq), e.Revision, now} // Postgres may have told of a later one
		case RecallRecord:
			s.ids.recall(r.ID())
			s.recall.add(r.Recall.Place, e.Revision)
		case GroupRecord:
			s.groups.fold(r.Conversation, place, r.Change, e.Revision, now)
		case RefusalRecord, RecallRefusalRecord, SettingRecord: // nothing has changed that is judged by
		}
	}
	s.tail = Mark{e.Revision, e.Block.Hash}
	s.passed(e.Block.Checkpoint)
	return nil
}

func (s *Sequencer) foldMessage(r *Record, rev Revision, place Place, now time.Time) error {
	h, ok := s.heads[r.Conversation]
	switch {
	case ok && h.rev == 0 && r.Seq <= h.seq: // Postgres told of a head that this fold had yet to reach
	case ok && r.Seq != h.seq+1:
		return fmt.Errorf("revision %d: %s has seq %d after %d", rev, r.Conversation, r.Seq, h.seq)
	default:
		s.heads[r.Conversation] = head{r.Seq, rev, now}
	}
	id := r.ID()
	s.ids.add(id, Stored{Seq: r.Seq, Place: place, Digest: r.AskedFor(), Replaced: r.Replaced()}, rev, now)
	s.filter.Add(id.Prefix())
	return nil
}

// passed takes in a checkpoint of the log: what it covers is done.
func (s *Sequencer) passed(cp Checkpoint) {
	if cp.Life != s.cfg.Life {
		return // positions of another life mean nothing here
	}
	s.cp = cp
	for _, p := range s.window {
		if !p.done && s.covered(p.pos) {
			s.finish(p)
		}
	}
	s.waiting = slices.DeleteFunc(s.waiting, func(p *pending) bool { return p.done })
	s.slide()
}

func (s *Sequencer) covered(pos Position) bool {
	if pos <= s.cp.Low {
		return true
	}
	_, ok := slices.BinarySearch(s.cp.Above, pos)
	return ok
}

func (s *Sequencer) finish(p *pending) {
	p.done = true
	s.unhook(p)
	if p.q.Kind == AskMessage {
		delete(s.found, p.id)
	}
}

func (s *Sequencer) slide() {
	n := 0
	for n < len(s.window) && s.window[n].done {
		n++
	}
	if n > 0 {
		s.window = slices.Delete(s.window, 0, n)
	}
}

// From returns the position after which the ingress is to be read.
func (s *Sequencer) From() Position { return s.cp.Low }

// Tail returns the newest block that was folded in.
func (s *Sequencer) Tail() Mark { return s.tail }

// Floor returns the position up to which the ingress is no longer needed: all up to it is in the log, answered, or void.
func (s *Sequencer) Floor() Position {
	if len(s.window) > 0 {
		return s.window[0].pos - 1
	}
	return max(s.offered, s.cp.Low)
}

// Waiting returns how many requests are neither judged nor in flight.
func (s *Sequencer) Waiting() int { return len(s.waiting) }

// Full reports whether requests must wait in the ingress until some of those offered are done.
func (s *Sequencer) Full() bool { return len(s.window) >= s.cfg.WindowLimit }

// Offer takes a request in. Positions ascend; one that was offered before, or that the log covers, is passed over.
// A nil request moves the position alone.
func (s *Sequencer) Offer(pos Position, q *Request, now time.Time) {
	if pos <= s.offered {
		return
	}
	s.offered = pos
	if q == nil || s.covered(pos) {
		return
	}
	p, ok := newPending(q, pos, now)
	if !ok {
		return // an edge sends no such thing
	}
	s.window = append(s.window, p)
	s.waiting = append(s.waiting, p)
	if s.block != nil && !s.know.failing {
		s.lacks(p, now) // ask now, while the block is in flight
	}
}

func newPending(q *Request, pos Position, now time.Time) (*pending, bool) {
	p := &pending{q: q, pos: pos, at: now}
	ok := q.Conversation.Kind == Group && q.Conversation.B == ""
	if q.Conversation.Kind == Pair {
		p.peer, ok = q.Conversation.Peer(q.Sender.User)
	}
	switch q.Kind {
	case AskMessage:
		p.id = q.ID()
	case AskRead, AskRecall:
	case AskSetting:
		ok = ok && q.Setting != nil
	case AskChange:
		ok = ok && q.Conversation.Kind == Group && q.Change != nil
	default:
		return nil, false
	}
	return p, ok
}

// Needs returns what is to be looked up in Postgres now, as much as one question holds; false if nothing is. Each question ends in
// [Sequencer.Learn] or [Sequencer.LookUpFailed]; then there may be another.
func (s *Sequencer) Needs() (Needs, bool) {
	n, ok := s.ask.take()
	n.Partition = s.cfg.Partition
	return n, ok
}

// Learn takes the answer to a question that was asked at a time.
func (s *Sequencer) Learn(asked Needs, found Facts, at, now time.Time) {
	s.know.failing, s.ask.off = false, false
	s.ask.answered(asked)
	s.know.learn(asked, found, at)
	if now.Sub(at) < minIDWindow {
		s.learnFold(asked, found, now)
	}
	for _, id := range asked.IDs {
		stored, exists := found.IDs[id]
		s.found[id] = idAnswer{stored, exists, at}
	}
	for _, t := range asked.Targets {
		message, exists := found.Targets[t]
		s.targets[t] = targetAnswer{message: message, exists: exists, asked: at}
	}
}

// Heed takes in an event that says which rows of Postgres are stale; nil: all may be. They are asked for again when they are needed next.
func (s *Sequencer) Heed(e *Event, now time.Time) {
	if e == nil {
		s.know.heedAll(now)
	} else {
		s.know.heed(e, now)
	}
}

// learnFold takes in what Postgres has folded. A block may have come since, which knows better; and what it knew may have been forgotten
// again if the answer took long: such an answer does not count.
func (s *Sequencer) learnFold(asked Needs, found Facts, now time.Time) {
	for _, c := range asked.Heads {
		if _, ok := s.heads[c]; !ok {
			s.heads[c] = head{found.Heads[c], 0, now}
		}
	}
	for _, k := range asked.Reads {
		if _, ok := s.reads[k]; !ok {
			s.reads[k] = head{found.Reads[k], 0, now}
		}
	}
	for _, c := range asked.Groups {
		s.groups.learn(c, found.Groups[c], now)
	}
}

// Unanswered says that Postgres has answered, but that nobody could tell of these messages: whoever recalls one of them is refused with
// [Unavailable]. They were left out of the question that Learn is told of.
func (s *Sequencer) Unanswered(targets []Target, at time.Time) {
	s.ask.answered(Needs{Targets: targets})
	for _, t := range targets {
		s.targets[t] = targetAnswer{unknown: true, asked: at}
	}
}

// LookUpFailed says that Postgres did not answer. Until it does, nobody waits for it: what is known goes on, what is not is refused
// with [Unavailable]. What was not part of the question is still to be asked; otherwise the owner tries again by itself.
func (s *Sequencer) LookUpFailed(asked Needs) {
	s.know.failing, s.ask.off = true, true
	s.ask.answered(asked)
}

// Failing reports whether the last look-up failed.
func (s *Sequencer) Failing() bool { return s.know.failing }

// Known adds identities that Postgres has to the filter of known ones, by their prefixes.
func (s *Sequencer) Known(prefixes []uint64) {
	for _, x := range prefixes {
		s.filter.Add(x)
	}
}

// Vouch says that all identities up to the anchor have been added: what the filter denies is new.
func (s *Sequencer) Vouch() { s.vouch = true }

// Persisted says that Postgres has everything up to a revision, and lets the sequencer forget what it need not hold.
func (s *Sequencer) Persisted(mark Revision, now time.Time) {
	s.mark = max(s.mark, mark)
	s.ids.forget(s.mark, now.Add(-s.cfg.IDWindow), now.Add(-minIDWindow), s.cfg.IDLimit)
	maps.DeleteFunc(s.found, func(_ ID, a idAnswer) bool { return now.Sub(a.asked) >= minIDWindow })
	maps.DeleteFunc(s.targets, func(_ Target, a targetAnswer) bool { return now.Sub(a.asked) >= minIDWindow })
	forgetHeads(s.heads, s.cfg.HeadLimit, s.mark, now)
	forgetHeads(s.reads, s.cfg.ReadLimit, s.mark, now)

	// An answer that was asked for before the mark was known may lack what is up to it. It counts for minIDWindow.
	if now.Sub(s.since) >= minIDWindow {
		s.settled, s.settling, s.since = s.settling, s.mark, now
	}
	s.recall.forget(s.settled)
	s.groups.forget(s.mark, s.settled, s.cfg.Base, now.Add(-minIDWindow), s.cfg.RosterLimit, s.cfg.RosterMembers)
}

func forgetHeads[K comparable](heads map[K]head, limit int, mark Revision, now time.Time) {
	if len(heads) <= limit {
		return
	}
	for k, h := range heads {
		if h.rev <= mark && now.Sub(h.at) > minIDWindow {
			delete(heads, k)
		}
	}
}
