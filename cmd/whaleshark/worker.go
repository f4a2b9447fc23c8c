package main

import (
	"context"
	"log/slog"
	"slices"
	"sync"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/streams"
	"github.com/whaleshark-im/whaleshark/workers/fanout"
	"github.com/whaleshark-im/whaleshark/workers/persist"
	"github.com/whaleshark-im/whaleshark/workers/sequence"
)

type workerCmd struct {
	Roles []streams.Role `arg:"" name:"role" enum:"sequence,fanout,persist" help:"What the process does: sequence, fanout, persist, or several of them."`

	dataFlags
	natsFlags
	databaseFlags
	adminFlags
	layoutFlags
	sequenceFlags
	fanoutFlags
}

func (workerCmd) Help() string {
	return `Runs workers, until it is told to stop. Any number of processes may run each role: they share the partitions among themselves, and
take over those of one that dies. A worker waits for NATS and for the migrated database, and its log says for what.

Examples:

    whaleshark worker sequence
    whaleshark worker fanout persist --admin 127.0.0.1:9191
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
	p.work(ctx, node, c.Roles, c.sequenceFlags, c.fanoutFlags)
	return nil
}

// work runs roles until ctx ends.
func (p *process) work(ctx context.Context, node chat.NodeID, roles []streams.Role, s sequenceFlags, f fanoutFlags) {
	var wg sync.WaitGroup
	for _, role := range slices.Compact(slices.Sorted(slices.Values(roles))) {
		wg.Go(func() { p.workAs(ctx, node, role, s, f) })
	}
	wg.Wait()
}

func (p *process) workAs(ctx context.Context, node chat.NodeID, role streams.Role, s sequenceFlags, f fanoutFlags) {
	log := p.log.With("role", role, "node", node)
	addrs := map[string]string{"admin": p.admin.Addr()}
	switch role {
	case streams.RoleSequence:
		sequence.Run(ctx, sequence.Config{
			Node: node, Addrs: addrs, Conn: p.streams, Database: p.store, Log: log, Metrics: sequence.NewMetrics(p.metrics),
			IDWindow: s.IDWindow, FactTTL: s.FactTTL, LookUpPatience: s.LookUpPatience, RecallWindow: s.RecallWindow,
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
	default:
		panic("whaleshark: no worker for role " + role)
	}
}
