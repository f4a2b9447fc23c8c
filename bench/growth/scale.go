package main

import (
	"math"
	"slices"
	"strconv"

	"github.com/whaleshark-im/whaleshark/bench"
)

// scale says where in the picture a value is.
type scale struct {
	low, high float64 // the values at its ends
	from, to  float64 // where those are
	log       bool
	ticks     []float64
}

const (
	fewTicks = 8 // values that are so few are the ticks themselves
	steps    = 5 // between ticks otherwise, about
)

// scaleOf returns a scale that all values fit on. A linear one begins at 0. A logarithmic one leaves out what is not positive, for that has no
// place on it.
func scaleOf(all []float64, log bool, from, to float64) scale {
	s := scale{log: log, from: from, to: to}
	if log {
		all = slices.DeleteFunc(slices.Clone(all), func(v float64) bool { return v <= 0 })
	}
	switch values := distinct(all); {
	case len(values) == 0:
		s.low, s.high, s.log = 0, 1, false
		s.ticks = []float64{0, 1}
	case log && len(values) <= fewTicks && values[0] < values[len(values)-1]:
		s.low, s.high, s.ticks = values[0], values[len(values)-1], values
	case log:
		s.logTicks(values[0], values[len(values)-1])
	default:
		s.linearTicks(values[len(values)-1])
	}
	return s
}

func (s *scale) linearTicks(top float64) {
	step := bench.RoundStep(top / steps)
	for i := 0; ; i++ {
		t := float64(i) * step
		s.ticks = append(s.ticks, t)
		if s.high = t; t >= top && i > 0 {
			return
		}
	}
}

// logTicks goes up in steps of 1, 2 and 5, or of tens where those would be too many.
func (s *scale) logTicks(low, high float64) {
	factors := []float64{1, 2, 5}
	if high/low > 1000 {
		factors = []float64{1}
	}
	var all []float64
	for e := math.Floor(math.Log10(low)); e <= math.Ceil(math.Log10(high)); e++ {
		for _, f := range factors {
			all = append(all, f*math.Pow(10, e))
		}
	}
	all = append(all, 10*all[len(all)-1])
	first, last := 0, len(all)-1
	for first+1 < len(all) && all[first+1] <= low {
		first++
	}
	for last-1 > first && all[last-1] >= high {
		last--
	}
	s.ticks = all[first : last+1]
	s.low, s.high = s.ticks[0], s.ticks[len(s.ticks)-1]
}

// at returns where a value is. What is beyond the ends is at them.
func (s scale) at(v float64) float64 {
	v = min(max(v, s.low), s.high)
	share := (v - s.low) / (s.high - s.low)
	if s.log {
		share = math.Log(v/s.low) / math.Log(s.high/s.low)
	}
	return s.from + share*(s.to-s.from)
}

// rounded writes a number for people: three digits of a small one, all before the point of a large one, in groups.
func rounded(v float64) string {
	if math.Abs(v) < 100 {
		return strconv.FormatFloat(threeDigits(v), 'f', -1, 64)
	}
	s := strconv.FormatFloat(math.Abs(v), 'f', 0, 64)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	if v < 0 {
		s = "-" + s
	}
	return s
}

func threeDigits(v float64) float64 {
	r, _ := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 3, 64), 64) // it was written so just now
	return r
}
