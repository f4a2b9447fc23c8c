package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/directory"
	"github.com/whaleshark-im/whaleshark/history"
	"github.com/whaleshark-im/whaleshark/sql/store"
	"github.com/whaleshark-im/whaleshark/streams"
)

// Auth tells which requests need a userSign.
type Auth int

// How a request proves who sends it.
const (
	AuthRequired Auth = iota // every request needs a valid userSign, and nobody acts for anybody else but administrators
	AuthOptional             // a request without one is believed; one that comes is checked
)

// Config is what the API needs to know. A zero field has the default that its comment names.
type Config struct {
	Node    chat.NodeID
	Listen  []string          // addresses; port 0 picks a free one; default: a free one of the machine itself
	Addrs   map[string]string // what else the process listens on; see [streams.Member]
	Auth    Auth              // default AuthRequired
	Origins []string          // of pages that may ask (CORS); "*": all; none by default

	MaxBody        int64         // bytes; default 1 MiB
	RequestTimeout time.Duration // how long a request may take; default 10 s
	AnswerTimeout  time.Duration // from a request's header until its answer is with the client; default 50 s more than that
	CloseTimeout   time.Duration // how long requests under way may take when the API stops; default 5 s
	AppRate        float64       // requests a second of one app; default 5,000
	UserRate       float64       // requests a second of one user; default 200; each may be exceeded for a second

	MaxUserID int // characters of a new user's id; default and at most chat.MaxUserID: bodies name no longer ones

	AccessLog bool         // log each request
	Log       *slog.Logger // default: discarded
	Metrics   prometheus.Registerer

	Now      func() time.Time                                      // of signatures; default: the clock
	Answered func(path string, code chat.Code, took time.Duration) // told of each answer; nil: nobody
}

func (c Config) withDefaults() Config {
	if len(c.Listen) == 0 {
		c.Listen = []string{"127.0.0.1:0"}
	}
	or(&c.MaxBody, 1<<20)
	or(&c.RequestTimeout, 10*time.Second)
	or(&c.AnswerTimeout, c.RequestTimeout+50*time.Second)
	or(&c.CloseTimeout, 5*time.Second)
	or(&c.AppRate, 5000)
	or(&c.UserRate, 200)
	or(&c.MaxUserID, chat.MaxUserID)
	c.MaxUserID = min(c.MaxUserID, chat.MaxUserID)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Metrics == nil {
		c.Metrics = prometheus.NewRegistry()
	}
	return c
}

func or[T comparable](field *T, byDefault T) {
	var zero T
	if *field == zero {
		*field = byDefault
	}
}

// API answers HTTP requests.
type API struct {
	// Set once, read by anyone.
	cfg       Config
	store     *store.Store
	conn      *streams.Conn
	history   *history.History
	directory *directory.Directory
	metrics   *metrics
	handler   http.Handler
	listeners []net.Listener

	// For anyone; each looks after itself.
	limits *limits
	turn   atomic.Uint64 // of the logins that are sent to one edge after the other
	sight  atomic.Pointer[sight]
}

// sight is what the API sees of the edges and their sessions, within one generation of the streams.
type sight struct {
	members *streams.Members
	routes  *streams.Routes
}

// New returns an API that serves nobody yet.
func New(cfg Config, s *store.Store, c *streams.Conn, h *history.History, d *directory.Directory) *API {
	a := &API{cfg: cfg.withDefaults(), store: s, conn: c, history: h, directory: d}
	a.metrics = newMetrics(a.cfg.Metrics)
	a.limits = newLimits(a.cfg.AppRate, a.cfg.UserRate)
	a.handler = a.newHandler(a.endpoints())
	return a
}

// Listen opens the addresses, so that [API.Addrs] knows them before [API.Run] serves anybody.
func (a *API) Listen(ctx context.Context) error {
	for _, addr := range a.cfg.Listen {
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
		if err != nil {
			for _, l := range a.listeners {
				_ = l.Close()
			}
			return fmt.Errorf("listen for HTTP requests on %s: %w", addr, err)
		}
		a.listeners = append(a.listeners, l)
	}
	return nil
}

// Addrs returns the addresses that [API.Listen] opened.
func (a *API) Addrs() []string {
	addrs := make([]string, len(a.listeners))
	for i, l := range a.listeners {
		addrs[i] = l.Addr().String()
	}
	return addrs
}

// Run serves requests until ctx ends; those that are under way then have a moment to end.
func (a *API) Run(ctx context.Context) error {
	server := &http.Server{
		Handler:           a.handler,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      a.cfg.AnswerTimeout,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(a.cfg.Log.Handler(), slog.LevelDebug),
	}
	watching, stopWatching := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWatching()
	var watcher, servers sync.WaitGroup
	watcher.Go(func() { a.watch(watching) })
	watcher.Go(func() { a.conn.HeedFull(watching) })
	fault := make(chan error, len(a.listeners))
	for _, l := range a.listeners {
		servers.Go(func() {
			if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				fault <- fmt.Errorf("serve HTTP requests: %w", err)
			}
		})
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-fault:
	}
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.cfg.CloseTimeout)
	defer cancel()
	if closeErr := server.Shutdown(closing); closeErr != nil {
		_ = server.Close()
	}
	servers.Wait()
	stopWatching()
	watcher.Wait()
	return err
}

// watch keeps the API known to the others, and the others to it, until ctx ends.
func (a *API) watch(ctx context.Context) {
	a.conn.Run(ctx, "api", func(ctx context.Context, _ *streams.Generation) error {
		watching, stop := context.WithCancel(ctx)
		defer stop()
		defer a.sight.Store(nil)
		members, err := a.conn.WatchMembers(watching)
		if err != nil {
			return err
		}
		routes, err := a.conn.WatchRoutes(watching, nil)
		if err != nil {
			return err
		}
		a.sight.Store(&sight{members, routes})
		addrs := maps.Clone(a.cfg.Addrs)
		if addrs == nil {
			addrs = make(map[string]string)
		}
		addrs["http"] = strings.Join(a.Addrs(), " ")
		return a.conn.Announce(ctx, streams.RoleAPI, a.cfg.Node, addrs)
	})
}

// Ready returns nil once the API sees the edges.
func (a *API) Ready(context.Context) error {
	if a.sight.Load() == nil {
		return errors.New("the edges are not in sight")
	}
	return nil
}

// see returns what is in sight of the edges.
func (a *API) see() (*sight, error) {
	if s := a.sight.Load(); s != nil && a.conn.Connected() { // without the broker we would not hear of a death
		return s, nil
	}
	return nil, chat.Errorf(chat.Unavailable, "the edges are not in sight; try again")
}
