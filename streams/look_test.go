package streams_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/streams"
	"github.com/whaleshark-im/whaleshark/streams/streamstest"
)

// look connects as a tool does that changes nothing.
func look(t *testing.T, s *server.Server) (*streams.Conn, error) {
	t.Helper()
	c, err := streams.Connect(t.Context(), streams.Config{InProcess: s, Name: t.Name(), LookOnly: true, Log: slog.New(slog.DiscardHandler)})
	if err == nil {
		t.Cleanup(c.Close)
	}
	return c, err
}

// entries returns how many entries each stream of a broker holds.
func entries(t *testing.T, s *server.Server) map[string]uint64 {
	t.Helper()
	nc, err := nats.Connect("", nats.InProcessServer(s))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	held := make(map[string]uint64)
	list := js.ListStreams(t.Context())
	for info := range list.Info() {
		held[info.Config.Name] = info.State.Msgs
	}
	if err := list.Err(); err != nil {
		t.Fatal(err)
	}
	return held
}

func TestLookingChangesNothing(t *testing.T) {
	s := streamstest.Server(t)
	t.Run("an empty broker is an error", func(t *testing.T) {
		if _, err := look(t, s); err == nil || !strings.Contains(err.Error(), "holds no log") {
			t.Errorf("got %v, want an error that says so", err)
		}
		if held := entries(t, s); len(held) != 0 {
			t.Errorf("the broker now holds %v", held)
		}
	})
	t.Run("whoever is there is seen", func(t *testing.T) {
		startWorker(t, streamstest.Connect(t, s, streams.Layout{Partitions: 3}))
		c, err := look(t, s)
		if err != nil {
			t.Fatal(err)
		}
		if c.Partitions() != 3 {
			t.Errorf("it sees %d partitions, want 3", c.Partitions())
		}
		members, err := c.WatchMembers(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, "the worker is seen", func() error {
			if len(members.All()) != 1 {
				return errors.New("it is not")
			}
			return nil
		})
	})
	t.Run("a broker that has begun again stays without lives", func(t *testing.T) {
		s := streamstest.Restart(t, s)
		c, err := look(t, s)
		if err != nil {
			t.Fatal(err)
		}
		members, err := c.WatchMembers(t.Context())
		if err != nil || len(members.All()) != 0 {
			t.Errorf("it sees the members %v, %v; want nobody", members.All(), err)
		}
		for name, n := range entries(t, s) {
			if n != 0 {
				t.Errorf("%s now holds %d entries", name, n)
			}
		}
	})
}

// TestWhatSequencersHaveToFold tells a floor after the other of an ingress that holds a tick, two requests, and a tick.
func TestWhatSequencersHaveToFold(t *testing.T) {
	c := streamstest.Connect(t, streamstest.Server(t), streams.Layout{})
	p := request("").Conversation.Partition(c.Partitions())
	for _, put := range []func() error{
		func() error { return c.Tick(p, "n") },
		func() error { return submit(c, "a") },
		func() error { return submit(c, "b") },
		func() error { return c.Tick(p, "n") },
		func() error { return c.NATS().FlushTimeout(time.Second) },
	} {
		if err := put(); err != nil {
			t.Fatal(err)
		}
	}
	newest, err := c.NewestPosition(t.Context(), p)
	if err != nil || newest < chat.PositionOf(4, 0) {
		t.Fatalf("the newest position is %d, %v", newest, err)
	}
	members, err := c.WatchMembers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if n, known, err := members.Unfolded(t.Context(), p); known || err != nil {
		t.Errorf("without a sequencer there are %d, %v, want nobody to know", n, err)
	}
	before := func(n uint64) chat.Position { return chat.PositionOf(newest.Next()-1-n, 0) }
	floor := serveFloors(t, c)
	for _, test := range []struct {
		floor chat.Position
		want  uint64
	}{{before(4), 3}, {before(3), 3}, {before(2), 2}, {before(1) - 1, 2}, {before(1), 0}, {newest, 0}} {
		floor.Store(uint64(test.floor))
		eventually(t, fmt.Sprintf("after position %d of %d", test.floor, newest), func() error {
			n, known, err := members.Unfolded(t.Context(), p)
			if err == nil && (!known || n != test.want) {
				err = fmt.Errorf("%d entries are to be folded (%t), want %d", n, known, test.want)
			}
			return err
		})
	}
}

// serveFloors runs a sequencer that does nothing but tell a floor, the same for each partition.
func serveFloors(t *testing.T, c *streams.Conn) *atomic.Uint64 {
	t.Helper()
	floor := &atomic.Uint64{}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	t.Cleanup(func() { cancel(); <-done })
	own := func(ctx context.Context, _ chat.Partition, post *streams.Post) error {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			post.Report(floor.Load())
			post.Beat()
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
		return ctx.Err()
	}
	go func() { // the cleanup ends it
		defer close(done)
		c.Work(ctx, streams.RoleSequence, func(context.Context, *streams.Generation, *streams.Members) (streams.Duty, error) {
			return streams.Duty{Node: streams.NewNode(), Log: slog.New(slog.DiscardHandler), Own: own}, nil
		})
	}()
	return floor
}
