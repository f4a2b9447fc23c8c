package client_test

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/client"
	"github.com/whaleshark-im/whaleshark/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var alice = chat.Device{App: 10001, User: "alice", Client: chat.Web, IMEI: "web"}

// server is the other end of a client's pipe, and says what the test tells it to. What clients and a real edge make of each other is tested
// with the edge.
type server struct {
	t       *testing.T
	conn    net.Conn
	decoder *wire.UpDecoder
}

// dial returns a client and its server.
func dial(t *testing.T, cfg client.Config) (*client.Client, *server) {
	t.Helper()
	near, far := net.Pipe()
	cfg.URL, cfg.Device = "tcp://edge", alice
	cfg.Connect = func(context.Context, string, string) (net.Conn, error) { return near, nil }
	c, err := client.Dial(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c, &server{t: t, conn: far, decoder: wire.NewUpDecoder(far, wire.DefaultLimits)}
}

func (s *server) want(command wire.Command, body string) {
	s.t.Helper()
	_ = s.conn.SetReadDeadline(time.Now().Add(time.Minute))
	f, err := s.decoder.Decode()
	if err != nil || f.Command != command || string(f.Body) != body || f.App != alice.App || string(f.IMEI) != alice.IMEI {
		s.t.Fatalf("the server reads %v %s (app %v, imei %s), %v; want %v %s", f.Command, f.Body, f.App, f.IMEI, err, command, body)
	}
}

func (s *server) say(command wire.Command, payload []byte) {
	s.t.Helper()
	if _, err := s.conn.Write(wire.AppendDown(nil, command, payload)); err != nil {
		s.t.Fatal(err)
	}
}

func ack(id string, seq chat.Seq) []byte {
	return wire.AppendAck(nil, &wire.Ack{Code: chat.OK, MessageID: id, Seq: seq})
}

func wantError(t *testing.T, what string, err error, want chat.Code) {
	t.Helper()
	if e, ok := errors.AsType[chat.Error](err); !ok || e.Code != want {
		t.Errorf("%s: %v; want %v", what, err, want)
	}
}

func TestLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := dial(t, client.Config{UserSign: "sign"})
		go func() { // ends with the login
			s.want(wire.Login, `{"userId":"alice","userSign":"sign"}`)
			s.say(wire.LoginAck, wire.AppendWelcome(nil, &wire.Welcome{Code: chat.OK, Session: 7, Heartbeat: 10000}))
		}()
		w, err := c.Login(t.Context())
		if err != nil || w.Session != 7 {
			t.Fatalf("the login yields %+v, %v", w, err)
		}
		begin := time.Now()
		for i := range 3 {
			s.want(wire.Ping, `{}`)
			if at, want := time.Since(begin), time.Duration(i+1)*10*time.Second; at != want {
				t.Errorf("ping %d comes after %v; want %v, as the server asked for", i+1, at, want)
			}
		}
	})
}

func TestLoginThatIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, version := range []int32{1, 3} {
			c, s := dial(t, client.Config{Version: version})
			go func() { // ends with the login
				s.want(wire.Login, `{"userId":"alice"}`)
				s.say(wire.LoginAck, wire.AppendWelcome(nil, &wire.Welcome{Code: chat.UserMissing}))
				_ = s.conn.Close()
			}()
			_, err := c.Login(t.Context())
			if version == 1 && err != nil {
				t.Errorf("version 1 waits for an answer: %v", err)
			}
			<-c.Done()
			wantError(t, "the connection", c.Err(), chat.UserMissing)
			if version == 3 {
				wantError(t, "the login", err, chat.UserMissing)
			}
		}
	})
}

func TestAcksFindTheirMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := dial(t, client.Config{})
		got := make(map[string][]chat.Seq)
		send := func(id, name string) {
			go c.Start(wire.Message{MessageID: id, To: "bob", Body: name}, func(a wire.Ack, err error) {
				if err != nil {
					t.Error(err)
				}
				got[name] = append(got[name], a.Seq)
			})
			s.want(wire.Send, `{"messageId":"`+id+`","toId":"bob","messageBody":"`+name+`"}`)
		}
		send("m1", "first")
		send("m2", "second")
		send("m1", "first again")
		s.say(wire.SendAck, ack("m2", 2))
		s.say(wire.SendAck, ack("m1", 1))
		s.say(wire.SendAck, ack("nobody waits for it", 9))
		s.say(wire.SendAck, ack("m1", 3))
		synctest.Wait()
		if len(got) != 3 || got["first"][0] != 1 || got["second"][0] != 2 || got["first again"][0] != 3 {
			t.Errorf("the acks are %v", got)
		}

		go func() { // ends with the ack
			s.want(wire.Send, `{"messageId":"m3","toId":"bob","messageBody":""}`)
			s.say(wire.SendAck, wire.AppendAck(nil, &wire.Ack{Code: chat.RelationMissing, MessageID: "m3"}))
		}()
		_, err := c.Send(t.Context(), wire.Message{MessageID: "m3", To: "bob"})
		wantError(t, "a refused message", err, chat.RelationMissing)
	})
}

func TestAckThatNeverComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := dial(t, client.Config{})
		go func() { // ends with the connection
			s.want(wire.Send, `{"messageId":"m1","toId":"bob","messageBody":""}`)
			s.say(wire.Refuse, wire.AppendRefusal(nil, &wire.Refusal{Code: chat.GoingAway}))
			_ = s.conn.Close()
		}()
		_, err := c.Send(t.Context(), wire.Message{MessageID: "m1", To: "bob"})
		wantError(t, "the connection ends", err, chat.GoingAway)
		_, err = c.Send(t.Context(), wire.Message{MessageID: "m1", To: "bob"})
		wantError(t, "and has ended", err, chat.GoingAway)
	})
}

func TestReceipts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []wire.Placed
		_, s := dial(t, client.Config{Receipts: true, Handler: client.Handler{Message: func(p wire.Placed) { got = append(got, p) }}})
		p := wire.Placed{
			Message: wire.Message{MessageID: "m1", To: "alice", Body: "hi"}, From: chat.Device{User: "bob"}, Place: 1024, Seq: 1,
		}
		s.say(wire.Send, wire.AppendPlaced(nil, &p))
		s.want(wire.Receive, `{"toId":"bob","messageSequence":1,"messageKey":1024,"messageId":"m1"}`)
		p.From.User, p.To = "alice", "bob" // sent by another device of her own
		s.say(wire.Send, wire.AppendPlaced(nil, &p))
		s.say(1, []byte(`{}`)) // what we do not know is nothing to us
		synctest.Wait()
		if len(got) != 2 || got[0].Body != "hi" {
			t.Errorf("the handler got %+v", got)
		}
	})
}

func TestServerThatTalksNonsense(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := dial(t, client.Config{})
		s.say(wire.SendAck, []byte(`nonsense`))
		<-c.Done()
		wantError(t, "the connection", c.Err(), chat.BadBody)
	})
}

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := dial(t, client.Config{})
		go func() { // ends with the connection
			s.want(wire.Logout, `{}`)
			if _, err := s.decoder.Decode(); errors.Is(err, io.EOF) {
				t.Error("a client that logs out leaves before the server has closed")
			}
		}()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		go func() { // ends before the client's patience does
			<-time.After(500 * time.Millisecond)
			_ = s.conn.Close()
		}()
		if err := c.Logout(ctx); err != nil {
			t.Error(err)
		}
		if err := c.Write(wire.Ping, nil); err == nil {
			t.Error("a closed client writes")
		}
	})
	if _, err := client.Dial(t.Context(), client.Config{URL: "http://edge"}); err == nil {
		t.Error("a client dials HTTP")
	}
}

// A protobuf client's callers see the same as those of any other.
func TestProtobuf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		said := make(chan string, 10)
		c, s := dial(t, client.Config{Protobuf: true, Handler: client.Handler{
			Frame: func(c wire.Command, payload []byte) { said <- c.String() + " " + string(payload) },
		}})
		acked := make(chan error, 1)
		go c.Start(wire.Message{MessageID: "m1", To: "bob", Body: "hi"}, func(_ wire.Ack, err error) { acked <- err }) // ends with the write
		s.want(wire.Send, "\x0a\x02m1\x12\x03bob\x22\x02hi")
		s.sayProto(wire.SendAck, ack("m1", 7))
		if err := <-acked; err != nil {
			t.Errorf("the message is answered with %v", err)
		}
		if _, err := s.conn.Write(wire.AppendDown(nil, 7, []byte("newer"))); err != nil {
			t.Fatal(err)
		}
		s.sayProto(wire.Kick, nil)
		for _, want := range []string{`send_ack {"code":200,"msg":"success","ok":true,"data":{"messageId":"m1","messageSequence":7}}`, `kick {}`} {
			if got := <-said; got != want {
				t.Errorf("the client hears %s; want %s", got, want)
			}
		}
		_, err := c.Send(t.Context(), wire.Message{MessageID: "m2", To: "bob", Body: "a\x00"})
		wantError(t, "a message that has no protobuf", err, chat.BadString)
		if _, err := s.conn.Write(wire.AppendDown(nil, wire.SendAck, []byte("{}"))); err != nil {
			t.Fatal(err)
		}
		<-c.Done()
		wantError(t, "a frame that is no protobuf", c.Err(), chat.BadBody)
	})
}

func (s *server) sayProto(command wire.Command, payload []byte) {
	s.t.Helper()
	message, err := wire.AppendProtoDown(nil, command, payload)
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := s.conn.Write(wire.AppendProtoFrame(nil, command, message)); err != nil {
		s.t.Fatal(err)
	}
}
