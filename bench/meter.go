package bench

import (
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Latencies are counted in microseconds, up to a minute, with three digits.
const (
	longest = int64(time.Minute / time.Microsecond)
	digits  = 3
)

func newHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(1, longest, digits) }

func record(h *hdrhistogram.Histogram, took time.Duration) {
	_ = h.RecordValue(min(max(took.Microseconds(), 1), longest)) // it is within the bounds
}

// Percentiles are what a latency came to, in milliseconds.
type Percentiles struct {
	Count int64   `json:"count"`
	P50   float64 `json:"p50_ms"`
	P90   float64 `json:"p90_ms"`
	P99   float64 `json:"p99_ms"`
	P999  float64 `json:"p999_ms"`
	Max   float64 `json:"max_ms"`
}

func percentiles(h *hdrhistogram.Histogram) Percentiles {
	ms := func(q float64) float64 { return float64(h.ValueAtQuantile(q)) / 1000 }
	return Percentiles{
		Count: h.TotalCount(), P50: ms(50), P90: ms(90), P99: ms(99), P999: ms(99.9), Max: float64(h.Max()) / 1000,
	}
}

// window is the time of a run that counts.
type window struct{ from, to time.Duration }

func (w window) holds(at time.Duration) bool { return at >= w.from && at < w.to }

// meter measures one thing that happens to messages. Readers add what a read brought, all at once.
type meter struct {
	mu     sync.Mutex
	window window
	all    *hdrhistogram.Histogram // of what was due within the window, whenever it came
	second *hdrhistogram.Histogram // of what has come since it was last looked at
	inside int64                   // how much has come within the window
	total  int64
}

func newMeter(w window) *meter { return &meter{window: w, all: newHistogram(), second: newHistogram()} }

// add takes what came at one moment: when each of it was due.
func (m *meter) add(at time.Duration, due []time.Duration) {
	if len(due) == 0 {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.total += int64(len(due))
	if m.window.holds(at) {
		m.inside += int64(len(due))
	}
	for _, d := range due {
		record(m.second, at-d)
		if m.window.holds(d) {
			record(m.all, at-d)
		}
	}
}

// closeWindow ends the window, earlier than it was to.
func (m *meter) closeWindow(at time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.window.to = at
}

// sofar returns how much has come in all, and the 99th percentile of what counts.
func (m *meter) sofar() (total int64, p99 float64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.total, float64(m.all.ValueAtQuantile(99)) / 1000
}

// lately returns what has come since it was last asked.
func (m *meter) lately() Percentiles {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := percentiles(m.second)
	m.second.Reset()
	return p
}

func (m *meter) result() (inside int64, p Percentiles) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.inside, percentiles(m.all)
}
