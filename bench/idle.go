package bench

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/whaleshark-im/whaleshark/wire"
)

// Idle says how many connections do nothing.
type Idle struct {
	Connections int           `json:"connections"`
	Pings       time.Duration `json:"pings_ns"` // over how long each connection pings once
}

// IdleResult is what they cost.
type IdleResult struct {
	Connections int                `json:"connections"`
	RSS         float64            `json:"rss_bytes_per_connection"` // of all of the server's processes
	PSS         float64            `json:"pss_bytes_per_connection"` // with shared pages counted once
	Programs    map[string]float64 `json:"pss_bytes_per_connection_by_program"`
	Heap        float64            `json:"heap_bytes_per_connection,omitempty"`
	Stack       float64            `json:"stack_bytes_per_connection,omitempty"`
	Goroutines  float64            `json:"goroutines_per_connection,omitempty"`
	IdleCPU     float64            `json:"idle_cpu_percent"` // of a core, while nothing happens
	PingCPU     float64            `json:"ping_cpu_us"`      // of the server, for a ping and its pong
	Pongs       int64              `json:"pongs"`
}

const (
	quietEnough   = 20 * time.Millisecond // of CPU in a quietLook
	quietLook     = 500 * time.Millisecond
	quietPatience = 20 * time.Second

	firstLogins = 200 // come and go before anything is looked at: what a server needs once is no connection's
)

// Run measures connections that are logged in and silent.
func (w Idle) Run(ctx context.Context, t *Target) (*Report, error) {
	if err := NeedFiles(w.Connections); err != nil {
		return nil, err
	}
	r, sys, err := t.begin(ctx, "idle", w)
	if err != nil {
		return nil, err
	}
	if err := t.users(ctx, w.Connections); err != nil {
		return nil, err
	}
	first, err := t.connect(ctx, min(w.Connections, firstLogins))
	if err != nil {
		return nil, err
	}
	closeAll(first)
	before, err := sys.rest(ctx, t.Progress)
	if err != nil {
		return nil, err
	}
	conns, err := t.connect(ctx, w.Connections)
	if err != nil {
		return nil, err
	}
	sleepers := &sleepers{conns: conns}
	wait := sleepers.start()
	defer wait()
	defer sleepers.close()
	after, err := sys.rest(ctx, t.Progress)
	if err != nil {
		return nil, err
	}
	r.Idle = after.per(before, w.Connections)
	if err := w.ping(ctx, t, sys, sleepers, r.Idle); err != nil {
		return nil, err
	}
	r.Resources = resources(before.used, after.used, 0, int64(w.Connections), "logins")
	r.judge(sleepers.verdict(r.Idle), &sleepers.codes)
	return r, nil
}

// memory is what the server holds when it is at rest.
type memory struct {
	used                    map[string]Usage
	heap, stack, goroutines float64
}

// rest waits until the server does nothing, lets it collect its garbage, and looks at what is left.
func (s *system) rest(ctx context.Context, progress *Progress) (memory, error) {
	if err := s.quiet(ctx, progress); err != nil {
		return memory{}, err
	}
	var m memory
	for _, addr := range s.admin {
		_, _ = fetch(ctx, "http://"+addr+"/debug/pprof/heap?gc=1", fetchPatience) // one that does not answer has no metrics either
	}
	if err := s.quiet(ctx, progress); err != nil {
		return memory{}, err
	}
	for _, addr := range s.admin {
		text, err := fetch(ctx, "http://"+addr+"/metrics", fetchPatience)
		if err != nil {
			continue
		}
		m.heap += metric(text, "go_memstats_heap_alloc_bytes")
		m.stack += metric(text, "go_memstats_stack_inuse_bytes")
		m.goroutines += metric(text, "go_goroutines")
	}
	m.used = s.look(true)
	return m, nil
}

// quiet waits until the server uses next to no CPU.
func (s *system) quiet(ctx context.Context, progress *Progress) error {
	last := s.cpu()
	for began := time.Now(); time.Since(began) < quietPatience; {
		progress.line("waiting until the server is quiet")
		if err := Pause(ctx, quietLook); err != nil {
			return err
		}
		now := s.cpu()
		if now-last <= quietEnough {
			return nil
		}
		last = now
	}
	return nil // it is never quieter: others use it, perhaps
}

// per returns what each of n connections has added.
func (m memory) per(before memory, n int) *IdleResult {
	each := float64(n)
	r := &IdleResult{
		Connections: n, Programs: make(map[string]float64), Heap: (m.heap - before.heap) / each, Stack: (m.stack - before.stack) / each,
		Goroutines: (m.goroutines - before.goroutines) / each,
	}
	for name, u := range m.used {
		r.RSS += float64(u.RSS-before.used[name].RSS) / each
		r.Programs[name] = float64(u.PSS-before.used[name].PSS) / each
		r.PSS += r.Programs[name]
	}
	return r
}

// ping lets each connection ping once, evenly over some time, and measures what that costs the server beyond doing nothing for as long.
func (w Idle) ping(ctx context.Context, t *Target, sys *system, s *sleepers, r *IdleResult) error {
	if w.Pings <= 0 {
		return nil
	}
	before := sys.cpu()
	t.Progress.line("doing nothing for %s", w.Pings)
	if err := Pause(ctx, w.Pings); err != nil {
		return err
	}
	idle := sys.cpu() - before
	t.Progress.line("pinging for %s", w.Pings)
	before = sys.cpu()
	if err := s.ping(ctx, w.Pings); err != nil {
		return err
	}
	busy := sys.cpu() - before
	r.Pongs = s.pongs.Load()
	r.IdleCPU = 100 * idle.Seconds() / w.Pings.Seconds()
	r.PingCPU = max(0, float64((busy-idle).Microseconds())/float64(len(s.conns)))
	return nil
}

// sleepers are connections that only answer pings.
type sleepers struct {
	conns  []*conn
	pongs  atomic.Int64
	lost   atomic.Int64
	ending atomic.Bool
	codes  codes
}

func (s *sleepers) start() (wait func()) {
	var readers sync.WaitGroup
	for _, c := range s.conns {
		readers.Go(func() { s.read(c) })
	}
	return readers.Wait
}

func (s *sleepers) read(c *conn) {
	took := func(f wire.Down) {
		if f.Command == wire.Ping {
			s.pongs.Add(1)
		}
	}
	err := c.rest(took)
	for err == nil {
		if err = c.flush(); err == nil {
			err = c.read(took)
		}
	}
	if !s.ending.Load() {
		s.lost.Add(1)
		s.codes.add("connection lost: " + cause(err))
	}
}

func (s *sleepers) close() {
	s.ending.Store(true)
	closeAll(s.conns)
}

// ping lets everybody ping once, and waits a moment for the answers.
func (s *sleepers) ping(ctx context.Context, over time.Duration) error {
	began := time.Now()
	for i, c := range s.conns {
		sleepUntil(began.Add(over * time.Duration(i) / time.Duration(len(s.conns))))
		if err := ctx.Err(); err != nil {
			return err
		}
		_ = c.say(wire.Ping, []byte("{}")) // the reader sees that the connection has ended
	}
	for waited := time.Now(); time.Since(waited) < time.Second && s.pongs.Load() < int64(len(s.conns)); {
		if err := Pause(ctx, 10*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// verdict finds fault with connections that were lost, and with pings that nobody has answered.
func (s *sleepers) verdict(r *IdleResult) *faults {
	var f faults
	if n := s.lost.Load(); n > 0 {
		f.add(faultOf(faultAnswer, "%d of %d connections were lost", n, len(s.conns)))
	}
	if n := int64(len(s.conns)) - r.Pongs; r.Pongs > 0 && n > 0 {
		f.add(faultOf(faultAnswer, "%d of %d pings were not answered", n, len(s.conns)))
	}
	return &f
}

const fetchPatience = 30 * time.Second

func fetch(ctx context.Context, url string, patience time.Duration) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 64<<20))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s answers %s", url, resp.Status)
	}
	return b, err
}

// metric returns a number that has no labels; 0: it is not there.
func metric(text []byte, name string) float64 {
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		if rest, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			x, _ := strconv.ParseFloat(rest, 64)
			return x
		}
	}
	return 0
}
