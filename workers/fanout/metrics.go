package fanout

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/wire"
)

// Metrics counts what the fan-out of a process does.
type Metrics struct {
	pushes          prometheus.Counter
	deliveries      *prometheus.CounterVec
	pushFailures    prometheus.Counter
	receiptsDropped *prometheus.CounterVec
	signalsDropped  prometheus.Counter
	panics          prometheus.Counter
	degraded        *prometheus.CounterVec
	typingDropped   *prometheus.CounterVec
	readsDropped    *prometheus.CounterVec
	parked          *prometheus.GaugeVec
	lookUpFailures  prometheus.Counter
}

// NewMetrics registers them.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	f := promauto.With(reg)
	counter := func(name, help string) prometheus.Counter {
		return f.NewCounter(prometheus.CounterOpts{Name: "whaleshark_fanout_" + name, Help: help})
	}
	return &Metrics{
		pushes: counter("pushes_total", "Pushes handed to edges."),
		deliveries: f.NewCounterVec(prometheus.CounterOpts{
			Name: "whaleshark_fanout_deliveries_total", Help: "Frames handed to edges, a session each, by command.",
		}, []string{"command"}),
		pushFailures: counter("push_failures_total", "Pushes that the broker did not take at once."),
		receiptsDropped: f.NewCounterVec(prometheus.CounterOpts{
			Name: "whaleshark_fanout_receipts_dropped_total", Help: "Receipts that were not relayed, by reason.",
		}, []string{"reason"}),
		signalsDropped: counter("signals_dropped_total", "Signals that came faster than they were taken, or could not be read."),
		panics:         counter("panics_total", "Panics that were recovered from."),
		degraded: f.NewCounterVec(prometheus.CounterOpts{
			Name: "whaleshark_fanout_degraded_total", Help: "What a group was too large for to be told to all its members, by what it was.",
		}, []string{"reason"}),
		typingDropped: f.NewCounterVec(prometheus.CounterOpts{
			Name: "whaleshark_fanout_typing_dropped_total", Help: "Signs of typing that were told to nobody, by reason.",
		}, []string{"reason"}),
		readsDropped: f.NewCounterVec(prometheus.CounterOpts{
			Name: "whaleshark_fanout_reads_dropped_total", Help: "Reads in groups that not all senders were told of, by reason.",
		}, []string{"reason"}),
		parked: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "whaleshark_fanout_parked_records", Help: "Records that wait until their group's members can be looked up, by partition.",
		}, []string{"partition"}),
		lookUpFailures: counter("group_look_up_failures_total", "Look-ups of groups and of senders that were not answered."),
	}
}

func (m *Metrics) pushed(p *chat.Push) {
	m.pushes.Inc()
	for i := range p.Deliveries {
		d := &p.Deliveries[i]
		m.deliveries.WithLabelValues(wire.Command(d.Command).String()).Add(float64(len(d.Sessions)))
	}
}
