package broker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

const (
	readyTimeout = 10 * time.Second       // from a recovered store to the first connection
	pollInterval = 250 * time.Millisecond // how soon Wait notices that the server has given up
)

// Broker is a running NATS server.
type Broker struct {
	srv *server.Server
}

// Start runs a server and returns once it accepts connections.
func Start(c Config) (*Broker, error) {
	opts, err := c.options()
	if err != nil {
		return nil, err
	}
	srv, err := server.NewServer(opts)
	if err != nil {
		return nil, fmt.Errorf("set up the NATS server: %w", err)
	}
	fatal := logTo(srv, opts, c)
	srv.Start()
	if err := started(srv, fatal); err != nil {
		srv.Shutdown()
		return nil, fmt.Errorf("start the NATS server: %w", err)
	}
	return &Broker{srv}, nil
}

func started(srv *server.Server, fatal <-chan error) error {
	select {
	case err := <-fatal:
		return err
	default:
	}
	if !srv.ReadyForConnections(readyTimeout) {
		return fmt.Errorf("no connection is accepted after %s", readyTimeout)
	}
	return nil
}

// Server returns the server, for connections within the process (nats.InProcessServer).
func (b *Broker) Server() *server.Server { return b.srv }

// URL returns where clients connect; it is "" if the server listens nowhere.
func (b *Broker) URL() string {
	if b.srv.Addr() == nil {
		return ""
	}
	return b.srv.ClientURL()
}

var (
	errStopped   = errors.New("the NATS server has stopped")
	errJetStream = errors.New("the NATS server has switched JetStream off, as it does when the disk is full; it comes back with a restart")
)

// Wait returns nil when ctx is done, and an error when the server no longer serves. It does not stop the server.
func (b *Broker) Wait(ctx context.Context) error {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		switch {
		case !b.srv.Running():
			return errStopped
		case !b.srv.JetStreamEnabled():
			return errJetStream
		}
	}
}

// Close stops the server: clients are disconnected, streams are written out. It returns once that is done.
func (b *Broker) Close() {
	b.srv.Shutdown()
	b.srv.WaitForShutdown()
}
