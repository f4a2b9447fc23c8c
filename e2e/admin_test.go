package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/whaleshark-im/whaleshark/streams"
)

// ask gets a page of a process's admin server.
func (h *house) ask(m streams.Member, path string) string {
	h.t.Helper()
	req, err := http.NewRequestWithContext(h.t.Context(), http.MethodGet, "http://"+m.Addrs["admin"]+path, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		h.t.Fatalf("%s answers %s: %v\n%s", path, res.Status, err, body)
	}
	return string(body)
}

// metrics are a process's counters and gauges, by their name and labels as the page spells them.
type metrics map[string]float64

func (h *house) metrics(m streams.Member) metrics {
	h.t.Helper()
	all := make(metrics)
	lines := bufio.NewScanner(strings.NewReader(h.ask(m, "/metrics")))
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), " ")
		if x, err := strconv.ParseFloat(value, 64); err == nil && !strings.HasPrefix(name, "#") {
			all[name] = x
		}
	}
	return all
}

// edge returns a counter of an edge by its label, such as edge("closed_total", "reason", "logout").
func (m metrics) edge(name, label, value string) float64 {
	return m[fmt.Sprintf("whaleshark_edge_%s{%s=%q}", name, label, value)]
}

// resident returns how much memory a process holds, in bytes.
func (m metrics) resident() int64 { return int64(m["process_resident_memory_bytes"]) }

// collect lets a process collect its garbage.
func (h *house) collect(m streams.Member) {
	h.t.Helper()
	h.ask(m, "/debug/pprof/heap?gc=1")
}

func mib(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }
