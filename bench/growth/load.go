package main

import (
	"context"
	"fmt"
	"time"
)

// load shows what waiting a message has as more are said: they come at their times, whether the server keeps up or not.
var load = series{
	name:  "load",
	title: "Messages between 200 pairs, by how many are said a second",
	x:     axis{title: "messages said a second"},
	panels: []panel{
		{title: "time to the delivery, ms", log: true, curves: []figure{{"delivery_p50_ms", "p50"}, {"delivery_p99_ms", "p99"}}},
		{title: "messages delivered a second", curves: []figure{{"delivered_per_s", "delivered"}, {"said_per_s", "said"}}},
	},
	about: 4 * time.Minute,
	steps: func(l *lab) int { return len(rates(l)) * l.times },
	run:   runLoad,
}

// rates are those that are tried, up to the first that the server cannot deliver.
func rates(l *lab) []int {
	if l.short {
		return []int{500, 2000, 8000}
	}
	return []int{500, 1000, 2000, 4000, 6000, 8000, 10_000, 12_000, 15_000, 20_000, 25_000, 30_000, 40_000, 50_000}
}

// saturated is the share of what is said that a server delivers within the window if it keeps up, at least.
const saturated = 0.95

func runLoad(ctx context.Context, l *lab) ([]point, error) {
	var points []point
	for _, rate := range rates(l) {
		p, err := l.atRate(ctx, rate)
		if err != nil {
			return nil, err
		}
		if points = append(points, p); p.Median["delivered_per_s"] < saturated*float64(rate) {
			break
		}
	}
	return points, nil
}

// atRate measures a rate on a server of its own: what one that is saturated leaves behind is no other's.
func (l *lab) atRate(ctx context.Context, rate int) (point, error) {
	h, err := l.build(ctx)
	if err != nil {
		return point{}, err
	}
	defer h.tearDown()
	if _, err := h.dev(ctx); err != nil {
		return point{}, err
	}
	return l.repeat("", float64(rate), func() (values, error) {
		r, err := l.bench(ctx, h, append([]string{"p2p", "--pairs", "200", "--rate", fmt.Sprint(rate)}, l.brief()...)...)
		if err != nil {
			return nil, err
		}
		v := talkValues(r)
		v["said_per_s"] = float64(rate)
		return v, nil
	})
}
