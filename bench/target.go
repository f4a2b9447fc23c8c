package bench

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/store"
	"github.com/whaleshark-im/whaleshark/streams"
	"github.com/whaleshark-im/whaleshark/streams/broker"
)

// Target is the server that is put under load, and what a load needs of it.
type Target struct {
	Transport Transport
	Addresses []string // host:port of the edges, for the transport; connections are spread over them
	App       chat.AppID
	Key       string // of the app, to sign logins with; empty: they have no userSign

	Store    *store.Store  // where users are seeded and rows are counted
	Streams  *streams.Conn // tells who is there; it is only looked through
	NATS     string        // URL
	Data     string        // the server's data folder, if it is on this machine
	Log      *slog.Logger
	Progress *Progress

	signs sync.Map // by user
	turns atomic.Int64
}

// imei is that of all devices of a load.
var imei = []byte("bench")

func (t *Target) device(n int) chat.Device {
	return chat.Device{App: t.App, User: userOf(n), Client: chat.Web, IMEI: string(imei)}
}

// userOf returns the nth user that was seeded, from 0.
func userOf(n int) chat.UserID { return chat.UserID("u" + strconv.Itoa(n+1)) }

// address returns the edge for the next connection.
func (t *Target) address() string { return t.Addresses[int(t.turns.Add(1)-1)%len(t.Addresses)] }

// sign returns a user's userSign. Making one costs much more than a login, so each is made once.
func (t *Target) sign(user chat.UserID) string {
	if t.Key == "" {
		return ""
	}
	if s, ok := t.signs.Load(user); ok {
		return s.(string)
	}
	s := chat.Sign(t.App, t.Key, user, time.Now(), 24*time.Hour)
	t.signs.Store(user, s)
	return s
}

// connectBatch is how many logins are under way at a time when the logins are not what is measured.
const connectBatch = 64

// connect logs the first n users in.
func (t *Target) connect(ctx context.Context, n int) ([]*conn, error) {
	all := make([]*conn, n)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(connectBatch)
	var done atomic.Int64
	for i := range n {
		g.Go(func() error {
			c, err := t.login(ctx, t.device(i))
			all[i] = c
			if err == nil {
				t.Progress.step("logins", int(done.Add(1)), n)
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		closeAll(all)
		return nil, err
	}
	return all, nil
}

func closeAll(conns []*conn) {
	for _, c := range conns {
		if c != nil {
			_ = c.Close()
		}
	}
}

// Server says what was measured.
type Server struct {
	Addresses  []string       `json:"addresses"`
	Transport  Transport      `json:"transport"`
	Partitions int            `json:"partitions"`
	Members    map[string]int `json:"members"` // by role
	Fsync      string         `json:"fsync"`   // always; or why it is not sure that an ack means an fsync
	Brokers    []string       `json:"brokers"` // their versions
}

// look asks what the server is, and who is there.
func (t *Target) look(ctx context.Context) (Server, []streams.Member, error) {
	s := Server{Addresses: t.Addresses, Transport: t.Transport, Partitions: t.Streams.Partitions(), Members: make(map[string]int)}
	sight, err := broker.Look(ctx, t.Streams.NATS())
	if err != nil {
		return s, nil, err
	}
	s.Fsync = "always"
	if w := sight.Warning(); w != "" {
		s.Fsync = w
	}
	for _, b := range sight.Servers {
		s.Brokers = append(s.Brokers, b.Version)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	members, err := t.Streams.WatchMembers(ctx)
	if err != nil {
		return s, nil, err
	}
	all := members.All()
	for _, m := range all {
		s.Members[string(m.Role)]++
	}
	return s, all, nil
}

// begin opens a report: what is measured, where, and what its processes are.
func (t *Target) begin(ctx context.Context, name string, settings any) (*Report, *system, error) {
	server, members, err := t.look(ctx)
	if err != nil {
		return nil, nil, err
	}
	sys := findSystem(ctx, t, members)
	return &Report{Bench: name, At: time.Now().UTC(), Server: server, Machine: machine(t.Data), Settings: settings}, sys, nil
}

// users makes sure that the users exist.
func (t *Target) users(ctx context.Context, n int) error {
	if err := t.Store.SeedPairs(ctx, t.App, n+n%2, t.Progress.bar("users")); err != nil {
		return fmt.Errorf("seed %d users: %w", n, err)
	}
	return nil
}

// Pause waits for a time, or until ctx ends.
func Pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// rowsPatience is how long Postgres may take for what was acknowledged.
const rowsPatience = 2 * time.Minute

// awaitRows waits until Postgres has every message of the conversations, and returns how long it took, and how many there are.
func (t *Target) awaitRows(ctx context.Context, want []store.Range, fault func(*Fault)) (took time.Duration, rows int64, err error) {
	start := time.Now()
	behind := slices.Clone(want)
	for len(behind) > 0 && time.Since(start) < rowsPatience {
		if behind, err = t.behind(ctx, behind); err != nil {
			return 0, 0, err
		}
		t.Progress.line("%d of %d conversations wait for their rows", len(behind), len(want))
		if len(behind) > 0 {
			if err := Pause(ctx, 5*time.Millisecond); err != nil {
				return 0, 0, err
			}
		}
	}
	took = time.Since(start)
	counts, err := t.Store.CountMessages(ctx, want)
	if err != nil {
		return took, 0, err
	}
	for i, r := range want {
		rows += counts[i]
		if all := int64(r.Last - r.First + 1); counts[i] != all {
			fault(faultOf(faultRow, "%s: Postgres has %d messages from seq %d to %d, want %d", r.Conversation, counts[i], r.First, r.Last, all))
		}
	}
	return took, rows, nil
}

// behind returns the conversations whose head in Postgres is not there yet.
func (t *Target) behind(ctx context.Context, want []store.Range) ([]store.Range, error) {
	all := make([]chat.Conversation, len(want))
	for i, r := range want {
		all[i] = r.Conversation
	}
	heads, err := t.Store.HeadsOf(ctx, all)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(want, func(r store.Range) bool { return heads[r.Conversation] >= r.Last }), nil
}
