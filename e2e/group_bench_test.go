package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/client"
	"github.com/whaleshark-im/whaleshark/sql/store"
	"github.com/whaleshark-im/whaleshark/streams"
	"github.com/whaleshark-im/whaleshark/wire"
)

const (
	groupInFlight = 8
	groupTime     = 5 * time.Second
)

// BenchmarkGroup lets one sender, with 8 messages in flight, talk for 5 s each to a pair's peer, to a group of 200 who are all connected, and
// to one of 5,000 of whom 500 are, by TCP and WebSocket over two edges, in processes of their own:
//
//	go test ./e2e -run XXX -bench Group -benchtime 1x
//
// It reports deliveries and messages a second, the former beside those of the pair, the time from sending to the ack and to each delivery,
// and the CPU time of all clients together for each delivery: they share the machine. A message that does not reach every member exactly
// once, in order, fails it.
func BenchmarkGroup(b *testing.B) {
	h := open(b, streams.Layout{}, "WHALESHARK_RATE=1000000")
	h.staff(2, 1, 1, 1)
	pair := 0.0 // deliveries a second
	for _, load := range []struct {
		name            string
		members, online int // of a group; 0: it is a pair
	}{{"pair", 0, 1}, {"members=200", 200, 200}, {"members=5000", 5000, 500}} {
		where := wire.Where{To: "bob"}
		if load.members > 0 {
			where = wire.Where{Group: load.name}
			if err := h.store.SeedGroup(b.Context(), store.DemoApp, load.name, "alice", load.members, nil); err != nil {
				b.Fatal(err)
			}
			h.settled()
		}
		b.Run(load.name, func(b *testing.B) {
			for b.Loop() {
				rate := newHall(b, h, where, load.online).talk(b)
				if load.members == 0 {
					pair = rate
				} else {
					b.ReportMetric(rate/pair, "×pair")
				}
			}
		})
	}
}

// hall is a sender and those who listen.
type hall struct {
	h         *house
	where     wire.Where
	sender    *client.Client
	listeners []*listener

	mu    sync.Mutex
	sent  map[string]time.Time
	acked []time.Duration
	first chat.Seq // of the first message
	last  chat.Seq
	fault error
}

// listener is a member's device.
type listener struct {
	hall *hall
	c    *client.Client

	mu        sync.Mutex
	seen      int
	newest    chat.Seq
	delivered []time.Duration
	fault     error
}

func newHall(b *testing.B, h *house, where wire.Where, online int) *hall {
	b.Helper()
	a := &hall{h: h, where: where, sent: make(map[string]time.Time)}
	a.sender = a.enter(b, 0, "alice", client.Handler{})
	a.listeners = make([]*listener, online)
	for i := range a.listeners {
		l := &listener{hall: a}
		a.listeners[i] = l
		user := where.To
		if user == "" {
			user = chat.UserID(fmt.Sprint("u", i+1))
		}
		l.c = a.enter(b, i, user, client.Handler{Message: l.message})
	}
	return a
}

// enter logs in: of every four two by TCP and two by WebSocket, at either edge.
func (a *hall) enter(b *testing.B, i int, user chat.UserID, handler client.Handler) *client.Client {
	b.Helper()
	edge := a.h.ready(streams.RoleEdge, 2)[i%2]
	cfg := client.Config{
		URL: clientURL(edge, [...]string{"tcp", "ws"}[i/2%2]), Handler: handler, Ping: -1,
		Device: chat.Device{App: store.DemoApp, User: user, Client: chat.Web, IMEI: "bench"},
	}
	c, err := client.Dial(b.Context(), cfg)
	if err == nil {
		b.Cleanup(func() { _ = c.Close() })
		_, err = c.Login(b.Context())
	}
	if err != nil {
		b.Fatal(err)
	}
	return c
}

func (l *listener) message(m wire.Placed) {
	now := time.Now()
	a := l.hall
	if m.Group != a.where.Group {
		return
	}
	a.mu.Lock()
	at, ok := a.sent[m.MessageID]
	a.mu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case !ok && l.fault == nil:
		l.fault = fmt.Errorf("%s came from nowhere", m.MessageID)
	case l.newest != 0 && m.Seq != l.newest+1 && l.fault == nil:
		l.fault = fmt.Errorf("seq %d came after %d", m.Seq, l.newest)
	}
	l.newest = m.Seq
	l.seen++
	l.delivered = append(l.delivered, now.Sub(at))
}

// talk says as much as it can for a while, waits until everybody has heard it, and reports. It returns the deliveries a second.
func (a *hall) talk(b *testing.B) float64 {
	b.Helper()
	before := clientCPU(b)
	ctx, cancel := context.WithTimeout(b.Context(), groupTime+10*time.Second)
	defer cancel()
	began, run := time.Now(), streams.NewNode()
	var wg sync.WaitGroup
	for slot := range groupInFlight {
		wg.Go(func() {
			for n := 0; time.Since(began) < groupTime; n++ {
				if !a.say(ctx, fmt.Sprintf("%s-%d-%d", run, slot, n)) {
					return
				}
			}
		})
	}
	wg.Wait()
	if a.fault != nil {
		b.Fatal(a.fault)
	}
	n := len(a.acked)
	if int(a.last-a.first) != n-1 {
		b.Fatalf("%d messages are numbered %d to %d", n, a.first, a.last)
	}
	deadline := time.Now().Add(10 * time.Second)
	var delivered []time.Duration
	for i, l := range a.listeners {
		delivered = append(delivered, l.settle(b, i, n, a.last, deadline)...)
	}
	took, cpu := time.Since(began), clientCPU(b)-before
	rate := float64(len(delivered)) / took.Seconds()
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(n)/took.Seconds(), "msg/s")
	b.ReportMetric(rate, "deliveries/s")
	b.ReportMetric(float64(cpu.Nanoseconds())/1000/float64(len(delivered)), "clientCPU-µs/delivery")
	quantiles(b, "ack", a.acked)
	quantiles(b, "delivery", delivered)
	return rate
}

// clientCPU returns the CPU time that this process has used, in which all clients are.
func clientCPU(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

var groupBody = strings.Repeat("x", 200)

func (a *hall) say(ctx context.Context, id string) bool {
	start := time.Now()
	a.mu.Lock()
	a.sent[id] = start
	a.mu.Unlock()
	ack, err := a.sender.Send(ctx, wire.Message{MessageID: id, To: a.where.To, Group: a.where.Group, Body: groupBody, First: true})
	a.mu.Lock()
	defer a.mu.Unlock()
	if err != nil {
		a.fault = err
		return false
	}
	a.acked = append(a.acked, time.Since(start))
	if a.first == 0 || ack.Seq < a.first {
		a.first = ack.Seq
	}
	a.last = max(a.last, ack.Seq)
	return true
}

// settle waits until the listener has heard all n messages up to the last.
func (l *listener) settle(b *testing.B, i, n int, last chat.Seq, deadline time.Time) []time.Duration {
	b.Helper()
	for {
		l.mu.Lock()
		seen, newest, fault, delivered := l.seen, l.newest, l.fault, slices.Clone(l.delivered)
		l.mu.Unlock()
		switch {
		case fault != nil:
			b.Fatalf("listener %d: %v", i, fault)
		case seen == n && newest == last:
			return delivered
		case seen > n || time.Now().After(deadline) || l.c.Err() != nil:
			b.Fatalf("listener %d has heard %d messages up to %d, want %d up to %d; its connection: %v", i, seen, newest, n, last, l.c.Err())
		}
		pause(b.Context(), 2*time.Millisecond)
	}
}
