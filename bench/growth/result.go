package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/whaleshark-im/whaleshark/bench"
)

// values are the figures of a run, by name.
type values map[string]float64

// point is what was measured at one place of a chart.
type point struct {
	Line   string   `json:"line"` // which of a chart's lines it is of
	X      float64  `json:"x"`
	Median values   `json:"median"` // of each figure for itself
	Runs   []values `json:"runs"`
}

func pointOf(line string, x float64, runs []values) point {
	p := point{Line: line, X: x, Median: make(values), Runs: runs}
	of := make(map[string][]float64)
	for _, r := range runs {
		for name, v := range r {
			of[name] = append(of[name], v)
		}
	}
	for name, all := range of {
		p.Median[name] = median(all)
	}
	return p
}

// median returns the middle one, or the middle between the two that are there.
func median(all []float64) float64 {
	if len(all) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(all))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// linesOf returns the names of the lines, in the order in which they were measured.
func linesOf(points []point) []string {
	var names []string
	for _, p := range points {
		if !slices.Contains(names, p.Line) {
			names = append(names, p.Line)
		}
	}
	return names
}

// result is what is written of a series. Its names in JSON are stable.
type result struct {
	Series  string        `json:"series"`
	Title   string        `json:"title"`
	At      time.Time     `json:"at"`
	Version string        `json:"version"`
	Machine bench.Machine `json:"machine"`
	Short   bool          `json:"short,omitempty"` // its figures are worth nothing
	Times   int           `json:"times"`           // that each point was measured
	Points  []point       `json:"points"`

	of *series
}

func (l *lab) resultOf(s *series, points []point) *result {
	return &result{
		Series: s.name, Title: s.title, At: time.Now().UTC().Truncate(time.Second), Version: l.version, Machine: l.machine,
		Short: l.short, Times: l.times, Points: points, of: s,
	}
}

// write writes <path>.json and <path>.svg.
func (r *result) write(path string) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(r); err != nil {
		return err
	}
	if err := os.WriteFile(path+".json", b.Bytes(), 0o644); err != nil { //nolint:gosec // charts are for everybody
		return err
	}
	return os.WriteFile(path+".svg", r.chart(), 0o644) //nolint:gosec // the same
}

// where says what was measured, where and when.
func (r *result) where() string {
	m := &r.Machine
	s := fmt.Sprintf("%s, %s, %s/%s, %d CPUs (%s), %s; median of %d", r.Version, r.At.Format("2006-01-02"), m.OS, m.Arch, m.CPUs, m.CPU, m.Disk, r.Times)
	if r.Short {
		s += "; a short run, which proves nothing"
	}
	return s
}

// talkValues are the figures of a talk.
func talkValues(r *bench.Report) values {
	v := values{
		"acked_per_s": r.Talk.AckedPS, "delivered_per_s": r.Talk.DeliverPS,
		"ack_p50_ms": r.Talk.Ack.P50, "ack_p99_ms": r.Talk.Ack.P99,
		"delivery_p50_ms": r.Talk.Delivery.P50, "delivery_p99_ms": r.Talk.Delivery.P99,
	}
	for _, n := range r.Errors {
		v["errors"] += float64(n)
	}
	if r.Resources != nil {
		v["server_cpu_ms_per_1000"] = 1000 * r.Resources.PerThousand
	}
	return v
}
