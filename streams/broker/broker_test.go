package broker_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/whaleshark-im/whaleshark/streams/broker"
)

func start(t *testing.T, c broker.Config) *broker.Broker {
	t.Helper()
	b, err := broker.Start(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

func connect(t *testing.T, b *broker.Broker) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect("", nats.InProcessServer(b.Server()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// file writes a configuration whose parts are on lines of their own.
func file(t *testing.T, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "nats.conf")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func startFile(t *testing.T, lines ...string) *broker.Broker {
	t.Helper()
	c, err := broker.ReadConfig(file(t, lines...), nil)
	if err != nil {
		t.Fatal(err)
	}
	return start(t, c)
}

func streams(t *testing.T, nc *nats.Conn) jetstream.JetStream {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

func TestStart(t *testing.T) {
	t.Run("what was stored is there after a restart", func(t *testing.T) {
		dir := t.TempDir()
		b := start(t, broker.Config{Dir: dir})
		js := streams(t, connect(t, b))
		if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "LOG", Subjects: []string{"log"}}); err != nil {
			t.Fatal(err)
		}
		if _, err := js.Publish(t.Context(), "log", []byte("hi")); err != nil {
			t.Fatal(err)
		}
		b.Close()

		js = streams(t, connect(t, start(t, broker.Config{Dir: dir})))
		stream, err := js.Stream(t.Context(), "LOG")
		if err != nil {
			t.Fatal(err)
		}
		msg, err := stream.GetMsg(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := string(msg.Data), "hi"; got != want {
			t.Errorf("after the restart the stream holds %q, want %q", got, want)
		}
	})
	t.Run("without an address it listens nowhere", func(t *testing.T) {
		if got := start(t, broker.Config{Dir: t.TempDir()}).URL(); got != "" {
			t.Errorf("it listens on %s", got)
		}
	})
	t.Run("port 0 is a free port", func(t *testing.T) {
		b := start(t, broker.Config{Dir: t.TempDir(), Listen: "127.0.0.1:0"})
		nc, err := nats.Connect(b.URL())
		if err != nil {
			t.Fatalf("connect to %s: %v", b.URL(), err)
		}
		nc.Close()
	})
	t.Run("a taken port is named", func(t *testing.T) {
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		_, err = broker.Start(broker.Config{Dir: t.TempDir(), Listen: l.Addr().String()})
		if err == nil || !strings.Contains(err.Error(), l.Addr().String()) {
			t.Errorf("got %v, want an error that names %s", err, l.Addr())
		}
	})
	t.Run("an address without a port is an error", func(t *testing.T) {
		if _, err := broker.Start(broker.Config{Dir: t.TempDir(), Listen: "localhost"}); err == nil {
			t.Error("it started")
		}
	})
}

func TestReadConfig(t *testing.T) {
	for name, c := range map[string]struct {
		text, want string
	}{
		"no JetStream":   {"port: 0", "no jetstream block"},
		"no folder":      {"jetstream {}", "no store_dir"},
		"unknown option": {"jetstream { store_dir: x, sync_intervall: always }", "sync_intervall"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := broker.ReadConfig(file(t, c.text), nil)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
	t.Run("no file", func(t *testing.T) {
		if _, err := broker.ReadConfig(filepath.Join(t.TempDir(), "none"), nil); err == nil {
			t.Error("it was read")
		}
	})
}

func TestFullStoreRefusesAtOnce(t *testing.T) {
	b := startFile(t, "port: -1", "jetstream { store_dir: '"+t.TempDir()+"', max_file_store: 64KB }")
	nc := connect(t, b)
	js := streams(t, nc)
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "LOG", Subjects: []string{"log"}}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	block, stored, err := make([]byte, 4<<10), 0, error(nil)
	for ; err == nil && stored < 64; stored++ {
		_, err = js.Publish(ctx, "log", block)
	}
	if ctx.Err() != nil || err == nil || stored < 8 {
		t.Fatalf("after %d blocks of 4 KiB: %v; want a refusal, at once, near 64 KiB", stored, err)
	}
	if err := broker.Health(t.Context(), nc); err != nil {
		t.Errorf("a store that has reached its limit is well, for it is not the disk's end: %v", err)
	}
}

func TestJetStreamSwitchedOff(t *testing.T) {
	b := start(t, broker.Config{Dir: t.TempDir()})
	nc := connect(t, b)
	if err := broker.Health(t.Context(), nc); err != nil {
		t.Fatalf("at first: %v", err)
	}
	if err := b.Server().ShutdownJetStream(); err != nil { // what the server does when the disk is full
		t.Fatal(err)
	}
	if err := broker.Health(t.Context(), nc); err == nil {
		t.Error("the server without JetStream is called well")
	}
	if err := b.Wait(t.Context()); err == nil || !strings.Contains(err.Error(), "JetStream") {
		t.Errorf("Wait returned %v, want an error that names JetStream", err)
	}
}

func TestWait(t *testing.T) {
	t.Run("the server stopped", func(t *testing.T) {
		b := start(t, broker.Config{Dir: t.TempDir()})
		b.Close()
		if err := b.Wait(t.Context()); err == nil {
			t.Error("Wait returned nil, want an error")
		}
	})
	t.Run("the caller stopped", func(t *testing.T) {
		b := start(t, broker.Config{Dir: t.TempDir()})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := b.Wait(ctx); err != nil {
			t.Error(err)
		}
	})
}
