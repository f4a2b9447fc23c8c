package main

import (
	"context"
	"slices"
	"strings"
	"time"
)

// series is one way in which cost may grow.
type series struct {
	name   string
	title  string
	x      axis
	panels []panel
	about  time.Duration    // how long it takes on two cores, with the defaults
	steps  func(l *lab) int // of its progress, at most
	run    func(ctx context.Context, l *lab) ([]point, error)
}

// axis is what a chart shows from left to right.
type axis struct {
	title string
	log   bool
}

// panel is one diagram of a series: figures of its points, by the name that they have there.
type panel struct {
	title  string
	log    bool
	curves []figure // for each line of points a curve of each
}

// figure is what is drawn of a point.
type figure struct{ value, label string }

// drawn says which of a run's figures are drawn.
func (s *series) drawn(v values) string {
	var all []string
	for _, p := range s.panels {
		for _, f := range p.curves {
			if x, ok := v[f.value]; ok {
				all = append(all, f.value+" "+rounded(x))
			}
		}
	}
	return strings.Join(all, ", ")
}

// all returns all series, in the order in which they are measured.
func all() []series {
	return []series{roles, load, partitions, syncing, cold, takeover}
}

func namesOf(list []series) string {
	var names []string
	for i := range list {
		names = append(names, list[i].name)
	}
	return strings.Join(names, ",")
}

// choose returns the series with these names; without any: all.
func choose(list []series, names []string) []series {
	if len(names) == 0 {
		return list
	}
	return slices.DeleteFunc(slices.Clone(list), func(s series) bool { return !slices.Contains(names, s.name) })
}
