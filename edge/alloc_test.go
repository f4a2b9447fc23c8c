//go:build !race

package edge

import (
	"strconv"
	"strings"
	"testing"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/wire"
)

// hot is a piece of code that runs for each frame, and how often it may allocate.
type hot struct {
	name string
	want float64
	run  func()
}

// hotPieces returns them; there are 10,000 sessions, and a push is for 100 that have just gone.
func hotPieces() []hot {
	const sessions, some = 10_000, 100
	cfg := Config{Rate: 1e12, Burst: 1 << 60}.withDefaults()
	ready := func(user chat.UserID) *session {
		s := newSession(&cfg)
		s.accept(chat.Route{Device: chat.Device{App: app, User: user, Client: chat.Web, IMEI: "web"}}, testTime, &resumed{})
		return &s
	}
	alice, bob := ready("alice"), ready("bob")
	body := wire.AppendMessage(nil, &wire.Message{MessageID: "m1", To: "bob", Body: strings.Repeat("x", 200), First: true})
	send := &wire.Up{Command: wire.Send, Version: 3, App: app, Body: body}
	receipt := &wire.Up{
		Command: wire.Receive, Version: 3, App: app,
		Body: wire.AppendReceipt(nil, &wire.Receipt{To: "alice", Seq: 7, Place: 5120, MessageID: "m1"}),
	}
	ping := &wire.Up{Command: wire.Ping, Version: 3, App: app, Body: []byte("{}")}
	t := newTable()
	ids := make([]chat.SessionID, some)
	for i := range sessions {
		c := &conn{id: chat.SessionID(i + 1)}
		c.out.closed = true
		t.conns[c.id] = c
		t.enter(c, chat.Route{Device: chat.Device{App: app, User: chat.UserID(strconv.Itoa(i))}}, 0)
	}
	for i := range ids {
		ids[i] = chat.SessionID(sessions + i + 1)
	}
	f := frame{command: wire.Send, payload: body, revision: 1}
	to := chat.Device{App: app, User: "bob", Client: chat.Web, IMEI: "web"}
	out := make([]byte, 0, 1<<10)
	return []hot{
		{"take a message from its frame", 4, func() { alice.take(send, testTime) }},
		{"take a receipt", 3, func() { bob.take(receipt, testTime) }},
		{"take a ping", 0, func() { bob.take(ping, testTime) }},
		{"look for the sessions of a push", 0, func() { t.send(ids, f) }},
		{"write a frame for TCP", 0, func() { _, _ = f.appendTCP(out) }},
		{"write a frame for WebSocket", 0, func() { _, _ = f.appendWS(out, &to) }},
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
