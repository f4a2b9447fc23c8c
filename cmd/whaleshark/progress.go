package main

import (
	"fmt"
	"io"
	"strings"
)

// progress is a bar on a terminal, and nothing elsewhere.
type progress struct {
	out  io.Writer // nil: no terminal
	what string
}

const progressWidth = 40

func newProgress(out io.Writer, what string) *progress {
	if !isTerminal(out) {
		out = nil
	}
	return &progress{out, what}
}

// show draws the bar anew; the last time it ends the line.
func (p *progress) show(done, total int) {
	if p.out == nil || total == 0 {
		return
	}
	full := progressWidth * done / total
	fmt.Fprintf(p.out, "\r[%s%s] %d/%d %s", strings.Repeat("=", full), strings.Repeat(" ", progressWidth-full), done, total, p.what)
	if done >= total {
		fmt.Fprintln(p.out)
	}
}
