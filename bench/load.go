package bench

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/store"
	"github.com/whaleshark-im/whaleshark/wire"
)

// Pace says how much is said, and for how long.
type Pace struct {
	Window   int           `json:"window"`             // messages in flight a sender; not if there is a rate
	Rate     float64       `json:"rate,omitempty"`     // messages a second of all senders, whether acks come or not; 0: as Window allows
	Payload  int           `json:"payload"`            // bytes of a body
	WarmUp   time.Duration `json:"warm_up_ns"`         // before anything counts
	Duration time.Duration `json:"duration_ns"`        // of what counts
	Messages int64         `json:"messages,omitempty"` // ends the run when so many were said; it has no warm-up then
}

// counted is the pace without a warm-up if all messages count.
func (p Pace) counted() Pace {
	if p.Messages > 0 {
		p.WarmUp = 0
	}
	return p
}

// load is senders and listeners at work, and what they have seen.
type load struct {
	target *Target
	pace   Pace
	run    string // the beginning of all message ids
	began  time.Time
	zero   atomic.Int64 // when, after that, the run's own time began

	talkers  []*talker
	senders  []*talker // those of them that say something, by their number
	talks    int
	of       func(talk int32) chat.Conversation
	wordings []wording // by talk, or by what pick makes of it

	acks, deliveries *meter
	faults           faults
	codes            codes

	said      atomic.Int64
	answered  atomic.Int64 // acknowledged, refused, or given up
	owed      atomic.Int64 // deliveries that acks promise
	delivered atomic.Int64
	receipts  atomic.Int64
	foreign   atomic.Int64 // messages of others
	left      atomic.Int64 // to be said, if there is a limit
	trial     atomic.Int64 // a message that is said to see who hears it
	hearers   atomic.Int64 // how many have heard it
	quiet     atomic.Bool  // nothing more is said
	closing   atomic.Bool  // connections end because the run does
	used      chan struct{}
	useUp     sync.Once
}

func newLoad(t *Target, p Pace) *load {
	w := window{p.WarmUp, p.WarmUp + p.Duration}
	l := &load{
		target: t, pace: p, run: strings.ToLower(rand.Text()[:8]), acks: newMeter(w), deliveries: newMeter(w), used: make(chan struct{}),
	}
	l.left.Store(p.Messages)
	return l
}

// now returns the time of the run; it is negative before the run begins.
func (l *load) now() time.Duration { return time.Since(l.began) - time.Duration(l.zero.Load()) }

// wording is a message's payload around its id.
type wording struct{ head, tail []byte }

func wordingOf(m wire.Message) wording {
	m.MessageID = "ID"
	m.MessageTime, m.First = time.Now().UnixMilli(), true
	head, tail, _ := bytes.Cut(wire.AppendMessage(nil, &m), []byte("ID"))
	return wording{head, tail}
}

// body returns text of some length, which compresses no better than what people say.
func body(n int) string {
	var b strings.Builder
	for b.Len() < n {
		b.WriteString(rand.Text())
	}
	return b.String()[:n]
}

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
	ears     map[int32]*ear // by talk
	receipts bool
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
	if k.receipts {
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

// listeners returns how many hear what a sender says: the other one of a pair, or all others of a group.
func (l *load) listeners() int {
	if l.talks == 1 {
		return len(l.talkers) - 1
	}
	return 1
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

// mayGoOn reports whether something more is to be said.
func (l *load) mayGoOn(now time.Duration) bool {
	if l.quiet.Load() {
		return false
	}
	if l.pace.Messages > 0 {
		return l.left.Add(-1) >= 0
	}
	return now < l.pace.WarmUp+l.pace.Duration
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

// giveUp stops waiting for what a connection that has ended was to bring.
func (l *load) giveUp(k *talker) {
	if k.ledger == nil {
		return
	}
	k.ledger.mu.Lock()
	defer k.ledger.mu.Unlock()
	for i := range k.ledger.all {
		if e := &k.ledger.all[i]; !e.acked && !e.over && !e.trial {
			e.over = true
			l.answered.Add(1)
		}
	}
}

// exhausted tells when all that was to be said is answered.
func (l *load) exhausted() {
	if l.pace.Messages > 0 && l.answered.Load() >= l.pace.Messages {
		l.useUp.Do(func() { close(l.used) })
	}
}

// verdict looks at what is only seen when all is over, and returns what Postgres must have.
func (l *load) verdict() []store.Range {
	talks := make(map[int32]*talk)
	of := func(i int32) *talk {
		t := talks[i]
		if t == nil {
			t = &talk{conversation: l.of(i)}
			talks[i] = t
		}
		return t
	}
	for _, k := range l.senders {
		for n, e := range k.ledger.all {
			if e.seq != 0 {
				t := of(e.talk)
				t.said = append(t.said, saying{k.number, n, e.seq, e.trial, e.acked})
			}
		}
	}
	for _, k := range l.talkers {
		for i, e := range k.ears {
			t := of(i)
			t.ears = append(t.ears, hearer{k.number, e})
		}
	}
	var want []store.Range
	for _, t := range talks {
		l.expectEars(t)
		if first, last := t.verdict(l.faults.add); first != 0 {
			want = append(want, store.Range{Conversation: t.conversation, First: first, Last: last})
		}
	}
	return want
}

// expectEars adds an ear that has heard nothing to a pair whose listener has none: what was acknowledged there is lost.
func (l *load) expectEars(t *talk) {
	if t.conversation.Kind == chat.Pair && len(t.ears) == 0 {
		t.ears = append(t.ears, hearer{-1, &ear{}})
	}
}

// codes counts what did not work, by what was said of it.
type codes struct {
	mu sync.Mutex
	n  map[string]int64
}

func (c *codes) add(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n == nil {
		c.n = make(map[string]int64)
	}
	c.n[what]++
}

func (c *codes) total() (n int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, x := range c.n {
		n += x
	}
	return n
}

// addTalker makes a talker of a connection, which only listens so far.
func (l *load) addTalker(c *conn) *talker {
	k := &talker{conn: c, load: l, number: -1, ears: make(map[int32]*ear)}
	l.talkers = append(l.talkers, k)
	return k
}

func (l *load) addSender(k *talker, command wire.Command, pick func(n int) (int32, int)) {
	k.number, k.ledger, k.command, k.pick = len(l.senders), &ledger{}, command, pick
	l.senders = append(l.senders, k)
}

func (l *load) close() {
	l.closing.Store(true)
	for _, k := range l.talkers {
		_ = k.Close()
	}
}

// start lets all connections be read, and returns what waits until they have ended.
func (l *load) start() (wait func()) {
	l.began = time.Now()
	var readers sync.WaitGroup
	for _, k := range l.talkers {
		readers.Go(k.run)
	}
	return readers.Wait
}

// open lets every sender say as much as its window allows, or starts what keeps the rate.
func (l *load) open(ctx context.Context) {
	if l.pace.Rate > 0 {
		go l.keepRate(ctx) // ends with the window, or ctx
		return
	}
	for _, k := range l.senders {
		k.speak(max(l.pace.Window, 1))
		_ = k.flush() // the reader sees that the connection has ended
	}
}

// keepRate says message i at i/rate, whatever has become of the others. What it says late was due all the same: latencies begin when a
// message was due.
func (l *load) keepRate(ctx context.Context) {
	began := l.now()
	each := float64(time.Second) / l.pace.Rate
	for i := 0; ctx.Err() == nil; {
		now := l.now()
		first := i
		for ; began+time.Duration(float64(i)*each) <= now; i++ {
			if !l.mayGoOn(now) {
				return
			}
			l.sayTo(i, began+time.Duration(float64(i)*each))
		}
		for j := first; j < min(i, first+len(l.senders)); j++ {
			_ = l.senders[j%len(l.senders)].flush()
		}
		sleepUntil(l.began.Add(time.Duration(l.zero.Load()) + began + time.Duration(float64(i)*each)))
	}
}

func (l *load) sayTo(i int, due time.Duration) {
	k := l.senders[i%len(l.senders)]
	k.speaking.Lock()
	defer k.speaking.Unlock()
	k.sayNext(due, false)
}

// settlePatience is how long the last acks and deliveries may take, and settleQuiet how long nothing may come meanwhile.
const (
	settlePatience = time.Minute
	settleQuiet    = 5 * time.Second
)

// settle waits until all is answered, and everything that was acknowledged is delivered.
func (l *load) settle(ctx context.Context) error {
	last, since := int64(-1), time.Now()
	for began := time.Now(); time.Since(began) < settlePatience; {
		answered, delivered := l.answered.Load(), l.delivered.Load()
		if answered >= l.said.Load() && delivered >= l.owed.Load() {
			return nil
		}
		if sum := answered + delivered; sum != last {
			last, since = sum, time.Now()
		}
		if time.Since(since) > settleQuiet {
			return nil // the verdict says what is missing
		}
		if err := pause(ctx, 2*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// unanswered returns how many messages nobody has answered.
func (l *load) unanswered() int64 { return l.said.Load() - l.answered.Load() }
