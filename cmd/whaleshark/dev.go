package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/whaleshark-im/whaleshark/edge"
	"github.com/whaleshark-im/whaleshark/sql/postgres"
	"github.com/whaleshark-im/whaleshark/streams"
	"github.com/whaleshark-im/whaleshark/streams/broker"
)

type devCmd struct {
	clientFlags
	Auth  string `default:"optional" enum:"optional,required" help:"optional: a login or a request without a userSign is taken, one that comes is checked; required: each needs a valid one."`
	Admin string `default:"127.0.0.1:9090" help:"Address of /healthz, /readyz, /metrics and /debug/pprof; port 0 picks a free one."`

	HTTP      []string `name:"http" default:"127.0.0.1:8000,127.0.0.1:8001" help:"Address of the HTTP API; may be given several times; port 0 picks a free one."`
	CORS      []string `name:"cors" default:"*" placeholder:"ORIGIN" help:"Origin of pages that may ask the HTTP API; * is all; may be given several times."`
	AccessLog bool     `negatable:"" help:"Log each request to the HTTP API."`
	httpFlags

	dataFlags
	NATS     string `name:"nats" placeholder:"URL" help:"NATS server to use instead of one in this process."`
	Database string `placeholder:"URL" help:"Postgres database to use instead of a private one."`

	limitFlags
	layoutFlags
	sequenceFlags
	fanoutFlags
	hookFlags
}

func (devCmd) Help() string {
	return `Runs everything in one process: NATS, a private Postgres with demo data, and every role. All it keeps is in the data folder; a start
finds it again. The first Ctrl-C stops in order, a second one at once.

Examples:

    whaleshark dev
    whaleshark dev --data /tmp/ws --tcp 127.0.0.1:0 --ws 127.0.0.1:0 --http 127.0.0.1:0 --admin 127.0.0.1:0
    WHALESHARK_DATABASE=postgres://localhost/im whaleshark dev --auth required`
}

func (c devCmd) Run(ctx context.Context, log *slog.Logger, out io.Writer) error {
	d := &dev{cfg: c, log: log, out: out, started: time.Now()}
	defer d.close(ctx)
	if err := d.start(ctx); err != nil {
		return err
	}
	return d.serve(ctx)
}

// dev is everything in one process, in the order in which it starts; it stops the other way round.
type dev struct {
	cfg     devCmd
	log     *slog.Logger
	out     io.Writer
	started time.Time

	folders  []*folder
	process  *process
	broker   *broker.Broker     // nil: an external one
	postgres *postgres.Instance // nil: an external one
	database string             // URL
}

func (d *dev) start(ctx context.Context) error {
	if err := d.takeFolders(); err != nil {
		return err
	}
	var err error
	if d.process, err = openProcess(ctx, d.log, adminFlags{d.cfg.Admin}); err != nil {
		return err
	}
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return d.startBroker() })
	g.Go(func() error { return d.startDatabase(gctx) })
	if err := g.Wait(); err != nil {
		return err
	}
	return d.connect(ctx)
}

// takeFolders takes the data folder, and within it that of NATS, which `whaleshark nats` may have taken alone.
func (d *dev) takeFolders() error {
	dirs := []string{d.cfg.Data}
	if d.cfg.NATS == "" {
		dirs = append(dirs, natsFolder(d.cfg.Data))
	}
	for _, dir := range dirs {
		own, err := takeFolder(dir)
		if err != nil {
			return err
		}
		d.folders = append(d.folders, own)
	}
	return nil
}

func (d *dev) startBroker() (err error) {
	if d.cfg.NATS != "" {
		return nil
	}
	d.broker, err = broker.Start(broker.Config{Dir: natsFolder(d.cfg.Data), Listen: "127.0.0.1:0", Log: d.log})
	return err
}

func (d *dev) startDatabase(ctx context.Context) (err error) {
	if d.database = d.cfg.Database; d.database == "" {
		if d.postgres, err = startPostgres(ctx, d.log, d.cfg.Data); err != nil {
			return err
		}
		d.database = d.postgres.URL()
	}
	return migrateAndSeed(ctx, d.log, d.database)
}

func (d *dev) connect(ctx context.Context) error {
	at, layout := brokerAt{url: func() string { return d.cfg.NATS }}, d.cfg.layout()
	if d.broker != nil {
		at = brokerAt{url: d.broker.URL, inProcess: d.broker.Server()}
		layout.Partitions = cmp.Or(layout.Partitions, 1) // one process has nobody to share them with, and full blocks cost less
	}
	return d.process.connect(ctx, at, layout, func() (string, error) { return d.database, nil })
}

// serve runs the roles until it is told to stop, or something that they stand on ends. The edge and the HTTP API go first, and their clients
// with them; the workers finish what those took.
func (d *dev) serve(told context.Context) error {
	ctx, fail := context.WithCancelCause(told)
	defer fail(nil)
	workersCtx, stopWorkers := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWorkers()

	var watchers, workers sync.WaitGroup
	watchers.Go(func() { fail(d.watch(ctx)) })
	roles := []streams.Role{streams.RoleSequence, streams.RoleFanout, streams.RolePersist, streams.RoleWebhook}
	tuned := roleFlags{d.cfg.sequenceFlags, d.cfg.fanoutFlags, d.cfg.hookFlags}
	workers.Go(func() { d.process.work(workersCtx, streams.NewNode(), roles, tuned) })

	err := d.serveClients(ctx)
	if err == nil && told.Err() == nil {
		err = context.Cause(ctx)
	}
	fail(nil)
	stopWorkers()
	workers.Wait()
	watchers.Wait()
	return err
}

// serveClients runs the edge and the HTTP API.
func (d *dev) serveClients(ctx context.Context) error {
	directory, err := d.process.directory(ctx, d.cfg.directoryFlags)
	if err != nil {
		return err
	}
	history := d.process.history(d.cfg.historyFlags)
	requests := d.cfg.apiConfig(d.cfg.HTTP, d.cfg.CORS, d.cfg.Auth, d.cfg.AccessLog)
	requests.MaxUserID = d.cfg.MaxUserID
	a, err := d.process.listenHTTP(ctx, requests, directory, history)
	if err != nil {
		return err
	}
	cfg := d.cfg.config(d.cfg.clientFlags, authOf(d.cfg.Auth))
	cfg.History = history
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return a.Run(ctx) })
	g.Go(func() error {
		return d.process.serveClients(ctx, cfg, d.cfg.clientFlags, directory, func(e edge.Addrs) {
			if waits(ctx, func() bool { return a.Ready(ctx) == nil }) {
				d.announce(e, a.Addrs())
			}
		})
	})
	return g.Wait()
}

// watch returns when NATS or Postgres has ended, or ctx.
func (d *dev) watch(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	if d.broker != nil {
		g.Go(func() error { return d.broker.Wait(ctx) })
	}
	if d.postgres != nil {
		g.Go(func() error {
			select {
			case <-ctx.Done():
				return nil
			case <-d.postgres.Done():
				return errors.Join(errors.New("the private Postgres has ended"), d.postgres.Err())
			}
		})
	}
	<-ctx.Done()
	return g.Wait()
}

// close stops what was started, last first.
func (d *dev) close(ctx context.Context) {
	if d.process != nil {
		d.process.close()
	}
	if d.broker != nil {
		d.broker.Close()
	}
	if d.postgres != nil {
		stopPostgres(ctx, d.log, d.postgres)
	}
	for _, own := range d.folders {
		own.release()
	}
}

// announce says where to connect: to other processes in the data folder, and to people.
func (d *dev) announce(e edge.Addrs, http []string) {
	r := running{NATS: d.cfg.NATS, Database: d.database, TCP: e.TCP, WS: e.WS, HTTP: http[0], Admin: d.process.admin.Addr()}
	if d.broker != nil {
		r.NATS = d.broker.URL()
	}
	if err := d.folders[0].announce(r); err != nil {
		d.log.Warn("what runs here is not announced", "cause", err)
	}
	api := "http://" + strings.Join(http, ", http://")
	fmt.Fprintf(d.out, devReady, time.Since(d.started).Seconds(), r.TCP, r.WS, api, r.HTTP, r.Admin, r.NATS, r.Database, d.firstMessage(r.TCP))
}

const devReady = `
WhaleShark is ready, after %.1f s.

  TCP         %s
  WebSocket   ws://%s/ws
  HTTP API    %s
  its docs    http://%s/docs
  admin       http://%s/readyz
  NATS        %s
  Postgres    %s

A first message, from two other terminals:

%s
Ctrl-C stops it.

`

// firstMessage is how to hear and to send a message through this process.
func (d *dev) firstMessage(tcp string) string {
	as := func(command, user string) string {
		words := []string{" ", os.Args[0], command, "--as", user}
		if d.cfg.Auth == "required" {
			words = append(words, "--sign", fmt.Sprintf("$(%s sign --data %s %s)", os.Args[0], d.cfg.Data, user))
		}
		if tcp != defaultTCP {
			words = append(words, "--server", "tcp://"+tcp)
		}
		return strings.Join(words, " ")
	}
	return as("listen", "bob") + "\n" + as("send", "alice") + " bob 'hello'\n"
}
