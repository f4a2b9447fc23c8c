package sequence

import "sync"

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
