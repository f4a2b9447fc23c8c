package audit_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/whaleshark-im/whaleshark/audit"
	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/store"
	"github.com/whaleshark-im/whaleshark/sql/storetest"
	"github.com/whaleshark-im/whaleshark/streams"
	"github.com/whaleshark-im/whaleshark/streams/streamstest"
)

// original is a log of two partitions, and a database that has all of it.
type original struct {
	*streams.Conn
	server *server.Server
	store  *store.Store
	url    string // of its database
	tails  map[chat.Partition]chat.Mark
}

// Three messages of each conversation; of the pair's the first is recalled.
var (
	others     = chat.PairOf(10001, "carol", "emil")
	recalledAt = chat.PlaceOf(copyBase, 1, 1)
	namedAt    = chat.PlaceOf(copyBase, 2, 0)
)

const copyBase = 500

func copySaid(c chat.Conversation, u chat.UserID, seq chat.Seq, body string) chat.Record {
	extra := "extra of " + body
	return chat.Record{
		Kind: chat.MessageRecord, Conversation: c, Sender: by(u), MessageID: "m" + string(rune('0'+seq)), Seq: seq, MessageTime: 1_700_000_000_123,
		Body: body, Extra: extra, Digest: chat.DigestOf(body, extra),
	}
}

// copyReplaced has the app put the message's words in the place of others.
func copyReplaced(r chat.Record) chat.Record {
	r.Asked = chat.DigestOf("worse than "+r.Body, "")
	return r
}

func newOriginal(t *testing.T) *original {
	t.Helper()
	s, url := streamstest.Server(t), storetest.URL(t)
	o := &original{
		Conn: streamstest.Connect(t, s, streams.Layout{Partitions: 2, Base: copyBase}), server: s,
		store: storetest.Open(t, url), url: url, tails: make(map[chat.Partition]chat.Mark),
	}
	if pair.Partition(2) == others.Partition(2) {
		t.Fatal("both conversations are in one partition")
	}
	o.append(t, copySaid(pair, "alice", 1, "plain words"), copyReplaced(copySaid(pair, "bob", 2, "rash words")))
	o.append(t, copySaid(others, "carol", 1, "dark words"), copyReplaced(copySaid(others, "emil", 2, "kind words")))
	o.append(t, chat.Record{
		Kind: chat.RecallRecord, Conversation: pair, Sender: by("bob"), MessageID: "r", Seq: 2,
		Recall: &chat.Recall{Place: recalledAt, Sender: "bob", MessageID: "m2"},
	}, copySaid(pair, "alice", 3, "more words"))
	o.append(t, copySaid(others, "carol", 3, "last words"))
	for i := range chat.Seq(100) { // more than are on their way at once
		o.append(t, copySaid(pair, "alice", 4+i, "a word "+strings.Repeat("x", int(i))))
	}
	return o
}

// append puts records of one conversation into the log as a block, and into the database.
func (o *original) append(t *testing.T, records ...chat.Record) {
	t.Helper()
	p := records[0].Conversation.Partition(2)
	tail := o.tails[p]
	rev, b := appendTo(t, o.Conn, tail, records...)
	applied, err := o.store.Apply(t.Context(), p, copyBase, tail, []chat.Entry{{Revision: rev, Block: b}})
	if err != nil {
		t.Fatal(err)
	}
	o.tails[p] = applied.Mark
}

// appendTo does what a sequencer does: it makes a block after a partition's tail.
func appendTo(t *testing.T, c *streams.Conn, tail chat.Mark, records ...chat.Record) (chat.Revision, *chat.Block) {
	t.Helper()
	p := records[0].Conversation.Partition(2)
	b := &chat.Block{
		Partition: p, Prev: tail.Revision, Time: time.UnixMilli(1_700_000_000_000), Records: records,
		Checkpoint: chat.Checkpoint{Life: 7, Low: 3, Above: []chat.Position{5, 8}},
	}
	var rev chat.Revision
	done := make(chan error, 1)
	c.Append(p, chat.AppendBlock(nil, b, tail.Hash), tail.Revision, func(r chat.Revision, err error) {
		rev = r
		done <- err
	})
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return rev, b
}

// copyTo copies the log to a server.
func (o *original) copyTo(t *testing.T, to *server.Server, what audit.Erasure, progress func(done, total chat.Revision)) (audit.Copied, error) {
	t.Helper()
	twin, err := o.Twin(t.Context(), streams.Config{InProcess: to})
	if err != nil {
		return audit.Copied{}, err
	}
	defer twin.Close()
	return audit.Copy(t.Context(), o.Conn, twin, what, progress)
}

// look connects as verify does.
func look(t *testing.T, s *server.Server) *streams.Conn {
	t.Helper()
	c, err := streams.Connect(t.Context(), streams.Config{InProcess: s, LookOnly: true, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func entries(t *testing.T, c *streams.Conn) []streams.RawEntry {
	t.Helper()
	last, err := c.LastRevision(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var all []streams.RawEntry
	for rev := chat.Revision(1); rev <= last; rev++ {
		e, there, err := c.Entry(t.Context(), rev)
		if err != nil || !there {
			t.Fatalf("revision %d: %t, %v", rev, there, err)
		}
		all = append(all, e)
	}
	return all
}

func TestACopyWithoutErasuresIsTheLog(t *testing.T) {
	o, to := newOriginal(t), streamstest.Server(t)
	seen := make(map[chat.Revision]int)
	copied, err := o.copyTo(t, to, audit.Erasure{}, func(done, total chat.Revision) {
		seen[done]++
		if total != 104 {
			t.Errorf("progress tells of %d revisions, want 104", total)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	want := audit.Copied{Blocks: 104, Messages: 106, First: 1, Last: 104, Bytes: copied.Bytes, Took: copied.Took}
	if copied != want || len(seen) != 104 || seen[1] != 2 || seen[104] != 2 {
		t.Errorf("copied %+v, want %+v; progress was told of %v", copied, want, seen)
	}
	twin := look(t, to)
	if diff := cmp.Diff(entries(t, o.Conn), entries(t, twin)); diff != "" {
		t.Errorf("the copy is another (-log +copy):\n%s", diff)
	}
	if twin.Partitions() != 2 || twin.Base() != copyBase {
		t.Errorf("the copy has %d partitions and base %d, want 2 and %d", twin.Partitions(), twin.Base(), copyBase)
	}
	if diff := cmp.Diff(logConfig(t, o.server), logConfig(t, to)); diff != "" {
		t.Errorf("the copy's stream is another (-log +copy):\n%s", diff)
	}
}

func logConfig(t *testing.T, s *server.Server) jetstream.StreamConfig {
	t.Helper()
	return logStream(t, s).CachedInfo().Config
}

func logStream(t *testing.T, s *server.Server) jetstream.Stream {
	t.Helper()
	nc, err := nats.Connect("", nats.InProcessServer(s))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), "KV_LOG")
	if err != nil {
		t.Fatal(err)
	}
	return stream
}

func TestErasedBodiesAreNowhereInTheCopy(t *testing.T) {
	for name, c := range map[string]struct {
		what       audit.Erasure
		gone, stay []string
	}{
		"recalled": {audit.Erasure{Recalled: true}, []string{"rash words"}, []string{"plain words", "dark words", "kind words", "more words", "last words"}},
		"named": {
			audit.Erasure{Places: []chat.Place{namedAt}},
			[]string{"dark words"},
			[]string{"plain words", "rash words", "kind words", "more words", "last words"},
		},
		"both": {
			audit.Erasure{Recalled: true, Places: []chat.Place{namedAt, recalledAt}},
			[]string{"rash words", "dark words"},
			[]string{"plain words", "kind words", "more words", "last words"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			o, to := newOriginal(t), streamstest.Server(t)
			copied, err := o.copyTo(t, to, c.what, nil)
			if err != nil || copied.Erased != len(c.gone) || copied.Bodiless != 0 {
				t.Fatalf("copied %+v, %v; want %d bodies erased", copied, err, len(c.gone))
			}
			twin := look(t, to)
			sameButForBodies(t, entries(t, o.Conn), entries(t, twin))
			report, err := audit.Verify(t.Context(), twin, o.store, nil)
			if err != nil || report.Erased != len(c.gone) || report.Rows != 106 {
				t.Errorf("verify says %v and reports %+v, want %d erased and 106 rows", err, report, len(c.gone))
			}
			for _, body := range c.gone {
				if !onDisk(t, o.server, body) {
					t.Errorf("%q is not even on the log's disk", body)
				}
				if onDisk(t, to, body) {
					t.Errorf("%q is on the copy's disk", body)
				}
			}
			for _, body := range c.stay {
				if !onDisk(t, to, body) {
					t.Errorf("%q is not on the copy's disk", body)
				}
			}
		})
	}
}

func TestVerifyOfRowsWhoseLogHasNoBody(t *testing.T) {
	o, to := newOriginal(t), streamstest.Server(t)
	if _, err := o.copyTo(t, to, audit.Erasure{Recalled: true, Places: []chat.Place{namedAt}}, nil); err != nil {
		t.Fatal(err)
	}
	twin := look(t, to)
	pg, err := pgx.Connect(t.Context(), o.url)
	if err != nil {
		t.Fatal(err)
	}
	defer pg.Close(context.Background())
	for _, c := range []struct {
		name, sql, want string
		place           chat.Place
	}{
		{"another body", `UPDATE message SET body = 'forged' WHERE place = $1`, "postgres has another body", namedAt},
		{"another extra", `UPDATE message SET body = 'dark words', extra = 'forged' WHERE place = $1`, "postgres has another body", namedAt},
		{"another time", `UPDATE message SET extra = 'extra of dark words', message_time = 1 WHERE place = $1`, "postgres has another message time", namedAt},
		{"erased there as well", `UPDATE message SET body = NULL, extra = NULL WHERE place = $1`, "", namedAt},
		{"the recalled body", `UPDATE message SET body = 'rash words', extra = 'extra of rash words', recalled = NULL WHERE place = $1`, "postgres does not have the message at place", recalledAt},
	} {
		t.Run(c.name, func(t *testing.T) {
			if done, err := pg.Exec(t.Context(), c.sql, int64(c.place)); err != nil || done.RowsAffected() != 1 {
				t.Fatal(done, err)
			}
			_, err := audit.Verify(t.Context(), twin, o.store, nil)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("verify says %v, want %q", err, c.want)
			}
		})
	}
}

func sameButForBodies(t *testing.T, log, twin []streams.RawEntry) {
	t.Helper()
	if len(log) != len(twin) {
		t.Fatalf("the copy has %d entries, want %d", len(twin), len(log))
	}
	for i := range log {
		want, err := chat.DecodeBlock(log[i].Data)
		if err != nil {
			t.Fatal(err)
		}
		got, err := chat.DecodeBlock(twin[i].Data)
		if err != nil {
			t.Fatal(err)
		}
		for j := range min(len(want.Records), len(got.Records)) {
			if r := &got.Records[j]; r.Erased {
				r.Body, r.Extra, r.Erased = want.Records[j].Body, want.Records[j].Extra, false
			}
		}
		if diff := cmp.Diff(want, got); diff != "" || log[i].Revision != twin[i].Revision || log[i].Partition != twin[i].Partition {
			t.Errorf("revision %d of partition %d is revision %d of partition %d in the copy (-log +copy):\n%s",
				log[i].Revision, log[i].Partition, twin[i].Revision, twin[i].Partition, diff)
		}
	}
}

// onDisk reports whether the files of a server's streams hold a text.
func onDisk(t *testing.T, s *server.Server, text string) bool {
	t.Helper()
	found := false
	err := filepath.WalkDir(s.StoreDir(), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		found = found || bytes.Contains(data, []byte(text))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestSequencersGoOnWithACopy(t *testing.T) {
	o, to := newOriginal(t), streamstest.Server(t)
	if _, err := o.copyTo(t, to, audit.Erasure{Recalled: true, Places: []chat.Place{namedAt}}, nil); err != nil {
		t.Fatal(err)
	}
	c := streamstest.Connect(t, streamstest.Restart(t, to), streams.Layout{Partitions: 2, Base: copyBase})
	for p, tail := range o.tails {
		if rev, err := c.Tail(t.Context(), p); err != nil || rev != tail.Revision {
			t.Errorf("partition %d ends at revision %d in the copy, %v; want %d", p, rev, err, tail.Revision)
		}
	}
	o.Conn = c
	o.append(t, copySaid(others, "emil", 4, "new words"))
	if want := (chat.Mark{Revision: 105, Hash: o.tails[others.Partition(2)].Hash}); o.tails[others.Partition(2)] != want {
		t.Errorf("the next block has revision %d, want 105", o.tails[others.Partition(2)].Revision)
	}
	if _, err := audit.Verify(t.Context(), c, o.store, nil); err != nil {
		t.Errorf("verify says %v", err)
	}

	// A copy of a copy: what was erased before stays so.
	o.server = to
	copied, err := o.copyTo(t, streamstest.Server(t), audit.Erasure{Recalled: true}, nil)
	if err != nil || copied.Erased != 0 || copied.Bodiless != 2 || copied.Last != 105 {
		t.Errorf("copied %+v, %v; want 2 messages that had no body, up to revision 105", copied, err)
	}
}

func TestACopyTouchesNoOtherLog(t *testing.T) {
	o, to := newOriginal(t), streamstest.Server(t)
	c := streamstest.Connect(t, to, streams.Layout{Partitions: 2, Base: copyBase})
	rev, _ := appendTo(t, c, chat.Mark{}, copySaid(pair, "alice", 1, "of another log"))
	before := entries(t, c)
	_, err := o.copyTo(t, to, audit.Erasure{}, nil)
	if want := "holds 1 blocks of a log already"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("it says %v, want %q", err, want)
	}
	if diff := cmp.Diff(before, entries(t, c)); diff != "" || rev != 1 {
		t.Errorf("the other log was changed (-before +after):\n%s", diff)
	}
	if _, err := o.copyTo(t, o.server, audit.Erasure{}, nil); err == nil || !strings.Contains(err.Error(), "holds 104 blocks of a log already") {
		t.Errorf("a copy of the log to itself ends in %v", err)
	}
}

func TestACopyMayFillAnEmptyLog(t *testing.T) {
	for name, c := range map[string]struct {
		layout streams.Layout
		want   string
	}{
		"of its form":      {streams.Layout{Partitions: 2, Base: copyBase}, ""},
		"of other numbers": {streams.Layout{Partitions: 4, Base: copyBase}, "holds a log of another form"},
	} {
		t.Run(name, func(t *testing.T) {
			o, to := newOriginal(t), streamstest.Server(t)
			streamstest.Connect(t, to, c.layout)
			_, err := o.copyTo(t, to, audit.Erasure{}, nil)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("it says %v, want %q", err, c.want)
			}
		})
	}
}

func TestACopyFailsIfTheLogGrows(t *testing.T) {
	for name, when := range map[string]int{"while it is looked through": 1, "while it is copied": 2} {
		t.Run(name, func(t *testing.T) {
			o := newOriginal(t)
			walks := 0
			_, err := o.copyTo(t, streamstest.Server(t), audit.Erasure{}, func(done, _ chat.Revision) {
				if done != 50 {
					return
				}
				if walks++; walks == when {
					o.append(t, copySaid(others, "emil", 4, "new words"))
				}
			})
			if want := "the log has grown from revision 104 to 105"; err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("it says %v, want %q", err, want)
			}
		})
	}
}

func TestACopyErasesNothingThatIsNoMessage(t *testing.T) {
	o, to := newOriginal(t), streamstest.Server(t)
	recall := chat.PlaceOf(copyBase, 3, 0)
	for _, place := range []chat.Place{recall, 17} {
		_, err := o.copyTo(t, to, audit.Erasure{Places: []chat.Place{namedAt, place}}, nil)
		if want := fmt.Sprintf("there is no message at place %d", place); err == nil || err.Error() != want {
			t.Errorf("it says %v, want %q", err, want)
		}
	}
	if _, err := streams.Connect(t.Context(), streams.Config{InProcess: to, LookOnly: true, Log: slog.New(slog.DiscardHandler)}); err == nil {
		t.Error("a log was created all the same")
	}
}

func TestACopyIsOfAnOrderlyLog(t *testing.T) {
	from, to := streamstest.Server(t), streamstest.Server(t)
	c := streamstest.Connect(t, from, streams.Layout{Partitions: 4})
	write(t, c, flip("number d", "number D"))
	o := &original{Conn: c, server: from}
	_, err := o.copyTo(t, to, audit.Erasure{}, nil)
	if want := "the body does not fit its digest"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("it says %v, want %q", err, want)
	}
}

func TestACopyStopsWhenItIsTold(t *testing.T) {
	o := newOriginal(t)
	twin, err := o.Twin(t.Context(), streams.Config{InProcess: streamstest.Server(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer twin.Close()
	ctx, stop := context.WithCancel(t.Context())
	_, err = audit.Copy(ctx, o.Conn, twin, audit.Erasure{}, func(done, _ chat.Revision) {
		if done == 50 {
			stop()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("it ends in %v", err)
	}
}
