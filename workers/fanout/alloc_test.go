//go:build !race

package fanout

import (
	"fmt"
	"testing"

	"github.com/whaleshark-im/whaleshark/chat"
)

// hot is a piece of code that runs for each message, and how often it may allocate.
type hot struct {
	name string
	want float64
	run  func()
}

// hotPieces returns them; each hands 100 messages of 200 bytes out, encoded for the edges.
func hotPieces() []hot {
	const messages, members = 100, 200
	routes := make(map[chat.UserKey][]chat.Route)
	g := &group{}
	users := make([]chat.UserID, members)
	for i := range users {
		users[i] = chat.UserID(fmt.Sprint("u", i))
		routes[chat.UserKey{App: 1, User: users[i]}] = []chat.Route{route(users[i], "1", chat.NodeID(fmt.Sprint("e", i%2)), chat.SessionID(i+1))}
	}
	g.roster.Fold(1, &chat.Change{Kind: chat.GroupCreated, Version: 1, Users: users[:1]})
	g.roster.Fold(2, &chat.Change{Kind: chat.MembersJoined, Version: 2, Users: users[1:]})
	out := make([]byte, 0, 1<<20)
	hand := func(c chat.Conversation, handOut func(b *batch, r *chat.Record, place chat.Place)) func() {
		records := make([]chat.Record, messages)
		for i := range records {
			records[i] = chat.Record{
				Kind: chat.MessageRecord, Conversation: c, Sender: device("u0", "1"), MessageID: fmt.Sprint("m", i), Seq: chat.Seq(i + 1),
				Body: string(make([]byte, 200)),
			}
		}
		return func() {
			b := newBatch(0, func(u chat.UserKey) []chat.Route { return routes[u] }, limits{broadcast: 500, notify: 10_000})
			b.revision = 7
			for i := range records {
				handOut(b, &records[i], chat.Place(1024+i))
			}
			b.finish()
			for _, p := range b.pushes {
				chat.AppendPush(out, p)
			}
		}
	}
	pair := func(b *batch, r *chat.Record, place chat.Place) { b.pair(r, place) }
	team := func(b *batch, r *chat.Record, place chat.Place) { b.group(r, place, g) }
	return []hot{
		{"100 messages of a pair", 435, hand(chat.PairOf(1, "u0", "u1"), pair)},
		{"100 messages to nobody", 930, hand(chat.PairOf(1, "u0", "away"), pair)},
		{"100 messages to 200 members", 1760, hand(chat.GroupOf(1, "g"), team)},
	}
}

// How often the pieces allocate is counted, not timed: a change that makes them allocate more is seen on any machine.
func TestAllocations(t *testing.T) {
	for _, h := range hotPieces() {
		if got := testing.AllocsPerRun(100, h.run); got > h.want {
			t.Errorf("%s allocates %v times; want at most %v", h.name, got, h.want)
		}
	}
}

// BenchmarkHot times the same pieces.
func BenchmarkHot(b *testing.B) {
	for _, h := range hotPieces() {
		b.Run(h.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				h.run()
			}
		})
	}
}
