package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/pprof"
	"strings"
	"time"

	"github.com/whaleshark-im/whaleshark/bench"
	"github.com/whaleshark-im/whaleshark/streams"
)

type benchCmd struct {
	P2P   benchP2PCmd   `cmd:"" name:"p2p" help:"Let pairs talk."`
	Group benchGroupCmd `cmd:"" help:"Let a group talk."`
	Idle  benchIdleCmd  `cmd:"" help:"Hold connections that do nothing."`
	Login benchLoginCmd `cmd:"" help:"Let many devices log in at once."`
	Sync  benchSyncCmd  `cmd:"" help:"Ask which conversations have changed."`
	Raw   benchRawCmd   `cmd:"" help:"Measure what the broker does alone."`
}

// benchFlags say what is measured, and where the result goes.
type benchFlags struct {
	Self       bool     `env:"WHALESHARK_BENCH_SELF" help:"Start a server for it, on a folder of its own that is removed at the end."`
	SelfIn     string   `env:"WHALESHARK_BENCH_SELF_IN" type:"path" placeholder:"DIR" help:"Where that folder is made; its disk is what is measured. Without it: where temporary files go."`
	SelfFlag   []string `env:"WHALESHARK_BENCH_SELF_FLAG" placeholder:"FLAG" help:"A flag for that server's whaleshark dev, such as --self-flag=--partitions=16."`
	Server     string   `placeholder:"URL" help:"An edge: tcp://host:port or ws://host:port/ws. Without it: all that are there."`
	Transport  string   `env:"WHALESHARK_BENCH_TRANSPORT" default:"tcp" enum:"tcp,ws" help:"How clients connect, if --server does not say: ${enum}."`
	Signed     bool     `env:"WHALESHARK_BENCH_SIGNED" help:"Log in with userSigns, signed with the app's key in the database."`
	JSON       bool     `name:"json" help:"Print a JSON object instead of a table."`
	OwnProfile string   `env:"WHALESHARK_BENCH_OWN_PROFILE" type:"path" placeholder:"FILE" help:"Also write a CPU profile of the bench itself."`
	Chart      string   `env:"WHALESHARK_BENCH_CHART" type:"path" placeholder:"FILE" help:"Also write a chart of the run over time, as an HTML page."`
	appFlags
	dataFlags
	natsFlags
	databaseFlags
}

// paceFlags say how much is said, and for how long.
type paceFlags struct {
	Window   int           `env:"WHALESHARK_BENCH_WINDOW" default:"1" help:"How many messages a sender has in flight."`
	Rate     float64       `env:"WHALESHARK_BENCH_RATE" placeholder:"N" help:"Messages a second of all senders, whether acks come or not; latencies begin when a message was due. Without it: as --window lets them."`
	Payload  int           `env:"WHALESHARK_BENCH_PAYLOAD" default:"200" help:"Bytes of a message's body."`
	Duration time.Duration `env:"WHALESHARK_BENCH_DURATION" default:"20s" help:"How long is measured."`
	WarmUp   time.Duration `env:"WHALESHARK_BENCH_WARM_UP" default:"2s" help:"How long before that nothing counts."`
	Patience time.Duration `env:"WHALESHARK_BENCH_PATIENCE" default:"35s" help:"How long nothing may come at the end before what is missing counts as lost; longer than a server's --request-timeout."`
	Messages int64         `env:"WHALESHARK_BENCH_MESSAGES" placeholder:"N" help:"End when so many were said, and count all of them."`
	NoRows   bool          `env:"WHALESHARK_BENCH_NO_ROWS" help:"Do not look for the rows in Postgres, where no persist worker is to write them; the verdict says nothing of them then."`
	Profile  string        `env:"WHALESHARK_BENCH_PROFILE" type:"path" placeholder:"FILE" help:"Also write a CPU profile of the server while it is measured; of its first process, if there are several."`
}

func (f paceFlags) pace() bench.Pace {
	return bench.Pace{
		Window: f.Window, Rate: f.Rate, Payload: f.Payload, Duration: f.Duration, WarmUp: f.WarmUp, Patience: f.Patience, Messages: f.Messages,
		NoRows: f.NoRows, Profile: f.Profile,
	}
}

// work is one of the things that are measured.
type work interface {
	Run(ctx context.Context, t *bench.Target) (*bench.Report, error)
}

const benchHelp = `
The server is what runs on the data folder, or what --server, --nats and --database name, or with --self one of its own. Users u1, u2 and so on of the
app are added where they are missing. A server lets a connection send so many frames a second as its --rate says, 1,000 if nobody says otherwise;
the one of --self has no such limit.

It exits with 1 if a promise was not kept: that is worth more than any figure. CPU and memory are those of all of the server's processes on
this machine, NATS and Postgres included; on anything but Linux they are left out.

Examples:

    `

type benchP2PCmd struct {
	Pairs  int  `env:"WHALESHARK_BENCH_PAIRS" default:"200" help:"How many pairs talk; sender and receiver are both connected."`
	Cross  bool `env:"WHALESHARK_BENCH_CROSS" xor:"walk" help:"Each sender says his messages to all receivers in turn, so that there are as many conversations as pairs squared."`
	Random int  `env:"WHALESHARK_BENCH_RANDOM" xor:"walk" placeholder:"N" help:"Each sender says each message to one of the first N receivers, drawn by lot, so that there are N conversations for each pair."`
	Raw    bool `env:"WHALESHARK_BENCH_RAW" help:"Measure before what the broker does alone, and tell the ratios."`
	paceFlags
	benchFlags
}

func (benchP2PCmd) Help() string {
	return `Lets users talk in pairs. Each acknowledged message must be delivered exactly once, in order, and be a row in Postgres; receivers
acknowledge what they get.
` + benchHelp + `whaleshark bench p2p --self --pairs 200 --window 32
    whaleshark bench p2p --self --pairs 10 --raw --chart p2p.html
    whaleshark bench p2p --self --pairs 100 --cross --messages 10000
    whaleshark bench p2p --self --pairs 1000 --random 1000 --duration 60s
    whaleshark bench p2p --rate 500 --pairs 50 --transport ws --json`
}

func (c benchP2PCmd) Run(ctx context.Context, log *slog.Logger, out io.Writer, errs *stderr) error {
	return c.run(ctx, log, out, errs, bench.P2P{Pairs: c.Pairs, Cross: c.Cross, Random: c.Random, Raw: c.Raw, Pace: c.pace()})
}

type benchGroupCmd struct {
	Members int `env:"WHALESHARK_BENCH_MEMBERS" default:"200" help:"How many members the group has; all of them are connected."`
	Senders int `env:"WHALESHARK_BENCH_SENDERS" default:"1" help:"How many of them speak."`
	paceFlags
	benchFlags
}

func (benchGroupCmd) Help() string {
	return `Lets members of one group talk to all others. Each acknowledged message must be delivered to each of them exactly once, in order, and be a
row in Postgres.
` + benchHelp + `whaleshark bench group --self --members 200 --window 8
    whaleshark bench group --members 500 --senders 10 --rate 100`
}

func (c benchGroupCmd) Run(ctx context.Context, log *slog.Logger, out io.Writer, errs *stderr) error {
	return c.run(ctx, log, out, errs, bench.Group{Members: c.Members, Senders: min(c.Senders, c.Members), Pace: c.pace()})
}

type benchIdleCmd struct {
	Connections int           `env:"WHALESHARK_BENCH_CONNECTIONS" default:"10000" help:"How many."`
	Pings       time.Duration `env:"WHALESHARK_BENCH_PINGS" default:"5s" help:"Over how long each of them pings once, at the end; 0: they do not."`
	benchFlags
}

func (benchIdleCmd) Help() string {
	return `Logs devices in that do nothing then, and tells what each costs: the memory of all of the server's processes at rest, before and after.
` + benchHelp + `whaleshark bench idle --self --connections 10000
    whaleshark bench idle --self --transport ws --json`
}

func (c benchIdleCmd) Run(ctx context.Context, log *slog.Logger, out io.Writer, errs *stderr) error {
	return c.run(ctx, log, out, errs, bench.Idle{Connections: c.Connections, Pings: c.Pings})
}

type benchLoginCmd struct {
	Devices  int `env:"WHALESHARK_BENCH_DEVICES" default:"10000" help:"How many devices log in, each of a user of its own."`
	Parallel int `env:"WHALESHARK_BENCH_PARALLEL" default:"200" help:"How many logins are under way at a time."`
	benchFlags
}

func (benchLoginCmd) Help() string {
	return `Lets devices log in as fast as they can. A login that fails fails the run.
` + benchHelp + `whaleshark bench login --self --devices 10000 --parallel 200
    whaleshark bench login --signed`
}

func (c benchLoginCmd) Run(ctx context.Context, log *slog.Logger, out io.Writer, errs *stderr) error {
	return c.run(ctx, log, out, errs, bench.Login{Devices: c.Devices, Parallel: c.Parallel})
}

type benchSyncCmd struct {
	Conversations int `env:"WHALESHARK_BENCH_CONVERSATIONS" default:"1000" help:"How many conversations the user has."`
	History       int `env:"WHALESHARK_BENCH_HISTORY" placeholder:"N" help:"How many messages they hold before, said by turns and read; what earlier runs have said counts."`
	Changed       int `env:"WHALESHARK_BENCH_CHANGED" default:"50" help:"How many of them have changed since his cursor."`
	Requests      int `env:"WHALESHARK_BENCH_REQUESTS" default:"1000" help:"How often he asks."`
	Parallel      int `env:"WHALESHARK_BENCH_PARALLEL" default:"1" help:"On so many connections at a time."`
	Payload       int `env:"WHALESHARK_BENCH_PAYLOAD" default:"200" help:"Bytes of a message's body."`
	benchFlags
}

func (benchSyncCmd) Help() string {
	return `Lets a user ask which of his conversations have changed, again and again. Each answer must tell what has changed and nothing else.
` + benchHelp + `whaleshark bench sync --self --conversations 1000 --changed 50
    whaleshark bench sync --self --history 100000
    whaleshark bench sync --self --conversations 5000 --changed 1 --requests 500 --parallel 4`
}

func (c benchSyncCmd) Run(ctx context.Context, log *slog.Logger, out io.Writer, errs *stderr) error {
	return c.run(ctx, log, out, errs, bench.Sync{
		Conversations: c.Conversations, History: c.History, Changed: c.Changed, Requests: c.Requests, Parallel: c.Parallel, Payload: c.Payload,
	})
}

type benchRawCmd struct {
	Payload  int           `env:"WHALESHARK_BENCH_PAYLOAD" default:"200" help:"Bytes of a message, and of a key's value."`
	InFlight int           `env:"WHALESHARK_BENCH_IN_FLIGHT" default:"1024" help:"How many publishes may be without an ack."`
	Writers  int           `env:"WHALESHARK_BENCH_WRITERS" default:"10" help:"How many writers update keys, each with one update in flight."`
	Keys     int           `env:"WHALESHARK_BENCH_KEYS" default:"10" help:"How many keys they share."`
	Duration time.Duration `env:"WHALESHARK_BENCH_DURATION" default:"5s" help:"How long each of the two parts is measured."`
	benchFlags
}

func (benchRawCmd) Help() string {
	return `Measures what the broker does with nothing around it: publishes into a stream in memory and an ordered consumer of them, as the ingress
does; and updates of keys of a bucket on disk, as the log does. Nothing of this kind on that broker is faster.
` + benchHelp + `whaleshark bench raw --self
    whaleshark bench raw --nats nats://10.0.0.5 --writers 10 --keys 4 --payload 1000`
}

func (c benchRawCmd) Run(ctx context.Context, log *slog.Logger, out io.Writer, errs *stderr) error {
	return c.run(ctx, log, out, errs, bench.Raw{
		Payload: c.Payload, InFlight: c.InFlight, Writers: c.Writers, Keys: c.Keys, Duration: c.Duration,
	})
}

var errPromise = errors.New("a promise was not kept")

// run measures a work, and shows what came out.
func (f benchFlags) run(ctx context.Context, log *slog.Logger, out io.Writer, errs *stderr, w work) error {
	ctx, stop := outlive(ctx)
	defer stop()
	err := f.measure(ctx, log, out, errs, w)
	if ctx.Err() != nil {
		return errors.New("it was stopped before there was a result")
	}
	return err
}

func (f benchFlags) measure(ctx context.Context, log *slog.Logger, out io.Writer, errs *stderr, w work) error {
	progress := &bench.Progress{Out: errs, Terminal: isTerminal(errs.Writer)}
	defer progress.Clear()
	if f.Self {
		own, err := startSelf(ctx, f, errs)
		if err != nil {
			return err
		}
		defer own.stop()
		f.Data = own.dir
		f.NATS, f.Database, f.Server = "", "", ""
	}
	t, err := f.target(ctx, log)
	if err != nil {
		return err
	}
	defer t.Streams.Close()
	defer t.Store.Close()
	t.Progress = progress
	stop, err := f.profileOwn()
	if err != nil {
		return err
	}
	r, err := w.Run(ctx, t)
	if err := errors.Join(err, stop()); err != nil {
		return err
	}
	progress.Clear()
	r.Version = versionText()
	if err := f.show(out, r); err != nil {
		return err
	}
	if !r.OK() {
		return errPromise
	}
	return nil
}

// profileOwn begins to profile this process, if it shall be; what it returns ends that.
func (f benchFlags) profileOwn() (stop func() error, err error) {
	if f.OwnProfile == "" {
		return func() error { return nil }, nil
	}
	to, err := os.Create(f.OwnProfile)
	if err != nil {
		return nil, fmt.Errorf("profile the bench: %w", err)
	}
	if err := pprof.StartCPUProfile(to); err != nil {
		return nil, errors.Join(fmt.Errorf("profile the bench: %w", err), to.Close())
	}
	return func() error {
		pprof.StopCPUProfile()
		return to.Close()
	}, nil
}

func (f benchFlags) show(out io.Writer, r *bench.Report) error {
	if f.Chart != "" {
		page, err := os.Create(f.Chart)
		if err != nil {
			return fmt.Errorf("write the chart: %w", err)
		}
		if err := errors.Join(r.Chart(page), page.Close()); err != nil {
			return fmt.Errorf("write the chart: %w", err)
		}
	}
	if !f.JSON {
		return r.Print(out)
	}
	enc := json.NewEncoder(out)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

// target opens what a load needs of the server.
func (f benchFlags) target(ctx context.Context, log *slog.Logger) (_ *bench.Target, err error) {
	t := &bench.Target{App: f.App, NATS: f.natsFlags.url(f.dataFlags), Data: f.Data, Log: log}
	if t.Streams, err = openStreams(ctx, log, f.natsFlags, f.dataFlags); err != nil {
		return nil, err
	}
	if t.Store, err = openStore(ctx, f.databaseFlags, f.dataFlags); err != nil {
		t.Streams.Close()
		return nil, err
	}
	if err = f.edges(ctx, t); err == nil && f.Signed {
		sign := signCmd{appFlags: f.appFlags, dataFlags: f.dataFlags, databaseFlags: f.databaseFlags}
		t.Key, err = sign.key(ctx)
	}
	if err != nil {
		t.Streams.Close()
		t.Store.Close()
		return nil, err
	}
	return t, nil
}

// edges finds where clients connect.
func (f benchFlags) edges(ctx context.Context, t *bench.Target) error {
	for _, t.Transport = range []bench.Transport{bench.TCP, bench.WS} {
		if rest, ok := strings.CutPrefix(f.Server, string(t.Transport)+"://"); ok {
			t.Addresses = []string{strings.TrimSuffix(rest, "/ws")}
			return nil
		}
	}
	if f.Server != "" {
		return fmt.Errorf("--server %s: want tcp://host:port or ws://host:port/ws", f.Server)
	}
	t.Transport = bench.Transport(f.Transport)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	members, err := t.Streams.WatchMembers(ctx)
	if err != nil {
		return err
	}
	for _, m := range members.Of(streams.RoleEdge) {
		if a := m.Addrs[f.Transport]; a != "" {
			t.Addresses = append(t.Addresses, a)
		}
	}
	if len(t.Addresses) == 0 {
		return errors.New("no edge is there that clients can connect to; name one with --server, or start a server with --self")
	}
	return nil
}
