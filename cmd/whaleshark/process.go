package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"

	"github.com/whaleshark-im/whaleshark/cmd/whaleshark/admin"
	"github.com/whaleshark-im/whaleshark/sql/store"
	"github.com/whaleshark-im/whaleshark/streams"
	"github.com/whaleshark-im/whaleshark/streams/broker"
)

// The parts of a process that /readyz speaks of.
const (
	partProcess  = "process"
	partNATS     = "nats"
	partDatabase = "database"
	partEdge     = "edge"
	partAPI      = "api"
)

const retryEvery = 250 * time.Millisecond

// process is what the roles of one process share.
type process struct {
	log     *slog.Logger
	ready   *admin.Readiness
	metrics *prometheus.Registry
	admin   *admin.Server

	streams *streams.Conn // set by connect
	store   *store.Store  // set by connect

	serving sync.WaitGroup
	stop    context.CancelFunc // ends the admin server
}

// openProcess starts with the admin server, so that it can be seen what a process waits for. It answers until close.
func openProcess(ctx context.Context, log *slog.Logger, f adminFlags) (*process, error) {
	p := &process{log: log, ready: &admin.Readiness{}, metrics: prometheus.NewRegistry()}
	p.metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	p.ready.Set(partProcess, errors.New("starting"))
	context.AfterFunc(ctx, func() { p.ready.Set(partProcess, errors.New("stopping")) })

	var err error
	if p.admin, err = admin.Listen(ctx, f.Admin, p.ready, p.metrics); err != nil {
		return nil, fmt.Errorf("listen for an operator: %w", takenBy(err, "--admin"))
	}
	log.InfoContext(ctx, "admin server listens", "address", p.admin.Addr())
	ctx, p.stop = context.WithCancel(context.WithoutCancel(ctx))
	p.serving.Go(func() {
		if err := p.admin.Run(ctx); err != nil {
			log.ErrorContext(ctx, "admin server ended", "cause", err)
		}
	})
	return p, nil
}

// close gives up what connect has opened, and ends the admin server last.
func (p *process) close() {
	if p.streams != nil {
		p.streams.Close()
	}
	if p.store != nil {
		p.store.Close()
	}
	p.stop()
	p.serving.Wait()
}

// running says that the process does its work.
func (p *process) running(ctx context.Context) {
	if ctx.Err() == nil {
		p.ready.Set(partProcess, nil)
	}
}

// takenBy adds the flag that says otherwise to an error about an address.
func takenBy(err error, flag string) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%w; %s takes another address, and port 0 is always free", err, flag)
	}
	return err
}

// brokerAt is how to reach the broker: through the URL, or within the process.
type brokerAt struct {
	url       func() string
	inProcess nats.InProcessConnProvider
}

// connect waits for the broker and for the migrated database.
func (p *process) connect(ctx context.Context, at brokerAt, layout streams.Layout, database func() (string, error)) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return p.connectDatabase(ctx, database) })
	g.Go(func() error { return p.connectBroker(ctx, at, layout) })
	return g.Wait()
}

func (p *process) connectBroker(ctx context.Context, at brokerAt, layout streams.Layout) error {
	err := p.await(ctx, partNATS, func(ctx context.Context) error {
		if err := inspect(ctx, at); err != nil {
			return err
		}
		var err error
		p.streams, err = streams.Connect(ctx, streams.Config{
			URL: at.url(), InProcess: at.inProcess, Name: "whaleshark", Layout: layout, Log: p.log,
		})
		return err
	})
	if err != nil {
		return err
	}
	p.ready.Need(partNATS, func(ctx context.Context) error {
		if !p.streams.Connected() {
			return errors.New("not connected")
		}
		return broker.Health(ctx, p.streams.NATS())
	})
	p.ready.Doubt(partNATS, p.doubtBroker)
	if err := p.doubtBroker(ctx); err != nil {
		p.log.WarnContext(ctx, "acks prove less", "cause", err)
	}
	return nil
}

// inspect refuses a broker that is too old, before anything is created there.
func inspect(ctx context.Context, at brokerAt) error {
	opts := []nats.Option{nats.Name("whaleshark, looking")}
	if at.inProcess != nil {
		opts = append(opts, nats.InProcessServer(at.inProcess))
	}
	url := at.url()
	nc, err := nats.Connect(url, opts...)
	if err != nil {
		return fmt.Errorf("connect to %s: %w", url, err)
	}
	defer nc.Close()
	sight, err := broker.Look(ctx, nc)
	if err != nil {
		return err
	}
	if err := sight.Err(); err != nil {
		return hopeless{err}
	}
	return nil
}

// doubtBroker returns why acknowledgements prove less on this broker than they should.
func (p *process) doubtBroker(ctx context.Context) error {
	sight, err := broker.Look(ctx, p.streams.NATS())
	if err != nil {
		return nil //nolint:nilerr // a broker that is away is no doubt, but a reason
	}
	if warning := sight.Warning(); warning != "" {
		return errors.New(warning)
	}
	return nil
}

func (p *process) connectDatabase(ctx context.Context, database func() (string, error)) error {
	err := p.await(ctx, partDatabase, func(ctx context.Context) error {
		if p.store == nil {
			url, err := database()
			if err != nil {
				return err
			}
			// 8 that an edge may hold for questions about history, and 8 for everything else.
			if p.store, err = store.Open(ctx, url, store.Options{MaxConns: 16}); err != nil {
				return hopeless{err}
			}
		}
		return p.store.Ready(ctx)
	})
	if err != nil {
		return err
	}
	// From now on conversations of known users go on without it, for a while.
	p.ready.Doubt(partDatabase, p.store.Ready)
	return nil
}

// hopeless is an error that trying again does not mend.
type hopeless struct{ error }

func (h hopeless) Unwrap() error { return h.error }

// await tries until it works, or never will. Meanwhile /readyz and the log say what is waited for, the log once for each cause.
func (p *process) await(ctx context.Context, part string, try func(context.Context) error) error {
	again := time.NewTicker(retryEvery)
	defer again.Stop()
	for said := ""; ; {
		err := try(ctx)
		if h, ok := errors.AsType[hopeless](err); ok {
			return h.error
		}
		if err == nil {
			p.ready.Set(part, nil)
			return nil
		}
		p.ready.Set(part, fmt.Errorf("waiting: %w", err))
		if ctx.Err() == nil && err.Error() != said {
			said = err.Error()
			p.log.InfoContext(ctx, "waiting", "part", part, "cause", err)
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
