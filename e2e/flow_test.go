package e2e

import (
	"context"
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
