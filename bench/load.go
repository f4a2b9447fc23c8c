package bench

import (
	"bytes"
	"context"
	"crypto/rand"
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
	Patience time.Duration `json:"patience_ns"`        // how long after the end nothing may come before what is missing counts as lost
	Messages int64         `json:"messages,omitempty"` // ends the run when so many were said; it has no warm-up then
	NoRows   bool          `json:"no_rows,omitempty"`  // nobody looks for the rows, for no persist worker is there; the verdict says nothing of them
	Profile  string        `json:"-"`                  // file for a CPU profile of the server within the window; empty: none
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

	talkers   []*talker
	senders   []*talker // those of them that say something, by their number
	talks     int
	receipted bool // listeners send receipts
	of        func(talk int32) chat.Conversation
	wordings  []wording // by talk, or by what pick makes of it

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

// listeners returns how many hear what a sender says: the other one of a pair, or all others of a group.
func (l *load) listeners() int {
	if l.talks == 1 {
		return len(l.talkers) - 1
	}
	return 1
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

// settle waits until all is answered, and everything that was acknowledged is delivered; or until nothing has come for longer than a server
// may take to answer. The verdict says what is missing then.
func (l *load) settle(ctx context.Context) error {
	last, since := int64(-1), time.Now()
	for time.Since(since) < l.pace.Patience {
		answered, delivered := l.answered.Load(), l.delivered.Load()
		if answered >= l.said.Load() && delivered >= l.owed.Load() {
			return l.settleReceipts(ctx)
		}
		if sum := answered + delivered; sum != last {
			last, since = sum, time.Now()
		}
		l.target.Progress.line("waiting for %d answers and %d deliveries", l.said.Load()-answered, l.owed.Load()-delivered)
		if err := Pause(ctx, 2*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// settleReceipts waits a moment for the receipts of the last deliveries. Nothing is wrong if some do not come: they are signals.
func (l *load) settleReceipts(ctx context.Context) error {
	const patience = time.Second
	for began := time.Now(); l.receipted && time.Since(began) < patience && l.receipts.Load() < l.delivered.Load(); {
		if err := Pause(ctx, 2*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// unanswered returns how many messages nobody has answered.
func (l *load) unanswered() int64 { return l.said.Load() - l.answered.Load() }
