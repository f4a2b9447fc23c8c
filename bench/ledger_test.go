package bench

import (
	"strings"
	"testing"

	"github.com/whaleshark-im/whaleshark/chat"
)

// told is a run that somebody tells: what one sender has said to one listener, or to a group of three, and what became of it.
type told struct {
	t       *testing.T
	ledgers []*ledger
	ears    []*ear
	self    []int // of each ear, its owner's number as a sender
	faults  faults
}

// tell begins a run: ears are given by their owners' numbers.
func tell(t *testing.T, senders int, self ...int) *told {
	t.Helper()
	r := &told{t: t, self: self}
	for range senders {
		r.ledgers = append(r.ledgers, &ledger{})
	}
	for range self {
		r.ears = append(r.ears, &ear{})
	}
	return r
}

func (r *told) say(sender, n int) {
	for range n {
		r.ledgers[sender].say(0, 0, false)
	}
}

func (r *told) ack(sender, n int, seq chat.Seq) {
	_, fault := r.ledgers[sender].ack(n, seq)
	r.faults.add(fault)
}

// hear lets a listener hear a message.
func (r *told) hear(listener, sender, n int, seq chat.Seq) {
	if sender >= 0 {
		_, fault := r.ledgers[sender].deliver(n, seq)
		r.faults.add(fault)
	}
	r.faults.add(r.ears[listener].hear(sender, n, seq))
}

// wants ends the run: it wants these faults, each by its kind, and the range of seqs that Postgres must have.
func (r *told) wants(first, last chat.Seq, kinds ...string) {
	r.t.Helper()
	talk := &talk{conversation: chat.PairOf(1, "a", "b")}
	for i, l := range r.ledgers {
		for n, e := range l.all {
			if e.seq != 0 {
				talk.said = append(talk.said, saying{i, n, e.seq, e.trial, e.acked})
			}
		}
	}
	for i, e := range r.ears {
		talk.ears = append(talk.ears, hearer{r.self[i], e})
	}
	gotFirst, gotLast := talk.verdict(r.faults.add)
	if gotFirst != first || gotLast != last {
		r.t.Errorf("rows are wanted from seq %d to %d; want %d to %d", gotFirst, gotLast, first, last)
	}
	var got []string
	for _, f := range r.faults.examples {
		got = append(got, f.Kind)
	}
	if strings.Join(got, " ") != strings.Join(kinds, " ") {
		r.t.Errorf("the faults are %+v; want %v", r.faults.examples, kinds)
	}
}

func TestAllIsWell(t *testing.T) {
	r := tell(t, 1, -1)
	r.say(0, 3)
	for n := range 3 {
		r.hear(0, 0, n, chat.Seq(8+n))
		r.ack(0, n, chat.Seq(8+n))
	}
	r.wants(8, 10)
}

func TestLostMessage(t *testing.T) {
	r := tell(t, 1, -1)
	r.say(0, 3)
	for n := range 3 {
		r.ack(0, n, chat.Seq(1+n))
	}
	r.hear(0, 0, 0, 1)
	r.hear(0, 0, 2, 3)
	r.wants(1, 3, faultLost)
}

func TestLostFirstAndLastMessage(t *testing.T) {
	r := tell(t, 1, -1)
	r.say(0, 3)
	for n := range 3 {
		r.ack(0, n, chat.Seq(1+n))
	}
	r.hear(0, 0, 1, 2)
	r.wants(1, 3, faultLost, faultLost)
}

func TestNobodyHearsAnything(t *testing.T) {
	r := tell(t, 1, -1)
	r.say(0, 1)
	r.ack(0, 0, 1)
	r.wants(1, 1, faultLost)
}

func TestDoubledMessage(t *testing.T) {
	r := tell(t, 1, -1)
	r.say(0, 2)
	r.ack(0, 0, 1)
	r.ack(0, 1, 2)
	r.hear(0, 0, 0, 1)
	r.hear(0, 0, 1, 2)
	r.hear(0, 0, 0, 1)
	r.wants(1, 2, faultDoubled)
}

func TestMessageThatIsStoredTwice(t *testing.T) {
	r := tell(t, 1, -1)
	r.say(0, 1)
	r.ack(0, 0, 1)
	r.hear(0, 0, 0, 1)
	r.hear(0, 0, 0, 2)
	r.wants(1, 1, faultRenumbered)
}

func TestReorderedMessages(t *testing.T) {
	r := tell(t, 1, -1)
	r.say(0, 3)
	for n := range 3 {
		r.ack(0, n, chat.Seq(1+n))
	}
	r.hear(0, 0, 0, 1)
	r.hear(0, 0, 2, 3)
	r.hear(0, 0, 1, 2)
	r.wants(1, 3, faultReordered)
}

func TestSenderThatIsOvertakenByHimself(t *testing.T) {
	r := tell(t, 1, -1)
	r.say(0, 2)
	r.ack(0, 1, 1)
	r.ack(0, 0, 2)
	r.hear(0, 0, 1, 1)
	r.hear(0, 0, 0, 2)
	r.wants(1, 2, faultReordered)
}

func TestTwoMessagesWithOneSeq(t *testing.T) {
	r := tell(t, 1, -1)
	r.say(0, 2)
	r.ack(0, 0, 1)
	r.ack(0, 1, 1)
	r.hear(0, 0, 0, 1)
	r.wants(1, 1, faultRenumbered)
}

func TestAcksThatMakeNoSense(t *testing.T) {
	r := tell(t, 1, -1)
	r.say(0, 1)
	r.ack(0, 0, 1)
	r.ack(0, 0, 1)
	r.ack(0, 7, 2)
	r.hear(0, 0, 0, 1)
	r.wants(1, 1, faultAck, faultAck)
}

func TestMessageThatWasNotAcknowledgedMayBeLost(t *testing.T) {
	r := tell(t, 1, -1)
	r.say(0, 3)
	if _, fault := r.ledgers[0].refuse(1); fault != nil {
		t.Error(fault)
	}
	if _, fault := r.ledgers[0].refuse(1); fault == nil {
		t.Error("a message is refused twice")
	}
	r.ack(0, 0, 1)
	r.hear(0, 0, 0, 1)
	r.hear(0, 0, 2, 2) // its ack was lost
	r.wants(1, 1)
}

func TestGap(t *testing.T) {
	r := tell(t, 1, -1)
	r.say(0, 2)
	r.ack(0, 0, 1)
	r.ack(0, 1, 3)
	r.hear(0, 0, 0, 1)
	r.hear(0, 0, 1, 3)
	r.wants(1, 3, faultGap)
	r = tell(t, 1, -1)
	r.say(0, 1)
	r.hear(0, -1, 0, 1)
	r.hear(0, 0, 0, 1<<40)
	r.ack(0, 0, 1<<40)
	r.wants(1<<40, 1<<40, faultGap, faultLost)
}

func TestOthersMayTalkAsWell(t *testing.T) {
	r := tell(t, 1, -1)
	r.say(0, 2)
	r.hear(0, 0, 0, 5)
	r.ack(0, 0, 5)
	r.hear(0, -1, 0, 6)
	r.hear(0, 0, 1, 7)
	r.ack(0, 1, 7)
	r.wants(5, 7)
}

// In a group nobody hears himself, and everybody else hears everything.
func TestGroupVerdict(t *testing.T) {
	group := func() *told {
		r := tell(t, 2, 0, 1, -1)
		r.say(0, 1)
		r.say(1, 2)
		r.ack(1, 0, 1)
		r.ack(0, 0, 2)
		r.ack(1, 1, 3)
		r.hear(0, 1, 0, 1)
		r.hear(0, 1, 1, 3)
		r.hear(1, 0, 0, 2)
		r.hear(2, 1, 0, 1)
		r.hear(2, 0, 0, 2)
		return r
	}
	r := group()
	r.wants(1, 3, faultLost) // the third member has not heard the last one
	r = group()
	r.hear(2, 1, 1, 3)
	r.wants(1, 3)
}

// What is said before all members are known to listen may reach some of them.
func TestTrials(t *testing.T) {
	r := tell(t, 1, 0, -1)
	r.ledgers[0].say(0, 0, true)
	r.say(0, 1)
	r.ack(0, 0, 1)
	r.ack(0, 1, 2)
	r.hear(1, 0, 1, 2)
	r.wants(1, 2)
}
