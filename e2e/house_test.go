package e2e

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/whaleshark-im/whaleshark/sql/postgres"
	"github.com/whaleshark-im/whaleshark/sql/store"
	"github.com/whaleshark-im/whaleshark/streams"
)

// binary is the program under test, built once.
var binary string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "whaleshark-e2e-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		binary = filepath.Join(dir, "whaleshark")
		build := exec.CommandContext(context.Background(), "go", "build", "-o", binary, "../cmd/whaleshark")
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build the program: %v\n%s", err, out)
			return 1
		}
		return m.Run()
	}())
}

// lookAtSources looks at every file that the program is made of. Without it go test would repeat an old result for a new program: it
// knows only what tests import, and what they look at while they run.
var lookAtSources = sync.OnceFunc(func() {
	for _, pattern := range []string{"../*", "../*/*", "../*/*/*", "../*/*/*/*", "../*/*/*/*/*"} {
		paths, _ := filepath.Glob(pattern) // the pattern is well-formed
		for _, path := range paths {
			if slices.Contains([]string{".go", ".sql", ".mod", ".sum"}, filepath.Ext(path)) {
				_, _ = os.Stat(path) // what cannot be looked at is not built either
			}
		}
	}
})

// house is one deployment: a broker, a database, and whatever a test starts.
type house struct {
	t       testing.TB
	dir     string
	env     []string
	layout  streams.Layout
	natsURL string

	nats, postgres *process
	conn           *streams.Conn
	members        *streams.Members
	store          *store.Store

	mu        sync.Mutex
	processes []*process
}

// open starts NATS and Postgres, seeded with the demo data, and looks into both. Env holds further settings of the processes.
func open(tb testing.TB, layout streams.Layout, env ...string) *house {
	tb.Helper()
	lookAtSources()
	dir, err := os.MkdirTemp("", "whaleshark-house-") //nolint:usetesting // tb.TempDir is within a folder of mode 0700
	if err != nil {
		tb.Fatal(err)
	}
	if err := os.Chmod(dir, 0o711); err != nil { // the database's user passes through
		tb.Fatal(err)
	}
	port := freePort(tb)
	h := &house{t: tb, dir: dir, layout: layout, natsURL: fmt.Sprintf("nats://127.0.0.1:%d", port)}
	h.env = append(os.Environ(), "WHALESHARK_DATA="+dir, "WHALESHARK_NATS="+h.natsURL, "WHALESHARK_LOG_LEVEL=info")
	h.env = append(h.env, env...)
	tb.Cleanup(h.close)
	config := fmt.Sprintf("server_name: e2e\nlisten: 127.0.0.1:%d\njetstream { store_dir: %q, sync_interval: always }\n",
		port, filepath.Join(dir, "nats"))
	if err := os.WriteFile(filepath.Join(dir, "nats.conf"), []byte(config), 0o600); err != nil {
		tb.Fatal(err)
	}
	h.startPostgres()
	h.startNATS()
	h.look()
	return h
}

func (h *house) startNATS() {
	h.t.Helper()
	h.nats = h.start("nats", "nats", "--config", filepath.Join(h.dir, "nats.conf"))
}

func (h *house) startPostgres() {
	h.t.Helper()
	h.postgres = h.start("postgres", "postgres", "--seed")
	h.postgres.saysWithin(time.Minute, "postgres started")
}

// look opens the test's own connections to the broker and the database.
func (h *house) look() {
	h.t.Helper()
	h.eventually(20*time.Second, "connect to nats", func() error {
		c, err := streams.Connect(h.t.Context(), streams.Config{
			URL: h.natsURL, Name: "e2e", Layout: h.layout, Log: slog.New(slog.DiscardHandler),
		})
		h.conn = c
		return err
	})
	h.t.Cleanup(h.conn.Close)
	url, err := postgres.URL(filepath.Join(h.dir, "postgres"))
	if err != nil {
		h.t.Fatal(err)
	}
	s, err := store.Open(h.t.Context(), url, store.Options{})
	if err != nil {
		h.t.Fatal(err)
	}
	h.store = s
	h.t.Cleanup(s.Close)
	h.eventually(20*time.Second, "the database is ready", func() error {
		_, err := s.App(h.t.Context(), store.DemoApp) // the last of what is seeded
		return err
	})
}

// freePort finds a port that nobody listens on now.
func freePort(tb testing.TB) int {
	tb.Helper()
	l, err := (&net.ListenConfig{}).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// eventually tries until it works, and fails the test with the last cause.
func (h *house) eventually(patience time.Duration, what string, try func() error) {
	h.t.Helper()
	within(h.t, patience, what, try)
}

// within is eventually for a part of the house's test.
func within(t testing.TB, patience time.Duration, what string, try func() error) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for err := try(); err != nil; err = try() {
		if time.Now().After(deadline) {
			t.Fatalf("%s: after %v: %v", what, patience, err)
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		}
	}
}

// clientURL is where clients of an edge connect by a transport: tcp or ws.
func clientURL(edge streams.Member, transport string) string {
	if transport == "ws" {
		return "ws://" + edge.Addrs["ws"] + "/ws"
	}
	return "tcp://" + edge.Addrs["tcp"]
}

// process is a child of the test.
type process struct {
	h    *house
	name string
	cmd  *exec.Cmd
	out  *log
	done chan struct{} // closed when it has ended
}

// log keeps what a process prints.
type log struct {
	mu   sync.Mutex
	b    bytes.Buffer
	more chan struct{}
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.more)
	l.more = make(chan struct{})
	return l.b.Write(p)
}

func (l *log) read() (string, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String(), l.more
}

// start starts the program with arguments.
func (h *house) start(name string, args ...string) *process {
	h.t.Helper()
	p := &process{h: h, name: name, out: &log{more: make(chan struct{})}, done: make(chan struct{})}
	p.cmd = exec.CommandContext(context.Background(), binary, args...)
	p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = h.env, p.out, p.out
	p.cmd.Dir = h.dir
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		h.t.Fatalf("start %s: %v", name, err)
	}
	go func() { // ends with the process
		_ = p.cmd.Wait()
		close(p.done)
	}()
	h.mu.Lock()
	h.processes = append(h.processes, p)
	h.mu.Unlock()
	return p
}

// saysWithin waits until the process has printed a text.
func (p *process) saysWithin(patience time.Duration, text string) {
	p.h.t.Helper()
	late := time.After(patience)
	for {
		out, more := p.out.read()
		if strings.Contains(out, text) {
			return
		}
		select {
		case <-more:
		case <-p.done:
			p.h.t.Fatalf("%s ended before it said %q:\n%s", p.name, text, out)
		case <-late:
			p.h.t.Fatalf("%s did not say %q within %v:\n%s", p.name, text, patience, out)
		}
	}
}

// kill is SIGKILL.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// stop is SIGTERM; it returns when the process has ended.
func (p *process) stop() {
	p.h.t.Helper()
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(30 * time.Second):
		out, _ := p.out.read()
		p.kill()
		p.h.t.Fatalf("%s did not stop within 30 s of SIGTERM:\n%s", p.name, out)
	}
}

// close ends everything, the database last, and prints the logs of a failed test.
func (h *house) close() {
	for _, p := range slices.Backward(h.processes) {
		if p == h.nats || p == h.postgres {
			continue
		}
		p.kill()
	}
	if h.nats != nil {
		h.nats.kill()
	}
	if h.postgres != nil {
		h.postgres.stop()
	}
	if h.t.Failed() {
		for _, p := range h.processes {
			out, _ := p.out.read()
			h.t.Logf("── %s (pid %d)\n%s", p.name, p.cmd.Process.Pid, last(out, 6000))
		}
	}
	if err := os.RemoveAll(h.dir); err != nil {
		h.t.Log(err)
	}
}

func last(s string, n int) string {
	if len(s) > n {
		return "…" + s[len(s)-n:]
	}
	return s
}

// run runs the program to its end and returns what it printed; it must succeed.
func (h *house) run(args ...string) string {
	h.t.Helper()
	out, err := h.try(args...)
	if err != nil {
		h.t.Fatalf("whaleshark %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// try runs the program to its end.
func (h *house) try(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(h.t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Env, cmd.Dir = h.env, h.dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// ready waits until a role has so many active members that the others see.
func (h *house) ready(role streams.Role, n int) []streams.Member {
	h.t.Helper()
	var members []streams.Member
	h.eventually(30*time.Second, fmt.Sprintf("%d of %s are active", n, role), func() error {
		members = slices.DeleteFunc(h.watch().Of(role), func(m streams.Member) bool { return !m.Active })
		if len(members) != n {
			return fmt.Errorf("%d are", len(members))
		}
		return nil
	})
	return members
}

// watch returns the members; a broker that has been started again is watched anew.
func (h *house) watch() *streams.Members {
	h.t.Helper()
	if h.members == nil {
		h.eventually(20*time.Second, "watch members", func() error {
			m, err := h.conn.WatchMembers(h.t.Context())
			h.members = m
			return err
		})
	}
	return h.members
}

// logStream gives f the stream beneath the log, as the broker's own tools see it.
func (h *house) logStream(f func(jetstream.JetStream, jetstream.StreamConfig, jetstream.StreamState) error) {
	h.t.Helper()
	js, err := jetstream.New(h.conn.NATS())
	if err != nil {
		h.t.Fatal(err)
	}
	s, err := js.Stream(h.t.Context(), "KV_LOG")
	if err != nil {
		h.t.Fatal(err)
	}
	if err := f(js, s.CachedInfo().Config, s.CachedInfo().State); err != nil {
		h.t.Fatal(err)
	}
}
