package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/whaleshark-im/whaleshark/audit"
	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/postgres"
	"github.com/whaleshark-im/whaleshark/streams"
	"github.com/whaleshark-im/whaleshark/wire"
)

// exec changes the database behind the house's back.
func (h *house) exec(sql string) {
	h.t.Helper()
	url, err := postgres.URL(filepath.Join(h.dir, "postgres"))
	if err != nil {
		h.t.Fatal(err)
	}
	c, err := pgx.Connect(h.t.Context(), url)
	if err != nil {
		h.t.Fatal(err)
	}
	defer c.Close(context.WithoutCancel(h.t.Context()))
	if _, err := c.Exec(h.t.Context(), sql); err != nil {
		h.t.Fatalf("%s: %v", sql, err)
	}
}

// findsFault checks that an audit exits with 1 and says all this.
func (h *house) findsFault(t *testing.T, words ...string) {
	t.Helper()
	out, err := h.try("audit", "verify")
	if e, ok := errors.AsType[*exec.ExitError](err); !ok || e.ExitCode() != 1 {
		t.Fatalf("audit verify ends with %v, want exit code 1:\n%s", err, out)
	}
	for _, w := range words {
		if !strings.Contains(out, w) {
			t.Errorf("audit verify does not say %q:\n%s", w, out)
		}
	}
	t.Log(lastLine(out))
}

// isFine checks that an audit finds nothing.
func (h *house) isFine(t *testing.T) string {
	t.Helper()
	out, err := h.try("audit", "verify")
	if err != nil {
		t.Fatalf("audit verify: %v\n%s", err, out)
	}
	t.Log(lastLine(out))
	return lastLine(out)
}

func lastLine(s string) string {
	s = strings.TrimSpace(s)
	return strings.TrimSpace(s[strings.LastIndexAny(s, "\r\n")+1:])
}

// where names a message as an audit does.
func where(p chat.Partition, m audit.Event) []string {
	return []string{
		fmt.Sprintf("partition %d, revision %d", p, m.Revision), "conversation " + m.Conversation, fmt.Sprintf("place %d", m.Place),
	}
}

// replay returns what an audit tells.
func (h *house) replay(t *testing.T, args ...string) []audit.Event {
	t.Helper()
	out, err := h.try(append([]string{"audit", "replay", "--json"}, args...)...)
	if err != nil {
		t.Fatalf("audit replay: %v\n%s", err, out)
	}
	var events []audit.Event
	for d := json.NewDecoder(strings.NewReader(out)); d.More(); {
		var e audit.Event
		if err := d.Decode(&e); err != nil {
			t.Fatalf("audit replay: %v\n%s", err, out)
		}
		events = append(events, e)
	}
	if !slices.IsSortedFunc(events, func(a, b audit.Event) int { return int(a.Place - b.Place) }) {
		t.Errorf("audit replay %v is not in the order of the log", args)
	}
	return events
}

// TestAudit lets people talk, and then does to the rows and to the log what must not be done to them: the audit finds each.
func TestAudit(t *testing.T) {
	h := open(t, streams.Layout{})
	h.staff(1, 1, 1, 1)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	alice, bob, lld := h.device("alice", "a", "tcp"), h.device("bob", "b", "ws"), h.device("lld", "l", "tcp")
	acks := make(map[string]chat.Seq)
	talk := func(from *device, to chat.UserID, prefix string, n int) {
		a, err := from.talk(ctx, to, prefix, n, 16, 0)
		if err != nil {
			t.Fatal(err)
		}
		maps.Copy(acks, a)
	}
	if _, err := bob.connection(ctx); err != nil {
		t.Fatal(err)
	}
	for _, d := range []*device{alice, bob, lld} {
		defer d.close()
	}
	talk(alice, "bob", "early", 60)
	half := time.Now().Add(10 * time.Millisecond).Truncate(time.Millisecond) // a block's time is told in milliseconds
	<-time.After(time.Until(half))
	talk(bob, "alice", "late", 60)
	talk(lld, "alice", "third", 60)
	if _, err := alice.say(ctx, "10002", "refused", "we are not friends"); err == nil {
		t.Error("a message to a stranger was placed")
	}
	h.holds(acks)

	t.Run("all is as it must be", func(t *testing.T) {
		if out := h.isFine(t); !strings.Contains(out, "180 messages") {
			t.Errorf("audit verify says %q, want 180 messages", out)
		}
	})
	t.Run("what happened is told in order", func(t *testing.T) { tells(t, h, acks, half) })
	t.Run("a poisoned row stops nothing", func(t *testing.T) { poison(t, h, alice, bob, acks) })
	t.Run("a row is gone or another", func(t *testing.T) { alteredRows(t, h) })
	t.Run("one id to two receivers at once", func(t *testing.T) { twins(t, h, alice) })
	t.Run("the log is another", func(t *testing.T) { alteredLog(t, h) })
}

// tells checks what replay tells.
func tells(t *testing.T, h *house, acks map[string]chat.Seq, half time.Time) {
	t.Helper()
	pair := h.replay(t, "--conversation", "10001/p/alice/bob")
	for i, e := range pair {
		if e.Kind != "message" || e.Seq != chat.Seq(i+1) || e.Seq != acks[e.MessageID] || e.Body != "message "+e.MessageID {
			t.Fatalf("event %d is %+v, want the message with seq %d, acknowledged as %d", i, e, i+1, acks[e.MessageID])
		}
	}
	if len(pair) != 120 {
		t.Errorf("%d messages of alice and bob are told of, want 120", len(pair))
	}
	for what, c := range map[string]struct {
		args []string
		want map[string]int // conversation, events
	}{
		"alice": {[]string{"--user", "alice"}, map[string]int{
			"10001/g/team": 2, "10001/p/alice/bob": 120, "10001/p/alice/lld": 60, "10001/p/10002/alice": 1,
		}},
		"bob":         {[]string{"--user", "bob"}, map[string]int{"10001/g/team": 1, "10001/p/alice/bob": 120}},
		"nobody":      {[]string{"--user", "nobody"}, map[string]int{}},
		"another app": {[]string{"--user", "alice", "--app", "10002"}, map[string]int{}},
		"since": {
			[]string{"--user", "bob", "--since", half.Format(time.RFC3339Nano)}, map[string]int{"10001/p/alice/bob": 60},
		},
	} {
		got := make(map[string]int)
		for _, e := range h.replay(t, c.args...) {
			got[e.Conversation]++
		}
		if !maps.Equal(got, c.want) {
			t.Errorf("%s: replay tells of %v, want %v", what, got, c.want)
		}
	}
	text := h.run("audit", "replay", "--conversation", "10001/p/10002/alice")
	t.Log(lastLine(text))
	if !strings.Contains(text, "alice refused refused: relation_missing") {
		t.Errorf("replay tells %q, want the refusal", text)
	}
}

// poison makes Postgres refuse one row for itself.
func poison(t *testing.T, h *house, alice, bob *device, acks map[string]chat.Seq) {
	t.Helper()
	ctx := t.Context()
	h.exec(`ALTER TABLE message ADD CONSTRAINT no_poison CHECK (message_id <> 'poison')`)
	defer h.exec(`ALTER TABLE message DROP CONSTRAINT no_poison`)
	placed := make(chan error, 1)
	var poisoned wire.Ack
	go func() { // ends before the last message
		var err error
		poisoned, err = alice.say(ctx, "bob", "poison", "message poison")
		placed <- err
	}()
	around, err := alice.talk(ctx, "bob", "around", 30, 8, 5*time.Millisecond)
	if err = errors.Join(err, <-placed); err != nil {
		t.Fatal(err)
	}
	h.persisted()
	if aside, err := h.store.Rejected(ctx, 0, 1<<53); err != nil || len(aside) != 1 ||
		aside[0].Record.MessageID != "poison" || aside[0].Record.Seq != poisoned.Seq {
		t.Errorf("put aside is %+v (%v), want the poisoned message with seq %d", aside, err, poisoned.Seq)
	}
	if out := h.isFine(t); !strings.Contains(out, "1 put aside") {
		t.Errorf("audit verify says %q, want one message put aside", out)
	}
	head := chat.Seq(120 + 30 + 1)
	h.eventually(10*time.Second, "bob has them all", func() error {
		bob.mu.Lock()
		defer bob.mu.Unlock()
		if got := len(bob.seen[chat.PairOf(10001, "alice", "bob")]); got < 60+31 {
			return fmt.Errorf("it has %d", got)
		}
		return nil
	})

	// Once more, as the newest message of its conversation, and asked about after the one who placed it has gone.
	h.exec(`ALTER TABLE message DROP CONSTRAINT no_poison, ADD CONSTRAINT no_poison CHECK (message_id NOT IN ('poison', 'poison-2'))`)
	second, err := alice.say(ctx, "bob", "poison-2", "message poison-2")
	if err != nil {
		t.Fatal(err)
	}
	h.persisted()
	h.processOf(streams.RoleSequence).stop()
	h.startWorker(streams.RoleSequence, 0)
	h.ready(streams.RoleSequence, 1)
	for id, want := range map[string]chat.Seq{"poison": poisoned.Seq, "poison-2": second.Seq} {
		c, err := alice.connection(ctx)
		if err != nil {
			t.Fatal(err)
		}
		limited, cancel := context.WithTimeout(ctx, 10*time.Second)
		again, err := c.Send(limited, wire.Message{MessageID: id, To: "bob", Body: "message " + id})
		cancel()
		if err != nil || again.Seq != want {
			t.Errorf("the repeat of %s is answered with seq %d (%v), want %d", id, again.Seq, err, want)
		}
	}
	next, err := alice.say(ctx, "bob", "next", "message next")
	if err != nil || second.Seq != head+1 || next.Seq != head+2 {
		t.Errorf("the messages have seqs %d and %d (%v), want %d and %d", second.Seq, next.Seq, err, head+1, head+2)
	}
	maps.Copy(acks, around)
	acks["next"] = next.Seq
	h.holds(acks) // of the rows; those put aside are none
}

// alteredRows does to rows what only the log may do.
func alteredRows(t *testing.T, h *house) {
	t.Helper()
	h.persisted()
	pair := h.replay(t, "--conversation", "10001/p/alice/bob")
	m := pair[6]
	h.exec(`CREATE TABLE kept AS SELECT * FROM message WHERE place = ` + fmt.Sprint(m.Place))
	restore := func() {
		h.exec(`DELETE FROM message WHERE place = ` + fmt.Sprint(m.Place))
		h.exec(`INSERT INTO message SELECT * FROM kept`)
	}
	h.exec(`DELETE FROM message WHERE place = ` + fmt.Sprint(m.Place))
	h.findsFault(t, append(where(m.Partition, m), "postgres does not have the message")...)
	restore()
	h.exec(`UPDATE message SET body = body || '!' WHERE place = ` + fmt.Sprint(m.Place))
	h.findsFault(t, append(where(m.Partition, m), "postgres has another body")...)
	restore()
	h.exec(`UPDATE message SET seq = 100000 WHERE place = ` + fmt.Sprint(m.Place))
	h.findsFault(t, append(where(m.Partition, m), "postgres has another seq")...)
	restore()
	h.isFine(t)
}

// twins sends one id to two receivers at the same moment.
func twins(t *testing.T, h *house, alice *device) {
	t.Helper()
	c, err := alice.connection(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	answers := make(chan error, 2)
	for _, to := range []chat.UserID{"bob", "lld"} {
		c.Start(wire.Message{MessageID: "twin", To: to, Body: "to both"}, func(_ wire.Ack, err error) { answers <- err })
	}
	for range 2 {
		if err := <-answers; err != nil {
			t.Fatal(err)
		}
	}
	h.persisted()
	rows, err := h.store.Messages(t.Context(), 0, 1<<53, 10_000)
	if err != nil {
		t.Fatal(err)
	}
	stored := make(map[string]int)
	for _, row := range rows {
		if row.Record.MessageID == "twin" {
			stored[row.Record.Conversation.String()]++
		}
	}
	if want := map[string]int{"10001/p/alice/bob": 1, "10001/p/alice/lld": 1}; !maps.Equal(stored, want) {
		t.Errorf("the message is stored in %v, want %v", stored, want)
	}
	h.isFine(t)
}

// alteredLog stops all who write, and changes the log beneath the broker.
func alteredLog(t *testing.T, h *house) {
	t.Helper()
	for _, p := range h.processes {
		if p != h.nats && p != h.postgres {
			p.stop()
		}
	}
	entries := h.entries(t)
	m := h.replay(t, "--conversation", "10001/p/alice/bob")[40]
	for _, c := range []struct {
		what, find, replace string
		words               []string
	}{
		{"a letter of a body", m.Body, "M" + m.Body[1:], append(where(m.Partition, m), "the body does not fit its digest")},
		{
			"a letter of a message id", m.MessageID, "E" + m.MessageID[1:],
			[]string{fmt.Sprintf("partition %d, revision %d", m.Partition, m.Revision), "hash does not follow"},
		},
	} {
		t.Run(c.what, func(t *testing.T) {
			changed := slices.Clone(entries)
			e := &changed[m.Revision-1]
			e.Data = bytes.Replace(slices.Clone(e.Data), []byte(c.find), []byte(c.replace), 1)
			if bytes.Equal(e.Data, entries[m.Revision-1].Data) {
				t.Fatalf("revision %d does not hold %q", m.Revision, c.find)
			}
			h.rewrite(t, changed)
			h.findsFault(t, c.words...)
		})
	}
	all := h.replay(t, "--user", "alice")
	newest := all[len(all)-1]
	for what, c := range map[string]struct {
		event audit.Event
		end   func(*process)
		says  string
	}{
		// A broker that has ended in order believes its index, and passes over what it cannot read. One that was killed reads its files
		// anew, and forgets all that stands behind.
		"a letter on the disk":                 {m, (*process).stop, fmt.Sprintf("revision %d: the broker does not give this revision", m.Revision)},
		"a letter of the newest on the disk":   {newest, (*process).stop, fmt.Sprintf("revision %d: the broker does not give this revision", newest.Revision)},
		"a letter on the disk of a killed one": {m, (*process).kill, "the log does not"},
	} {
		t.Run(what, func(t *testing.T) {
			h.rewrite(t, entries)
			h.isFine(t)
			c.end(h.nats)
			h.flipOnDisk(t, c.event)
			h.startNATS()
			h.eventually(20*time.Second, "the broker is there", func() error {
				_, err := h.conn.LastRevision(t.Context())
				return err
			})
			h.findsFault(t, c.says)
		})
	}
}

// entries reads the whole log.
func (h *house) entries(t *testing.T) []streams.RawEntry {
	t.Helper()
	last, err := h.conn.LastRevision(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r, err := h.conn.FollowWholeLog(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var all []streams.RawEntry
	for len(all) < int(last) {
		select {
		case <-r.Ready():
			all = append(all, r.Take(1000)...)
		case <-time.After(10 * time.Second):
			t.Fatalf("%d of %d entries of the log came", len(all), last)
		}
	}
	return all
}

// rewrite gives the broker a new log, of these entries.
func (h *house) rewrite(t *testing.T, entries []streams.RawEntry) {
	t.Helper()
	h.nats.kill()
	if err := os.RemoveAll(filepath.Join(h.dir, "nats")); err != nil {
		t.Fatal(err)
	}
	h.startNATS()
	h.eventually(20*time.Second, "a new log is there", func() error {
		last, err := h.conn.LastRevision(t.Context())
		if err == nil && last > 0 {
			err = fmt.Errorf("it has revision %d", last)
		}
		return err
	})
	tails := make(map[chat.Partition]chat.Revision)
	for _, e := range entries {
		done := make(chan error, 1)
		h.conn.Append(e.Partition, e.Data, tails[e.Partition], func(r chat.Revision, err error) {
			if err == nil && r != e.Revision {
				err = fmt.Errorf("it became revision %d", r)
			}
			done <- err
		})
		if err := <-done; err != nil {
			t.Fatalf("write revision %d: %v", e.Revision, err)
		}
		tails[e.Partition] = e.Revision
	}
}

// flipOnDisk changes a letter of a message in the broker's own files, and leaves its checksums.
func (h *house) flipOnDisk(t *testing.T, m audit.Event) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(h.dir, "nats", "jetstream", "*", "streams", "KV_LOG", "msgs", "*.blk"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if i := bytes.LastIndex(b, []byte(m.Body)); i >= 0 {
			b[i] ^= 1
			if err := os.WriteFile(file, b, 0o600); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatalf("none of the %d files of the log holds %q", len(files), m.Body)
}
