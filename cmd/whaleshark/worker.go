package main

import (
	"context"
	"log/slog"
	"slices"
	"sync"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/directory"
	"github.com/whaleshark-im/whaleshark/streams"
	"github.com/whaleshark-im/whaleshark/workers/fanout"
	"github.com/whaleshark-im/whaleshark/workers/persist"
	"github.com/whaleshark-im/whaleshark/workers/sequence"
	"github.com/whaleshark-im/whaleshark/workers/webhook"
)

type workerCmd struct {
	Roles []streams.Role `arg:"" name:"role" enum:"sequence,fanout,persist,webhook" help:"What the process does: sequence, fanout, persist, webhook, or several of them."`

	dataFlags
	natsFlags
	databaseFlags
	adminFlags
	layoutFlags
	sequenceFlags
	fanoutFlags
	hookFlags
}

func (workerCmd) Help() string {
	return `Runs workers, until it is told to stop. Any number of processes may run each role: they share the partitions among themselves, and
take over those of one that dies. A worker waits for NATS and for the migrated database, and its log says for what.

Examples:

    whaleshark worker sequence
    whaleshark worker fanout persist --admin 127.0.0.1:9191
    whaleshark worker webhook
    WHALESHARK_NATS=nats://10.0.0.5 WHALESHARK_DATABASE=postgres://im@10.0.0.6/im whaleshark worker sequence`
}

func (c workerCmd) Run(ctx context.Context, log *slog.Logger) error {
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
	p.running(ctx)
	node := streams.NewNode()
	log.InfoContext(ctx, "worker started", "roles", c.Roles, "node", node, "admin", p.admin.Addr())
	p.work(ctx, node, c.Roles, roleFlags{c.sequenceFlags, c.fanoutFlags, c.hookFlags})
	return nil
}

// roleFlags tune the roles.
type roleFlags struct {
	sequenceFlags
	fanoutFlags
	hookFlags
}

// work runs roles until ctx ends.
func (p *process) work(ctx context.Context, node chat.NodeID, roles []streams.Role, f roleFlags) {
	var wg sync.WaitGroup
	for _, role := range slices.Compact(slices.Sorted(slices.Values(roles))) {
		wg.Go(func() { p.workAs(ctx, node, role, f) })
	}
	wg.Wait()
}

func (p *process) workAs(ctx context.Context, node chat.NodeID, role streams.Role, f roleFlags) {
	log := p.log.With("role", role, "node", node)
	addrs := map[string]string{"admin": p.admin.Addr()}
	switch role {
	case streams.RoleSequence:
		sequence.Run(ctx, sequence.Config{
			Node: node, Addrs: addrs, Conn: p.streams, Database: p.store, Log: log, Metrics: sequence.NewMetrics(p.metrics),
			IDWindow: f.IDWindow, FactTTL: f.FactTTL, LookUpPatience: f.LookUpPatience, RecallWindow: f.RecallWindow,
			Outbox: p.store, Events: p.store,
		})
	case streams.RoleFanout:
		fanout.Run(ctx, fanout.Config{
			Node: node, Addrs: addrs, Conn: p.streams, Database: p.store, Log: log, Metrics: fanout.NewMetrics(p.metrics),
			BroadcastLimit: f.BroadcastLimit, NotifyLimit: f.NotifyLimit,
		})
	case streams.RolePersist:
		persist.Run(ctx, persist.Config{
			Node: node, Addrs: addrs, Conn: p.streams, Store: p.store, Log: log, Metrics: persist.NewMetrics(p.metrics),
		})
	case streams.RoleWebhook:
		p.callWebhooks(ctx, webhook.Config{
			Node: node, Addrs: addrs, Conn: p.streams, Store: p.store, Log: log, Metrics: webhook.NewMetrics(p.metrics),
			AllowPrivate: f.HookPrivate,
		})
	default:
		panic("whaleshark: no worker for role " + role)
	}
}

// callWebhooks is the worker that knows the apps by a directory, which events keep up to date.
func (p *process) callWebhooks(ctx context.Context, cfg webhook.Config) {
	cfg.Directory = directory.New(directory.Config{}, p.store)
	if err := cfg.Directory.Follow(ctx, p.streams); err != nil {
		cfg.Log.WarnContext(ctx, "changed apps are noticed later", "cause", err)
	}
	webhook.Run(ctx, cfg)
}
