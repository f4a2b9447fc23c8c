package store_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/store"
	"github.com/whaleshark-im/whaleshark/sql/storetest"
)

const partition = chat.Partition(3)

// apply applies entries after a mark, and fails the test if that fails.
func apply(tb testing.TB, s *store.Store, from chat.Mark, entries ...chat.Entry) store.Applied {
	tb.Helper()
	applied, err := s.Apply(tb.Context(), partition, base, from, entries)
	if err != nil {
		tb.Fatal(err)
	}
	return applied
}

// rows returns all messages in the order of the log.
func rows(tb testing.TB, s *store.Store) []store.Message {
	tb.Helper()
	messages, err := s.Messages(tb.Context(), 0, 1<<53, 100_000)
	if err != nil {
		tb.Fatal(err)
	}
	return messages
}

// want returns the rows that entries make.
func want(entries ...chat.Entry) []store.Message {
	var messages []store.Message
	for _, e := range entries {
		for i, r := range e.Block.Records {
			if r.Kind == chat.MessageRecord {
				messages = append(messages, store.Message{
					Place: chat.PlaceOf(base, e.Revision, i), ID: r.ID(), Time: e.Block.Time, Record: r,
				})
			}
		}
	}
	return messages
}

func TestRowsAreTheLog(t *testing.T) {
	s := storetest.New(t)
	var l testLog
	erased := message("alice", "bob", "m3", "")
	erased.Extra, erased.Erased, erased.Digest = "", true, chat.DigestOf("secret", "")
	first := l.block(message("alice", "bob", "m1", "hi"), refusal("alice", "eve", "m1"), message("bob", "alice", "m1", "hello"))
	second := l.block(erased, message("alice", "alice", "m4", "note to self"), message("a", "b", "", ""))

	applied := apply(t, s, chat.Mark{}, first, second)
	if diff := cmp.Diff(store.Applied{Mark: l.prev, Messages: 5}, applied); diff != "" {
		t.Errorf("applied (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want(first, second), rows(t, s)); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}

	third := l.block(message("bob", "alice", "m5", "bye"))
	apply(t, s, applied.Mark, third)
	heads, err := s.Heads(t.Context(), chat.Conversation{}, 10)
	if err != nil {
		t.Fatal(err)
	}
	wantHeads := []store.Head{
		{chat.PairOf(app, "a", "b"), 1, chat.PlaceOf(base, second.Revision, 2)},
		{chat.PairOf(app, "alice", "alice"), 1, chat.PlaceOf(base, second.Revision, 1)},
		{chat.PairOf(app, "alice", "bob"), 4, chat.PlaceOf(base, third.Revision, 0)},
	}
	if diff := cmp.Diff(wantHeads, heads); diff != "" {
		t.Errorf("heads (-want +got):\n%s", diff)
	}
	if next, err := s.Heads(t.Context(), heads[1].Conversation, 10); err != nil || !cmp.Equal(next, wantHeads[2:]) {
		t.Errorf("heads after the second: %v, %v; want %v", next, err, wantHeads[2:])
	}
	marks, err := s.Marks(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[chat.Partition]chat.Mark{partition: l.prev}, marks); diff != "" {
		t.Errorf("marks (-want +got):\n%s", diff)
	}
}

func TestMarkMovesOverRefusalsAlone(t *testing.T) {
	s := storetest.New(t)
	var l testLog
	applied := apply(t, s, chat.Mark{}, l.block(refusal("alice", "eve", "m1")))
	mark, err := s.Mark(t.Context(), partition)
	if err != nil || mark != l.prev || applied.Mark != l.prev || applied.Messages != 0 {
		t.Errorf("mark %v, %v, applied %v; want mark %v and no rows", mark, err, applied, l.prev)
	}
}

func TestStaleMarkWritesNothing(t *testing.T) {
	s := storetest.New(t)
	var l testLog
	first := l.block(message("alice", "bob", "m1", "hi"))
	mark := apply(t, s, chat.Mark{}, first).Mark
	second := l.block(message("alice", "bob", "m2", "hi"))
	other := mark
	other.Hash[0]++ // the same revision of another log

	for name, from := range map[string]chat.Mark{"zero": {}, "of another log": other} {
		entry := chat.Entry{Revision: second.Revision, Block: &chat.Block{Prev: from.Revision, Records: second.Block.Records}}
		if _, err := s.Apply(t.Context(), partition, base, from, []chat.Entry{entry}); !errors.Is(err, store.ErrMarkMoved) {
			t.Errorf("apply with a mark that is %s: %v; want %v", name, err, store.ErrMarkMoved)
		}
	}
	if diff := cmp.Diff(want(first), rows(t, s)); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}

func TestGapInLogIsAnError(t *testing.T) {
	s := storetest.New(t)
	var l testLog
	first, _, third := l.block(message("a", "b", "1", "")), l.block(message("a", "b", "2", "")), l.block(message("a", "b", "3", ""))
	_, err := s.Apply(t.Context(), partition, base, chat.Mark{}, []chat.Entry{first, third})
	if err == nil || !strings.Contains(err.Error(), "follows revision 6, not 3") {
		t.Errorf("apply with a block left out: %v; want an error that says so", err)
	}
}

// TestTwoAppliersWriteOnce has two owners apply the same log, each from where it believes the mark to be.
func TestTwoAppliersWriteOnce(t *testing.T) {
	s := storetest.New(t)
	var l testLog
	var entries []chat.Entry
	for i := range 60 {
		entries = append(entries, l.block(talk(10, 3, fmt.Sprint("block", i))...))
	}
	var written, fenced atomic.Int64
	owner := func() error {
		from, next := chat.Mark{}, 0
		for next < len(entries) {
			applied, err := s.Apply(t.Context(), partition, base, from, entries[next:min(next+3, len(entries))])
			switch {
			case err == nil:
				written.Add(int64(applied.Messages))
				from = applied.Mark
			case errors.Is(err, store.ErrMarkMoved):
				fenced.Add(1)
				if from, err = s.Mark(t.Context(), partition); err != nil {
					return err
				}
			default:
				return err
			}
			for next < len(entries) && entries[next].Revision <= from.Revision {
				next++
			}
		}
		return nil
	}
	var g errgroup.Group
	g.Go(owner)
	g.Go(owner)
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	if written.Load() != 600 || fenced.Load() == 0 {
		t.Errorf("%d rows written, %d times fenced; want 600 rows, and the fence used", written.Load(), fenced.Load())
	}
	if diff := cmp.Diff(want(entries...), rows(t, s)); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}

func TestPoisonedRowsAreSetAside(t *testing.T) {
	url := storetest.URL(t)
	s := storetest.Open(t, url)
	run(t, url, `ALTER TABLE message ADD CONSTRAINT poison CHECK (body <> 'poison')`)
	var l testLog
	records := talk(500, 20, "m")
	records[7].Body = "poison"
	records[8].Body = "poison"
	records[300].Body = "nul \x00 in the middle"
	records[301].Sender.IMEI = "\xff"
	records[499].Sender.Client = 70_000
	entry := l.block(records...)

	applied := apply(t, s, chat.Mark{}, entry)
	bad := map[int]string{7: `"poison"`, 8: `"poison"`, 300: "22021", 301: "22021", 499: "22003"}
	if applied.Messages != 495 || len(applied.Rejected) != len(bad) {
		t.Fatalf("%d rows written, %d rejected; want 495 and %d", applied.Messages, len(applied.Rejected), len(bad))
	}
	all := want(entry)
	var good []store.Message
	for i := range all {
		if bad[i] == "" {
			good = append(good, all[i])
		}
	}
	if diff := cmp.Diff(good, rows(t, s)); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
	rejected, err := s.Rejected(t.Context(), 0, 1<<53)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(applied.Rejected, rejected); diff != "" {
		t.Errorf("rejected (-applied +read):\n%s", diff)
	}
	for _, r := range rejected {
		if cause := bad[r.Place.Index()]; cause == "" || !strings.Contains(r.Cause, cause) || strings.Contains(r.Cause, "middle") {
			t.Errorf("place %d: cause %q; want %q, without the message", r.Place, r.Cause, cause)
		}
	}
	apply(t, s, applied.Mark, l.block(talk(20, 20, "after")...))

	// The poisoned message was placed all the same: its repeat must find it, and no later message may get its seq.
	poisoned := entry.Block.Records[499]
	facts, err := s.LookUp(t.Context(), chat.Needs{IDs: []chat.ID{poisoned.ID()}})
	if err != nil {
		t.Fatal(err)
	}
	stored := chat.Stored{Seq: poisoned.Seq, Place: chat.PlaceOf(base, entry.Revision, 499), Digest: poisoned.Digest}
	if got := facts.IDs[poisoned.ID()]; got != stored {
		t.Errorf("a repeat of the poisoned message finds %v; want %v", got, stored)
	}
}

func TestPoisonedConversationKeepsItsHead(t *testing.T) {
	url := storetest.URL(t)
	s := storetest.Open(t, url)
	run(t, url, `ALTER TABLE conversation ADD CONSTRAINT poison CHECK (token NOT LIKE '%/eve/%')`)
	var l testLog
	entry := l.block(message("alice", "bob", "1", ""), message("eve", "frank", "1", ""), message("eve", "frank", "2", ""))
	applied := apply(t, s, chat.Mark{}, entry)
	if applied.Messages != 1 || len(applied.Rejected) != 2 {
		t.Fatalf("%d rows written, %d rejected; want 1 and 2", applied.Messages, len(applied.Rejected))
	}
	eve, bob := chat.PairOf(app, "eve", "frank"), chat.PairOf(app, "alice", "bob")
	facts, err := s.LookUp(t.Context(), chat.Needs{Heads: []chat.Conversation{eve, bob}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[chat.Conversation]chat.Seq{eve: 2, bob: 1}, facts.Heads); diff != "" {
		t.Errorf("heads (-want +got):\n%s", diff)
	}
}

// TestRowsThatAreThereAreSetAside has a log say what Postgres already has: it must not stop there for ever.
func TestRowsThatAreThereAreSetAside(t *testing.T) {
	url := storetest.URL(t)
	s := storetest.Open(t, url)
	var l testLog
	entry := l.block(talk(4, 1, "m")...)
	apply(t, s, chat.Mark{}, entry)
	run(t, url, `DELETE FROM mark`, `DELETE FROM message WHERE seq = 3`)

	for range 2 {
		applied := apply(t, s, chat.Mark{}, entry)
		if applied.Mark != l.prev {
			t.Errorf("mark %v; want %v", applied.Mark, l.prev)
		}
		if diff := cmp.Diff(want(entry), rows(t, s)); diff != "" {
			t.Errorf("rows (-want +got):\n%s", diff)
		}
		run(t, url, `DELETE FROM mark`)
	}
	facts, err := s.LookUp(t.Context(), chat.Needs{IDs: []chat.ID{entry.Block.Records[0].ID()}})
	if err != nil || facts.IDs[entry.Block.Records[0].ID()].Seq != 1 {
		t.Errorf("look-up of a message that is in twice: %v, %v; want seq 1", facts.IDs, err)
	}
}

func TestKnownIDsAreOfEveryMessageInOrder(t *testing.T) {
	url := storetest.URL(t)
	s := storetest.Open(t, url)
	run(t, url, `ALTER TABLE message ADD CONSTRAINT poison CHECK (body <> 'poison')`)
	var l testLog
	entries := []chat.Entry{
		l.block(talk(5, 2, "one")...), l.block(refusal("a", "b", "1")), l.block(message("a", "b", "2", "poison")), l.block(talk(5, 2, "two")...),
	}
	mark := apply(t, s, chat.Mark{}, entries[:2]...).Mark
	apply(t, s, mark, entries[2:]...)

	var ids []uint64
	for _, m := range want(entries...) {
		ids = append(ids, m.ID.Prefix())
	}
	var got []uint64
	if err := s.KnownIDs(t.Context(), partition, func(prefixes []byte) error {
		for ; len(prefixes) > 0; prefixes = prefixes[8:] {
			got = append(got, binary.BigEndian.Uint64(prefixes))
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(ids, got); diff != "" {
		t.Errorf("known ids (-want +got):\n%s", diff)
	}
	stop := errors.New("enough")
	if err := s.KnownIDs(t.Context(), partition, func([]byte) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("a reader that stops gets %v; want its own error", err)
	}
}

func TestAFewStatementsWhateverTheSize(t *testing.T) {
	var statements counter
	s, err := store.Open(t.Context(), storetest.URL(t), store.Options{Tracer: &statements})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var l testLog
	var counts []int64
	mark := chat.Mark{}
	for _, n := range []int{1, 1000} {
		before := statements.queries.Load()
		mark = apply(t, s, mark, l.block(talk(n, 100, fmt.Sprint("n", n))...)).Mark
		counts = append(counts, statements.queries.Load()-before)
	}
	if counts[0] != counts[1] || counts[0] > 10 {
		t.Errorf("%d statements for 1 message, %d for 1000; want the same, at most 10", counts[0], counts[1])
	}
}

// counter counts what a store sends.
type counter struct{ queries, batches atomic.Int64 }

func (c *counter) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	c.queries.Add(1)
	return ctx
}

func (c *counter) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func (c *counter) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	c.batches.Add(1)
	return ctx
}

func (c *counter) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}

func (c *counter) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}

func BenchmarkApply(b *testing.B) {
	for _, size := range []int{100, 500, 1000} {
		b.Run(fmt.Sprint("batch=", size), func(b *testing.B) {
			s := storetest.New(b)
			var l testLog
			mark := chat.Mark{}
			n := 0
			for b.Loop() {
				b.StopTimer()
				records := talk(size, 200, fmt.Sprint("b", n))
				for i := range records {
					records[i].Body = strings.Repeat("x", 300)
				}
				entry := l.block(records...)
				b.StartTimer()
				mark = apply(b, s, mark, entry).Mark
				n += size
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}
