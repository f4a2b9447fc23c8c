package api

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/whaleshark-im/whaleshark/chat"
)

type metrics struct {
	requests *prometheus.HistogramVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "whaleshark_api_request_seconds", Help: "How long requests took, by path and code.",
		Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14),
	}, []string{"path", "code"})}
	reg.MustRegister(m.requests)
	return m
}

// answered counts an answer. An app's webhook may refuse with any number: those that are not ours count as one.
func (m *metrics) answered(path string, code chat.Code, took time.Duration) {
	name := "foreign"
	if code.Info().Code == code {
		name = code.String()
	}
	m.requests.WithLabelValues(path, name).Observe(took.Seconds())
}
