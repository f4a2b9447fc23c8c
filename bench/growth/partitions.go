package main

import (
	"context"
	"fmt"
	"time"
)

// partitions shows what more partitions of the log give: more owners could work side by side, and blocks become smaller.
var partitions = series{
	name:  "partitions",
	title: "Messages between pairs, by the partitions of the log",
	x:     axis{title: "partitions", log: true},
	panels: []panel{
		{title: "acknowledged messages a second", curves: []figure{{"acked_per_s", ""}}},
		{title: "median time to the ack, ms", curves: []figure{{"ack_p50_ms", ""}}},
	},
	about: 250 * time.Second,
	steps: func(l *lab) int { return len(partitionCounts) * len(partitionLoads) * l.times },
	run:   runPartitions,
}

var (
	partitionCounts = []int{1, 2, 4, 16, 64}
	partitionLoads  = []struct {
		line, figure  string // what counts
		pairs, window int
	}{
		{"200 pairs, 32 in flight", "acked_per_s", 200, 32},
		{"200 pairs, 1 in flight", "acked_per_s", 200, 1},
		{"10 pairs, 1 in flight", "ack_p50_ms", 10, 1},
	}
)

func runPartitions(ctx context.Context, l *lab) ([]point, error) {
	var points []point
	for _, n := range partitionCounts {
		some, err := l.atPartitions(ctx, n)
		if err != nil {
			return nil, err
		}
		points = append(points, some...)
	}
	return points, nil
}

func (l *lab) atPartitions(ctx context.Context, n int) (points []point, err error) {
	h, err := l.build(ctx)
	if err != nil {
		return nil, err
	}
	defer h.tearDown()
	if _, err := h.dev(ctx, fmt.Sprint("--partitions=", n)); err != nil {
		return nil, err
	}
	for _, load := range partitionLoads {
		p, err := l.repeat(load.line, float64(n), func() (values, error) {
			args := append([]string{"p2p", "--pairs", fmt.Sprint(load.pairs), "--window", fmt.Sprint(load.window)}, l.brief()...)
			r, err := l.bench(ctx, h, args...)
			if err != nil {
				return nil, err
			}
			v := talkValues(r)
			return values{load.figure: v[load.figure]}, nil
		})
		if err != nil {
			return nil, err
		}
		points = append(points, p)
	}
	return points, nil
}
