package main

import (
	"context"
	"fmt"
	"maps"
	"time"
)

// roles shows what more processes of a role give, and what they cost, where nothing else is more than one. On a machine whose cores are all
// in use they can only cost.
var roles = series{
	name:  "roles",
	title: "Messages between 200 pairs, 32 in flight, by the processes of one role",
	x:     axis{title: "processes of that role, and one of each other", log: true},
	panels: []panel{
		{title: "acknowledged messages a second", curves: []figure{{"acked_per_s", ""}}},
		{title: "server CPU for 1,000 messages, ms", curves: []figure{{"server_cpu_ms_per_1000", ""}}},
	},
	about: 190 * time.Second,
	steps: func(l *lab) int { return (1 + len(roleNames)*(len(processCounts)-1)) * l.times },
	run:   runRoles,
}

var (
	roleNames     = []string{"edge", "sequence", "fanout", "persist"}
	processCounts = []int{1, 2, 4}
)

func runRoles(ctx context.Context, l *lab) ([]point, error) {
	one, err := l.atRoles(ctx, roleNames[0], 1)
	if err != nil {
		return nil, err
	}
	var points []point
	for _, role := range roleNames {
		one.Line = role // one process of each is the same for all
		points = append(points, one)
		for _, n := range processCounts[1:] {
			p, err := l.atRoles(ctx, role, n)
			if err != nil {
				return nil, err
			}
			points = append(points, p)
		}
	}
	return points, nil
}

func (l *lab) atRoles(ctx context.Context, role string, n int) (point, error) {
	h, err := l.build(ctx)
	if err != nil {
		return point{}, err
	}
	defer h.tearDown()
	counts := map[string]int{"edge": 1, "sequence": 1, "fanout": 1, "persist": 1, "api": 1, "webhook": 1}
	counts[role] = n
	if err := h.roles(ctx, counts); err != nil {
		return point{}, err
	}
	return l.repeat(role, float64(n), func() (values, error) {
		r, err := l.bench(ctx, h, append([]string{"p2p", "--pairs", "200", "--window", "32"}, l.brief()...)...)
		if err != nil {
			return nil, err
		}
		if !maps.Equal(r.Server.Members, counts) {
			return nil, fmt.Errorf("there were %v, want %v", r.Server.Members, counts)
		}
		return talkValues(r), nil
	})
}
