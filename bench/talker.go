package bench

import (
	"fmt"
	"sync"
	"time"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/wire"
)

// talker is a connection that speaks, listens, or both.
type talker struct {
	*conn
	load *load

	// Of a sender.
	number   int // -1: it only listens
	ledger   *ledger
	pick     func(n int) (talk int32, wording int) // where its nth message goes
	command  wire.Command
	speaking sync.Mutex // one after the other, so that the ledger's order is that of the wire

	// Of a listener, and owned by the reader.
	ears     map[int32]*ear  // by talk
	ackedDue []time.Duration // of what one read brought
	heardDue []time.Duration
	slots    int // how many acks it brought
}

// run reads until the connection ends.
func (k *talker) run() {
	at := k.load.now()
	err := k.rest(k.take)
	for err == nil {
		k.settleRead(at)
		if err = k.flush(); err != nil {
			break
		}
		if err = k.fill(); err == nil {
			at = k.load.now()
			err = k.rest(k.take)
		}
	}
	k.settleRead(at)
	if !k.load.closing.Load() {
		k.load.codes.add("connection lost: " + err.Error())
		k.load.giveUp(k)
	}
}

// settleRead accounts for what one read brought, and says what may be said after it.
func (k *talker) settleRead(at time.Duration) {
	l := k.load
	l.acks.add(at, k.ackedDue)
	l.deliveries.add(at, k.heardDue)
	l.answered.Add(int64(k.slots))
	l.delivered.Add(int64(len(k.heardDue)))
	slots := k.slots
	k.ackedDue, k.heardDue, k.slots = k.ackedDue[:0], k.heardDue[:0], 0
	if slots > 0 && l.pace.Rate == 0 {
		k.speak(slots)
	}
	l.exhausted()
}

func (k *talker) take(f wire.Down) {
	switch f.Command { //nolint:exhaustive // nothing else is asked for
	case wire.Send, wire.GroupSend:
		k.hear(f.Body)
	case wire.SendAck, wire.GroupSendAck:
		k.acknowledged(f.Body)
	case wire.Receive:
		k.load.receipts.Add(1)
	case wire.Refuse:
		k.refused(f.Body)
	}
}

func (k *talker) hear(body []byte) {
	l := k.load
	seq := seqOf(body)
	id := text(body, fieldMessageID)
	number, n, ours := parseID(id, l.run)
	if !ours || number >= len(l.senders) {
		k.hearForeign(body, seq)
		return
	}
	from := l.senders[number]
	if n >= from.ledger.len() {
		l.faults.add(faultOf(faultRenumbered, "message %d of sender %d was delivered and never said", n, number))
		return
	}
	e, fault := from.ledger.deliver(n, seq)
	l.faults.add(fault)
	fault = k.ear(e.talk).hear(number, n, seq)
	l.faults.add(fault)
	switch {
	case fault != nil:
	case !e.trial:
		k.heardDue = append(k.heardDue, e.due)
	case int64(n) == l.trial.Load():
		l.hearers.Add(1)
	}
	if l.receipted {
		r := wire.Receipt{To: from.device.User, Seq: seq, Place: chat.Place(lastNumber(body, fieldKey)), MessageID: string(id)}
		k.put(wire.Receive, func(b []byte) []byte { return wire.AppendReceipt(b, &r) })
	}
}

// hearForeign takes a message that is not of this run, if it is in one of its conversations.
func (k *talker) hearForeign(body []byte, seq chat.Seq) {
	l := k.load
	l.foreign.Add(1)
	if l.talks == 1 {
		l.faults.add(k.ear(0).hear(-1, 0, seq))
		return
	}
	from := chat.PairOf(l.target.App, chat.UserID(text(body, []byte(`"fromId":"`))), k.device.User)
	for talk := range int32(l.talks) { //nolint:gosec // a few thousand
		if l.of(talk) == from {
			l.faults.add(k.ear(talk).hear(-1, 0, seq))
			return
		}
	}
}

func (k *talker) ear(talk int32) *ear {
	e := k.ears[talk]
	if e == nil {
		e = &ear{}
		k.ears[talk] = e
	}
	return e
}

func (k *talker) acknowledged(body []byte) {
	l := k.load
	_, n, ours := parseID(text(body, fieldMessageID), l.run)
	if !ours || k.ledger == nil {
		l.faults.add(faultOf(faultAck, "an ack for what %s has not said: %s", k.device.User, body))
		return
	}
	if code := chat.Code(number(body, fieldCode)); code != chat.OK { //nolint:gosec // a code
		k.failed(n, code)
		return
	}
	e, fault := k.ledger.ack(n, seqOf(body))
	if fault != nil {
		l.faults.add(fault)
		return
	}
	if e.trial {
		return
	}
	k.slots++
	k.ackedDue = append(k.ackedDue, e.due)
	l.owed.Add(int64(l.listeners()))
}

func (k *talker) refused(body []byte) {
	code := chat.Code(number(body, fieldCode)) //nolint:gosec // a code
	_, n, ours := parseID(text(body, fieldMessageID), k.load.run)
	if ours && k.ledger != nil {
		k.failed(n, code)
		return
	}
	k.load.codes.add(fmt.Sprintf("%d %s", code, code.Info().Meaning))
}

// afterRefusal is how long a sender waits after a refusal: what refuses would otherwise be all that is measured.
const afterRefusal = 20 * time.Millisecond

func (k *talker) failed(n int, code chat.Code) {
	l := k.load
	e, fault := k.ledger.refuse(n)
	if fault != nil {
		l.faults.add(fault)
		return
	}
	if e.trial {
		return
	}
	l.answered.Add(1)
	l.codes.add(fmt.Sprintf("%d %s", code, code.Info().Meaning))
	if l.pace.Rate == 0 {
		time.AfterFunc(afterRefusal, func() { // it may come after the run: nothing is said then
			k.speak(1)
			_ = k.flush() // the reader sees that the connection has ended
		})
	}
}

// speak gathers the next n messages.
func (k *talker) speak(n int) {
	k.speaking.Lock()
	defer k.speaking.Unlock()
	now := k.load.now()
	for range n {
		if !k.load.mayGoOn(now) {
			return
		}
		k.sayNext(now, false)
	}
}

// sayNext gathers a message. The caller holds speaking.
func (k *talker) sayNext(due time.Duration, trial bool) {
	l := k.load
	talk, t := k.pick(k.ledger.len())
	n := k.ledger.say(talk, due, trial)
	if !trial {
		l.said.Add(1)
	}
	k.put(k.command, func(b []byte) []byte {
		b = append(b, l.wordings[t].head...)
		b = appendID(b, l.run, k.number, n)
		return append(b, l.wordings[t].tail...)
	})
}
