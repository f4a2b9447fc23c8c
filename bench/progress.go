package bench

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// Progress tells how far a run is: on a terminal in one line that is written over, elsewhere a line now and then. A nil one tells nothing.
type Progress struct {
	Out      io.Writer
	Terminal bool

	mu    sync.Mutex
	told  time.Time
	drawn bool
}

const (
	progressOnTerminal = 100 * time.Millisecond
	progressElsewhere  = 5 * time.Second
)

// line tells something, unless it was told lately.
func (p *Progress) line(format string, args ...any) {
	if p == nil || p.Out == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	every := progressElsewhere
	if p.Terminal {
		every = progressOnTerminal
	}
	if time.Since(p.told) < every {
		return
	}
	p.told = time.Now()
	if p.Terminal {
		p.drawn = true
		fmt.Fprintf(p.Out, "\r\x1b[K"+format, args...)
		return
	}
	fmt.Fprintf(p.Out, format+"\n", args...)
}

func (p *Progress) step(what string, done, total int) { p.line("%d of %d %s", done, total, what) }

// bar returns what tells of one thing that is done step by step.
func (p *Progress) bar(what string) func(done, total int) {
	return func(done, total int) { p.step(what, done, total) }
}

// Clear takes the line away.
func (p *Progress) Clear() {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.drawn {
		fmt.Fprint(p.Out, "\r\x1b[K")
		p.drawn = false
	}
}
