package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A series is measured against a server of its own, from its start to its chart, and leaves nothing else behind.
func TestGrowth(t *testing.T) {
	lookAtSources()
	out, in := t.TempDir(), benchFolder(t)
	growth := filepath.Join(t.TempDir(), "growth")
	if said, err := exec.CommandContext(t.Context(), "go", "build", "-o", growth, "../bench/growth").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, said)
	}
	said, err := exec.CommandContext(t.Context(), growth, "sync", "--short", "--binary", binary, "--out", out, "--in", in).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	b, err := os.ReadFile(filepath.Join(out, "sync.json"))
	if err != nil {
		t.Fatal(err)
	}
	var r struct {
		Version string
		Points  []struct {
			X      float64
			Median map[string]float64
		}
	}
	if err := json.Unmarshal(b, &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Points) != 2 || r.Version == "" {
		t.Fatalf("want two points and a version:\n%s", b)
	}
	for _, p := range r.Points {
		if p.Median["sync_p50_ms"] <= 0 || p.Median["history"] < p.X {
			t.Errorf("at %v messages: %v", p.X, p.Median)
		}
	}
	if svg, err := os.ReadFile(filepath.Join(out, "sync.svg")); err != nil || strings.Count(string(svg), "<polyline") != 2 {
		t.Errorf("the chart: %v\n%s", err, svg)
	}
	if left, _ := filepath.Glob(filepath.Join(in, "*")); len(left) > 0 {
		t.Errorf("it leaves %v", left)
	}
	said, err = exec.CommandContext(t.Context(), growth, "sync", "--short", "--binary", "/bin/false", "--out", out, "--in", in).CombinedOutput()
	if err == nil || !strings.Contains(string(said), "sync: ") {
		t.Errorf("with a program that is no server it ends with %v and says\n%s", err, said)
	}
}
