package main

import (
	"fmt"
	"io"
	"strings"
)

// progress is a bar on a terminal, and nothing elsewhere.
type progress struct {
	out   io.Writer // nil: no terminal
	what  string
	drawn int // the percentage that it shows
}

const progressWidth = 40

func newProgress(out io.Writer, what string) *progress {
	if !isTerminal(out) {
		out = nil
	}
	return &progress{out: out, what: what, drawn: -1}
}

// show draws the bar anew when it has changed; when all is done it ends the line.
func (p *progress) show(done, total int) {
	if p.out == nil || total == 0 || p.drawn == 100*done/total {
		return
	}
	p.drawn = 100 * done / total
	full := progressWidth * done / total
	fmt.Fprintf(p.out, "\r[%s%s] %d/%d %s", strings.Repeat("=", full), strings.Repeat(" ", progressWidth-full), done, total, p.what)
	if done >= total {
		fmt.Fprintln(p.out)
	}
}
