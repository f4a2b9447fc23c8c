// Package streamstest gives a test a real NATS server in its own process, without a port.
package streamstest

import (
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/whaleshark-im/whaleshark/streams"
)

// Server starts a server with JetStream on disk in a folder of the test's. It is shut down with the test.
func Server(t testing.TB) *server.Server {
	t.Helper()
	return start(t, t.TempDir())
}

// Restart shuts a server down and starts another on the same folder: the log is there again, the memory streams are not.
func Restart(t testing.TB, s *server.Server) *server.Server {
	t.Helper()
	dir := s.StoreDir()
	s.Shutdown()
	s.WaitForShutdown()
	return start(t, dir)
}

func start(t testing.TB, dir string) *server.Server {
	t.Helper()
	s, err := server.NewServer(&server.Options{
		DontListen: true, JetStream: true, StoreDir: dir, NoLog: true, NoSigs: true, SyncAlways: true,
	})
	if err != nil {
		t.Fatalf("start nats: %v", err)
	}
	s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("nats is not ready after 10 s")
	}
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	return s
}

// Connect connects to a server of this process. The connection is closed with the test.
func Connect(t testing.TB, s *server.Server, layout streams.Layout) *streams.Conn {
	t.Helper()
	c, err := streams.Connect(t.Context(), streams.Config{
		InProcess: s, Name: t.Name(), Layout: layout, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	t.Cleanup(c.Close)
	return c
}
