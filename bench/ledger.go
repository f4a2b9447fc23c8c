package bench

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/whaleshark-im/whaleshark/chat"
)

// Kinds of faults.
const (
	faultLost       = "lost"       // it was acknowledged, and a listener has not heard it
	faultGap        = "gap"        // a listener has not heard a seq that is nobody's of this run
	faultDoubled    = "doubled"    // a listener has heard a seq twice
	faultReordered  = "reordered"  // a seq came after a later one, or a sender's message after a later one of his
	faultRenumbered = "renumbered" // two say different seqs of a message, or two messages have one seq
	faultAck        = "ack"        // an ack for what was not said, or a second one
	faultUnanswered = "unanswered" // a message was neither acknowledged nor refused
	faultRow        = "row"        // Postgres has not every message
	faultAnswer     = "answer"     // a question was answered with something else
)

// Fault is a promise that was not kept.
type Fault struct {
	Kind string `json:"kind"`
	What string `json:"what"`
}

func faultOf(kind, format string, args ...any) *Fault {
	return &Fault{kind, fmt.Sprintf(format, args...)}
}

// entry is what became of a message.
type entry struct {
	due   time.Duration // when it was meant to be sent, since the run began
	seq   chat.Seq      // 0: nobody has said
	talk  int32         // the conversation
	acked bool
	over  bool // it was refused, or its connection ended: nobody waits for it any more
	trial bool // it was said before all were known to listen: nothing is expected of it
}

// ledger is all that a sender has said, in order. Its numbers are what message ids are made of.
type ledger struct {
	mu  sync.Mutex
	all []entry
}

// say notes a message that is about to be sent, and returns its number.
func (l *ledger) say(talk int32, due time.Duration, trial bool) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, entry{due: due, talk: talk, trial: trial})
	return len(l.all) - 1
}

// ack takes an ack, and returns what is known of its message.
func (l *ledger) ack(n int, seq chat.Seq) (entry, *Fault) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case n < 0 || n >= len(l.all):
		return entry{}, faultOf(faultAck, "message %d was acknowledged and never said", n)
	case l.all[n].acked || l.all[n].over:
		return entry{}, faultOf(faultAck, "message %d was answered twice", n)
	}
	l.all[n].acked = true
	fault := l.all[n].number(n, seq)
	return l.all[n], fault
}

// number notes a message's seq; an ack and all listeners must say the same.
func (e *entry) number(n int, seq chat.Seq) *Fault {
	if e.seq != 0 && e.seq != seq {
		return faultOf(faultRenumbered, "message %d has seq %d and seq %d", n, e.seq, seq)
	}
	e.seq = seq
	return nil
}

// refuse notes that a message was not taken.
func (l *ledger) refuse(n int) (entry, *Fault) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n < 0 || n >= len(l.all) || l.all[n].acked || l.all[n].over {
		return entry{}, faultOf(faultAck, "message %d was refused, and nobody waits for it", n)
	}
	l.all[n].over = true
	return l.all[n], nil
}

// of returns what is known of a message.
func (l *ledger) of(n int) entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all[n]
}

// deliver notes that a listener has heard a message that was said, and returns what is known of it.
func (l *ledger) deliver(n int, seq chat.Seq) (entry, *Fault) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fault := l.all[n].number(n, seq)
	return l.all[n], fault
}

// len returns how many messages were said.
func (l *ledger) len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.all)
}

// ear is what one listener has heard of one conversation. It is the listener's own.
type ear struct {
	first, next chat.Seq
	missed      map[chat.Seq]bool // passed over so far; what its listener has said himself never comes
	newest      map[int]int       // of each sender, the newest message
}

// most that may be passed over at once; beyond it the numbers make no sense.
const maxGap = 1 << 20

// hear takes a message: of a sender of this run, or with sender -1 of anybody else.
func (e *ear) hear(sender, n int, seq chat.Seq) *Fault {
	switch {
	case e.next == 0:
		e.first = seq
	case seq < e.next && e.missed[seq]:
		delete(e.missed, seq)
		return faultOf(faultReordered, "seq %d came after seq %d", seq, e.next-1)
	case seq < e.next:
		return faultOf(faultDoubled, "seq %d came again, after seq %d", seq, e.next-1)
	case seq-e.next > maxGap:
		return faultOf(faultGap, "seq %d came after seq %d", seq, e.next-1)
	}
	for ; e.next != 0 && e.next < seq; e.next++ {
		if e.missed == nil {
			e.missed = make(map[chat.Seq]bool)
		}
		e.missed[e.next] = true
	}
	e.next = seq + 1
	return e.follows(sender, n)
}

// follows checks that a sender's messages come in the order in which he has sent them.
func (e *ear) follows(sender, n int) *Fault {
	if sender < 0 {
		return nil
	}
	if e.newest == nil {
		e.newest = make(map[int]int, 1)
	}
	newest, before := e.newest[sender]
	if before && n < newest {
		return faultOf(faultReordered, "message %d of sender %d came after his message %d", n, sender, newest)
	}
	e.newest[sender] = n
	return nil
}

// heard reports whether a seq has come.
func (e *ear) heard(seq chat.Seq) bool {
	return e.next != 0 && seq >= e.first && seq < e.next && !e.missed[seq]
}

// talk is a conversation at the end of a run: what was said in it, and who was listening.
type talk struct {
	conversation chat.Conversation
	said         []saying
	ears         []hearer
}

// saying is a message that has a seq.
type saying struct {
	sender, n int
	seq       chat.Seq
	trial     bool
	acked     bool
}

// hearer is a listener; self is his number if he is a sender as well, and -1 otherwise.
type hearer struct {
	self int
	ear  *ear
}

// verdict looks for what is only seen at the end: acknowledged messages that somebody has not heard, gaps that nobody explains, and
// seqs that were given twice. It also returns from which seq to which Postgres must have every row; 0: none.
func (t *talk) verdict(fault func(*Fault)) (first, last chat.Seq) {
	slices.SortFunc(t.said, func(a, b saying) int { return int(a.seq - b.seq) })
	mine := make(map[chat.Seq]int, len(t.said)) // who has said it
	for i, s := range t.said {
		if i > 0 && t.said[i-1].seq == s.seq {
			fault(faultOf(faultRenumbered, "%s: two messages have seq %d", t.conversation, s.seq))
		}
		mine[s.seq] = s.sender
		if !s.acked {
			continue
		}
		if first == 0 {
			first = s.seq
		}
		last = s.seq
		t.isHeard(s, fault)
	}
	for _, l := range t.ears {
		for _, seq := range l.ear.gaps() {
			if said, ours := mine[seq]; !ours {
				fault(faultOf(faultGap, "%s: a listener has not heard seq %d", t.conversation, seq))
			} else if said == l.self {
				continue // nobody hears himself
			}
		}
	}
	return first, last
}

func (t *talk) isHeard(s saying, fault func(*Fault)) {
	if s.trial {
		return
	}
	deaf := 0
	for _, l := range t.ears {
		if l.self != s.sender && !l.ear.heard(s.seq) {
			deaf++
		}
	}
	if deaf > 0 {
		fault(faultOf(faultLost, "%s: %d of %d listeners have not heard message %d of sender %d, which was acknowledged as seq %d",
			t.conversation, deaf, len(t.ears), s.n, s.sender, s.seq))
	}
}

// gaps returns what was passed over, in order.
func (e *ear) gaps() []chat.Seq {
	all := make([]chat.Seq, 0, len(e.missed))
	for seq := range e.missed {
		all = append(all, seq)
	}
	slices.Sort(all)
	return all
}

// faults collects what went wrong, and keeps the first ones as examples.
type faults struct {
	mu       sync.Mutex
	counts   map[string]int
	examples []Fault
}

const faultExamples = 20

func (f *faults) add(fault *Fault) {
	if fault == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.counts == nil {
		f.counts = make(map[string]int)
	}
	f.counts[fault.Kind]++
	if len(f.examples) < faultExamples {
		f.examples = append(f.examples, *fault)
	}
}

func (f *faults) total() (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.counts {
		n += c
	}
	return n
}
