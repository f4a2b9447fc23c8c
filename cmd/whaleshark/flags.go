package main

import (
	"fmt"
	"path/filepath"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/postgres"
	"github.com/whaleshark-im/whaleshark/streams"
)

// Groups of flags that several commands share.

// dataFlags name the data folder. What runs there tells where its servers are.
type dataFlags struct {
	Data string `default:".data" type:"path" help:"Data folder."`
}

// natsFlags say which NATS server to use.
type natsFlags struct {
	NATS string `name:"nats" placeholder:"URL" help:"NATS server. Without it: that of what runs on the data folder, or else nats://127.0.0.1:4222."`
}

// url is asked for again with each attempt to connect: what runs on the folder may start later.
func (f natsFlags) url(d dataFlags) string {
	if f.NATS != "" {
		return f.NATS
	}
	if r, ok := whoRuns(d.Data); ok && r.NATS != "" {
		return r.NATS
	}
	return nats.DefaultURL
}

// databaseFlags say which database to use.
type databaseFlags struct {
	Database string `placeholder:"URL" help:"Postgres database. Without it: that of what runs on the data folder, or else the folder's private instance."`
}

func (f databaseFlags) url(d dataFlags) (string, error) {
	if f.Database != "" {
		return f.Database, nil
	}
	if r, ok := whoRuns(d.Data); ok && r.Database != "" {
		return r.Database, nil
	}
	url, err := postgres.URL(postgresFolder(d.Data))
	if err != nil {
		return "", fmt.Errorf("no --database is given, and the data folder has no private one: %w", err)
	}
	return url, nil
}

func postgresFolder(data string) string { return filepath.Join(data, "postgres") }
func natsFolder(data string) string     { return filepath.Join(data, "nats") }

// adminFlags say where the admin server listens.
type adminFlags struct {
	Admin string `default:"127.0.0.1:0" help:"Address of /healthz, /readyz, /metrics and /debug/pprof; port 0 picks a free one."`
}

// layoutFlags say what the streams are like. They count when the streams are created; those that are there stay as they are.
type layoutFlags struct {
	Partitions   int   `placeholder:"N" help:"Partitions of the log; fixed when the log is created. Workers share them, so of a role no more can be at work. Without it: 1 for dev with a NATS server of its own, 32 with several replicas, and otherwise 4."`
	Replicas     int   `default:"1" help:"How many NATS servers keep each stream."`
	IngressBytes int64 `default:"268435456" help:"How many bytes may wait to be sequenced; beyond it requests are refused."`
	PushBytes    int64 `default:"268435456" help:"How many bytes may wait to be delivered."`
	LogBytes     int64 `default:"0" help:"How many bytes the log may hold; 0: as many as NATS lets it."`
}

func (f layoutFlags) layout() streams.Layout {
	return streams.Layout{
		Partitions:   f.Partitions,
		Replicas:     f.Replicas,
		IngressBytes: f.IngressBytes,
		PushBytes:    f.PushBytes,
		LogBytes:     f.LogBytes,
	}
}

// sequenceFlags tune the sequencer.
type sequenceFlags struct {
	IDWindow       time.Duration `name:"id-window" default:"5m" help:"How long message ids are remembered at least; older ones are looked up."`
	FactTTL        time.Duration `name:"fact-ttl" default:"10s" help:"How long users, relations and apps are believed before they are looked up again."`
	LookUpPatience time.Duration `default:"1s" help:"How long a look-up in Postgres may take."`
	RecallWindow   time.Duration `default:"2m" help:"How long its sender may recall a message."`
}

// fanoutFlags tune the fan-out.
type fanoutFlags struct {
	BroadcastLimit int `default:"500" help:"In groups with more members read receipts and member events go to those concerned alone."`
	NotifyLimit    int `default:"10000" help:"In groups with more members messages become word that there is something new, which is to be pulled."`
}

// hookFlags tune the webhooks.
type hookFlags struct {
	HookPrivate bool `default:"${hook_private=false}" negatable:"" help:"Webhooks may be at addresses that are not of the internet; dev lets them, unless it is told --no-hook-private."`
}

// appFlags name a tenant.
type appFlags struct {
	App chat.AppID `default:"10001" help:"App id."`
}
