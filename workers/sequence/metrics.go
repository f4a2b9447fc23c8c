package sequence

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/whaleshark-im/whaleshark/chat"
)

// Metrics counts what the sequencers of a process do.
type Metrics struct {
	records           *prometheus.CounterVec // by what became of it: placed, read, recalled, changed, or the code of the refusal
	blocks            prometheus.Counter
	blockBytes        prometheus.Counter
	blockRecords      prometheus.Histogram
	outcomes          *prometheus.CounterVec
	repeats           prometheus.Counter
	expired           prometheus.Counter
	passed            prometheus.Counter
	unreadable        prometheus.Counter
	unreadableChanges prometheus.Counter
	panics            prometheus.Counter
	lookUps           prometheus.Histogram
	lookUpFailures    prometheus.Counter
	hooks             *prometheus.HistogramVec
	waiting           *prometheus.GaugeVec
}

// NewMetrics registers them.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	f := promauto.With(reg)
	counter := func(name, help string) prometheus.Counter {
		return f.NewCounter(prometheus.CounterOpts{Name: "whaleshark_sequence_" + name, Help: help})
	}
	return &Metrics{
		records: f.NewCounterVec(prometheus.CounterOpts{
			Name: "whaleshark_sequence_records_total", Help: "Records committed, by result: placed, read, recalled, changed, or the code of the refusal.",
		}, []string{"result"}),
		blocks:     counter("blocks_total", "Blocks committed."),
		blockBytes: counter("block_bytes_total", "Bytes of blocks committed."),
		blockRecords: f.NewHistogram(prometheus.HistogramOpts{
			Name: "whaleshark_sequence_block_records", Help: "Records a block.", Buckets: prometheus.ExponentialBuckets(1, 2, 11),
		}),
		outcomes: f.NewCounterVec(prometheus.CounterOpts{
			Name: "whaleshark_sequence_setbacks_total", Help: "Blocks that were not committed at once, by cause.",
		}, []string{"cause"}),
		repeats:           counter("repeats_total", "Stored messages that were sent again."),
		expired:           counter("expired_total", "Requests that were past their deadline."),
		passed:            counter("passed_total", "Reads that moved nothing, changes of groups that were in already or not next, and settings that may not be."),
		unreadable:        counter("unreadable_total", "Entries of the ingress that could not be read."),
		unreadableChanges: counter("unreadable_changes_total", "Rows of the outbox that could not be read; their groups do not change any more."),
		panics:            counter("panics_total", "Requests whose judgement panicked and that were refused, and loops that a panic ended and that were started again."),
		lookUps: f.NewHistogram(prometheus.HistogramOpts{
			Name: "whaleshark_sequence_look_up_seconds", Help: "How long look-ups in Postgres take.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 12),
		}),
		lookUpFailures: counter("look_up_failures_total", "Look-ups that Postgres did not answer."),
		hooks: f.NewHistogramVec(prometheus.HistogramOpts{
			Name: "whaleshark_sequence_hook_seconds", Help: "How long apps take to say what becomes of a message, by what they say.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 10),
		}, []string{"verdict"}),
		waiting: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "whaleshark_sequence_waiting", Help: "Requests that wait to be judged.",
		}, []string{"partition"}),
	}
}

var verdictNames = map[chat.HookVerdictKind]string{
	chat.HookAllowed: "allowed", chat.HookVetoed: "vetoed", chat.HookReplaced: "replaced",
}

func (m *Metrics) hooked(a *hookAnswer) {
	name, ok := verdictNames[a.verdict.Kind]
	if !ok {
		name = "failed"
	}
	m.hooks.WithLabelValues(name).Observe(a.took.Seconds())
}

func (m *Metrics) committed(b *chat.Block, bytes int) {
	m.blocks.Inc()
	m.blockBytes.Add(float64(bytes))
	m.blockRecords.Observe(float64(len(b.Records)))
	placed := 0
	for i := range b.Records {
		switch r := &b.Records[i]; r.Kind {
		case chat.MessageRecord:
			placed++
		case chat.ReadRecord:
			m.records.WithLabelValues("read").Inc()
		case chat.RecallRecord:
			m.records.WithLabelValues("recalled").Inc()
		case chat.GroupRecord:
			m.records.WithLabelValues("changed").Inc()
		case chat.SettingRecord:
			m.records.WithLabelValues("set").Inc()
		case chat.RefusalRecord, chat.RecallRefusalRecord:
			m.records.WithLabelValues(r.Code.String()).Inc()
		}
	}
	m.records.WithLabelValues("placed").Add(float64(placed))
}
