package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/whaleshark-im/whaleshark/streams"
)

// bench is what `whaleshark bench` tells in JSON, as far as these tests look at it.
type benchReport struct {
	Verdict string `json:"verdict"`
	Server  struct{ Addresses []string }
	Errors  map[string]int64 `json:"errors"`
	Talk    struct {
		Acked, Delivered, Rows, Receipts int64
		Ack                              struct {
			P50 float64 `json:"p50_ms"`
		}
	}
	Idle struct {
		Pongs int64
		PSS   float64 `json:"pss_bytes_per_connection"`
	}
	Login struct {
		LoggedIn int `json:"logged_in"`
	}
	Sync struct {
		Conversations, Changed, History int
	}
	Raw struct {
		Published int64
		UpdatesPS float64 `json:"updates_per_s"`
	}
	Ratios    map[string]float64
	Resources struct {
		Server map[string]struct {
			Processes int
			CPU       float64 `json:"cpu_s"`
		}
	}
	Seconds []struct{ Acked int64 }
}

// A server on a folder of its own is measured in every way, and every promise is kept.
func TestBench(t *testing.T) {
	lookAtSources()
	in := benchFolder(t)
	dev := startDev(t, 2)
	bench := func(args ...string) (r benchReport) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, binary, append(append([]string{"bench"}, args...), "--data", dev.dir, "--json")...)
		var errs strings.Builder
		cmd.Stderr = &errs
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("whaleshark bench %s: %v\n%s%s", strings.Join(args, " "), err, out, &errs)
		}
		if err := json.Unmarshal(out, &r); err != nil {
			t.Fatalf("%v in\n%s", err, out)
		}
		if r.Verdict != "ok" || len(r.Errors) > 0 {
			t.Errorf("whaleshark bench %s:\n%s", strings.Join(args, " "), out)
		}
		return r
	}
	brief := func(args ...string) benchReport {
		t.Helper()
		return bench(append(args, "--warm-up", "100ms", "--duration", "500ms")...)
	}
	for _, transport := range []string{"tcp", "ws"} {
		chart := filepath.Join(in, "chart.html")
		r := brief("p2p", "--pairs", "5", "--window", "4", "--transport", transport, "--chart", chart)
		if r.Talk.Acked == 0 || r.Talk.Delivered == 0 || r.Talk.Rows < r.Talk.Acked || r.Talk.Receipts == 0 || len(r.Seconds) != 1 {
			t.Errorf("p2p over %s: %+v", transport, r)
		}
		if r.Resources.Server["whaleshark"].CPU <= 0 || r.Resources.Server["postgres"].Processes < 5 {
			t.Errorf("p2p over %s: the server's processes are %+v", transport, r.Resources.Server)
		}
		if page, err := os.ReadFile(chart); err != nil || !strings.Contains(string(page), "</svg>") {
			t.Errorf("the chart: %v", err)
		}
	}
	if r := brief("p2p", "--pairs", "2", "--rate", "50"); r.Talk.Acked < 20 || r.Talk.Acked > 30 {
		t.Errorf("50 messages a second for half a second: %+v", r.Talk)
	}
	if r := bench("p2p", "--pairs", "4", "--cross", "--messages", "16", "--signed"); r.Talk.Acked != 16 || r.Talk.Rows != 16 {
		t.Errorf("16 messages in 16 conversations: %+v", r.Talk)
	}
	if r := brief("group", "--members", "10", "--senders", "2", "--window", "2"); r.Talk.Delivered < 8*r.Talk.Acked {
		t.Errorf("a group: %+v", r.Talk)
	}
	if r := bench("idle", "--connections", "20", "--pings", "200ms", "--transport", "ws"); r.Idle.Pongs != 20 {
		t.Errorf("idle: %+v", r.Idle)
	}
	if r := bench("login", "--devices", "50", "--parallel", "10"); r.Login.LoggedIn != 50 {
		t.Errorf("login: %+v", r.Login)
	}
	if r := bench("p2p", "--pairs", "4", "--random", "2", "--messages", "16", "--no-rows"); r.Talk.Acked != 16 || r.Talk.Rows != 0 {
		t.Errorf("16 messages in 8 conversations, whose rows nobody looks for: %+v", r.Talk)
	}
	if r := bench("sync", "--conversations", "20", "--changed", "3", "--requests", "10"); r.Sync.Changed != 3 || r.Sync.Conversations < 20 {
		t.Errorf("sync: %+v", r.Sync)
	}
	filled := bench("sync", "--conversations", "20", "--history", "500", "--changed", "3", "--requests", "10").Sync.History
	again := bench("sync", "--conversations", "20", "--history", "500", "--changed", "3", "--requests", "10").Sync.History
	if filled < 500 || again != filled+20+3 {
		t.Errorf("sync after 500 messages finds %d, and the next time %d; want 500 at least, and then no more than what the first run itself has said", filled, again)
	}
	if r := bench("raw", "--duration", "200ms", "--writers", "3", "--keys", "2"); r.Raw.Published == 0 || r.Raw.UpdatesPS == 0 {
		t.Errorf("raw: %+v", r.Raw)
	}
}

// Roles that are processes of their own are found through the broker, all edges are used, and the CPU of all of them counts.
func TestBenchOfProcesses(t *testing.T) {
	h := open(t, streams.Layout{})
	for range 2 {
		h.start("edge", "edge", "--tcp", "127.0.0.1:0", "--ws", "127.0.0.1:0", "--rate", "1000000")
	}
	h.start("workers", "worker", "sequence", "fanout", "persist")
	h.ready(streams.RoleEdge, 2)
	h.ready(streams.RoleSequence, 1)
	var r benchReport
	out := h.run("bench", "p2p", "--pairs", "4", "--signed", "--warm-up", "0s", "--duration", "500ms", "--json")
	_, object, _ := strings.Cut(out, "{") // before it stands how far it was
	if err := json.Unmarshal([]byte("{"+object), &r); err != nil {
		t.Fatalf("%v in\n%s", err, out)
	}
	// NATS, two edges and the workers; `whaleshark postgres` is the parent of the database's own processes and is not counted.
	if n := r.Resources.Server["whaleshark"].Processes; n != 4 || r.Resources.Server["postgres"].Processes < 5 || len(r.Server.Addresses) != 2 {
		t.Errorf("%d of our processes, servers %v, want 4 and 2:\n%s", n, r.Server.Addresses, out)
	}
}

// A bench with a server of its own leaves nothing behind, whether it ends or is stopped.
func TestBenchCleansUp(t *testing.T) {
	for name, signal := range map[string]syscall.Signal{
		"at its end": 0, "when it is stopped": syscall.SIGINT, "when its terminal has gone": syscall.SIGHUP,
	} {
		seconds := 1
		if signal != 0 {
			seconds = 600
		}
		t.Run(name, func(t *testing.T) {
			in := benchFolder(t)
			out := &log{more: make(chan struct{})}
			cmd := exec.CommandContext(t.Context(), binary, "bench", "p2p", "--self", "--self-in", in, "--pairs", "2", "--warm-up", "0s",
				"--duration", fmt.Sprint(seconds, "s"))
			cmd.Stdout, cmd.Stderr = out, out
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			if seconds > 1 {
				out.await(t, "a server of its own")
				if err := cmd.Process.Signal(signal); err != nil {
					t.Fatal(err)
				}
			}
			err := cmd.Wait()
			text, _ := out.read()
			if stopped := seconds > 1; (err != nil) != stopped || strings.Contains(text, "was stopped") != stopped {
				t.Errorf("it ends with %v:\n%s", err, text)
			}
			if left, _ := filepath.Glob(filepath.Join(in, "*")); len(left) > 0 {
				t.Errorf("it leaves %v", left)
			}
			var pid int
			_, after, _ := strings.Cut(text, "a server of its own: ")
			if _, err := fmt.Sscanf(after, "pid %d", &pid); err != nil {
				t.Fatal(err)
			}
			if err := syscall.Kill(pid, 0); err == nil {
				t.Errorf("its server, pid %d, is still there", pid)
			}
		})
	}
}

// A server that loses one push is found out: what was in it was delivered to nobody.
func TestBenchFindsAPlantedFault(t *testing.T) {
	in := benchFolder(t)
	planted := filepath.Join(in, "planted")
	build := exec.CommandContext(t.Context(), "go", "build", "-tags", "planted", "-o", planted, "../cmd/whaleshark")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	cmd := exec.CommandContext(t.Context(), planted, "bench", "p2p", "--self", "--self-in", in, "--pairs", "4", "--rate", "400",
		"--warm-up", "0s", "--duration", "1s", "--patience", "500ms")
	cmd.Env = append(os.Environ(), "WHALESHARK_PLANT=push")
	out, err := cmd.CombinedOutput()
	if ended, ok := errors.AsType[*exec.ExitError](err); !ok || ended.ExitCode() != 1 {
		t.Errorf("it ends with %v; want exit code 1", err)
	}
	for _, want := range []string{"FAILED", "a listener has not heard seq", "neither acknowledged nor refused", "a promise was not kept"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("it does not say %q:\n%s", want, out)
		}
	}
}

// benchFolder is a folder that the user of Postgres can reach.
func benchFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "whaleshark-bench-test-") //nolint:usetesting // t.TempDir is within a folder of mode 0700
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	return dir
}

// await waits until something was printed.
func (l *log) await(t *testing.T, what string) {
	t.Helper()
	late := time.After(time.Minute)
	for {
		text, more := l.read()
		if strings.Contains(text, what) {
			return
		}
		select {
		case <-more:
		case <-late:
			t.Fatalf("it does not say %q:\n%s", what, text)
		}
	}
}
