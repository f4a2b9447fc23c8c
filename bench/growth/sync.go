package main

import (
	"context"
	"fmt"
	"time"
)

// syncing shows what a user waits who asks which of his conversations have changed, by how much they hold that has not.
var syncing = series{
	name:  "sync",
	title: "A user asks which of his 1,000 conversations have changed: 50",
	x:     axis{title: "messages that they hold, all of them in Postgres", log: true},
	panels: []panel{
		{title: "time to the answer, ms", curves: []figure{{"sync_p50_ms", "p50"}, {"sync_p99_ms", "p99"}}},
	},
	about: 130 * time.Second,
	steps: func(l *lab) int { return len(histories(l)) * l.times },
	run:   runSync,
}

func histories(l *lab) []int {
	if l.short {
		return []int{1000, 2000}
	}
	return []int{10_000, 100_000, 1_000_000}
}

// runSync asks one server, whose history grows: what is there at one point is the beginning of the next one's.
func runSync(ctx context.Context, l *lab) ([]point, error) {
	h, err := l.build(ctx)
	if err != nil {
		return nil, err
	}
	defer h.tearDown()
	if _, err := h.dev(ctx); err != nil {
		return nil, err
	}
	requests := 1000
	if l.short {
		requests = 100
	}
	var points []point
	for _, n := range histories(l) {
		p, err := l.repeat("", float64(n), func() (values, error) {
			r, err := l.bench(ctx, h, "sync", "--history", fmt.Sprint(n), "--requests", fmt.Sprint(requests))
			if err != nil {
				return nil, err
			}
			return values{"sync_p50_ms": r.Sync.Latency.P50, "sync_p99_ms": r.Sync.Latency.P99, "history": float64(r.Sync.History)}, nil
		})
		if err != nil {
			return nil, err
		}
		points = append(points, p)
	}
	return points, nil
}
