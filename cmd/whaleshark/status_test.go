package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/streams"
	"github.com/whaleshark-im/whaleshark/streams/broker"
)

func TestToolsCreateNothing(t *testing.T) {
	b, err := broker.Start(broker.Config{Dir: t.TempDir(), Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	for _, tool := range [][]string{{"status"}, {"audit", "verify"}, {"audit", "replay", "--user", "alice"}, {"audit", "copy", "--to", b.URL()}} {
		fails(t, "the broker holds no log", append(tool, "--data", t.TempDir(), "--nats", b.URL())...)
	}
	nc, err := nats.Connect(b.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	list := js.ListStreams(t.Context())
	for info := range list.Info() {
		t.Errorf("there is a stream %s now", info.Config.Name)
	}
	if err := list.Err(); err != nil {
		t.Fatal(err)
	}
}

// everybodyTellsAnAddress reads who is there from a status in JSON.
func everybodyTellsAnAddress(t *testing.T, dir string) {
	t.Helper()
	_, out, errs := runs(t, "", "status", "--data", dir, "--json")
	var s status
	if err := json.Unmarshal([]byte(out), &s); err != nil {
		t.Fatalf("%v in\n%s%s", err, out, errs)
	}
	if len(s.Members) < 4 {
		t.Errorf("%d members, want one of each role:\n%s", len(s.Members), out)
	}
	for _, m := range s.Members {
		if m.Addrs["admin"] == "" {
			t.Errorf("%s %s tells no admin address", m.Role, m.Node)
		}
	}
}

func TestStatusTables(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	s := status{
		Members: []streams.Member{
			{
				Role: streams.RoleEdge, Node: "E", Host: "h", PID: 1, Started: now.Add(-time.Minute).UnixMilli(),
				Addrs: map[string]string{"ws": "h:2", "tcp": "h:1", "admin": "h:3"},
			},
			{Role: streams.RoleSequence, Node: "S", Host: "h", PID: 2, Started: now.UnixMilli(), Active: true},
		},
		Partitions: []partition{
			{
				Partition: 0, Revision: 17, Full: true, Owners: map[streams.Role]chat.NodeID{streams.RoleSequence: "S", streams.RoleFanout: "F"},
				Behind: map[streams.Role]uint64{streams.RoleSequence: 3, streams.RoleFanout: 0},
			},
			{Partition: 1},
		},
	}
	var out strings.Builder
	if err := s.print(&out, now); err != nil {
		t.Fatal(err)
	}
	want := `
ROLE      NODE  HOST  PID  UP    STATE     ADDRESSES
edge      E     h     1    1m0s  draining  admin h:3, tcp h:1, ws h:2
sequence  S     h     2    0s    active    

PARTITION  REVISION  SEQUENCE  BEHIND  FANOUT  BEHIND  PERSIST  BEHIND  WEBHOOK  BEHIND
0          17, full  S         3       F       0       nobody   ?       nobody   ?
1          0         nobody    ?       nobody  ?       nobody   ?       nobody   ?
`
	if diff := cmp.Diff(want, "\n"+out.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
