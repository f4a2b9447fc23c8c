package persist_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/store"
	"github.com/whaleshark-im/whaleshark/sql/storetest"
	"github.com/whaleshark-im/whaleshark/streams"
	"github.com/whaleshark-im/whaleshark/streams/streamstest"
	"github.com/whaleshark-im/whaleshark/workers/persist"
)

// logbook appends blocks to partition 0, as a sequencer would.
type logbook struct {
	t    *testing.T
	c    *streams.Conn
	tail chat.Mark
	seq  chat.Seq
}

// add appends a block of n messages.
func (l *logbook) add(n int) {
	l.t.Helper()
	block := &chat.Block{Prev: l.tail.Revision, Time: time.UnixMilli(1_700_000_000_000)}
	for range n {
		l.seq++
		body := fmt.Sprint("body ", l.seq)
		block.Records = append(block.Records, chat.Record{
			Kind: chat.MessageRecord, Conversation: chat.PairOf(10001, "alice", "bob"),
			Sender: chat.Device{App: 10001, User: "alice"}, MessageID: fmt.Sprint("m", l.seq), Seq: l.seq,
			Digest: chat.DigestOf(body, ""), Body: body,
		})
	}
	data := chat.AppendBlock(nil, block, l.tail.Hash)
	done := make(chan error, 1)
	l.c.Append(0, data, l.tail.Revision, func(rev chat.Revision, err error) {
		l.tail = chat.Mark{Revision: rev, Hash: block.Hash}
		done <- err
	})
	if err := <-done; err != nil {
		l.t.Fatal(err)
	}
}

// start runs a persist worker until stop is called, which may be called twice, or the test ends.
func start(t *testing.T, c *streams.Conn, s *store.Store, log *slog.Logger) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		persist.Run(ctx, persist.Config{
			Node: streams.NewNode(), Conn: c, Store: s, Log: log, Metrics: persist.NewMetrics(prometheus.NewRegistry()),
		})
	})
	stop = func() { cancel(); wg.Wait() }
	t.Cleanup(stop)
	return stop
}

var quiet = slog.New(slog.DiscardHandler)

// wrote waits until Postgres has the log up to its tail, and checks that every message has one row.
func (l *logbook) wrote(s *store.Store) {
	l.t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		mark, err := s.Mark(l.t.Context(), 0)
		if err == nil && mark == l.tail {
			break
		}
		if time.Now().After(deadline) {
			l.t.Fatalf("postgres is at %v (%v), want %v", mark, err, l.tail)
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-l.t.Context().Done():
		}
	}
	rows, err := s.Messages(l.t.Context(), 0, 1<<53, 100_000)
	if err != nil {
		l.t.Fatal(err)
	}
	for i, r := range rows {
		if r.Record.Seq != chat.Seq(i+1) {
			l.t.Fatalf("row %d has seq %d", i, r.Record.Seq)
		}
	}
	if len(rows) != int(l.seq) {
		l.t.Errorf("%d rows, want %d", len(rows), l.seq)
	}
}

func TestTheLogIsWrittenOnce(t *testing.T) {
	s := storetest.New(t)
	c := streamstest.Connect(t, streamstest.Server(t), streams.Layout{Partitions: 1})
	l := &logbook{t: t, c: c}
	l.add(3)
	stop := start(t, c, s, quiet)
	l.wrote(s)
	l.add(1)
	l.add(1000)
	l.wrote(s)
	stop()
	stop()
	l.add(2)
	start(t, c, s, quiet) // another goes on where the first was
	start(t, c, s, quiet) // and a third takes its share, or the other's, without doing anything twice
	for range 200 {
		l.add(5)
	}
	l.wrote(s)
}

// TestADatabaseOfAnotherLog is refused, with what to do about it, rather than continued with a hole.
func TestADatabaseOfAnotherLog(t *testing.T) {
	s := storetest.New(t)
	first := &logbook{t: t, c: streamstest.Connect(t, streamstest.Server(t), streams.Layout{Partitions: 1})}
	first.add(2)
	stop := start(t, first.c, s, quiet)
	first.wrote(s)
	stop()

	other := &logbook{t: t, c: streamstest.Connect(t, streamstest.Server(t), streams.Layout{Partitions: 1})}
	other.add(1)
	other.add(1)
	said := &text{}
	start(t, other.c, s, slog.New(slog.NewTextHandler(said, nil)))
	deadline := time.Now().Add(10 * time.Second)
	for !strings.Contains(said.String(), "do not belong together") {
		if time.Now().After(deadline) {
			t.Fatalf("it does not say that the database is of another log:\n%s", said)
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-t.Context().Done():
		}
	}
	if mark, err := s.Mark(t.Context(), 0); err != nil || mark != first.tail {
		t.Errorf("the mark has moved to %v, %v", mark, err)
	}
}

type text struct {
	mu sync.Mutex
	b  strings.Builder
}

func (x *text) Write(p []byte) (int, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.b.Write(p)
}

func (x *text) String() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.b.String()
}
