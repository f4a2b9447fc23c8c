package fanout_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/streams"
	"github.com/whaleshark-im/whaleshark/streams/streamstest"
	"github.com/whaleshark-im/whaleshark/wire"
	"github.com/whaleshark-im/whaleshark/workers/fanout"
)

// nothing is a database that does not answer.
type nothing struct{}

func (nothing) LookUp(context.Context, chat.Needs) (chat.Facts, error) {
	return chat.Facts{}, errors.New("no database")
}

// say appends a block with one message of alice's to bob, and returns its revision.
func say(t *testing.T, c *streams.Conn, seq chat.Seq, after chat.Mark) chat.Mark {
	t.Helper()
	block := &chat.Block{Prev: after.Revision, Records: []chat.Record{{
		Kind: chat.MessageRecord, Conversation: chat.PairOf(1, "alice", "bob"), Sender: chat.Device{App: 1, User: "alice"},
		MessageID: "m", Seq: seq, Digest: chat.DigestOf("hi", ""), Body: "hi",
	}}}
	data := chat.AppendBlock(nil, block, after.Hash)
	done := make(chan error, 1)
	mark := chat.Mark{Hash: block.Hash}
	c.Append(0, data, after.Revision, func(rev chat.Revision, err error) { mark.Revision = rev; done <- err })
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return mark
}

// announce puts an edge among the members that was served up to a revision.
func announce(t *testing.T, c *streams.Conn, node chat.NodeID, served chat.Revision) {
	t.Helper()
	kv, err := c.KeyValue(t.Context(), "MEMBERS")
	if err != nil {
		t.Fatal(err)
	}
	value, err := json.Marshal(streams.Member{Role: streams.RoleEdge, Node: node, Active: true, Vector: map[chat.Partition]uint64{0: uint64(served)}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kv.Put(t.Context(), "edge."+string(node), value); err != nil {
		t.Fatal(err)
	}
}

// run runs a fan-out for as long as the test does, and returns its metrics.
func run(t *testing.T, c *streams.Conn, db fanout.Database) *prometheus.Registry {
	t.Helper()
	metrics := prometheus.NewRegistry()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		fanout.Run(ctx, fanout.Config{
			Node: streams.NewNode(), Conn: c, Database: db, Log: slog.New(slog.DiscardHandler), Metrics: fanout.NewMetrics(metrics),
		})
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
	return metrics
}

// TestAnEdgeThatComesLateGetsWhatItMissed lets an edge announce itself after messages to one of its sessions were handed out without it, as
// it happens when the broker was started again and the fan-out is faster than the edge.
func TestAnEdgeThatComesLateGetsWhatItMissed(t *testing.T) {
	c := streamstest.Connect(t, streamstest.Server(t), streams.Layout{Partitions: 1})
	first := say(t, c, 1, chat.Mark{})

	run(t, c, nothing{})
	members, err := c.WatchMembers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	handedOut := func(to chat.Revision) {
		t.Helper()
		deadline := time.Now().Add(10 * time.Second)
		for chat.Revision(members.Highest(streams.RoleFanout, 0)) < to {
			if time.Now().After(deadline) {
				t.Fatalf("the fan-out is at %d, want %d", members.Highest(streams.RoleFanout, 0), to)
			}
			<-time.After(5 * time.Millisecond)
		}
	}
	handedOut(first.Revision)
	second := say(t, c, 2, first)
	handedOut(second.Revision)

	pushes, err := c.ReadPushes(t.Context(), c.Generation(), "late", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer pushes.Close()
	bob := chat.Route{Device: chat.Device{App: 1, User: "bob"}, Edge: "late", Session: 5, Epoch: 1}
	if err := c.PutRoute(t.Context(), bob); err != nil {
		t.Fatal(err)
	}
	announce(t, c, "late", 0)
	var got []chat.Seq
	late := time.After(10 * time.Second)
	for len(got) < 2 {
		select {
		case <-pushes.Ready():
		case <-late:
			t.Fatalf("the edge has got seqs %v, want 1 and 2", got)
		}
		for _, p := range pushes.Take(100) {
			for _, d := range p.Push.Deliveries {
				m, err := wire.ParsePlaced(d.Payload)
				if err != nil || wire.Command(d.Command) != wire.Send {
					t.Fatalf("the edge got %v %s, %v", wire.Command(d.Command), d.Payload, err)
				}
				got = append(got, m.Seq)
			}
		}
	}
	if diff := cmp.Diff([]chat.Seq{1, 2}, got); diff != "" {
		t.Errorf("what the edge got (-want +got):\n%s", diff)
	}
}

// TestAnEdgeWithoutSessionsIsServedUpToTheEnd lets an edge announce itself that was served nothing, and that gets nothing of a log of more
// blocks than are read at once.
func TestAnEdgeWithoutSessionsIsServedUpToTheEnd(t *testing.T) {
	c := streamstest.Connect(t, streamstest.Server(t), streams.Layout{Partitions: 1})
	run(t, c, nothing{})
	var mark chat.Mark
	for seq := range chat.Seq(200) {
		mark = say(t, c, seq+1, mark)
	}
	pushes, err := c.ReadPushes(t.Context(), c.Generation(), "idle", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer pushes.Close()
	announce(t, c, "idle", 0)
	late := time.After(10 * time.Second)
	for to := chat.Revision(0); to < mark.Revision; {
		select {
		case <-pushes.Ready():
		case <-late:
			t.Fatalf("the edge was served up to %d, want %d", to, mark.Revision)
		}
		for _, p := range pushes.Take(100) {
			to = p.Push.To
		}
	}
}
