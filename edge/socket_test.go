package edge

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/client"
	"github.com/whaleshark-im/whaleshark/wire"
)

// socketEdge is an edge on real sockets. Its streams answer each message by themselves: to its device an ack, and to all sessions of the
// receiver the message.
type socketEdge struct {
	*Edge
	*recorder
	registry *prometheus.Registry
	ctx      context.Context
	seq      chat.Seq // owned by Submit, which each test calls from one connection
}

func (s *socketEdge) Submit(q *chat.Request, done func(error)) {
	done(nil)
	s.set(func(*recorder) { s.seq++ })
	to, _ := q.Conversation.Peer(q.Sender.User)
	placed := wire.AppendPlaced(nil, &wire.Placed{
		Message: wire.Message{MessageID: q.MessageID, To: to, Body: q.Body}, From: q.Sender, Place: chat.Place(s.seq) * 1024, Seq: s.seq,
	})
	ack := wire.AppendAck(nil, &wire.Ack{Code: chat.OK, MessageID: q.MessageID, Seq: s.seq})
	var senders, receivers []chat.SessionID
	for _, r := range s.Routes() {
		if r.Device == q.Sender {
			senders = append(senders, r.Session)
		} else if r.Device.User == to {
			receivers = append(receivers, r.Session)
		}
	}
	s.Deliver(&chat.Push{Deliveries: []chat.Delivery{
		{Command: int32(wire.SendAck), Payload: ack, Sessions: senders},
		{Command: int32(wire.Send), Payload: placed, Sessions: receivers},
	}})
}

func startSockets(t testing.TB, cfg Config) *socketEdge {
	t.Helper()
	s := &socketEdge{recorder: newRecorder(), registry: prometheus.NewRegistry()}
	cfg.TCP, cfg.WS, cfg.Auth, cfg.Metrics = "127.0.0.1:0", "127.0.0.1:0", AuthOptional, s.registry
	s.Edge = New(cfg, s, newFacts())
	if err := s.Listen(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.ctx = ctx
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }() // ends with ctx
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s
}

func (s *socketEdge) url(transport string) string {
	if transport == "ws" {
		return "ws://" + s.Addrs().WS + "/ws"
	}
	return "tcp://" + s.Addrs().TCP
}

// inbox collects what a client gets.
type inbox struct {
	messages chan wire.Placed
	receipts chan wire.Arrived
}

func (s *socketEdge) client(t testing.TB, transport string, user chat.UserID, cfg client.Config) (*client.Client, inbox) {
	t.Helper()
	in := inbox{make(chan wire.Placed, 1000), make(chan wire.Arrived, 1000)}
	cfg.URL = s.url(transport)
	cfg.Device = chat.Device{App: app, User: user, Client: chat.Web, IMEI: transport}
	cfg.Handler.Message = func(p wire.Placed) { in.messages <- p }
	cfg.Handler.Receipt = func(a wire.Arrived) { in.receipts <- a }
	c, err := client.Dial(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if _, err := c.Login(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c, in
}

// eventually waits until what must become true is true.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("%s: not within 10 s", what)
		case <-time.After(time.Millisecond):
		}
	}
}

func next[T any](t testing.TB, what string, from <-chan T) T {
	t.Helper()
	select {
	case x := <-from:
		return x
	case <-time.After(10 * time.Second):
		t.Fatalf("%s: nothing came within 10 s", what)
		panic("unreachable")
	}
}

func TestClientsTalk(t *testing.T) {
	for _, alices := range []string{"tcp", "ws"} {
		for _, bobs := range []string{"tcp", "ws"} {
			t.Run(alices+" to "+bobs, func(t *testing.T) {
				s := startSockets(t, Config{})
				alice, _ := s.client(t, alices, "alice", client.Config{})
				_, inbox := s.client(t, bobs, "bob", client.Config{Receipts: true})
				for i := range chat.Seq(100) {
					body := strings.Repeat("héllo\n", int(i)*20)
					ack, err := alice.Send(t.Context(), wire.Message{MessageID: "m", To: "bob", Body: body})
					if err != nil || ack.Seq != i+1 {
						t.Fatalf("message %d is answered with %+v, %v", i+1, ack, err)
					}
					got := next(t, "bob", inbox.messages)
					if got.Seq != i+1 || got.Body != body || got.From.User != "alice" || got.From.IMEI != alices {
						t.Fatalf("bob reads %d of %d bytes; want %d of %d", got.Seq, len(got.Body), i+1, len(body))
					}
				}
				eventually(t, "bob's receipts", func() bool {
					s.mu.Lock()
					defer s.mu.Unlock()
					return len(s.signals) == 100
				})
			})
		}
	}
}

func TestManyInFlight(t *testing.T) {
	for _, transport := range []string{"tcp", "ws"} {
		t.Run(transport, func(t *testing.T) {
			s := startSockets(t, Config{})
			alice, _ := s.client(t, transport, "alice", client.Config{Version: 1})
			_, inbox := s.client(t, transport, "bob", client.Config{Version: 1})
			eventually(t, "both log in", func() bool { return len(s.Routes()) == 2 })
			var acks sync.WaitGroup
			for range 500 {
				acks.Add(1)
				alice.Start(wire.Message{MessageID: "m", To: "bob", Body: "hi"}, func(_ wire.Ack, err error) {
					if err != nil {
						t.Error(err)
					}
					acks.Done()
				})
			}
			acks.Wait()
			for i := range chat.Seq(500) {
				if got := next(t, "bob", inbox.messages); got.Seq != i+1 {
					t.Fatalf("bob reads %d; want %d", got.Seq, i+1)
				}
			}
		})
	}
}

func TestClientHearsWhy(t *testing.T) {
	for _, transport := range []string{"tcp", "ws"} {
		t.Run(transport, func(t *testing.T) {
			s := startSockets(t, Config{})
			c, _ := s.client(t, transport, "alice", client.Config{})
			s.client(t, transport, "alice", client.Config{})
			next(t, "the older session's end", c.Done())
			if e, ok := errors.AsType[chat.Error](c.Err()); !ok || e.Code != chat.Replaced {
				t.Errorf("the older session ends with %v; want %v", c.Err(), chat.Replaced)
			}

			for _, version := range []int32{1, 3} {
				c, err := client.Dial(t.Context(), client.Config{
					URL: s.url(transport), Device: chat.Device{App: app, User: "nobody"}, Version: version,
				})
				if err != nil {
					t.Fatal(err)
				}
				_, err = c.Login(t.Context())
				if version == 1 {
					next(t, "the refused login's end", c.Done())
					err = c.Err()
				}
				if e, ok := errors.AsType[chat.Error](err); !ok || e.Code != chat.UserMissing {
					t.Errorf("version %d: the login is refused with %v; want %v", version, err, chat.UserMissing)
				}
				_ = c.Close()
			}
		})
	}
}

func TestLogout(t *testing.T) {
	for _, transport := range []string{"tcp", "ws"} {
		s := startSockets(t, Config{})
		c, _ := s.client(t, transport, "alice", client.Config{})
		if err := c.Logout(t.Context()); err != nil {
			t.Error(err)
		}
		eventually(t, "the route is dropped", func() bool { return s.routeCount() == 0 })
	}
}

func dialWS(t *testing.T, s *socketEdge, opts *websocket.DialOptions) *websocket.Conn {
	t.Helper()
	c, _, err := websocket.Dial(t.Context(), s.url("ws"), opts) //nolint:bodyclose // the library owns it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.CloseNow() })
	return c
}

// The frames of the original's pages, byte for byte, over both transports.
func TestClientOfTheOriginal(t *testing.T) {
	golden := func(name string) []byte {
		text, err := os.ReadFile("../wire/testdata/up-original-" + name + ".hex")
		if err != nil {
			t.Fatal(err)
		}
		b, err := hex.DecodeString(strings.TrimSpace(string(text)))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	s := startSockets(t, Config{})
	page := dialWS(t, s, &websocket.DialOptions{HTTPHeader: http.Header{"Origin": {"http://elsewhere.example"}}})
	for _, name := range []string{"ping", "login", "ping"} {
		if err := page.Write(t.Context(), websocket.MessageBinary, golden(name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := page.Write(t.Context(), websocket.MessageText, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "lld logs in", func() bool { return len(s.Routes()) == 1 })
	if err := page.Write(t.Context(), websocket.MessageBinary, append(golden("send"), "rest"...)); err != nil {
		t.Fatal(err)
	}
	_, message, err := page.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := `{"appId":10001,"clientType":1,"command":1046,` +
		`"data":{"code":200,"msg":"success","ok":true,"data":{"messageId":"m1","messageSequence":1}},"imei":"web","toId":"lld"}`
	if got := string(message[8:]); got != want {
		t.Errorf("the page reads\n%s\nwant\n%s", got, want)
	}
	if n := counted(t, s.registry, "dropped_total", dropText); n != 1 {
		t.Errorf("%v text messages were counted; want 1", n)
	}

	tcp, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", s.Addrs().TCP)
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	for _, b := range bytes.SplitAfter(append(golden("login"), golden("send")...), []byte{}) {
		if _, err := tcp.Write(b); err != nil { // a byte at a time
			t.Fatal(err)
		}
	}
	f, err := wire.NewDownDecoder(tcp, 1<<20).Decode()
	if want := `{"code":200,"msg":"success","ok":true,"data":{"messageId":"m1","messageSequence":2}}`; err != nil || string(f.Body) != want {
		t.Errorf("by TCP comes %s, %v; want %s", f.Body, err, want)
	}
}

func TestWebSocketOddities(t *testing.T) {
	s := startSockets(t, Config{})
	login := wire.AppendUp(nil, &wire.Up{Command: wire.Login, Version: 3, App: app, Body: []byte(`{"userId":"alice"}`)})

	t.Run("another path", func(t *testing.T) {
		_, response, err := websocket.Dial(t.Context(), "ws://"+s.Addrs().WS+"/", nil) //nolint:bodyclose // the library owns it
		if err == nil || response.StatusCode != http.StatusNotFound {
			t.Errorf("%v; want 404", err)
		}
	})
	t.Run("a fragmented message", func(t *testing.T) {
		c := dialWS(t, s, nil)
		w, err := c.Writer(t.Context(), websocket.MessageBinary)
		if err != nil {
			t.Fatal(err)
		}
		for i := range login {
			if _, err := w.Write(login[i : i+1]); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if _, b, err := c.Read(t.Context()); err != nil || !bytes.Contains(b, []byte(`"code":200`)) {
			t.Errorf("the login is answered with %s, %v", b, err)
		}
	})
	for name, message := range map[string][]byte{
		"a short message":                 login[:27],
		"a message that ends early":       login[:len(login)-1],
		"a message longer than any frame": append(login, make([]byte, 70<<10)...),
		"an empty message":                {},
	} {
		t.Run(name, func(t *testing.T) {
			c := dialWS(t, s, nil)
			if err := c.Write(t.Context(), websocket.MessageBinary, message); err != nil {
				t.Fatal(err)
			}
			var err error
			var last []byte
			for err == nil {
				var b []byte
				if _, b, err = c.Read(t.Context()); err == nil {
					last = b
				}
			}
			if len(message) >= 28 && !bytes.Contains(last, []byte("90015")) {
				t.Errorf("the last word is %s; want code 90015", last)
			}
			var end websocket.CloseError
			if !errors.As(err, &end) || end.Code != websocket.StatusPolicyViolation || end.Reason != "90015 bad_length" {
				t.Errorf("the connection ends with %v", err)
			}
		})
	}
}

// With an edge that cannot be reached any more from within, what comes from without must end.
func TestHalfOpenWebSocketIsFound(t *testing.T) {
	s := startSockets(t, Config{Heartbeat: 300 * time.Millisecond})
	c := dialWS(t, s, nil) // nobody reads it: it answers no ping
	login := wire.AppendUp(nil, &wire.Up{Command: wire.Login, Version: 1, App: app, Body: []byte(`{"userId":"alice"}`)})
	if err := c.Write(t.Context(), websocket.MessageBinary, login); err != nil {
		t.Fatal(err)
	}
	s.client(t, "ws", "bob", client.Config{Ping: -1})
	eventually(t, "the silent one is sent away", func() bool {
		return counted(t, s.registry, "closed_total", "heartbeat_timeout") == 1
	})
	if n := s.Stats().Sessions; n < 1 {
		t.Errorf("%d sessions are left; want the one that answers", n)
	}
}

// A client that sends much and reads nothing is sent away, and its memory comes back.
func TestSlowReaderOnASocket(t *testing.T) {
	for _, transport := range []string{"tcp", "ws"} {
		t.Run(transport, func(t *testing.T) {
			s := startSockets(t, Config{CloseTimeout: time.Second})
			held := make(chan struct{})
			slow, err := client.Dial(t.Context(), client.Config{
				URL: s.url(transport), Device: chat.Device{App: app, User: "alice"}, Version: 1,
				Handler: client.Handler{Frame: func(wire.Command, []byte) { <-held }},
			})
			if err != nil {
				t.Fatal(err)
			}
			defer slow.Close()
			defer close(held)
			if _, err := slow.Login(t.Context()); err != nil {
				t.Fatal(err)
			}
			eventually(t, "alice logs in", func() bool { return len(s.Routes()) == 1 })
			payload := bytes.Repeat([]byte(" "), 60<<10)
			payload[0] = '0'
			eventually(t, "the slow one is sent away", func() bool {
				s.Deliver(&chat.Push{Deliveries: []chat.Delivery{{Command: 1103, Payload: payload, Sessions: []chat.SessionID{1}}}})
				return counted(t, s.registry, "closed_total", "slow_consumer") == 1
			})
			eventually(t, "and is gone", func() bool { return s.Stats().Connections == 0 })
		})
	}
}

func TestGarbage(t *testing.T) {
	s := startSockets(t, Config{})
	c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", s.Addrs().TCP)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: example.org\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, c); err != nil {
		t.Errorf("%v; want the end", err)
	}
}

func TestAddressThatIsTaken(t *testing.T) {
	s := startSockets(t, Config{})
	e := New(Config{TCP: "127.0.0.1:0", WS: s.Addrs().WS}, s, newFacts())
	if err := e.Listen(t.Context()); err == nil || !strings.Contains(err.Error(), s.Addrs().WS) {
		t.Errorf("%v; want an error that names the address", err)
	}
}
