package edge

import (
	"net"
	"testing"
	"time"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/client"
	"github.com/whaleshark-im/whaleshark/wire"
)

// resting reports how many connections rest.
func (e *Edge) resting() (n int) {
	for _, c := range e.sessions.all() {
		if c.link.resting.Load() {
			n++
		}
	}
	return n
}

// A connection on which nothing comes has no reader, and nobody notices.
func TestConnectionsRest(t *testing.T) {
	for _, transport := range []string{"tcp", "ws"} {
		t.Run(transport, func(t *testing.T) {
			s := startSockets(t, Config{})
			alice, _ := s.client(t, transport, "alice", client.Config{Ping: -1})
			bob, inbox := s.client(t, transport, "bob", client.Config{Ping: -1})
			eventually(t, "both rest", func() bool { return s.resting() == 2 })
			for i := range chat.Seq(3) { // each wakes alice, or finds her awake
				if ack, err := alice.Send(t.Context(), wire.Message{MessageID: "m", To: "bob", Body: "hi"}); err != nil || ack.Seq != i+1 {
					t.Fatalf("message %d is answered with %+v, %v", i+1, ack, err)
				}
				if got := next(t, "bob", inbox.messages); got.Seq != i+1 {
					t.Fatalf("bob reads %d; want %d", got.Seq, i+1)
				}
			}
			_ = bob.Close()
			eventually(t, "bob is gone", func() bool { return s.Stats().Connections == 1 })
		})
	}
}

// Whatever ends a connection that rests, it is gone as others are.
func TestConnectionEndsAtRest(t *testing.T) {
	for name, end := range map[string]func(c *conn, client net.Conn){
		"the client hangs up":                      func(_ *conn, client net.Conn) { _ = client.Close() },
		"the client hears the end and stays":       func(c *conn, _ net.Conn) { c.end(because(chat.Kicked)) },
		"the socket is closed here":                func(c *conn, _ net.Conn) { _ = c.link.Close() },
		"the client hangs up and leaves a remnant": func(_ *conn, client net.Conn) { _, _ = client.Write([]byte("remnant")); _ = client.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			s := startSockets(t, Config{CloseTimeout: time.Millisecond})
			client, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", s.Addrs().TCP)
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			login := wire.AppendUp(nil, &wire.Up{Command: wire.Login, Version: 3, App: app, Body: []byte(`{"userId":"bob"}`)})
			if _, err := client.Write(login); err != nil {
				t.Fatal(err)
			}
			eventually(t, "bob rests", func() bool { return s.resting() == 1 })
			end(s.sessions.all()[0], client)
			eventually(t, "bob is gone", func() bool { return s.Stats().Connections == 0 && s.routeCount() == 0 })
		})
	}
}

// A reader that is about to rest while its link is closed ends all the same.
func TestRestMeetsTheEnd(t *testing.T) {
	s := startSockets(t, Config{CloseTimeout: time.Second})
	for range 200 {
		client, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", s.Addrs().TCP)
		if err != nil {
			t.Fatal(err)
		}
		login := wire.AppendUp(nil, &wire.Up{Command: wire.Login, Version: 3, App: app, Body: []byte(`{"userId":"bob"}`)})
		if _, err := client.Write(login); err != nil {
			t.Fatal(err)
		}
		eventually(t, "bob logs in", func() bool { return s.Stats().Sessions == 1 })
		for _, c := range s.sessions.all() {
			_ = c.link.Close()
		}
		eventually(t, "bob is gone", func() bool { return s.Stats().Connections == 0 })
		_ = client.Close()
	}
}
