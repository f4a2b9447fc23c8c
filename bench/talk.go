package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"syscall"
	"time"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/wire"
)

// P2P says how pairs talk.
type P2P struct {
	Pairs  int  `json:"pairs"`            // each a sender and a receiver, who are both connected
	Cross  bool `json:"cross,omitempty"`  // every sender says his messages to all receivers in turn, in an order of his own: pairs² conversations
	Random int  `json:"random,omitempty"` // or each of them to one of so many receivers, who is drawn by lot
	Raw    bool `json:"raw,omitempty"`    // measures the broker alone as well, before
	Pace
}

// Run measures pairs.
func (p P2P) Run(ctx context.Context, t *Target) (*Report, error) {
	if p.Random > p.Pairs {
		return nil, fmt.Errorf("there are no %d receivers of %d pairs", p.Random, p.Pairs)
	}
	if err := NeedFiles(2 * p.Pairs); err != nil {
		return nil, err
	}
	p.Pace = p.counted()
	r, sys, err := t.begin(ctx, "p2p", p)
	if err != nil {
		return nil, err
	}
	if p.Raw {
		raw := Raw{Payload: p.Payload, Writers: min(p.Pairs*max(p.Window, 1), rawWriters), Keys: r.Server.Partitions, Duration: rawBeside}
		if r.Raw, err = raw.measure(ctx, t); err != nil {
			return nil, err
		}
	}
	if err := t.users(ctx, 2*p.Pairs); err != nil {
		return nil, err
	}
	if err := p.befriend(ctx, t); err != nil {
		return nil, err
	}
	conns, err := t.connect(ctx, 2*p.Pairs)
	if err != nil {
		return nil, err
	}
	return r, p.load(t, conns).measure(ctx, sys, r)
}

// befriend lets every sender talk to every receiver, if they shall.
func (p P2P) befriend(ctx context.Context, t *Target) error {
	if !p.crossed() {
		return nil
	}
	receivers := p.Pairs
	if p.Random > 0 {
		receivers = p.Random
	}
	for i := range p.Pairs {
		if err := t.Store.SeedFriends(ctx, t.App, userOf(2*i), 2, 2*receivers, 2); err != nil {
			return err
		}
		t.Progress.step("senders have their friends", i+1, p.Pairs)
	}
	return nil
}

// crossed reports whether senders talk to the receivers of others, too.
func (p P2P) crossed() bool { return p.Cross || p.Random > 0 }

// load makes pairs of connections: the first with the second, the third with the fourth, and so on.
func (p P2P) load(t *Target, conns []*conn) *load {
	l := newLoad(t, p.Pace)
	l.receipted = true
	said := body(p.Payload)
	for i := range p.Pairs {
		l.wordings = append(l.wordings, wordingOf(wire.Message{To: userOf(2*i + 1), Body: said}))
		l.addSender(l.addTalker(conns[2*i]), wire.Send, p.pick(i))
		receiver := l.addTalker(conns[2*i+1])
		if !p.crossed() {
			receiver.ear(int32(i))
		}
	}
	l.talks = p.Pairs
	l.of = func(talk int32) chat.Conversation {
		return chat.PairOf(t.App, userOf(2*int(talk)), userOf(2*int(talk)+1))
	}
	if p.crossed() {
		l.talks = p.Pairs * p.Pairs
		l.of = func(talk int32) chat.Conversation {
			return chat.PairOf(t.App, userOf(2*(int(talk)/p.Pairs)), userOf(2*(int(talk)%p.Pairs)+1))
		}
	}
	return l
}

// pick returns where sender i says his nth message: the conversation, and whose wording it takes.
func (p P2P) pick(i int) func(n int) (int32, int) {
	if !p.crossed() {
		return func(int) (int32, int) { return int32(i), i } //nolint:gosec // a pair
	}
	if p.Random > 0 {
		return func(int) (int32, int) {
			j := rand.IntN(p.Random)       //nolint:gosec // a walk
			return int32(i*p.Pairs + j), j //nolint:gosec // a few thousand squared
		}
	}
	order := rand.Perm(p.Pairs) //nolint:gosec // a walk
	return func(n int) (int32, int) {
		j := order[n%p.Pairs]
		return int32(i*p.Pairs + j), j //nolint:gosec // a few thousand squared
	}
}

// Group says how a group talks.
type Group struct {
	Members int `json:"members"` // all of them connected
	Senders int `json:"senders"` // of them
	Pace
}

// Run measures a group.
func (g Group) Run(ctx context.Context, t *Target) (*Report, error) {
	if err := NeedFiles(g.Members); err != nil {
		return nil, err
	}
	g.Pace = g.counted()
	r, sys, err := t.begin(ctx, "group", g)
	if err != nil {
		return nil, err
	}
	id := fmt.Sprint("bench", g.Members)
	if err := t.Store.SeedGroup(ctx, t.App, id, userOf(0), g.Members, t.Progress.bar("members")); err != nil {
		return nil, fmt.Errorf("seed group %s: %w", id, err)
	}
	t.Streams.Nudge() // the members wait in the outbox
	conns, err := t.connect(ctx, g.Members)
	if err != nil {
		return nil, err
	}
	l := newLoad(t, g.Pace)
	l.talks = 1
	l.of = func(int32) chat.Conversation { return chat.GroupOf(t.App, id) }
	l.wordings = []wording{wordingOf(wire.Message{Group: id, Body: body(g.Payload)})}
	for i, c := range conns {
		k := l.addTalker(c)
		k.ear(0)
		if i < g.Senders {
			l.addSender(k, wire.GroupSend, func(int) (int32, int) { return 0, 0 })
		}
	}
	return r, l.measure(ctx, sys, r)
}

// gather waits until all members are known to the group: until one message of the first sender has reached them all.
func (l *load) gather(ctx context.Context) error {
	const patience = time.Minute
	for began := time.Now(); time.Since(began) < patience; {
		all, err := l.try(ctx, l.senders[0])
		if all || err != nil {
			return err
		}
		l.target.Progress.line("members are joining")
	}
	return fmt.Errorf("not all members have heard a message within %s", patience)
}

// try says something, and reports whether everybody has heard it.
func (l *load) try(ctx context.Context, first *talker) (bool, error) {
	n := first.ledger.len()
	l.trial.Store(int64(n))
	l.hearers.Store(0)
	first.speaking.Lock()
	first.sayNext(l.now(), true)
	first.speaking.Unlock()
	if err := first.flush(); err != nil {
		return false, fmt.Errorf("say something in the group: %w", err)
	}
	const patience = time.Second
	for waited := time.Now(); time.Since(waited) < patience; {
		if l.hearers.Load() >= int64(l.listeners()) && first.ledger.of(n).acked {
			return true, nil
		}
		if err := Pause(ctx, 10*time.Millisecond); err != nil {
			return false, err
		}
	}
	return false, nil
}

// measure lets the load run, and fills the report in.
func (l *load) measure(ctx context.Context, sys *system, r *Report) error {
	wait := l.start()
	defer wait()
	defer l.close()
	if l.of(0).Kind == chat.Group {
		if err := l.gather(ctx); err != nil {
			return err
		}
	}
	l.zero.Store(int64(time.Since(l.began)))
	l.open(ctx)
	if err := l.until(ctx, l.pace.WarmUp, nil); err != nil {
		return err
	}
	before, load := sys.look(false), ownCPU()
	profiled := sys.profile(ctx, l.pace.Profile, l.pace.Duration)
	planned := l.pace.WarmUp + l.pace.Duration
	if err := l.until(ctx, planned, &r.Seconds); err != nil {
		return err
	}
	end := min(l.now(), planned)
	l.quiet.Store(true)
	after, load := sys.look(false), ownCPU()-load
	l.acks.closeWindow(end)
	l.deliveries.closeWindow(end)
	if err := l.settle(ctx); err != nil {
		return err
	}
	l.close()
	wait() // what was heard is its readers' until they have ended
	if err := profiled(); err != nil {
		return err
	}
	return l.conclude(ctx, r, end-l.pace.WarmUp, func(things int64, of string) *Resources {
		return resources(before, sys.proportional(after), load, things, of)
	})
}

// conclude gives the verdict on a load that has ended.
func (l *load) conclude(ctx context.Context, r *Report, took time.Duration, cost func(things int64, of string) *Resources) error {
	r.Talk = l.result(took)
	want := l.verdict()
	if r.Talk.NoRows = l.pace.NoRows; !l.pace.NoRows {
		lag, rows, err := l.target.awaitRows(ctx, want, l.faults.add)
		if err != nil {
			return err
		}
		r.Talk.Rows, r.Talk.RowsLag = rows, float64(lag.Microseconds())/1000
	}
	if n := r.Talk.Unanswered; n > 0 {
		l.faults.add(faultOf(faultUnanswered, "%d messages were neither acknowledged nor refused, and their connections are there", n))
	}
	if r.Talk.Acked == 0 {
		l.faults.add(faultOf(faultAnswer, "no message was acknowledged within the window"))
	}
	if r.Bench == "group" {
		r.Resources = cost(r.Talk.Delivered, "deliveries")
	} else {
		r.Resources = cost(r.Talk.Acked, "messages")
	}
	r.judge(&l.faults, &l.codes)
	r.compare()
	return nil
}

// result is what the meters say.
func (l *load) result(took time.Duration) *TalkResult {
	r := &TalkResult{
		Seconds: took.Seconds(), Said: l.said.Load(), Receipts: l.receipts.Load(), Unanswered: l.unanswered(), Foreign: l.foreign.Load(),
	}
	r.Acked, r.Ack = l.acks.result()
	r.Delivered, r.Delivery = l.deliveries.result()
	r.AckedPS, r.DeliverPS = float64(r.Acked)/r.Seconds, float64(r.Delivered)/r.Seconds
	return r
}

// compare sets what was measured against what the broker does alone.
func (r *Report) compare() {
	if r.Raw == nil || r.Talk == nil {
		return
	}
	r.Ratios = make(map[string]float64)
	if p := r.Raw.Update.P50; p > 0 {
		r.Ratios["ack_p50_to_update_p50"] = r.Talk.Ack.P50 / p
	}
	if p := r.Raw.Update.P99; p > 0 {
		r.Ratios["ack_p99_to_update_p99"] = r.Talk.Ack.P99 / p
	}
	if p := r.Raw.PublishedPS; p > 0 {
		r.Ratios["acked_to_published"] = r.Talk.AckedPS / p
	}
}

// until lets the load run up to a time, or until all is said and answered; it tells how far it is, and notes each second.
func (l *load) until(ctx context.Context, to time.Duration, seconds *[]Second) error {
	from := l.now()
	ticks := time.NewTicker(200 * time.Millisecond)
	defer ticks.Stop()
	end := time.NewTimer(to - from)
	defer end.Stop()
	if seconds != nil && l.pace.WarmUp > 0 { // what the warm-up brought is no second's
		l.acks.lately()
		l.deliveries.lately()
	}
	for next := from + time.Second; ; {
		select {
		case <-ticks.C:
		case <-l.used:
			l.note(seconds)
			return nil
		case <-end.C:
			l.note(seconds)
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
		l.tell(to)
		if now := l.now(); now >= next && now < to-time.Second/4 {
			next += time.Second
			l.note(seconds)
		}
	}
}

func (l *load) note(seconds *[]Second) {
	if seconds == nil {
		return
	}
	a, d := l.acks.lately(), l.deliveries.lately()
	*seconds = append(*seconds, Second{
		At: (l.now() - l.pace.WarmUp).Seconds(), Acked: a.Count, AckP50: a.P50, AckP99: a.P99,
		Delivered: d.Count, DeliveryP50: d.P50, DeliveryP99: d.P99,
	})
}

// tell shows how far the run is.
func (l *load) tell(to time.Duration) {
	acked, p99 := l.acks.sofar()
	delivered, d99 := l.deliveries.sofar()
	now := max(l.now(), time.Millisecond)
	l.target.Progress.line("%3.0f s of %.0f: %.0f acked/s, %.0f delivered/s, p99 %.1f and %.1f ms, %d errors, %d faults",
		now.Seconds(), to.Seconds(), float64(acked)/now.Seconds(), float64(delivered)/now.Seconds(), p99, d99, l.codes.total(), l.faults.total())
}

// ownCPU returns the CPU time that this process has used.
func ownCPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
