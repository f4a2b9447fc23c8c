package bench

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/wire"
)

// talkTo lets one sender talk to somebody at the other end of a connection, and returns what was measured.
func talkTo(t *testing.T, p Pace, server func(far net.Conn)) (*load, Percentiles) {
	t.Helper()
	p.Duration, p.Patience = 400*time.Millisecond, time.Second
	c, far := loopback(t)
	l := newLoad(&Target{App: 1}, p)
	l.talks, l.of = 1, func(int32) chat.Conversation { return chat.PairOf(1, "u1", "u2") }
	l.wordings = []wording{wordingOf(wire.Message{To: "u2", Body: "hello"})}
	l.addSender(l.addTalker(c), wire.Send, func(int) (int32, int) { return 0, 0 })
	go server(far) // ends with the connection
	wait := l.start()
	l.open(t.Context())
	if err := l.until(t.Context(), p.Duration, nil); err != nil {
		t.Fatal(err)
	}
	l.quiet.Store(true)
	if err := l.settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.close()
	wait()
	_, acks := l.acks.result()
	return l, acks
}

// loopback returns a connection and its far end, with buffers between them.
func loopback(t *testing.T) (*conn, net.Conn) {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	s, err := dialSocket(t.Context(), TCP, listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	far, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = s.Close(), far.Close() })
	return &conn{socket: s, device: chat.Device{App: 1, Client: chat.Web}}, far
}

// answering acknowledges what comes, as answer says.
func answering(answer func(n int, id string) []byte) func(net.Conn) {
	return func(far net.Conn) {
		d := wire.NewUpDecoder(far, wire.DefaultLimits)
		for n := 0; ; n++ {
			f, err := d.Decode()
			if err != nil {
				return
			}
			if b := answer(n, wire.MessageIDOf(f.Body)); b != nil {
				if _, err := far.Write(b); err != nil {
					return
				}
			}
		}
	}
}

func accept(n int, id string) []byte {
	return wire.AppendDown(nil, wire.SendAck, wire.AppendAck(nil, &wire.Ack{Code: chat.OK, MessageID: id, Seq: chat.Seq(n + 1)}))
}

// With a rate, a server that hangs makes all late that was due meanwhile, not only the one message that it got.
func TestLatencyBeginsWhenAMessageIsDue(t *testing.T) {
	_, acks := talkTo(t, Pace{Rate: 200}, func(far net.Conn) {
		<-time.After(300 * time.Millisecond)
		answering(accept)(far)
	})
	if acks.Count < 70 || acks.Max < 280 || acks.P50 < 50 {
		t.Errorf("the server has hung for 300 of 400 ms, and the latencies are %+v", acks)
	}
}

func TestWindowIsKept(t *testing.T) {
	waiting, most := 0, 0
	var held [][]byte
	l, acks := talkTo(t, Pace{Window: 3}, answering(func(n int, id string) []byte {
		waiting++
		most = max(most, waiting)
		if held = append(held, accept(n, id)); len(held) < 3 {
			return nil
		}
		b := append(append(held[0], held[1]...), held[2]...)
		held, waiting = nil, 0
		return b
	}))
	if most != 3 || acks.Count < 30 || l.unanswered() > 2 {
		t.Errorf("%d were in flight at most, %d acknowledged, %d unanswered", most, acks.Count, l.unanswered())
	}
}

// A sender goes on after a refusal, which is counted and no fault.
func TestRefusals(t *testing.T) {
	l, acks := talkTo(t, Pace{Window: 1}, answering(func(n int, id string) []byte {
		switch n % 3 {
		case 0:
			return wire.AppendDown(nil, wire.SendAck, wire.AppendAck(nil, &wire.Ack{Code: chat.NotMember, MessageID: id}))
		case 1:
			return wire.AppendDown(nil, wire.Refuse, wire.AppendRefusal(nil, &wire.Refusal{Code: chat.BadParameter, Command: wire.Send, MessageID: id}))
		}
		return accept(n, id)
	}))
	refused := l.codes.total()
	if acks.Count < 2 || refused < 2 || len(l.codes.n) != 2 || l.faults.total() != 0 || l.unanswered() != 0 {
		t.Errorf("%d acknowledged, refused %v, faults %v, %d unanswered", acks.Count, l.codes.n, l.faults.examples, l.unanswered())
	}
}

func TestLostConnection(t *testing.T) {
	l, _ := talkTo(t, Pace{Window: 2}, func(far net.Conn) {
		<-time.After(50 * time.Millisecond)
		_ = far.Close()
	})
	if l.unanswered() != 0 || l.codes.total() != 1 {
		t.Errorf("%d unanswered, errors %v; want none, and one", l.unanswered(), l.codes.n)
	}
	for what := range l.codes.n {
		if !strings.HasPrefix(what, "connection lost") {
			t.Errorf("the error is %q", what)
		}
	}
}
