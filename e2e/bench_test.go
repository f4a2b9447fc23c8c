package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/client"
	"github.com/whaleshark-im/whaleshark/streams"
	"github.com/whaleshark-im/whaleshark/streams/streamstest"
	"github.com/whaleshark-im/whaleshark/wire"
)

// BenchmarkTalk lets pairs talk through `whaleshark dev`, a process of its own, for 8 s each:
//
//	go test ./e2e -run XXX -bench . -benchtime 1x
//
// Bodies are 200 bytes, receivers acknowledge, each ack is of a block that was fsynced. It reports messages a second, the time from sending
// to the ack and to the delivery, and the CPU time of the server, NATS and Postgres included, for each message. A message that is not
// delivered exactly once, in order, fails it.
func BenchmarkTalk(b *testing.B) {
	for _, load := range []struct{ pairs, inFlight int }{{1, 1}, {10, 1}, {200, 1}, {200, 32}} {
		b.Run(fmt.Sprintf("pairs=%d/inFlight=%d", load.pairs, load.inFlight), func(b *testing.B) {
			server := startDev(b, 2*load.pairs)
			for b.Loop() {
				talk(b, server, load.pairs, load.inFlight, 8*time.Second)
			}
		})
	}
}

// BenchmarkBareUpdate is the floor under an ack: one client appends small blocks to one partition of the log, one in flight, with nothing
// around it.
func BenchmarkBareUpdate(b *testing.B) {
	c := streamstest.Connect(b, streamstest.Server(b), streams.Layout{})
	var prev chat.Revision
	for b.Loop() {
		var took []time.Duration
		for range 2000 {
			start := time.Now()
			done := make(chan error, 1)
			c.Append(0, make([]byte, 300), prev, func(rev chat.Revision, err error) { prev = rev; done <- err })
			if err := <-done; err != nil {
				b.Fatal(err)
			}
			took = append(took, time.Since(start))
		}
		quantiles(b, "update", took)
	}
}

// devServer is a `whaleshark dev` on a folder of its own.
type devServer struct {
	cmd      *exec.Cmd
	dir      string
	tcp      string
	http     string // URL
	database string // URL
}

func startDev(b testing.TB, users int) *devServer {
	b.Helper()
	dir, err := os.MkdirTemp("", "whaleshark-bench-") //nolint:usetesting // b.TempDir is within a folder of mode 0700
	if err != nil {
		b.Fatal(err)
	}
	if err := os.Chmod(dir, 0o711); err != nil { // the database's user passes through
		b.Fatal(err)
	}
	out := &log{more: make(chan struct{})}
	cmd := exec.CommandContext(context.Background(), binary, "dev", "--data", dir, "--tcp", "127.0.0.1:0", "--ws", "127.0.0.1:0",
		"--http", "127.0.0.1:0", "--app-rate", "1000000", "--user-rate", "1000000", "--admin", "127.0.0.1:0", "--rate", "1000000", "--log-level", "warn")
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		_ = os.RemoveAll(dir)
	})
	address := regexp.MustCompile(`(?s)ready.*TCP +(127\.\S+).*HTTP API +(http\S+).*Postgres +(postgres\S+)`)
	late := time.After(30 * time.Second)
	for {
		text, more := out.read()
		if m := address.FindStringSubmatch(text); m != nil {
			seed := exec.CommandContext(b.Context(), binary, "seed", "--data", dir, "--users", strconv.Itoa(users))
			if out, err := seed.CombinedOutput(); err != nil {
				b.Fatalf("seed: %v\n%s", err, out)
			}
			return &devServer{cmd: cmd, dir: dir, tcp: m[1], http: m[2], database: m[3]}
		}
		select {
		case <-more:
		case <-late:
			b.Fatalf("the server is not ready:\n%s", text)
		}
	}
}

// cpu returns the CPU time that the server and its children have used.
func (s *devServer) cpu(b *testing.B) time.Duration {
	b.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil || len(stats) == 0 {
		return 0 // not Linux: nothing is reported
	}
	type process struct {
		parent int
		ticks  int
	}
	processes := make(map[int]process)
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has just ended
		}
		f := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		n := func(i int) int { x, _ := strconv.Atoi(f[i]); return x }
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		processes[pid] = process{n(1), n(11) + n(12) + n(13) + n(14)}
	}
	ticks := 0
	for pid := range processes {
		for p := pid; p > 1; p = processes[p].parent {
			if p == s.cmd.Process.Pid {
				ticks += processes[pid].ticks
				break
			}
		}
	}
	const ticksPerSecond = 100
	return time.Duration(ticks) * time.Second / ticksPerSecond
}

// pair is a sender and a receiver.
type pair struct {
	sender, receiver *client.Client
	to               chat.UserID
	body             string

	mu        sync.Mutex
	sent      map[string]time.Time
	acked     []time.Duration
	delivered []time.Duration
	newest    chat.Seq
	fault     error
}

func talk(b *testing.B, s *devServer, pairs, inFlight int, length time.Duration) {
	b.Helper()
	all := make([]*pair, pairs)
	for i := range all {
		all[i] = newPair(b, s.tcp, i)
		defer all[i].sender.Close()
		defer all[i].receiver.Close()
	}
	before, began := s.cpu(b), time.Now()
	var wg sync.WaitGroup
	for _, p := range all {
		for k := range inFlight {
			wg.Go(func() { p.run(b.Context(), k, began.Add(length)) })
		}
	}
	wg.Wait()
	took, cpu := time.Since(began), s.cpu(b)-before
	var acked, delivered []time.Duration
	for _, p := range all {
		p.settle(b)
		acked, delivered = append(acked, p.acked...), append(delivered, p.delivered...)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(len(acked))/took.Seconds(), "msg/s")
	b.ReportMetric(float64(cpu.Microseconds())/float64(len(acked)), "serverCPU-µs/msg")
	quantiles(b, "ack", acked)
	quantiles(b, "delivery", delivered)
}

func newPair(b *testing.B, addr string, i int) *pair {
	b.Helper()
	p := &pair{
		to: chat.UserID(fmt.Sprint("u", 2*i+2)), sent: make(map[string]time.Time), body: strings.Repeat("x", 200),
	}
	connect := func(user chat.UserID, cfg client.Config) *client.Client {
		cfg.URL, cfg.Device = "tcp://"+addr, chat.Device{App: 10001, User: user, Client: chat.Web, IMEI: "bench"}
		c, err := client.Dial(b.Context(), cfg)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := c.Login(b.Context()); err != nil {
			b.Fatal(err)
		}
		return c
	}
	p.sender = connect(chat.UserID(fmt.Sprint("u", 2*i+1)), client.Config{})
	p.receiver = connect(p.to, client.Config{Receipts: true, Handler: client.Handler{Message: p.arrived}})
	return p
}

// run sends one message after the other.
func (p *pair) run(ctx context.Context, slot int, until time.Time) {
	run := streams.NewNode()
	for n := 0; time.Now().Before(until); n++ {
		id := fmt.Sprintf("%s-%d-%d", run, slot, n)
		start := time.Now()
		p.mu.Lock()
		p.sent[id] = start
		p.mu.Unlock()
		_, err := p.sender.Send(ctx, wire.Message{MessageID: id, To: p.to, Body: p.body})
		p.mu.Lock()
		if err != nil && p.fault == nil {
			p.fault = err
		}
		p.acked = append(p.acked, time.Since(start))
		p.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (p *pair) arrived(m wire.Placed) {
	p.mu.Lock()
	defer p.mu.Unlock()
	start, ok := p.sent[m.MessageID]
	switch {
	case !ok:
		p.fault = fmt.Errorf("%s was delivered twice", m.MessageID)
	case m.Seq != p.newest+1 && p.newest != 0:
		p.fault = fmt.Errorf("seq %d after %d", m.Seq, p.newest)
	}
	p.newest = m.Seq
	delete(p.sent, m.MessageID)
	p.delivered = append(p.delivered, time.Since(start))
}

// settle waits for the last deliveries.
func (p *pair) settle(b *testing.B) {
	b.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		p.mu.Lock()
		left, fault := len(p.sent), p.fault
		p.mu.Unlock()
		if fault != nil {
			b.Fatal(fault)
		}
		if left == 0 {
			return
		}
		if time.Now().After(deadline) {
			b.Fatalf("%d messages to %s were not delivered", left, p.to)
		}
		pause(b.Context(), 5*time.Millisecond)
	}
}

func quantiles(b *testing.B, what string, took []time.Duration) {
	b.Helper()
	slices.Sort(took)
	for _, q := range []float64{0.5, 0.99} {
		b.ReportMetric(float64(took[int(q*float64(len(took)-1))].Microseconds())/1000, fmt.Sprintf("%s-p%.0f-ms", what, 100*q))
	}
}
