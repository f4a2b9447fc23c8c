package chat

import (
	"time"

	"github.com/whaleshark-im/whaleshark/chat/planted"
)

type verdictKind uint8

const (
	hold  verdictKind = iota
	await             // the app is asked
	pass
	repeat
	place
	refuse
)

type verdict struct {
	kind   verdictKind
	code   Code // of a refusal; of what is passed over for who waits for an answer
	poison bool

	stored    Stored    // of a repeat
	read, seq Seq       // of a read: the position before, and the new one, or the one that stands
	target    *Targeted // of a recall

	replaced *HookVerdict // of a message: what it says instead; nil: what was asked
}

func refusal(c Code) verdict           { return verdict{kind: refuse, code: c} }
func passOver(c Code, seq Seq) verdict { return verdict{kind: pass, code: c, seq: seq} }

// judge says what becomes of a request. One whose judgement panics is refused, and harms nobody else.
func (b *blockBuilder) judge(p *pending, now time.Time) (v verdict) {
	defer func() {
		if recover() != nil {
			v = verdict{kind: refuse, code: Internal, poison: true}
			if p.q.Kind == AskRead || p.q.Kind == AskChange || p.q.Kind == AskSetting {
				v.kind = pass // it leaves no refusal
			}
		}
	}()
	switch p.q.Kind {
	case AskMessage:
		return b.s.judgeMessage(p, now)
	case AskRead:
		return b.judgeRead(p, now)
	case AskRecall:
		return b.judgeRecall(p, now)
	case AskChange:
		return b.judgeChange(p, now)
	case AskSetting:
		return b.judgeSetting(p, now)
	}
	return passOver(Internal, 0)
}

// lacks reports whether something must be looked up before p can be judged, and asks for it.
func (s *Sequencer) lacks(p *pending, now time.Time) bool {
	c := p.q.Conversation
	lacks := c.Kind == Group && s.lacksRoster(c, now)
	switch p.q.Kind {
	case AskMessage:
		return s.lacksMessage(p, now) || lacks
	case AskRead:
		return s.lacksRead(p) || lacks
	case AskRecall:
		return s.lacksTarget(p, now) || lacks
	case AskChange, AskSetting:
	}
	return lacks
}

func (s *Sequencer) lacksRoster(c Conversation, now time.Time) bool {
	if _, ok := s.groups.roster(c, now); ok {
		return false
	}
	s.ask.group(c)
	return true
}

func (s *Sequencer) lacksHead(c Conversation) bool {
	if _, ok := s.heads[c]; ok {
		return false
	}
	s.ask.head(c)
	return true
}

func (s *Sequencer) judgeMessage(p *pending, now time.Time) verdict {
	if stored, ok := s.storedBefore(p); ok {
		if stored.Digest != DigestOf(p.q.Body, p.q.Extra) {
			return refusal(MessageIDReused)
		}
		stored.Recalled = stored.Recalled || s.recall.known[stored.Place]
		return verdict{kind: repeat, stored: stored}
	}
	if s.lacks(p, now) {
		if s.know.failing {
			return refusal(Unavailable)
		}
		return verdict{kind: hold}
	}
	switch code, looked := s.maySay(p, now); {
	case code == OK:
		return s.judgeHook(p)
	case looked && s.know.renew(p):
		s.lacks(p, now)
		return verdict{kind: hold}
	default:
		return refusal(code)
	}
}

// maySay returns OK, or the code that a message is refused with, and whether it was found in what was looked up: the log alone tells of groups.
func (s *Sequencer) maySay(p *pending, now time.Time) (code Code, looked bool) {
	c, from := p.q.Conversation, p.q.Sender.User
	if c.Kind == Pair {
		return s.know.judgePair(c.App, from, p.peer), true
	}
	if code := s.know.judgeSender(c.App, from); code != OK {
		return code, true
	}
	return judgeMember(&s.groups[c].roster, from, now), false
}

func (s *Sequencer) storedBefore(p *pending) (Stored, bool) {
	if planted.Is("ids") {
		return Stored{}, false
	}
	if stored, ok := s.ids.known[p.id]; ok {
		return stored, true
	}
	a := s.found[p.id]
	return a.stored, a.exists
}

func (s *Sequencer) lacksMessage(p *pending, now time.Time) bool {
	c, from := p.q.Conversation, p.q.Sender.User
	var lacks bool
	if c.Kind == Pair {
		lacks = s.know.lacksPair(c.App, from, p.peer, &s.ask, now)
	} else {
		lacks = s.know.lacksSender(c.App, from, &s.ask, now)
	}
	lacks = s.lacksHead(c) || lacks
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
	if planted.Is("ids") {
		return true
	}
	if a, ok := s.found[p.id]; ok && !a.exists && now.Sub(a.asked) < minIDWindow {
		return true
	}
	return (s.vouch || s.know.failing && p.q.First) && !s.filter.Has(p.id.Prefix())
}

// judgeRead moves a reader's position forward, no further than the head. No device is told of a read that moves nothing.
func (b *blockBuilder) judgeRead(p *pending, now time.Time) verdict {
	s, c, u := b.s, p.q.Conversation, p.q.Sender.User
	if s.lacks(p, now) {
		if s.know.failing {
			return passOver(Unavailable, 0)
		}
		return verdict{kind: hold}
	}
	if c.Kind == Group {
		if code := judgePresent(&s.groups[c].roster, u); code != OK {
			return passOver(code, 0)
		}
	}
	key := ReadKey{c, u}
	if b.waits[key] {
		return verdict{kind: hold}
	}
	before := s.reads[key].seq
	r, coalesces := b.readers[key]
	if coalesces {
		before = r.Seq
	}
	seq := min(p.q.Seq, b.headOf(c))
	if seq <= before {
		if coalesces && p.q.Reply != "" {
			return verdict{kind: hold} // what it would be told is not committed yet
		}
		return passOver(OK, before)
	}
	if coalesces && c.Kind == Group && r.Read.Named != "" && p.q.Named != "" && p.q.Named != r.Read.Named {
		b.waitForNext(key)
		return verdict{kind: hold}
	}
	return verdict{kind: place, read: before, seq: seq}
}

func (s *Sequencer) lacksRead(p *pending) bool {
	lacks := s.lacksHead(p.q.Conversation)
	key := ReadKey{p.q.Conversation, p.q.Sender.User}
	if _, ok := s.reads[key]; !ok {
		lacks = true
		s.ask.read(key)
	}
	return lacks
}

// judgeRecall: who has sent a message may recall it for a while, a group's managers and its owner at any time; nobody twice.
func (b *blockBuilder) judgeRecall(p *pending, now time.Time) verdict {
	s, c := b.s, p.q.Conversation
	if s.lacks(p, now) {
		if s.know.failing {
			return refusal(Unavailable)
		}
		return verdict{kind: hold}
	}
	if c.Kind == Group {
		if code := judgePresent(&s.groups[c].roster, p.q.Sender.User); code != OK {
			return refusal(code)
		}
	}
	if !s.mayExist(p.q) {
		if p.q.Seq > 0 && p.q.Seq <= b.headOf(c) {
			return verdict{kind: hold} // it is in this very block
		}
		return refusal(MessageMissing)
	}
	a := s.targets[targetOf(p.q)]
	switch {
	case a.unknown:
		return refusal(Unavailable)
	case !a.exists:
		return refusal(MessageMissing)
	}
	if code := b.mayRecall(p.q, &a.message, now); code != OK {
		return refusal(code)
	}
	return verdict{kind: place, target: &a.message}
}

func (b *blockBuilder) mayRecall(q *Request, t *Targeted, now time.Time) Code {
	leads := false
	if q.Conversation.Kind == Group {
		m, _ := b.s.groups[q.Conversation].roster.Member(q.Sender.User)
		leads = m.Role == Manager || m.Role == Owner
	}
	switch {
	case t.Sender != q.Sender.User && !leads:
		return NotYours
	case t.Recalled || b.s.recall.known[t.Place] || b.recalled[t.Place]:
		return RecalledAlready
	case !leads && now.Sub(t.Time) > b.s.cfg.RecallWindow:
		return RecallTooLate
	}
	return OK
}

func targetOf(q *Request) Target {
	t := Target{Conversation: q.Conversation, Seq: q.Seq}
	if q.Seq == 0 {
		t.Place = q.Place
	}
	return t
}

// mayExist reports whether the message that is to be recalled can be in the log at all; the conversation's head is known.
func (s *Sequencer) mayExist(q *Request) bool {
	if q.Seq != 0 {
		return 0 < q.Seq && q.Seq <= s.heads[q.Conversation].seq
	}
	return 0 < q.Place && q.Place < PlaceOf(s.cfg.Base, s.tail.Revision+1, 0) // one below the base is of an earlier log
}

func (s *Sequencer) lacksTarget(p *pending, now time.Time) bool {
	if s.lacksHead(p.q.Conversation) {
		return true
	}
	if !s.mayExist(p.q) {
		return false
	}
	t := targetOf(p.q)
	if a, ok := s.targets[t]; ok && now.Sub(a.asked) < minIDWindow {
		return false
	}
	s.ask.target(t)
	return true
}

// judgeChange places the change that is next. One that is in already is done; one that is further on comes again, behind those before it.
func (b *blockBuilder) judgeChange(p *pending, now time.Time) verdict {
	s, c := b.s, p.q.Conversation
	if s.lacks(p, now) {
		if s.know.failing {
			return passOver(Unavailable, 0) // it comes again, too
		}
		return verdict{kind: hold}
	}
	version, ok := b.versions[c]
	if !ok {
		version = s.groups[c].roster.Version()
	}
	switch v := p.q.Change.Version; {
	case v == version+1:
		return verdict{kind: place}
	case v > version:
		return passOver(Unavailable, 0)
	case ok && p.q.Reply != "":
		return verdict{kind: hold} // it may be in this very block
	}
	return passOver(OK, 0)
}
