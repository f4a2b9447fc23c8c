package bench

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// Report is what came out of a run. Its names in JSON are stable.
type Report struct {
	Bench    string    `json:"bench"`
	At       time.Time `json:"at"`
	Version  string    `json:"version,omitempty"` // of the bench's binary
	Server   Server    `json:"server"`
	Machine  Machine   `json:"machine"`
	Settings any       `json:"settings"`

	Verdict  string           `json:"verdict"`            // ok or failed
	Faults   map[string]int   `json:"faults,omitempty"`   // promises that were not kept, by kind
	Examples []Fault          `json:"examples,omitempty"` // the first of them
	Errors   map[string]int64 `json:"errors,omitempty"`   // what was refused or did not work, by code and meaning

	Talk  *TalkResult  `json:"talk,omitempty"` // of p2p and group
	Idle  *IdleResult  `json:"idle,omitempty"`
	Login *LoginResult `json:"login,omitempty"`
	Sync  *SyncResult  `json:"sync,omitempty"`
	Raw   *RawResult   `json:"raw,omitempty"`

	Ratios    map[string]float64 `json:"ratios,omitempty"` // of what was measured to what the broker alone does, in the same run
	Resources *Resources         `json:"resources,omitempty"`
	Seconds   []Second           `json:"seconds,omitempty"`
}

// OK reports whether all promises were kept.
func (r *Report) OK() bool { return r.Verdict == verdictOK }

const (
	verdictOK     = "ok"
	verdictFailed = "failed"
)

// judge gives the verdict. What did not work is no fault of its own: an overloaded server may refuse, but must say so.
func (r *Report) judge(f *faults, c *codes) {
	f.mu.Lock()
	r.Faults, r.Examples = f.counts, f.examples
	f.mu.Unlock()
	c.mu.Lock()
	r.Errors = c.n
	c.mu.Unlock()
	r.Verdict = verdictOK
	if len(r.Faults) > 0 {
		r.Verdict = verdictFailed
	}
}

// TalkResult is what came of messages.
type TalkResult struct {
	Seconds    float64     `json:"window_s"`
	Said       int64       `json:"said"`
	Acked      int64       `json:"acked"`
	AckedPS    float64     `json:"acked_per_s"`
	Delivered  int64       `json:"delivered"`
	DeliverPS  float64     `json:"delivered_per_s"`
	Ack        Percentiles `json:"ack"`
	Delivery   Percentiles `json:"delivery"`
	Receipts   int64       `json:"receipts"`          // that have come back to the senders, of the whole run
	Unanswered int64       `json:"unanswered"`        // nobody knows what became of them
	Foreign    int64       `json:"foreign,omitempty"` // messages of others
	Rows       int64       `json:"rows"`              // in Postgres, of the whole run
	RowsLag    float64     `json:"rows_lag_ms"`       // from the last delivery to the last row
	NoRows     bool        `json:"no_rows,omitempty"` // nobody has looked for them
}

// Second is what one second of a run brought.
type Second struct {
	At          float64 `json:"at_s"` // its end, since the window began; negative: of the warm-up
	Acked       int64   `json:"acked"`
	AckP50      float64 `json:"ack_p50_ms"`
	AckP99      float64 `json:"ack_p99_ms"`
	Delivered   int64   `json:"delivered"`
	DeliveryP50 float64 `json:"delivery_p50_ms"`
	DeliveryP99 float64 `json:"delivery_p99_ms"`
}

// Resources is what a run cost.
type Resources struct {
	Server      map[string]Usage `json:"server"`       // by the programs' names; CPU within the window, memory at its end
	ServerCPU   float64          `json:"server_cpu_s"` // of all, within the window
	Of          string           `json:"of"`           // what is counted: messages, deliveries, logins, …
	PerThousand float64          `json:"server_cpu_s_per_1000"`
	PerCPU      float64          `json:"per_server_cpu_s"` // how many for a second of the server's CPU
	PeakRSS     int64            `json:"server_peak_rss_bytes"`
	LoadCPU     float64          `json:"load_cpu_s"` // of the bench itself, which the server could not have
}

// resources works out what happened between two looks, and what each of so many things has cost.
func resources(before, after map[string]Usage, loadCPU time.Duration, things int64, of string) *Resources {
	if len(after) == 0 {
		return nil
	}
	r := &Resources{Server: after, LoadCPU: loadCPU.Seconds(), Of: of}
	for name, u := range after {
		u.CPUSeconds -= before[name].CPUSeconds
		after[name] = u
		r.ServerCPU += u.CPUSeconds
		r.PeakRSS += u.PeakRSS
	}
	if things > 0 {
		r.PerThousand = 1000 * r.ServerCPU / float64(things)
	}
	if r.ServerCPU > 0 {
		r.PerCPU = float64(things) / r.ServerCPU
	}
	return r
}

// Machine is where it ran.
type Machine struct {
	OS     string `json:"os"`
	Arch   string `json:"arch"`
	CPUs   int    `json:"cpus"` // that Go may use
	CPU    string `json:"cpu,omitempty"`
	Memory int64  `json:"memory_bytes,omitempty"`
	Kernel string `json:"kernel,omitempty"`
	Disk   string `json:"disk,omitempty"` // the file system of the data folder; on tmpfs an fsync costs nothing, and proves nothing
	Go     string `json:"go"`
}

func machine(data string) Machine {
	m := Machine{OS: runtime.GOOS, Arch: runtime.GOARCH, CPUs: runtime.GOMAXPROCS(0), Go: runtime.Version()}
	m.CPU = afterColon("/proc/cpuinfo", "model name")
	if b, err := os.ReadFile("/proc/meminfo"); err == nil {
		m.Memory = kilobytes(b, "MemTotal:")
	}
	if b, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.Kernel = string(bytes.TrimSpace(b))
	}
	m.Disk = fileSystem(data)
	return m
}

// fileSystem returns the type of the file system that a folder is on; empty: it cannot be seen.
func fileSystem(dir string) string {
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return ""
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return ""
	}
	longest, kind := 0, ""
	for line := range strings.Lines(string(mounts)) {
		f := strings.Fields(line)
		if len(f) < 3 || len(f[1]) < longest {
			continue
		}
		if at := strings.TrimSuffix(f[1], "/"); dir == at || strings.HasPrefix(dir, at+"/") {
			longest, kind = len(f[1]), f[2]
		}
	}
	return kind
}

// afterColon returns what a file says of something, in a line "name : what".
func afterColon(path, name string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(b)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
