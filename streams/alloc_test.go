//go:build !race

package streams

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

func hotPieces() []hot {
	const users = 10_000
	routes := &Routes{users: make(map[chat.UserKey][]chat.Route), edges: make(map[chat.NodeID]int)}
	for i := range users {
		d := chat.Device{App: 10001, User: chat.UserID(fmt.Sprint("u", i)), Client: chat.Web, IMEI: "web"}
		routes.apply(routeChange{route: chat.Route{Device: d, Edge: "E", Session: chat.SessionID(i + 1)}})
	}
	user, nobody := chat.UserKey{App: 10001, User: "u77"}, chat.UserKey{App: 10001, User: "nobody"}
	again := routeChange{route: routes.Of(user)[0]}
	pair := chat.PairOf(10001, "alice", "bob")
	return []hot{
		{"look a user's routes up", 0, func() { _ = routes.Of(user) }},
		{"look for routes of somebody who is away", 0, func() { _ = routes.Of(nobody) }},
		{"take a route in", 1, func() { routes.apply(again) }},
		{"write the subject of a request", 1, func() { _ = ingressSubject(3, pair) }},
		{"write the subject of a push", 0, func() { _ = pushSubject("E") }},
		{"write the subject of a block", 0, func() { _ = logSubject(3) }},
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
