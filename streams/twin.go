package streams

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/whaleshark-im/whaleshark/chat"
)

// Twin is another broker that a log is copied to, entry by entry, each at the revision that it has.
type Twin struct {
	nc  *nats.Conn
	js  jetstream.JetStream
	log jetstream.StreamConfig // the original's

	waiting []put // oldest first
}

// put is an entry on its way.
type put struct {
	revision chat.Revision
	ack      jetstream.PubAckFuture
}

const (
	twinWindow   = 64               // entries on their way at once
	twinPatience = 30 * time.Second // nobody waits for a copy, and its disk may be a slow one
)

// Twin connects to the broker that a copy of the log shall be made on. It refuses one that holds blocks already, and creates nothing yet.
func (c *Conn) Twin(ctx context.Context, cfg Config) (*Twin, error) {
	original, err := c.js.Stream(ctx, streamLog)
	if err != nil {
		return nil, fmt.Errorf("read stream %s: %w", streamLog, err)
	}
	opts := []nats.Option{nats.Name(cfg.Name), nats.NoReconnect()} // a copy that was interrupted is begun anew
	if cfg.InProcess != nil {
		opts = append(opts, nats.InProcessServer(cfg.InProcess))
	}
	nc, err := nats.Connect(cfg.URL, opts...)
	if err != nil {
		return nil, fmt.Errorf("connect to nats at %s: %w", cfg.URL, err)
	}
	t := &Twin{nc: nc, log: original.CachedInfo().Config}
	if err := t.open(ctx); err != nil {
		nc.Close()
		return nil, err
	}
	return t, nil
}

func (t *Twin) open(ctx context.Context) error {
	var err error
	if t.js, err = jetstream.New(t.nc, jetstream.WithPublishAsyncTimeout(twinPatience)); err != nil {
		return fmt.Errorf("open jetstream: %w", err)
	}
	s, err := t.js.Stream(ctx, streamLog)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return nil
	case err != nil:
		return fmt.Errorf("read stream %s of the copy: %w", streamLog, err)
	}
	return empty(s)
}

func empty(s jetstream.Stream) error {
	if n := s.CachedInfo().State.Msgs; n > 0 {
		return fmt.Errorf("the broker to copy to holds %d blocks of a log already; give it an empty store directory", n)
	}
	return nil
}

// Begin creates an empty log like the original's, whose first revision will be first.
func (t *Twin) Begin(ctx context.Context, first chat.Revision) error {
	cfg := t.log
	if first > 1 {
		cfg.FirstSeq = uint64(first)
	}
	s, err := t.js.CreateStream(ctx, cfg)
	if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
		return errors.New("the broker to copy to holds a log of another form; give it an empty store directory")
	}
	if err != nil {
		return fmt.Errorf("create stream %s of the copy: %w", streamLog, err)
	}
	if err := empty(s); err != nil {
		return err
	}
	if next := s.CachedInfo().State.LastSeq + 1; next != uint64(first) {
		return fmt.Errorf("the copy's log would begin at revision %d instead of %d; give its broker an empty store directory", next, first)
	}
	return nil
}

// Put sends the next entry; its revision has to follow the one before. Whether that one has arrived comes out later: see [Twin.Flush].
func (t *Twin) Put(ctx context.Context, e RawEntry) error {
	if len(t.waiting) >= twinWindow {
		if err := t.settle(ctx); err != nil {
			return err
		}
	}
	m := &nats.Msg{Subject: logSubject(e.Partition), Data: e.Data}
	ack, err := t.js.PublishMsgAsync(m, jetstream.WithExpectLastSequence(uint64(e.Revision)-1))
	if err != nil {
		return fmt.Errorf("copy revision %d: %w", e.Revision, err)
	}
	t.waiting = append(t.waiting, put{e.Revision, ack})
	return nil
}

// Flush waits until all that was put is in the copy.
func (t *Twin) Flush(ctx context.Context) error {
	for len(t.waiting) > 0 {
		if err := t.settle(ctx); err != nil {
			return err
		}
	}
	return nil
}

// settle waits for the oldest entry on its way.
func (t *Twin) settle(ctx context.Context) error {
	oldest := t.waiting[0]
	t.waiting = t.waiting[1:]
	select {
	case ack := <-oldest.ack.Ok():
		if ack.Sequence != uint64(oldest.revision) {
			return fmt.Errorf("copy revision %d: it became revision %d", oldest.revision, ack.Sequence)
		}
		return nil
	case err := <-oldest.ack.Err():
		return fmt.Errorf("copy revision %d: %w", oldest.revision, err)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// NATS returns the connection itself, for what only asks about the broker.
func (t *Twin) NATS() *nats.Conn { return t.nc }

// Close ends the connection.
func (t *Twin) Close() { t.nc.Close() }
