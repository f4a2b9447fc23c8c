package e2e

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/streams"
)

// staff starts n processes of each role, and waits until they share the work.
func (h *house) staff(edges, sequencers, fanouts, persists int) {
	h.t.Helper()
	for i := range edges {
		h.startEdge(fmt.Sprint("edge.", i))
	}
	for role, n := range map[streams.Role]int{
		streams.RoleSequence: sequencers, streams.RoleFanout: fanouts, streams.RolePersist: persists,
	} {
		for i := range n {
			h.startWorker(role, i)
		}
	}
	h.ready(streams.RoleEdge, edges)
	h.ready(streams.RoleSequence, sequencers)
	h.ready(streams.RoleFanout, fanouts)
	h.ready(streams.RolePersist, persists)
	if sequencers > 0 && fanouts > 0 && persists > 0 {
		h.settled()
	}
}

// settled waits until the groups that Postgres has are in the log, and told to whoever is there: what a test's clients hear after that is
// the test's.
func (h *house) settled() {
	h.t.Helper()
	h.eventually(30*time.Second, "the groups are in the log", func() error {
		waiting, err := h.store.Outgoing(h.t.Context(), 0, 1)
		if err == nil && len(waiting) > 0 {
			err = errors.New("changes wait in the outbox")
		}
		return err
	})
	for p := range chat.Partition(h.conn.Partitions()) {
		h.eventually(10*time.Second, "the fan-out and the edges have it", func() error {
			tail, err := h.conn.Tail(h.t.Context(), p)
			for _, m := range append(h.watch().Of(streams.RoleFanout), h.watch().Of(streams.RoleEdge)...) {
				if at, owns := m.Vector[p]; err == nil && owns && at < uint64(tail) {
					err = fmt.Errorf("%s %s has partition %d up to %d of %d", m.Role, m.Node, p, at, tail)
				}
			}
			return err
		})
	}
}

func (h *house) startEdge(name string) *process {
	h.t.Helper()
	return h.start(name, "edge", "--tcp", "127.0.0.1:0", "--ws", "127.0.0.1:0", "--auth", "optional")
}

func (h *house) startWorker(role streams.Role, i int) *process {
	h.t.Helper()
	return h.start(fmt.Sprint(role, ".", i), "worker", string(role))
}

// persisted waits until Postgres has the whole log.
func (h *house) persisted() {
	h.t.Helper()
	h.eventually(60*time.Second, "postgres has the whole log", func() error {
		marks, err := h.store.Marks(h.t.Context())
		if err != nil {
			return err
		}
		for p := range chat.Partition(h.conn.Partitions()) {
			tail, err := h.conn.Tail(h.t.Context(), p)
			if err != nil {
				return err
			}
			if marks[p].Revision != tail {
				return fmt.Errorf("partition %d is at %d of %d", p, marks[p].Revision, tail)
			}
		}
		return nil
	})
}

// holds checks that the database has exactly these messages, each once with the seq that its ack told, and that the audit
// finds no fault.
func (h *house) holds(acks map[string]chat.Seq) {
	h.t.Helper()
	h.persisted()
	rows := make(map[string]chat.Seq)
	var lo chat.Place
	for {
		page, err := h.store.Messages(h.t.Context(), lo, 1<<53, 10_000)
		if err != nil {
			h.t.Fatal(err)
		}
		for _, m := range page {
			if old, ok := rows[m.Record.MessageID]; ok {
				h.t.Errorf("%s is stored twice, as seq %d and %d", m.Record.MessageID, old, m.Record.Seq)
			}
			rows[m.Record.MessageID] = m.Record.Seq
			lo = m.Place + 1
		}
		if len(page) < 10_000 {
			break
		}
	}
	for id, seq := range acks {
		if rows[id] != seq {
			h.t.Errorf("%s was acknowledged as seq %d and is stored as %d (0: it is not)", id, seq, rows[id])
		}
	}
	if len(rows) != len(acks) {
		h.t.Errorf("%d messages are stored, %d were acknowledged", len(rows), len(acks))
	}
	if out, err := h.try("audit", "verify"); err != nil {
		h.t.Errorf("audit verify: %v\n%s", err, out)
	}
}

func seqs(n int) []chat.Seq {
	all := make([]chat.Seq, n)
	for i := range all {
		all[i] = chat.Seq(i + 1)
	}
	return all
}

// TestTwoPeopleTalk lets alice and bob, with two devices each, one by TCP and one by WebSocket, send a thousand messages from each device,
// with 32 in flight, through three processes of each role and 16 partitions.
func TestTwoPeopleTalk(t *testing.T) {
	h := open(t, streams.Layout{Partitions: 16})
	h.staff(3, 3, 3, 3)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	devices := []*device{
		h.device("alice", "a1", "tcp"), h.device("alice", "a2", "ws"),
		h.device("bob", "b1", "tcp"), h.device("bob", "b2", "ws"),
	}
	for _, d := range devices {
		if _, err := d.connection(ctx); err != nil {
			t.Fatal(err)
		}
		defer d.close()
	}
	const each = 1000
	acks := make(map[string]chat.Seq)
	type result struct {
		acks map[string]chat.Seq
		err  error
	}
	results := make(chan result)
	started := time.Now()
	for _, d := range devices {
		to := chat.UserID("bob")
		if d.id.User == "bob" {
			to = "alice"
		}
		go func() {
			a, err := d.talk(ctx, to, d.id.IMEI, each, 32, 0)
			results <- result{a, err}
		}()
	}
	for range devices {
		r := <-results
		if r.err != nil {
			t.Fatal(r.err)
		}
		maps.Copy(acks, r.acks)
	}
	t.Logf("%d messages in %v", len(acks), time.Since(started))

	h.holds(acks)
	conversation := chat.PairOf(10001, "alice", "bob")
	for _, d := range devices {
		// A device sees all but its own messages.
		var want []chat.Seq
		for id, seq := range acks {
			if !strings.HasPrefix(id, d.id.IMEI+"-") {
				want = append(want, seq)
			}
		}
		slices.Sort(want)
		h.eventually(10*time.Second, fmt.Sprintf("%s has all messages", d.id), func() error {
			d.mu.Lock()
			defer d.mu.Unlock()
			if got := len(d.seen[conversation]); got < len(want) {
				return fmt.Errorf("it has %d of %d", got, len(want))
			}
			return nil
		})
		d.sawAll(t, conversation, want)
		if d.twice > 0 && len(d.repeated) == 0 {
			t.Errorf("%s saw %d messages twice", d.id, d.twice)
		}
	}
	if got := slices.Sorted(maps.Values(acks)); !slices.Equal(got, seqs(4*each)) {
		t.Errorf("the acks' seqs are not 1 to %d", 4*each)
	}
}

// TestSequencersShareThePartitions checks that three sequencers divide 64 partitions among them, and that each has some of what 40 pairs
// said. With so many, names that leave one of them less than two come once in 10¹⁰ runs.
func TestSequencersShareThePartitions(t *testing.T) {
	h := open(t, streams.Layout{Partitions: 64})
	h.staff(1, 3, 1, 1)
	h.eventually(10*time.Second, "each partition is told by one sequencer", func() error {
		tellers := make(map[chat.Partition]int)
		for _, m := range h.ready(streams.RoleSequence, 3) {
			for p := range m.Vector {
				tellers[p]++
			}
			if len(m.Vector) < 2 {
				return fmt.Errorf("%s owns %d", m.Node, len(m.Vector))
			}
		}
		for p := range chat.Partition(64) {
			if tellers[p] != 1 {
				return fmt.Errorf("%d tell of partition %d", tellers[p], p)
			}
		}
		return nil
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c := h.pairs(ctx, 40)
	c.talk(ctx, "0", 5, 1, 0)
	h.holds(c.acks)
	busy := make(map[chat.Partition]bool)
	for p := range chat.Partition(64) {
		tail, err := h.conn.Tail(ctx, p)
		if err != nil {
			t.Fatal(err)
		}
		busy[p] = tail > 0
	}
	for _, m := range h.ready(streams.RoleSequence, 3) {
		sequenced := 0
		for p := range m.Vector {
			if busy[p] {
				sequenced++
			}
		}
		t.Logf("%s owns %d partitions and has sequenced in %d of them", m.Node, len(m.Vector), sequenced)
		if sequenced == 0 {
			t.Errorf("%s has sequenced nothing", m.Node)
		}
	}
}

// TestARepeatIsAnsweredForEver sends a message again after everything was restarted: the first ack comes again, and so does what is known
// of its arrival. The receiver gets it once more when nobody knows whether he has it.
func TestARepeatIsAnsweredForEver(t *testing.T) {
	h := open(t, streams.Layout{})
	h.staff(1, 1, 1, 1)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	alice, bob := h.device("alice", "a", "tcp"), h.device("bob", "b", "ws")
	defer alice.close()
	defer bob.close()
	first, err := alice.say(ctx, "bob", "m1", "hello")
	if err != nil {
		t.Fatal(err)
	}
	alice.told(t, "m1", 1, 1)

	h.persisted()
	for _, p := range slices.Backward(slices.Clone(h.processes)) {
		p.kill()
	}
	h.members = nil
	h.startPostgres()
	h.startNATS()
	h.staff(1, 1, 1, 1)
	again := func(body string) (chat.Seq, error) {
		ack, err := alice.say(ctx, "bob", "m1", body)
		return ack.Seq, err
	}
	if seq, err := again("hello"); err != nil || seq != first.Seq {
		t.Errorf("the repeat after the restart got seq %d, %v; want %d", seq, err, first.Seq)
	}
	alice.told(t, "m1", 2, 2) // nobody is there, once more

	if _, err := bob.connection(ctx); err != nil {
		t.Fatal(err)
	}
	if seq, err := again("hello"); err != nil || seq != first.Seq {
		t.Errorf("the repeat to a receiver who is there got seq %d, %v; want %d", seq, err, first.Seq)
	}
	alice.told(t, "m1", 3, 2) // bob has it now
	bob.sawAll(t, chat.PairOf(10001, "alice", "bob"), seqs(1))
	if seq, err := again("hello"); err != nil || seq != first.Seq {
		t.Errorf("the last repeat got seq %d, %v; want %d", seq, err, first.Seq)
	}
	alice.told(t, "m1", 4, 2) // as before, without asking bob again
	if bob.twice != 0 {
		t.Errorf("bob got it %d times more", bob.twice)
	}
	if _, err := again("another body"); !errors.Is(err, chat.Error{Code: chat.MessageIDReused, Reason: chat.MessageIDReused.Info().Meaning}) {
		t.Errorf("the same id with another body: %v, want %v", err, chat.MessageIDReused)
	}
	h.holds(map[string]chat.Seq{"m1": first.Seq})
}

// told waits until a device was told so often of a message's arrival, so often in the receiver's stead.
//
//nolint:unparam // a test says of which message
func (d *device) told(t *testing.T, id string, times, served int) {
	t.Helper()
	d.h.eventually(5*time.Second, fmt.Sprintf("%s is told %d times of %s", d.id, times, id), func() error {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.receipts[id] != times || d.served[id] != served {
			return fmt.Errorf("%d times, %d of them in the receiver's stead; want %d and %d", d.receipts[id], d.served[id], times, served)
		}
		return nil
	})
}
