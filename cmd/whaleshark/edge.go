package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/directory"
	"github.com/whaleshark-im/whaleshark/edge"
	"github.com/whaleshark-im/whaleshark/history"
	"github.com/whaleshark-im/whaleshark/streams"
	"github.com/whaleshark-im/whaleshark/wire"
)

// limitFlags bound what one client may do.
type limitFlags struct {
	MaxIMEI        int           `name:"max-imei" default:"256" help:"Longest imei, in bytes."`
	MaxBody        int           `default:"65536" help:"Longest body of a frame, in bytes."`
	MaxMessageID   int           `name:"max-message-id" default:"128" help:"Longest message id, in characters."`
	LoginTimeout   time.Duration `default:"10s" help:"From connecting to the login frame."`
	Heartbeat      time.Duration `default:"30s" help:"How often clients shall ping; three without a frame end a session."`
	RequestTimeout time.Duration `default:"30s" help:"How long a request may wait to be judged."`
	WriteTimeout   time.Duration `default:"10s" help:"How long one write may take before a client is slow."`
	LoginPolicy    string        `default:"triple" enum:"single,double,triple,multi" help:"Which devices of a user may be logged in at once, in apps that do not say: single: one; double: one, and browsers; triple: a mobile and a desktop, and browsers; multi: all."`
	KickGrace      time.Duration `default:"2s" help:"How long a client that another login has ended may stay to hear why; 0: not at all."`
	PresenceDelay  time.Duration `default:"2s" help:"How long a user must be here or away before those who watch are told; 0: not at all."`
	DrainWindow    time.Duration `default:"2s" help:"Over how long the clients are sent away when the process stops; 0: at once."`
	Rate           float64       `default:"1000" help:"How many frames a connection may send in a second."`
	Burst          int           `default:"2000" help:"How many of them at once."`
	QueueFrames    int           `default:"1024" help:"How many frames may wait for a client."`
	QueueBytes     int           `default:"1048576" help:"How many bytes may wait for a client."`

	userFlags
	historyFlags
	directoryFlags
}

// userFlags bound what users are called.
type userFlags struct {
	MaxUserID int `name:"max-user-id" default:"50" help:"Longest user id, in characters."`
}

// historyFlags bound what is pulled.
type historyFlags struct {
	PullLimit int `default:"1000" help:"How many messages a client may be behind and still pull them all; others begin at so many before the newest."`
}

// directoryFlags say how long what Postgres tells of users and apps is believed.
type directoryFlags struct {
	DirectoryTTL     time.Duration `name:"directory-ttl" default:"30s" help:"How long users and apps are believed at a login, and at a request to the HTTP API."`
	DirectoryTimeout time.Duration `default:"2s" help:"How long Postgres may take then."`
}

// clientFlags say where clients connect, and how they prove who they are.
type clientFlags struct {
	TCP string `name:"tcp" default:"127.0.0.1:9001" help:"Address for TCP clients; port 0 picks a free one."`
	WS  string `name:"ws" default:"127.0.0.1:19001" help:"Address for WebSocket clients, at /ws; port 0 picks a free one."`

	AdvertiseTCP string `name:"advertise-tcp" placeholder:"HOST[:PORT]" help:"Where TCP clients are told to connect. Without it: the address of --tcp, or the machine's name if that is all of its addresses."`
	AdvertiseWS  string `name:"advertise-ws" placeholder:"HOST[:PORT]" help:"Where WebSocket clients are told to connect. Without it: as for TCP."`
}

// config fills an edge's config, where zero stands for a default.
func (f limitFlags) config(c clientFlags, auth edge.Auth) edge.Config {
	for _, d := range []*time.Duration{&f.DrainWindow, &f.KickGrace, &f.PresenceDelay} {
		if *d == 0 {
			*d = -1
		}
	}
	policy, _ := chat.ParseLoginPolicy(f.LoginPolicy) // one of the flag's
	return edge.Config{
		LoginPolicy:    policy,
		KickGrace:      f.KickGrace,
		PresenceDelay:  f.PresenceDelay,
		TCP:            c.TCP,
		WS:             c.WS,
		Auth:           auth,
		Limits:         wire.Limits{IMEI: f.MaxIMEI, Body: f.MaxBody},
		MaxUserID:      f.MaxUserID,
		MaxMessageID:   f.MaxMessageID,
		LoginTimeout:   f.LoginTimeout,
		Heartbeat:      f.Heartbeat,
		RequestTimeout: f.RequestTimeout,
		WriteTimeout:   f.WriteTimeout,
		DrainWindow:    f.DrainWindow,
		Rate:           f.Rate,
		Burst:          f.Burst,
		QueueFrames:    f.QueueFrames,
		QueueBytes:     f.QueueBytes,
	}
}

// directory remembers apps and users.
func (p *process) directory(ctx context.Context, f directoryFlags) (*directory.Directory, error) {
	d := directory.New(directory.Config{TTL: f.DirectoryTTL, Timeout: f.DirectoryTimeout}, p.store)
	return d, d.Follow(ctx, p.streams)
}

func authOf(s string) edge.Auth {
	if s == "optional" {
		return edge.AuthOptional
	}
	return edge.AuthRequired
}

type edgeCmd struct {
	clientFlags
	Auth string `default:"required" enum:"required,optional" help:"required: a login needs a valid userSign; optional: one without is taken, one that comes is checked."`

	dataFlags
	natsFlags
	databaseFlags
	adminFlags
	limitFlags
	layoutFlags
}

func (edgeCmd) Help() string {
	return `Serves clients, until it is told to stop: then it sends them to the other edges. Any number of processes may do so. An edge waits for NATS
and for the migrated database, and its log says for what.

Examples:

    whaleshark edge
    whaleshark edge --tcp :9001 --ws :19001 --admin 127.0.0.1:9090
    whaleshark edge --tcp 127.0.0.1:0 --ws 127.0.0.1:0 --auth optional`
}

func (c edgeCmd) Run(ctx context.Context, log *slog.Logger) error {
	p, err := openProcess(ctx, log, c.adminFlags)
	if err != nil {
		return err
	}
	defer p.close()
	at := brokerAt{url: func() string { return c.natsFlags.url(c.dataFlags) }}
	database := func() (string, error) { return c.databaseFlags.url(c.dataFlags) }
	if err := p.connect(ctx, at, c.layout(), database); err != nil {
		return err
	}
	cfg := c.config(c.clientFlags, authOf(c.Auth))
	cfg.History = p.history(c.historyFlags)
	d, err := p.directory(ctx, c.directoryFlags)
	if err != nil {
		return err
	}
	return p.serveClients(ctx, cfg, c.clientFlags, d, func(a edge.Addrs) {
		log.InfoContext(ctx, "edge started", "tcp", a.TCP, "ws", a.WS, "admin", p.admin.Addr(), "auth", c.Auth)
	})
}

// history answers what was said, from the database and the log.
func (p *process) history(f historyFlags) *history.History {
	return history.New(history.Config{PullLimit: f.PullLimit}, p.streams, p.store)
}

// serveClients runs an edge until ctx ends. If the others have declared it dead, as they do when the process or the machine was stopped for
// a while, it begins anew: its sessions were given up, and their clients come back. Started is called once clients can log in.
func (p *process) serveClients(
	ctx context.Context, cfg edge.Config, f clientFlags, d edge.Directory, started func(edge.Addrs),
) error {
	metrics := &latest{}
	p.metrics.MustRegister(metrics)
	for {
		reg := prometheus.NewRegistry()
		metrics.registry.Store(reg)
		cfg.Node, cfg.Metrics = streams.NewNode(), reg
		cfg.Log = p.log.With("role", streams.RoleEdge, "node", cfg.Node)
		addrs, err := p.serveClientsOnce(ctx, cfg, f, d, started)
		if !errors.Is(err, streams.ErrDeclaredDead) || ctx.Err() != nil {
			return err
		}
		p.log.WarnContext(ctx, "edge begins anew", "node", cfg.Node, "cause", err)
		cfg.TCP, cfg.WS, started = addrs.TCP, addrs.WS, func(edge.Addrs) {}
	}
}

func (p *process) serveClientsOnce(
	ctx context.Context, cfg edge.Config, f clientFlags, d edge.Directory, started func(edge.Addrs),
) (edge.Addrs, error) {
	addrs := map[string]string{"admin": p.admin.Addr()}
	station := p.streams.NewStation(cfg.Node, addrs)
	e := edge.New(cfg, station, d)
	if err := e.Listen(ctx); err != nil {
		return edge.Addrs{}, takenBy(err, listenFlag(err, cfg))
	}
	if err := f.advertise(addrs, e.Addrs()); err != nil {
		return edge.Addrs{}, err
	}
	p.ready.Need(partEdge, func(context.Context) error {
		if !station.Announced() {
			return errors.New("the others do not know of this edge yet")
		}
		return nil
	})
	return e.Addrs(), p.runEdge(ctx, e, station, started)
}

// advertise adds where clients shall connect.
func (f clientFlags) advertise(addrs map[string]string, listened edge.Addrs) (err error) {
	machine, _ := os.Hostname()
	if addrs["tcp"], err = advertised(f.AdvertiseTCP, listened.TCP, machine); err != nil {
		return fmt.Errorf("--advertise-tcp: %w", err)
	}
	if addrs["ws"], err = advertised(f.AdvertiseWS, listened.WS, machine); err != nil {
		return fmt.Errorf("--advertise-ws: %w", err)
	}
	return nil
}

// runEdge ends the station after the edge, which drops its routes there, and the edge after the station, without which it is deaf.
func (p *process) runEdge(ctx context.Context, e *edge.Edge, station *streams.Station, started func(edge.Addrs)) error {
	stationCtx, stopStation := context.WithCancel(context.WithoutCancel(ctx))
	defer stopStation()
	edgeCtx, stopEdge := context.WithCancel(ctx)
	defer stopEdge()
	context.AfterFunc(edgeCtx, station.Drain)

	var wg sync.WaitGroup
	var dead error
	wg.Go(func() {
		defer stopEdge()
		err := station.Serve(stationCtx, e)
		switch {
		case errors.Is(err, streams.ErrDeclaredDead):
			dead = err
		case err != nil:
			p.log.WarnContext(ctx, "edge did not sign off", "cause", err)
		}
	})
	wg.Go(func() {
		if waits(edgeCtx, station.Announced) {
			p.running(ctx)
			started(e.Addrs())
		}
	})
	err := e.Run(edgeCtx)
	stopEdge()
	stopStation()
	wg.Wait()
	return errors.Join(err, dead)
}

// waits returns true once something is so; false: ctx ended first.
func waits(ctx context.Context, so func() bool) bool {
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for !so() {
		select {
		case <-again.C:
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// listenFlag returns the flag whose address an edge could not listen on.
func listenFlag(err error, cfg edge.Config) string {
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Addr != nil && op.Addr.String() == cfg.WS {
		return "--ws"
	}
	return "--tcp"
}

// latest collects what the present edge of a process counts.
type latest struct {
	registry atomic.Pointer[prometheus.Registry]
}

// Describe implements prometheus.Collector; what there is only the present registry knows.
func (*latest) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (l *latest) Collect(ch chan<- prometheus.Metric) { l.registry.Load().Collect(ch) }
