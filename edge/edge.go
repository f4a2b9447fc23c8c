package edge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/whaleshark-im/whaleshark/chat"
)

// Edge serves clients by TCP and WebSocket.
type Edge struct {
	// Set once, read by anyone.
	cfg       Config
	streams   Streams
	directory Directory
	metrics   *metrics
	asking    asking
	listeners struct{ tcp, ws net.Listener } // nil: not served
	poller    *poller                        // nil: connections do not rest

	// For anyone; each looks after itself.
	sessions *table
	presence *presence
	served   served
	ids      atomic.Uint64
	running  sync.WaitGroup // the connections; added to under the table's lock, and never after its close
}

// New returns an edge that serves nobody yet.
func New(cfg Config, s Streams, d Directory) *Edge {
	e := &Edge{cfg: cfg.withDefaults(), streams: s, directory: d, sessions: newTable(), asking: newAsking(cfg.History)}
	e.cfg.cursor = s.Cursor
	e.presence = newPresence(&e.cfg, s)
	e.metrics = newMetrics(e.cfg.Metrics, e.sessions)
	e.SetVector(nil)
	return e
}

// keepAlive finds out that a client is gone that never pings: about 75 s after the last sign of it.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 15 * time.Second, Count: 3}

// Listen opens the addresses, so that [Edge.Addrs] knows them before [Edge.Run] serves anybody.
func (e *Edge) Listen(ctx context.Context) error {
	poller, err := newPoller()
	if err != nil {
		return fmt.Errorf("let connections rest: %w", err)
	}
	e.poller = poller
	if e.listeners.tcp, err = listen(ctx, "TCP", e.cfg.TCP); err != nil {
		e.poller.close()
		return err
	}
	if e.listeners.ws, err = listen(ctx, "WebSocket", e.cfg.WS); err != nil {
		e.poller.close()
		if e.listeners.tcp != nil {
			_ = e.listeners.tcp.Close()
		}
	}
	return err
}

func listen(ctx context.Context, what, addr string) (net.Listener, error) {
	if addr == "" {
		return nil, nil //nolint:nilnil // nobody is served by this transport
	}
	l, err := (&net.ListenConfig{KeepAliveConfig: keepAlive}).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen for %s clients on %s: %w", what, addr, err)
	}
	return l, nil
}

// Addrs are the addresses that an edge listens on; empty: none.
type Addrs struct{ TCP, WS string }

// Addrs returns the addresses that [Edge.Listen] opened.
func (e *Edge) Addrs() Addrs {
	var a Addrs
	if e.listeners.tcp != nil {
		a.TCP = e.listeners.tcp.Addr().String()
	}
	if e.listeners.ws != nil {
		a.WS = e.listeners.ws.Addr().String()
	}
	return a
}

// Stats are the numbers of an edge's connections.
type Stats struct{ Connections, Sessions int }

// Stats returns how many connections there are now.
func (e *Edge) Stats() Stats {
	var s Stats
	s.Connections, s.Sessions = e.sessions.size()
	return s
}

// Run serves clients until ctx ends. Then it takes no new ones, sends those that it has away, spread over the drain window, and returns
// when all are gone.
func (e *Edge) Run(ctx context.Context) error {
	life, kill := context.WithCancel(context.WithoutCancel(ctx)) // of the connections: it outlasts ctx by the drain
	defer kill()
	sweeping, stopSweeping := context.WithCancel(context.WithoutCancel(ctx)) // to the very end: it cuts those who do not go
	defer stopSweeping()
	var sweeper, waker, acceptors sync.WaitGroup
	sweeper.Go(func() { e.sweep(sweeping) })
	waker.Go(func() { e.poller.wait(e.rouse) })

	fault := make(chan error, 1)
	stop := e.accept(life, &acceptors, fault)
	var err error
	select {
	case <-ctx.Done():
	case err = <-fault:
	}
	stop()
	acceptors.Wait()
	e.drain(life, kill)
	stopSweeping()
	sweeper.Wait()
	e.poller.close()
	waker.Wait()
	return err
}

// accept starts serving the listeners; stop ends that.
func (e *Edge) accept(ctx context.Context, acceptors *sync.WaitGroup, fault chan<- error) (stop func()) {
	var stops []func()
	if l := e.listeners.tcp; l != nil {
		acceptors.Go(func() { e.acceptTCP(ctx, l) })
		stops = append(stops, func() { _ = l.Close() })
	}
	if l := e.listeners.ws; l != nil {
		server := e.httpServer(ctx)
		acceptors.Go(func() {
			if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				fault <- fmt.Errorf("serve WebSocket clients: %w", err)
			}
		})
		stops = append(stops, func() { _ = server.Close() })
	}
	return func() {
		for _, stop := range stops {
			stop()
		}
	}
}

func (e *Edge) acceptTCP(ctx context.Context, l net.Listener) {
	for {
		c, err := l.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil: // out of file descriptors, most likely: those who hang up make room
			e.cfg.Log.WarnContext(ctx, "connection was not accepted", "err", err)
			if !wait(ctx, 100*time.Millisecond) {
				return
			}
			continue
		}
		link := newLink(c)
		e.serve(ctx, "tcp", link, newTCP(link, e.cfg.Limits))
	}
}

// wait returns false if ctx ends before the time.
func wait(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

func (e *Edge) httpServer(life context.Context) *http.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("/ws", func(w http.ResponseWriter, r *http.Request) {
		t, err := acceptWS(life, w, r, e.cfg.Limits, func() { e.metrics.drop(dropText, 1) })
		if err != nil {
			e.cfg.Log.DebugContext(life, "no WebSocket", "err", err)
			return
		}
		// Served by a goroutine of its own: that of the server ends here, with the request and the buffers that hang on it.
		e.serve(life, "ws", t.link, t)
	})
	return &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: e.cfg.LoginTimeout,
		IdleTimeout:       e.cfg.LoginTimeout,
		MaxHeaderBytes:    8 << 10,
		ErrorLog:          slog.NewLogLogger(e.cfg.Log.Handler(), slog.LevelDebug),
	}
}

// serve starts a connection, unless the edge has stopped.
func (e *Edge) serve(ctx context.Context, kind string, l *link, t transport) {
	c := &conn{
		edge:      e,
		id:        chat.SessionID(e.ids.Add(1)),
		link:      l,
		transport: t,
		opened:    time.Now().UnixMilli(),
		out:       queue{maxFrames: e.cfg.QueueFrames, maxBytes: e.cfg.QueueBytes},
		session:   newSession(&e.cfg),
	}
	c.leave = func() { c.depart(ctx) }
	l.wake = func() { go c.run(ctx) } // ends when the connection rests again, or is gone
	if !e.sessions.add(c, func() { e.running.Add(1); l.wake() }) {
		_ = l.Close()
		t.close()
		return
	}
	e.metrics.open(kind)
}

// drain sends all clients away, a thousand a second or as fast as the window asks for, and waits until they are gone.
func (e *Edge) drain(life context.Context, kill func()) {
	e.sessions.close()
	all := e.sessions.all()
	pace := min(time.Millisecond, max(e.cfg.DrainWindow, 0)/time.Duration(max(len(all), 1)))
	begin := time.Now()
	for i, c := range all {
		if early := time.Until(begin.Add(time.Duration(i) * pace)); early > 0 {
			wait(life, early)
		}
		c.end(because(chat.GoingAway))
	}
	// Who is in the middle of a login is waiting for it, and not for us.
	late := time.AfterFunc(e.cfg.CloseTimeout, kill)
	defer late.Stop()
	e.running.Wait()
}
