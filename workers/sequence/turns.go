package sequence

import (
	"sync"
	"time"
)

// turns lets the owners of a process append one after the other. The blocks of all partitions go into one stream, whose broker writes and
// fsyncs them one by one: a block that is sent while another is being written only waits there, and what arrives meanwhile must wait for the
// next. Who waits here instead makes its block when the broker is free, of all that has come by then.
type turns struct {
	mu      sync.Mutex
	free    int
	waiting []chan struct{} // those who have asked, in their order
}

func newTurns(n int) *turns { return &turns{free: n} }

// ask asks for a turn, which comes through mine; mine must have room for it. Each turn must be given back.
func (t *turns) ask(mine chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.free > 0 {
		t.free--
		mine <- struct{}{}
		return
	}
	t.waiting = append(t.waiting, mine)
}

// giveBack ends a turn.
func (t *turns) giveBack() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.waiting) == 0 {
		t.free++
		return
	}
	next := t.waiting[0]
	t.waiting = t.waiting[1:]
	next <- struct{}{}
}

// forgo takes back what was asked for: the turn itself, if it has come.
func (t *turns) forgo(mine chan struct{}) {
	t.mu.Lock()
	for i, w := range t.waiting {
		if w == mine {
			t.waiting = append(t.waiting[:i:i], t.waiting[i+1:]...)
			t.mu.Unlock()
			return
		}
	}
	t.mu.Unlock()
	<-mine
	t.giveBack()
}

// seat is one owner's place among those who take turns. It belongs to the owner's loop.
type seat struct {
	turns *turns
	mine  chan struct{} // the turn, when it has come
	asked bool
	holds bool

	last  int         // how many records the owner's last block had
	since time.Time   // since when it waits for as many requests as that; zero: it does not
	wait  *time.Timer // until it does no longer
}

// fillFor is how long an owner that has fewer requests than its last block had records waits for the others. Those who were answered together
// ask again together: without this, the first of them has a block of his own, and the others wait for it. A block costs the broker and all who
// read the log as much as several requests.
const fillFor = 400 * time.Microsecond

func newSeat(t *turns) *seat {
	s := &seat{turns: t, mine: make(chan struct{}, 1), wait: time.NewTimer(time.Hour)}
	s.wait.Stop()
	return s
}

// ready reports whether the owner may make a block of what waits now. If not, and there is something to make one of, mine or wait will tell when
// to ask again.
func (s *seat) ready(waiting int, now time.Time) bool {
	switch {
	case s.holds:
		return true
	case waiting == 0, !s.asked && s.mayFill(waiting, now):
		return false
	case !s.asked:
		s.asked = true
		s.turns.ask(s.mine)
	}
	select {
	case <-s.mine:
		s.came()
	default:
	}
	return s.holds
}

// mayFill reports whether more requests are likely to come so soon that it is worth waiting for them.
func (s *seat) mayFill(waiting int, now time.Time) bool {
	if waiting >= s.last {
		s.since = time.Time{}
		return false
	}
	if s.since.IsZero() {
		s.since = now
		s.wait.Reset(fillFor)
		return true
	}
	if now.Sub(s.since) < fillFor {
		return true
	}
	s.since = time.Time{}
	return false
}

// came says that the turn has come through mine.
func (s *seat) came() { s.asked, s.holds = false, true }

// giveBack ends the turn.
func (s *seat) giveBack() {
	s.holds = false
	s.turns.giveBack()
}

// leave lets the others go on when the owner ends, however it does.
func (s *seat) leave() {
	switch {
	case s.holds:
		s.giveBack()
	case s.asked:
		s.asked = false
		s.turns.forgo(s.mine)
	}
	s.wait.Stop()
}
