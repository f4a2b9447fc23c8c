package main

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/whaleshark-im/whaleshark/bench"
)

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		all  []float64
		want float64
	}{
		{nil, 0},
		{[]float64{7}, 7},
		{[]float64{9, 1}, 5},
		{[]float64{30, 10, 20}, 20},
	} {
		if got := median(c.all); got != c.want {
			t.Errorf("the median of %v is %v, want %v", c.all, got, c.want)
		}
	}
}

func TestEachFigureHasItsOwnMedian(t *testing.T) {
	p := pointOf("x", 1, []values{{"a": 1, "b": 30}, {"a": 2, "b": 10}, {"a": 3, "b": 20, "c": 5}})
	if diff := cmp.Diff(values{"a": 2, "b": 20, "c": 5}, p.Median); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestScale(t *testing.T) {
	for _, c := range []struct {
		name  string
		all   []float64
		log   bool
		ticks []float64
	}{
		{"a linear one begins at 0", []float64{3, 21_000, 8000}, false, []float64{0, 5000, 10_000, 15_000, 20_000, 25_000}},
		{"and ends at a tick that is the highest value", []float64{10}, false, []float64{0, 2, 4, 6, 8, 10}},
		{"zeros alone", []float64{0, 0}, false, []float64{0, 1}},
		{"a few values are the ticks", []float64{64, 1, 4, 2, 16}, true, []float64{1, 2, 4, 16, 64}},
		{"many values are between round ones", []float64{3, 4, 5, 6, 7, 8, 9, 11, 60}, true, []float64{2, 5, 10, 20, 50, 100}},
		{"over many decades those are tens", []float64{1.5, 2, 3, 4, 5, 6, 7, 8, 90_000}, true, []float64{1, 10, 100, 1000, 10_000, 100_000}},
		{"one value is between two ticks", []float64{7}, true, []float64{5, 10}},
		{"what has no logarithm is left out", []float64{0, -1, 7}, true, []float64{5, 10}},
		{"nothing", nil, true, []float64{0, 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := scaleOf(c.all, c.log, 100, 200)
			if !slices.EqualFunc(s.ticks, c.ticks, func(a, b float64) bool { return a-b < 1e-9 && b-a < 1e-9 }) {
				t.Errorf("the ticks are %v, want %v", s.ticks, c.ticks)
			}
			if low, high := s.at(s.ticks[0]), s.at(s.ticks[len(s.ticks)-1]); low != 100 || high != 200 {
				t.Errorf("the first and the last are at %v and %v", low, high)
			}
			for _, v := range c.all {
				if at := s.at(v); at < 100 || at > 200 {
					t.Errorf("%v is at %v", v, at)
				}
			}
		})
	}
}

func TestALogarithmicScaleHasEqualStepsForEqualFactors(t *testing.T) {
	s := scaleOf([]float64{1, 100, 10}, true, 0, 100)
	if at := s.at(10); at < 49.9 || at > 50.1 {
		t.Errorf("10 is at %v between 1 and 100", at)
	}
	if s := scaleOf([]float64{100}, false, 300, 0); s.at(25) != 225 {
		t.Errorf("25 of 100 is at %v on the way up from 300 to 0", s.at(25))
	}
}

func TestRounded(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0", 0.05: "0.05", 1.2345: "1.23", 12.345: "12.3", 99.96: "100", 123.4: "123", 1234.5: "1,234", 1_000_000: "1,000,000", -12345: "-12,345",
	} {
		if got := rounded(v); got != want {
			t.Errorf("%v is written %q, want %q", v, got, want)
		}
	}
}

// A chart is well-formed whatever its words are, has a white ground, and a curve for each line and figure that has points.
func TestChart(t *testing.T) {
	r := &result{
		Title: `a < b & "c"`, At: time.Unix(0, 0), Times: 3,
		Points: []point{
			{Line: "one", X: 1, Median: values{"p50": 2, "p99": 30}},
			{Line: "one", X: 10, Median: values{"p50": 3, "p99": 0}},
			{Line: "two", X: 10, Median: values{"p50": 4}},
		},
		of: &series{x: axis{"x & y", true}, panels: []panel{{title: "t", log: true, curves: []figure{{"p50", "p50"}, {"p99", "p99"}, {"none", ""}}}}},
	}
	svg := string(r.chart())
	for d := xml.NewDecoder(strings.NewReader(svg)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("%v in\n%s", err, svg)
		}
	}
	if n := strings.Count(svg, "<polyline"); n != 3 {
		t.Errorf("it has %d curves, want 3", n)
	}
	for _, want := range []string{`fill="#fff"`, "one: p99", "two: p50", "a &lt; b &amp;", "median of 3"} {
		if !strings.Contains(svg, want) {
			t.Errorf("it does not hold %s:\n%s", want, svg)
		}
	}
	if strings.Contains(svg, "NaN") || strings.Contains(svg, "Inf") {
		t.Errorf("a point is nowhere:\n%s", svg)
	}
}

func TestOnlyAGoodReportIsBelieved(t *testing.T) {
	ended := errors.New("exit status 1")
	for _, c := range []struct {
		name, out string
		ended     error
		want      string
	}{
		{"all is well", `{"verdict":"ok"}`, nil, ""},
		{"a promise was not kept", `{"verdict":"failed","faults":{"lost":2},"examples":[{"kind":"lost","what":"seq 3"}]}`, ended, "seq 3"},
		{"there is no verdict", `{}`, nil, "a promise was not kept"},
		{"it has ended in another way", ``, ended, "exit status 1"},
		{"a good verdict does not help then", `{"verdict":"ok"}`, ended, "exit status 1"},
		{"it says something else", `hello`, nil, "read its report"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := believe([]byte(c.out), c.ended)
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) || (r == nil) != (err != nil) {
				t.Errorf("got %v, %v; want %q", r, err, c.want)
			}
		})
	}
}

func TestTheBrokersConfigurationIsMoved(t *testing.T) {
	given, err := os.ReadFile(filepath.Join("..", "..", natsConfig))
	if err != nil {
		t.Fatal(err)
	}
	got, err := brokerConfig(string(given), "127.0.0.1:7", "/a$1/b")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"\nlisten: 127.0.0.1:7\n", "\n  store_dir: \"/a$1/b\"\n", "sync_interval: always"} {
		if !strings.Contains(got, want) {
			t.Errorf("it does not hold %q:\n%s", want, got)
		}
	}
	if _, err := brokerConfig("jetstream {}", "127.0.0.1:7", "/a"); err == nil {
		t.Error("a configuration without an address was taken")
	}
}

func TestTheRestIsEstimatedFromWhatIsDone(t *testing.T) {
	if got := remaining(30*time.Second, 3, 9); got != time.Minute {
		t.Errorf("6 steps of 10 s take %v", got)
	}
	for _, done := range []int{0, 9, 10} {
		if got := remaining(time.Minute, done, 9); got != 0 {
			t.Errorf("after %d steps of 9 it is %v", done, got)
		}
	}
}

func TestSeriesAreChosenByName(t *testing.T) {
	if got := namesOf(choose(all(), []string{"takeover", "load"})); got != "load,takeover" {
		t.Errorf("got %s, want them in the order in which they are measured", got)
	}
	if got := namesOf(choose(all(), nil)); got != "roles,load,partitions,sync,cold,takeover" {
		t.Errorf("without names they are %s", got)
	}
}

// Each second of a run is its own point, whatever is missing of another run.
func TestOverTime(t *testing.T) {
	short := secondsOf([]bench.Second{{At: 1, Acked: 10, AckP50: 3, AckP99: 9}})
	long := secondsOf([]bench.Second{{At: 1.25, Acked: 10, AckP50: 1, AckP99: 7}, {At: 2.25, Acked: 30, AckP50: 5, AckP99: 8}, {At: 2.25}})
	var got []point
	for _, p := range overTime("x", [][]values{short, long}) {
		got = append(got, point{Line: p.Line, X: p.X, Median: p.Median})
	}
	want := []point{
		{Line: "x", X: 1, Median: values{"acked_per_s": 9, "ack_p50_ms": 2, "ack_p99_ms": 8}},
		{Line: "x", X: 2, Median: values{"acked_per_s": 30, "ack_p50_ms": 5, "ack_p99_ms": 8}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// A worker's share counts from the moment on that is asked for, and only if it is not empty.
func TestWhenADeathIsNoticed(t *testing.T) {
	log := `{"time":"2026-01-01T00:00:01Z","level":"INFO","msg":"share changed","partitions":[0]}
no JSON at all
{"time":"2026-01-01T00:00:03Z","level":"INFO","msg":"share changed","partitions":[]}
{"time":"2026-01-01T00:00:04Z","level":"INFO","msg":"something else","partitions":[0]}
{"time":"2026-01-01T00:00:05.25Z","level":"INFO","msg":"share changed","partitions":[0]}
{"time":"2026-01-01T00:00:06Z","level":"INFO","msg":"share changed","partitions":[0]}
`
	killed := time.Date(2026, 1, 1, 0, 0, 2, 0, time.UTC)
	if at, ok := sharedAfter([]byte(log), killed); !ok || at.Sub(killed) != 3250*time.Millisecond {
		t.Errorf("it is noticed %v after, %v; want 3.25s", at.Sub(killed), ok)
	}
	if at, ok := sharedAfter([]byte(log), killed.Add(time.Minute)); ok {
		t.Errorf("it is noticed at %v, before it has happened", at)
	}
}

func TestWhoIsMissing(t *testing.T) {
	var s status
	if err := json.Unmarshal([]byte(`{"members":[{"role":"edge","active":true},{"role":"sequence","active":true},{"role":"sequence"}]}`), &s); err != nil {
		t.Fatal(err)
	}
	if err := s.missing(map[string]int{"edge": 1, "sequence": 1}); err != nil {
		t.Error(err)
	}
	for role, n := range map[string]int{"edge": 2, "sequence": 2, "persist": 1} {
		if err := s.missing(map[string]int{role: n}); err == nil {
			t.Errorf("%d of %s are there", n, role)
		}
	}
}
