package edge

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/client"
	"github.com/whaleshark-im/whaleshark/wire"
)

// wantProto reads a frame in protobuf and compares its payload.
func (c *testClient) wantProto(reason string, command wire.Command, payload string) {
	c.t.Helper()
	f, err := c.read()
	if err != nil {
		c.t.Fatalf("%s: read: %v; want %v %s", reason, err, command, payload)
	}
	got, err := wire.DownFromProto(f.Command, f.Body)
	if err != nil || f.Command != command || string(got) != payload {
		c.t.Fatalf("%s:\n got %v %s, %v\nwant %v %s", reason, f.Command, got, err, command, payload)
	}
}

// writeProto writes a frame whose body is a payload as protobuf.
func (c *testClient) writeProto(command wire.Command, payload string) {
	c.t.Helper()
	body, err := wire.AppendProtoUp(nil, command, []byte(payload))
	if err != nil {
		c.t.Fatal(err)
	}
	c.writeAs(wire.Protobuf, command, string(body))
}

func (c *testClient) writeAs(messageType int32, command wire.Command, body string) {
	c.t.Helper()
	c.writeRaw(wire.AppendUp(nil, &wire.Up{
		Command: command, Version: c.version, ClientType: c.device.Client, MessageType: messageType, App: c.device.App,
		IMEI: []byte(c.device.IMEI), Body: []byte(body),
	}))
}

func TestAnswersFollowTheLogin(t *testing.T) {
	converse(t, Config{Auth: AuthOptional}, func(te *testEdge) {
		c := te.dial(3)
		c.write(wire.Send, `{"messageId":"m1","toId":"bob"}`)
		c.want("before the login, in JSON", wire.SendAck, `{"code":90010,"msg":"log in first","ok":false,"data":{"messageId":"m1"}}`)
		c.writeProto(wire.Send, `{"messageId":"m1","toId":"bob"}`)
		c.wantProto("before the login, in protobuf", wire.SendAck, `{"code":90010,"msg":"log in first","ok":false,"data":{"messageId":"m1"}}`)

		c.writeProto(wire.Login, `{"userId":"alice"}`)
		f, err := c.read()
		if err != nil {
			t.Fatal(err)
		}
		payload, err := wire.DownFromProto(f.Command, f.Body)
		if err != nil {
			t.Fatalf("the login is answered with %x, %v", f.Body, err)
		}
		if w, err := wire.ParseWelcome(payload); err != nil || w.Code != chat.OK || w.MaxBody != int64(te.cfg.Limits.Body) {
			t.Fatalf("the login is answered with %+v, %v", w, err)
		}

		const body = `{"messageId":"m1","toId":"bob","messageBody":"hi"}`
		c.writeProto(wire.Send, body)
		c.write(wire.Send, body)
		c.wantIdle("who places them answers them")
		requests := te.streams.takeRequests()
		if len(requests) != 2 || requests[0].Body != "hi" {
			t.Fatalf("%+v were submitted", requests)
		}
		if diff := cmp.Diff(requests[0], requests[1]); diff != "" {
			t.Errorf("the same message in protobuf and JSON is submitted as two (-protobuf +JSON):\n%s", diff)
		}

		c.write(wire.Send, `{"messageId":"m2"}`)
		c.wantProto("a frame in JSON is refused in the login's encoding", wire.SendAck,
			`{"code":90001,"msg":"toId is missing","ok":false,"data":{"messageId":"m2"}}`)
		c.writeProto(wire.Recall, `{"toId":"bob","messageId":"m3"}`)
		c.wantProto("a recall that is refused", wire.RecallAck,
			`{"code":90001,"msg":"messageSequence and messageKey are missing","ok":false,"data":{"messageId":"m3"}}`)
		c.writeProto(wire.History, `{"requestId":"r1"}`)
		c.wantProto("a question that is refused", wire.History, `{"code":90001,"msg":"toId is missing","data":{"requestId":"r1"}}`)

		c.writeAs(wire.Protobuf, wire.Send, "\x0a\x02m4\x12")
		c.wantProto("a body that ends early", wire.SendAck,
			`{"code":90013,"msg":"the body is not the command's protobuf message: unexpected EOF","ok":false,"data":{"messageId":"m4"}}`)
		c.writeAs(wire.Protobuf, wire.Send, "\x0a\x02m5\x12\x02b\xff")
		c.wantProto("a string that is not UTF-8", wire.SendAck,
			`{"code":90014,"msg":"toId holds invalid UTF-8","ok":false,"data":{"messageId":"m5"}}`)
		c.writeAs(wire.Protobuf, wire.Send, "\x0a\x02m6\x22\xc0\x3e"+strings.Repeat("\x01", 8000)+"\x22\xe0\x5d"+strings.Repeat("\x01", 12000))
		c.wantProto("a body that is too long as JSON", wire.SendAck,
			`{"code":90013,"msg":"the body has 72035 bytes as JSON; at most 65536 may be","ok":false,"data":{"messageId":"m6"}}`)
		c.writeAs(wire.Protobuf, 7, "")
		c.wantProto("an unknown command", wire.Refuse, `{"code":90011,"msg":"unknown command 7","data":{"command":7}}`)
		c.writeProto(wire.Login, `{"userId":"alice"}`)
		c.wantProto("a second login", wire.LoginAck, `{"code":90017,"msg":"this connection has logged in already","data":{}}`)

		te.loginAs(3, chat.Device{App: app, User: "alice", Client: chat.Android, IMEI: "other"})
		c.wantProto("a kick is an empty message", wire.Kick, `{}`)
		te.advance(te.cfg.KickGrace + time.Second)
		c.wantProto("the last word", wire.Refuse, `{"code":90025,"msg":"another device's login has ended this session","data":{"command":0}}`)
		c.wantClosed("a kicked session")
	})
}

// What was missed, and what waits behind it, comes in the encoding of the login as well.
func TestALoginResumesInProtobuf(t *testing.T) {
	h := &told{items: []chat.Item{said(9000, 7, "hi")}}
	converse(t, Config{Auth: AuthOptional, History: h}, func(te *testEdge) {
		h.held, h.asked = make(chan struct{}), make(chan struct{}, 1)
		bob := te.dial(3)
		bob.writeProto(wire.Login, `{"userId":"bob","cursor":0}`)
		<-h.asked
		te.Deliver(&chat.Push{Deliveries: []chat.Delivery{{
			Command: int32(wire.Receive), Payload: []byte(`{"toId":"bob","messageSequence":7}`), Sessions: []chat.SessionID{1},
		}}})
		close(h.held)
		f, err := bob.read()
		if err != nil {
			t.Fatal(err)
		}
		payload, err := wire.DownFromProto(f.Command, f.Body)
		if err != nil {
			t.Fatal(err)
		}
		if w, err := wire.ParseWelcome(payload); err != nil || w.Code != chat.OK || !w.Resume || w.Resumed != 1 {
			t.Errorf("the login is answered with %s, %v", payload, err)
		}
		if f, err = bob.read(); err != nil {
			t.Fatal(err)
		}
		if payload, err = wire.DownFromProto(f.Command, f.Body); err != nil {
			t.Fatal(err)
		}
		if m, err := wire.ParsePlaced(payload); err != nil || f.Command != wire.Send || m.Body != "hi" || m.Seq != 7 {
			t.Errorf("what was missed is %v %s, %v", f.Command, payload, err)
		}
		bob.wantProto("what has waited", wire.Receive, `{"toId":"bob","messageSequence":7}`)
	})
}

// A frame that waits is written as it was answered, though the login that comes after it changes the encoding.
func TestAnswersBeforeTheLoginKeepTheirEncoding(t *testing.T) {
	converse(t, Config{Auth: AuthOptional}, func(te *testEdge) {
		c := te.dial(3)
		c.write(wire.Receive, `{}`)
		synctest.Wait() // the answer is being written, for nobody reads it
		c.write(wire.Receive, `{}`)
		c.writeProto(wire.Receive, `{}`)
		c.writeProto(wire.Login, `{"userId":"alice"}`)
		synctest.Wait() // the login is answered
		const refused = `{"code":90010,"msg":"log in first","data":{"command":1107}}`
		c.want("the first in JSON", wire.Refuse, refused)
		if f, err := c.read(); err != nil || f.Command != wire.LoginAck { // it overtakes what waits
			t.Fatalf("the login is answered with %v, %v", f.Command, err)
		}
		c.want("the second in JSON", wire.Refuse, refused)
		c.wantProto("the third in protobuf", wire.Refuse, refused)
	})
}

func TestEncodingThatIsNotSpoken(t *testing.T) {
	const xml = "XML is not spoken; messageType must be 0 (JSON) or 1 (protobuf)"
	converse(t, Config{Auth: AuthOptional}, func(te *testEdge) {
		c := te.dial(1)
		c.writeAs(wire.XML, wire.Login, `<login><userId>alice</userId></login>`)
		c.want("a login in XML", wire.LoginAck, `{"code":90012,"msg":"`+xml+`","data":{}}`)
		c.wantClosed("a login in XML")

		c = te.login(3, "alice")
		c.writeAs(wire.XML, wire.Typing, `<typing/>`)
		c.want("a frame in XML", wire.Refuse, `{"code":90012,"msg":"`+xml+`","data":{"command":1055}}`)
		c.writeAs(3, wire.Typing, `{}`)
		c.want("a frame in what nobody knows", wire.Refuse, `{"code":90012,"msg":"messageType must be 0 (JSON) or 1 (protobuf)","data":{"command":1055}}`)
		c.writeProto(wire.Typing, `{}`)
		c.want("a frame in protobuf to a JSON session", wire.Refuse, `{"code":90001,"msg":"toId is missing","data":{"command":1055}}`)
	})
}

// A protobuf client cannot be told of what its messages have no words for; what comes after it is told.
func TestFrameWithoutAMessage(t *testing.T) {
	converse(t, Config{Auth: AuthOptional}, func(te *testEdge) {
		c := te.dial(3)
		c.writeProto(wire.Login, `{"userId":"alice"}`)
		if f, err := c.read(); err != nil || f.Command != wire.LoginAck {
			t.Fatalf("the login is answered with %v, %v", f.Command, err)
		}
		for _, d := range []chat.Delivery{
			{Command: 7, Payload: []byte(`{"groupId":"team"}`)},
			{Command: int32(wire.GroupNews), Payload: []byte(`[]`)},
			{Command: int32(wire.GroupNews), Payload: []byte(`{"groupId":"team","mood":"good"}`)},
		} {
			d.Sessions = []chat.SessionID{1}
			te.Deliver(&chat.Push{Deliveries: []chat.Delivery{d}})
		}
		c.wantProto("the third", wire.GroupNews, `{"groupId":"team"}`)
		te.wantCounted("dropped_total", dropUntold, 2)
	})
}

// Who speaks what, and by which transport, is nobody else's business.
func TestClientsTalkInTheirEncodings(t *testing.T) {
	for _, transport := range []string{"tcp", "ws"} {
		for _, alices := range []bool{false, true} {
			encoding := map[bool]string{false: "JSON", true: "protobuf"}
			t.Run(encoding[alices]+" to "+encoding[!alices]+" by "+transport, func(t *testing.T) {
				s := startSockets(t, Config{})
				alice, _ := s.client(t, transport, "alice", client.Config{Protobuf: alices})
				_, inbox := s.client(t, transport, "bob", client.Config{Protobuf: !alices, Receipts: true})
				for i := range chat.Seq(50) {
					m := wire.Message{MessageID: "m", To: "bob", Body: strings.Repeat("héllo\n", int(i)*20), Extra: "x", MessageTime: 7}
					ack, err := alice.Send(t.Context(), m)
					if err != nil || ack.Seq != i+1 {
						t.Fatalf("message %d is answered with %+v, %v", i+1, ack, err)
					}
					got := next(t, "bob", inbox.messages)
					if got.Seq != i+1 || got.Body != m.Body || got.From.User != "alice" || got.From.IMEI != transport {
						t.Fatalf("bob reads %+v; want %d with %d bytes", got, i+1, len(m.Body))
					}
				}
				eventually(t, "bob's receipts", func() bool {
					s.mu.Lock()
					defer s.mu.Unlock()
					return len(s.signals) == 50
				})
				_, err := alice.Send(t.Context(), wire.Message{MessageID: strings.Repeat("m", 129), To: "bob"})
				if e, ok := errors.AsType[chat.Error](err); !ok || e.Code != chat.BadParameter {
					t.Errorf("a message that is wrong: %v; want %v", err, chat.BadParameter)
				}
				if _, err := alice.Watch(t.Context(), wire.WatchOf{Users: []chat.UserID{"bob"}}); err != nil {
					t.Errorf("a watch: %v", err)
				}
				if _, err := alice.Changes(t.Context(), wire.ChangesSince{}); err == nil {
					t.Error("changes without a history are answered")
				}
				if err := alice.Logout(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
	}
}
