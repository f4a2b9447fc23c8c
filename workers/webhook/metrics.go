package webhook

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Metrics counts what the webhook workers of a process do.
type Metrics struct {
	calls   *prometheus.CounterVec // by command and outcome
	seconds prometheus.Histogram
	queue   prometheus.Gauge
	dead    prometheus.Gauge

	buried, unreadable, failures, panics prometheus.Counter
}

// The outcomes of an attempt.
const (
	delivered = "ok"
	failed    = "failed"
	refused   = "refused" // the breaker is open, or too much is under way
	givenUp   = "given_up"
)

// NewMetrics registers them.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	f := promauto.With(reg)
	counter := func(name, help string) prometheus.Counter {
		return f.NewCounter(prometheus.CounterOpts{Name: "whaleshark_webhook_" + name, Help: help})
	}
	gauge := func(name, help string) prometheus.Gauge {
		return f.NewGauge(prometheus.GaugeOpts{Name: "whaleshark_webhook_" + name, Help: help})
	}
	return &Metrics{
		calls: f.NewCounterVec(prometheus.CounterOpts{
			Name: "whaleshark_webhook_calls_total", Help: "Attempts at calls of webhooks.",
		}, []string{"command", "outcome"}),
		seconds: f.NewHistogram(prometheus.HistogramOpts{
			Name: "whaleshark_webhook_seconds", Help: "How long a call takes.", Buckets: prometheus.ExponentialBuckets(0.001, 2, 14),
		}),
		queue:      gauge("queue", "Calls that wait to be tried again, up to 10,000; told by the owner of partition 0."),
		dead:       gauge("dead", "Calls that are tried no more, up to 10,000; told by the owner of partition 0."),
		buried:     counter("buried_total", "Calls that have failed for the last time."),
		unreadable: counter("unreadable_total", "Records and events that no call could be made of, and that were passed over."),
		failures:   counter("failures_total", "Times that Postgres did not take what it was told, and is told again."),
		panics:     counter("panics_total", "Loops that a panic ended, and that were started again."),
	}
}

func (m *Metrics) attempt(command, outcome string, took time.Duration) {
	m.calls.WithLabelValues(command, outcome).Inc()
	if outcome == delivered || outcome == failed {
		m.seconds.Observe(took.Seconds())
	}
}
