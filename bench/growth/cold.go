package main

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/whaleshark-im/whaleshark/bench"
)

// cold shows how a server that has just started comes to know its conversations: Postgres has all of them, each with a message at least, and no
// process has any in memory. What the operating system still has of Postgres's files is no process's.
var cold = series{
	name:  "cold",
	title: "1,000 senders, 1 in flight each, talk in conversations drawn by lot, after a restart",
	x:     axis{title: "seconds"},
	panels: []panel{
		{title: "acknowledged messages a second", curves: []figure{{"acked_per_s", ""}}},
		{title: "time to the ack, ms", log: true, curves: []figure{{"ack_p50_ms", "p50"}, {"ack_p99_ms", "p99"}}},
	},
	about: 5 * time.Minute,
	steps: func(l *lab) int { return 3 * l.times },
	run:   runCold,
}

func runCold(ctx context.Context, l *lab) ([]point, error) {
	pairs, seconds := 1000, 15
	if l.short {
		pairs, seconds = 100, 3
	}
	h, err := l.build(ctx)
	if err != nil {
		return nil, err
	}
	defer h.tearDown()
	dev, err := h.dev(ctx)
	if err != nil {
		return nil, err
	}
	l.progress.say("cold: filling %s conversations", rounded(float64(pairs*pairs)))
	if _, err := l.bench(ctx, h, "p2p", "--pairs", fmt.Sprint(pairs), "--cross", "--messages", fmt.Sprint(pairs*pairs), "--window", "32",
		"--duration", "30m"); err != nil {
		return nil, err
	}
	var points []point
	for _, receivers := range []int{pairs / 100, pairs / 10, pairs} {
		line := rounded(float64(pairs*receivers)) + " conversations"
		var runs [][]values
		for range l.times {
			h.stop(dev)
			if dev, err = h.dev(ctx); err != nil {
				return nil, err
			}
			r, err := l.bench(ctx, h, "p2p", "--pairs", fmt.Sprint(pairs), "--random", fmt.Sprint(receivers),
				"--warm-up", "0s", "--duration", fmt.Sprint(seconds, "s"))
			if err != nil {
				return nil, fmt.Errorf("%s: %w", line, err)
			}
			l.progress.step("%s: %s", line, l.progress.series.drawn(talkValues(r)))
			runs = append(runs, secondsOf(r.Seconds))
		}
		points = append(points, overTime(line, runs)...)
	}
	return points, nil
}

// secondsOf are the figures of each second of a run.
func secondsOf(seconds []bench.Second) []values {
	var all []values
	began := 0.0
	for _, s := range seconds {
		if length := s.At - began; length > 0 {
			all = append(all, values{"acked_per_s": math.Round(float64(s.Acked) / length), "ack_p50_ms": s.AckP50, "ack_p99_ms": s.AckP99})
		}
		began = s.At
	}
	return all
}

// overTime makes a point of the same second of all runs.
func overTime(line string, runs [][]values) []point {
	var points []point
	for i := 0; ; i++ {
		var second []values
		for _, r := range runs {
			if i < len(r) {
				second = append(second, r[i])
			}
		}
		if len(second) == 0 {
			return points
		}
		points = append(points, pointOf(line, float64(i+1), second))
	}
}
