package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"

	"github.com/whaleshark-im/whaleshark/bench"
)

// lab is what a series works with.
type lab struct {
	short    bool
	times    int    // that each point is measured
	binary   string // the server's program
	in       string // where houses are built; empty: where temporary files go
	progress *progress

	// Of the newest run.
	version string
	machine bench.Machine
}

// brief returns the flags of a run that takes as long as one run of a point may.
func (l *lab) brief() []string {
	if l.short {
		return []string{"--warm-up", "200ms", "--duration", "800ms"}
	}
	return []string{"--warm-up", "1s", "--duration", "4s"}
}

// repeat measures a point as often as it is to be.
func (l *lab) repeat(line string, x float64, once func() (values, error)) (point, error) {
	var runs []values
	for range l.times {
		v, err := once()
		if err != nil {
			return point{}, fmt.Errorf("%s at %s: %w", line, rounded(x), err)
		}
		l.progress.step("%s: %s", strings.TrimSpace(line+" at "+rounded(x)), l.progress.series.drawn(v))
		runs = append(runs, v)
	}
	return pointOf(line, x, runs), nil
}

// bench runs `whaleshark bench` against a house. A run that does not keep what the server promises is an error.
func (l *lab) bench(ctx context.Context, h *house, args ...string) (*bench.Report, error) {
	out, err := h.run(ctx, append(append([]string{"bench"}, args...), "--json")...)
	r, err := believe(out, err)
	if err != nil {
		return nil, fmt.Errorf("whaleshark bench %s: %w", strings.Join(args, " "), err)
	}
	l.version, l.machine = r.Version, r.Machine
	return r, nil
}

// believe reads a report. How the bench has ended, and its verdict, must both be good.
func believe(out []byte, ended error) (*bench.Report, error) {
	r := &bench.Report{}
	err := json.Unmarshal(out, r)
	switch {
	case err == nil && !r.OK():
		examples, _ := json.Marshal(r.Examples) // words and no more
		return nil, fmt.Errorf("a promise was not kept: %v, such as %s", r.Faults, examples)
	case ended != nil:
		return nil, ended
	case err != nil:
		return nil, fmt.Errorf("read its report: %w", err)
	}
	return r, nil
}

// run runs the server's program to its end, and returns what it has said. An error holds what it has said of that.
func (h *house) run(ctx context.Context, args ...string) ([]byte, error) {
	var errs bytes.Buffer
	cmd := exec.CommandContext(ctx, h.lab.binary, args...)
	cmd.Env, cmd.Stderr = h.env, &errs
	out, err := cmd.Output()
	if _, ended := errors.AsType[*exec.ExitError](err); ended {
		err = fmt.Errorf("%w: %s", err, bytes.TrimSpace(errs.Bytes()))
	}
	return out, err
}

// progress tells on stderr how far all of it is.
type progress struct {
	out   io.Writer
	began time.Time

	series *series
	done   int
	steps  int
	start  time.Time     // of the series
	behind time.Duration // how long the series after it take, about
}

func (p *progress) say(format string, args ...any) {
	fmt.Fprintf(p.out, "%4.0f s  "+format+"\n", append([]any{time.Since(p.began).Seconds()}, args...)...)
}

func (p *progress) begin(s *series, after []series, l *lab) {
	p.series, p.done, p.steps, p.start, p.behind = s, 0, s.steps(l), time.Now(), 0
	for i := range after {
		p.behind += after[i].takes(l)
	}
	p.say("%s: %s; about %s left", s.name, s.title, (s.takes(l) + p.behind).Round(time.Second))
}

// takes returns how long a series takes, about: a short run does nearly nothing but start servers.
func (s *series) takes(l *lab) time.Duration {
	if l.short {
		return s.about * time.Duration(l.times) / 12
	}
	return s.about * time.Duration(l.times) / 3
}

// step tells of one run that has ended.
func (p *progress) step(format string, args ...any) {
	p.done++
	left := p.behind + remaining(time.Since(p.start), p.done, p.steps)
	p.say("%s %d of %d: %s; about %s left", p.series.name, p.done, p.steps, fmt.Sprintf(format, args...), left.Round(time.Second))
}

// remaining returns how long the rest takes if each step takes as long as those before.
func remaining(took time.Duration, done, steps int) time.Duration {
	if done == 0 || done >= steps {
		return 0
	}
	return took / time.Duration(done) * time.Duration(steps-done)
}
