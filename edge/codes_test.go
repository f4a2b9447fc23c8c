package edge

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/wire"
)

// elsewhere lists the codes that an edge passes on and never gives by itself.
var elsewhere = map[chat.Code]string{
	chat.OK:              "no refusal",
	chat.FriendDeleted:   "the sequencer's",
	chat.DeletedByFriend: "the sequencer's",
	chat.FriendBlocked:   "the sequencer's",
	chat.BlockedByFriend: "the sequencer's",
	chat.RelationMissing: "the sequencer's",
	chat.SenderMuted:     "the sequencer's",
	chat.SenderForbidden: "the sequencer's",
	chat.MessageIDReused: "the sequencer's",
	chat.GroupMissing:    "the sequencer's",
	chat.GroupExists:     "not on this road: Postgres decides who may change a group",
	chat.AlreadyMember:   "not on this road: Postgres decides who may change a group",
	chat.MemberLimit:     "not on this road: Postgres decides who may change a group",
	chat.NotMember:       "the sequencer's",
	chat.ManagersOnly:    "not on this road: Postgres decides who may change a group",
	chat.OwnerOnly:       "not on this road: Postgres decides who may change a group",
	chat.OwnerNotRemove:  "not on this road: Postgres decides who may change a group",
	chat.GroupIsMuted:    "the sequencer's",
	chat.MemberIsMuted:   "the sequencer's",
	chat.GroupIsGone:     "the sequencer's",
	chat.RecallTooLate:   "the sequencer's",
	chat.RecalledAlready: "the sequencer's",
	chat.MessageMissing:  "the sequencer's",
	chat.NotYours:        "the sequencer's",
	chat.Vetoed:          "the sequencer's",
	chat.Internal:        "a fault of ours; none is known",
}

// ofTheAPI are codes that only requests by HTTP are answered with.
var ofTheAPI = []chat.Code{
	chat.TooManyUsers, chat.UserNotUpdated, chat.TooManyFriends, chat.FriendNotAdded, chat.AlreadyFriends, chat.NotFriends,
	chat.NotBlocked, chat.NotYourRequest, chat.RequestMissing, chat.FriendGroupThere, chat.NoFriendGroup, chat.MemberNotAdded,
	chat.AdminOnly, chat.SelfOnly, chat.PrivateNotDestroy, chat.PublicWithoutOwner, chat.NothingToUpdate, chat.OperatorMissing,
	chat.NoEdge, chat.TooManyRequests, chat.TooLarge, chat.NoEndpoint,
}

// provoked has, for each code that an edge gives, a conversation in which it does.
var provoked = map[chat.Code]func(te *testEdge){
	chat.UserMissing: func(te *testEdge) { te.wantRefusedLogin(`{"userId":"nobody"}`, chat.UserMissing) },
	chat.AppMissing: func(te *testEdge) {
		c := te.dial(1)
		c.device.App = 7
		c.write(wire.Login, `{"userId":"alice"}`)
		c.wantCode("another app", wire.LoginAck, chat.AppMissing)
		c.wantClosed("another app")
	},
	chat.SignMissing: func(te *testEdge) {
		te.cfg.Auth = AuthRequired
		te.wantRefusedLogin(`{"userId":"alice"}`, chat.SignMissing)
	},
	chat.SignWrong: func(te *testEdge) {
		te.wantRefusedLogin(`{"userId":"alice","userSign":"nonsense"}`, chat.SignWrong)
		te.wantRefusedLogin(`{"userId":"alice","userSign":"`+chat.Sign(app, "other", "alice", time.Now(), time.Hour)+`"}`, chat.SignWrong)
	},
	chat.SignExpired: func(te *testEdge) {
		s := chat.Sign(app, key, "alice", time.Now().Add(-time.Hour), time.Minute)
		te.wantRefusedLogin(`{"userId":"alice","userSign":"`+s+`"}`, chat.SignExpired)
	},
	chat.SignOtherUser: func(te *testEdge) {
		s := chat.Sign(app, key, "bob", time.Now(), time.Hour)
		te.wantRefusedLogin(`{"userId":"alice","userSign":"`+s+`"}`, chat.SignOtherUser)
	},
	chat.Unavailable: func(te *testEdge) {
		te.facts.down = errors.New("no connection")
		te.wantRefusedLogin(`{"userId":"alice"}`, chat.Unavailable)
	},
	chat.BadParameter: func(te *testEdge) {
		te.wantRefusedLogin(`{}`, chat.BadParameter)
		te.wantRefusedLogin(`{"userId":""}`, chat.BadParameter)
		te.wantRefusedLogin(`{"userId":7}`, chat.BadParameter)
		te.wantRefusedLogin(`{"userId":"`+strings.Repeat("é", 51)+`"}`, chat.BadParameter)
		te.wantRefusedMessage(`{"messageId":"m1"}`, `{"messageId":"m1"}`, chat.BadParameter)
		te.wantRefusedMessage(`{"messageId":"m1","toId":""}`, `{"messageId":"m1"}`, chat.BadParameter)
		te.wantRefusedMessage(`{"messageId":"m1","toId":["bob"]}`, `{"messageId":"m1"}`, chat.BadParameter)
		te.wantRefusedMessage(`{"messageId":"m1","toId":"`+strings.Repeat("é", 51)+`"}`, `{"messageId":"m1"}`, chat.BadParameter)
		te.wantRefusedMessage(`{"toId":"bob"}`, `{}`, chat.BadParameter)
		long := strings.Repeat("é", 129)
		te.wantRefusedMessage(`{"messageId":"`+long+`","toId":"bob"}`, `{"messageId":"`+long+`"}`, chat.BadParameter)
		te.wantRefusedFrame(wire.Receive, `{"toId":"alice"}`, chat.BadParameter)
		te.wantRefusedFrame(wire.Receive, `{"messageSequence":1}`, chat.BadParameter)
		te.wantRefusedFrame(wire.Receive, `{"toId":"alice","messageSequence":1,"messageKey":-1}`, chat.BadParameter)
	},
	chat.Busy: func(te *testEdge) {
		te.streams.submit = chat.Error{Code: chat.Busy}
		te.wantRefusedMessage(`{"messageId":"m1","toId":"bob"}`, `{"messageId":"m1"}`, chat.Busy)
	},
	chat.TooManyFrames: func(te *testEdge) {
		c := te.login(3, "alice") // one frame of the burst
		for range te.cfg.Burst - 1 {
			c.write(wire.Receive, `{"toId":"bob","messageSequence":1}`)
		}
		c.write(wire.Send, `{"messageId":"m1","toId":"bob"}`)
		c.wantCode("a message above the rate", wire.SendAck, chat.TooManyFrames)
		c.write(wire.Ping, ``)
		c.wantCode("a ping above the rate", wire.Refuse, chat.TooManyFrames)
		te.advance(time.Second)
		c.write(wire.Send, `{"messageId":"m1","toId":"bob"}`)
		c.wantIdle("a second later")
		if q := te.streams.takeRequests(); len(q) != 1 {
			te.t.Errorf("%d messages were submitted; want the one that waited", len(q))
		}
	},
	chat.NotLoggedIn: func(te *testEdge) {
		old := te.dial(1)
		old.write(wire.Send, `{"messageId":"m1","toId":"bob"}`)
		old.want("a message before the login", wire.SendAck, `{"code":90010,"msg":"log in first","ok":false,"data":{"messageId":"m1"}}`)
		old.write(wire.Receive, `{"toId":"bob","messageSequence":1}`)
		old.wantIdle("another frame before the login")
		te.wantCounted("dropped_total", "not_logged_in", 1)
		c := te.dial(3)
		c.write(wire.Receive, `{"toId":"bob","messageSequence":1}`)
		c.wantCode("a frame before the login", wire.Refuse, chat.NotLoggedIn)
		c.write(wire.Ping, ``)
		if f, err := c.read(); err != nil || f.Command != wire.Ping {
			te.t.Errorf("a ping before the login is answered with %v, %v", f.Command, err)
		}
		c.write(wire.Logout, ``)
		c.wantClosed("a logout before the login")
	},
	chat.UnknownCommand: func(te *testEdge) { te.wantRefusedFrame(7, `{}`, chat.UnknownCommand) },
	chat.BadEncoding: func(te *testEdge) {
		for _, messageType := range []int32{2, 3, -1} {
			c := te.login(3, "alice")
			for _, command := range []wire.Command{wire.Send, wire.Receive} {
				c.writeRaw(wire.AppendUp(nil, &wire.Up{Command: command, MessageType: messageType, Body: []byte(`{"messageId":"m1"}`)}))
			}
			c.wantCode("a message in another encoding", wire.SendAck, chat.BadEncoding)
			c.wantCode("a receipt in another encoding", wire.Refuse, chat.BadEncoding)
			c = te.dial(1)
			c.writeRaw(wire.AppendUp(nil, &wire.Up{Command: wire.Login, Version: 1, MessageType: messageType}))
			c.wantCode("a login in another encoding", wire.LoginAck, chat.BadEncoding)
		}
	},
	chat.BadBody: func(te *testEdge) {
		te.wantRefusedLogin(`[]`, chat.BadBody)
		te.wantRefusedMessage(`hello`, `{}`, chat.BadBody)
		te.wantRefusedMessage(``, `{}`, chat.BadBody)
		te.wantRefusedFrame(wire.Receive, `null`, chat.BadBody)
	},
	chat.BadString: func(te *testEdge) {
		te.wantRefusedLogin(`{"userId":"\u0000"}`, chat.BadString)
		te.wantRefusedMessage(`{"messageId":"m1","toId":"bob","messageBody":"\ud800"}`, `{"messageId":"m1"}`, chat.BadString)
		te.wantRefusedMessage("{\"messageId\":\"m1\",\"toId\":\"bob\",\"messageBody\":\"\xff\"}", `{"messageId":"m1"}`, chat.BadString)
		te.wantRefusedFrame(wire.Receive, `{"toId":"\u0000"}`, chat.BadString)
		for _, imei := range []string{"a\x00b", "\xff"} {
			c := te.dial(1)
			c.device.IMEI = imei
			c.write(wire.Login, `{"userId":"alice"}`)
			c.wantCode("an imei that is no text", wire.LoginAck, chat.BadString)
		}
	},
	chat.BadLength: func(te *testEdge) {
		long := make([]byte, 64<<10+1)
		frame := func(c wire.Command, version int32) []byte {
			return wire.AppendUp(nil, &wire.Up{Command: c, Version: version, Body: long})[:28]
		}
		c := te.login(3, "alice")
		c.writeRaw(frame(wire.Receive, 3))
		c.wantCode("a long body", wire.Refuse, chat.BadLength)
		c.wantClosed("a long body")
		c = te.login(1, "alice")
		c.writeRaw(frame(wire.Send, 1))
		c.wantCode("a long message", wire.SendAck, chat.BadLength)
		c.wantClosed("a long message")
		c = te.login(1, "alice")
		c.writeRaw(frame(wire.Receive, 1))
		c.wantClosed("a long body in version 1")
		c = te.dial(1)
		c.writeRaw(frame(wire.Login, 1))
		c.wantCode("a long login", wire.LoginAck, chat.BadLength)
		c.wantClosed("a long login")
	},
	chat.BadClientType: func(te *testEdge) {
		for _, kind := range []chat.ClientType{-1, 6} {
			c := te.dial(1)
			c.device.Client = kind
			c.write(wire.Login, `{"userId":"alice"}`)
			c.wantCode("a client type that nobody knows", wire.LoginAck, chat.BadClientType)
			c.wantClosed("a client type that nobody knows")
		}
	},
	chat.AlreadyLoggedIn: func(te *testEdge) {
		for _, version := range []int32{1, 3} {
			c := te.login(version, "alice")
			c.write(wire.Login, `{"userId":"bob"}`)
			c.wantCode("a second login", wire.LoginAck, chat.AlreadyLoggedIn)
			c.write(wire.Send, `{"messageId":"m1","toId":"bob"}`)
			c.wantIdle("the first login stands")
			if q := te.streams.takeRequests(); len(q) != 1 || q[0].Sender.User != "alice" {
				te.t.Errorf("submitted: %+v; want a message of alice", q)
			}
		}
	},
	chat.LoginTimeout: func(te *testEdge) {
		old, c := te.dial(1), te.dial(3)
		old.write(wire.Ping, ``)
		c.write(wire.Ping, ``)
		if _, err := c.read(); err != nil {
			te.t.Fatal(err)
		}
		te.advance(te.cfg.LoginTimeout - 2*sweepInterval)
		c.wantIdle("before the time")
		te.advance(2 * sweepInterval)
		c.wantCode("no login", wire.Refuse, chat.LoginTimeout)
		c.wantClosed("no login")
		old.wantClosed("no login")
	},
	chat.HeartbeatTimeout: func(te *testEdge) {
		silent, old, c := te.login(1, "bob"), te.login(1, "a"), te.login(3, "alice")
		old.write(wire.Ping, ``)
		c.write(wire.Ping, ``)
		if _, err := c.read(); err != nil {
			te.t.Fatal(err)
		}
		te.advance(3*te.cfg.Heartbeat - 2*sweepInterval)
		c.wantIdle("before the time")
		te.advance(2 * sweepInterval)
		c.wantCode("no heartbeat", wire.Refuse, chat.HeartbeatTimeout)
		c.wantClosed("no heartbeat")
		old.wantClosed("no heartbeat")
		silent.wantIdle("a client that never pinged is not timed")
	},
	chat.SlowConsumer: func(te *testEdge) {
		old, c, healthy := te.login(1, "bob"), te.login(3, "alice"), te.login(1, "a")
		for range te.cfg.QueueFrames + 2 {
			te.Deliver(&chat.Push{Deliveries: []chat.Delivery{
				{Command: int32(wire.Send), Payload: []byte(`{}`), Sessions: []chat.SessionID{1, 2}},
			}})
		}
		te.Deliver(&chat.Push{Deliveries: []chat.Delivery{
			{Command: int32(wire.Send), Payload: []byte(`{}`), Sessions: []chat.SessionID{3}},
		}})
		healthy.want("others are unaffected", wire.Send, `{}`)
		te.wantCounted("closed_total", "slow_consumer", 2)
		for _, client := range []*testClient{old, c} {
			n := 0
			for ; ; n++ {
				f, err := client.read()
				if err != nil {
					break
				}
				if f.Command == wire.Refuse && !strings.Contains(string(f.Body), "90022") {
					te.t.Errorf("a slow client reads %s", f.Body)
				}
			}
			if n > te.cfg.QueueFrames {
				te.t.Errorf("a slow client still got %d frames", n)
			}
		}
	},
	chat.Replaced: func(te *testEdge) {
		first := te.login(3, "alice")
		second := te.login(1, "alice")
		first.wantCode("a newer login here", wire.Refuse, chat.Replaced)
		first.wantClosed("a newer login here")
		third := te.login(3, "alice")
		second.wantClosed("a newer login here")
		newer := te.Routes()[0]
		newer.Edge, newer.Session, newer.Epoch = "edge-0", 7, newer.Epoch+1
		te.RouteSeen(nil, &newer)
		third.wantCode("a newer login elsewhere", wire.Refuse, chat.Replaced)
		third.wantClosed("a newer login elsewhere")
	},
	chat.Kicked: func(te *testEdge) {
		first, old := te.login(3, "alice"), te.login(1, "bob")
		for i, c := range []*testClient{first, old} {
			c.device.Client, c.device.IMEI = chat.Android, "other"
			newer := te.loginAs([]int32{1, 3}[i], c.device)
			c.want("a login of another phone", wire.Kick, "null")
			newer.wantIdle("who kicks is not kicked")
		}
		if n := te.streams.routeCount(); n != 2 {
			te.t.Errorf("%d routes are left; want those of the newer devices", n)
		}
		te.Deliver(&chat.Push{Deliveries: []chat.Delivery{
			{Command: int32(wire.Send), Payload: []byte(`{}`), Sessions: []chat.SessionID{1, 2}},
		}})
		te.wantCounted("dropped_total", dropAbsent, 2)
		first.write(wire.Send, `{"messageId":"m1","toId":"bob"}`)
		first.wantCode("a message of a kicked session", wire.SendAck, chat.Kicked)
		first.write(wire.Ping, ``)
		first.wantCode("its ping", wire.Refuse, chat.Kicked)
		old.write(wire.Receive, `{"toId":"alice","messageSequence":1}`)
		old.wantIdle("its receipt, in version 1")
		te.wantCounted("dropped_total", "kicked", 1)
		if q, s := te.streams.takeRequests(), te.streams.takeSignals(); len(q)+len(s) != 0 {
			te.t.Errorf("a kicked session has submitted %v, %v", q, s)
		}
		te.advance(te.cfg.KickGrace - sweepInterval)
		old.wantIdle("within the grace")
		te.advance(2 * sweepInterval)
		first.wantCode("after the grace", wire.Refuse, chat.Kicked)
		first.wantClosed("after the grace")
		old.wantClosed("after the grace")
	},
	chat.GoingAway: func(te *testEdge) {
		old, c := te.login(1, "alice"), te.login(3, "bob")
		te.stop()
		c.wantCode("the edge stops", wire.Refuse, chat.GoingAway)
		c.wantClosed("the edge stops")
		old.wantClosed("the edge stops")
	},
}

func TestEveryCodeIsProvoked(t *testing.T) {
	for _, info := range chat.Codes {
		provoke, ours := provoked[info.Code]
		_, notOurs := elsewhere[info.Code]
		if notOurs = notOurs || slices.Contains(ofTheAPI, info.Code); ours == notOurs {
			t.Errorf("%s: provoked here: %t; given elsewhere: %t", info.Name, ours, notOurs)
		}
		if ours {
			t.Run(info.Name, func(t *testing.T) { converse(t, Config{Auth: AuthOptional}, provoke) })
		}
	}
}

// wantRefusedLogin checks that a login is answered with a code and then closed, in every version.
func (te *testEdge) wantRefusedLogin(body string, code chat.Code) {
	te.t.Helper()
	for _, version := range []int32{1, 2, 3} {
		c := te.dial(version)
		c.write(wire.Login, body)
		c.wantCode("login "+body, wire.LoginAck, code)
		c.wantClosed("login " + body)
	}
	if n := te.streams.routeCount(); n != 0 {
		te.t.Errorf("%d routes were written for logins that were refused", n)
	}
}

// wantRefusedMessage checks that a message is refused with a code, in every version, and that the connection stays open.
func (te *testEdge) wantRefusedMessage(body, data string, code chat.Code) {
	te.t.Helper()
	for _, version := range []int32{1, 3} {
		c := te.login(version, "alice")
		c.write(wire.Send, body)
		f, err := c.read()
		if err != nil || f.Command != wire.SendAck || !strings.HasSuffix(string(f.Body), `"ok":false,"data":`+data+`}`) {
			te.t.Fatalf("message %s is answered with %v %s, %v; want data %s", body, f.Command, f.Body, err, data)
		}
		if a, err := wire.ParseAck(f.Body); err != nil || a.Code != code {
			te.t.Fatalf("message %s is answered with %s; want code %v", body, f.Body, code)
		}
		c.wantIdle("message " + body)
	}
}

// wantRefusedFrame checks that another frame is refused with a code in version 3, and dropped and counted in version 1.
func (te *testEdge) wantRefusedFrame(command wire.Command, body string, code chat.Code) {
	te.t.Helper()
	c := te.login(3, "bob")
	c.write(command, body)
	c.wantCode("frame "+body, wire.Refuse, code)
	c.wantIdle("frame " + body)

	before := counted(te.t, te.registry, "dropped_total", code.String())
	c = te.login(1, "bob")
	c.write(command, body)
	c.wantIdle("frame " + body)
	te.wantCounted("dropped_total", code.String(), before+1)
}

func TestLoginThatIsOvertaken(t *testing.T) {
	converse(t, Config{Auth: AuthOptional}, func(te *testEdge) {
		// The route of an older login is written slowly, and meanwhile a newer one is seen elsewhere.
		written := make(chan struct{})
		te.streams.putRoute = func(_ context.Context, r chat.Route) error {
			newer := r
			newer.Edge, newer.Epoch = "edge-0", r.Epoch+1
			te.streams.change(newer, false)
			<-written
			return nil
		}
		c := te.dial(3)
		c.write(wire.Login, `{"userId":"alice"}`)
		c.wantCode("a newer login is seen", wire.LoginAck, chat.Replaced)
		close(written)
		c.wantClosed("a newer login is seen")
		te.wantCounted("closed_total", "replaced", 1)
	})
}

func TestLoginThatComesLateDoesNotWin(t *testing.T) {
	converse(t, Config{Auth: AuthOptional}, func(te *testEdge) {
		// Between the login's frame and the directory's answer, the device logs in elsewhere.
		te.facts.held = make(chan struct{})
		late := te.dial(1)
		late.write(wire.Login, `{"userId":"alice"}`)
		te.advance(time.Millisecond)
		te.streams.set(func(s *recorder) {
			d := chat.Device{App: app, User: "alice", Client: chat.IOS, IMEI: "phone"}
			s.routes[userOf(d)] = []chat.Route{{Device: d, Edge: "edge-0", Epoch: chat.Epoch(time.Now().UnixMicro())}}
		})
		close(te.facts.held)
		late.wantCode("the newer login is known", wire.LoginAck, chat.Replaced)
		late.wantClosed("the newer login is known")
		if n := te.streams.routeCount(); n != 0 {
			t.Errorf("%d routes were written; want none", n)
		}
	})
}

func TestFramesThatComeDuringALogin(t *testing.T) {
	converse(t, Config{Auth: AuthOptional}, func(te *testEdge) {
		// The fan-out sees the route before the client has its answer.
		te.streams.putRoute = func(_ context.Context, r chat.Route) error {
			te.Deliver(&chat.Push{Deliveries: []chat.Delivery{
				{Command: int32(wire.Send), Payload: []byte(`{"messageId":"m1"}`), Sessions: []chat.SessionID{r.Session}},
			}})
			return nil
		}
		c := te.login(3, "alice")
		c.want("what came during the login is behind its answer", wire.Send, `{"messageId":"m1"}`)

		// A client of version 1 has no answer to wait for, and sends at once.
		old := te.dial(1)
		login := wire.AppendUp(nil, &wire.Up{Command: wire.Login, Version: 1, App: app, Body: []byte(`{"userId":"bob"}`)})
		old.writeRaw(wire.AppendUp(login, &wire.Up{Command: wire.Send, Version: 1, Body: []byte(`{"messageId":"m1","toId":"a"}`)}))
		old.want("its message", wire.Send, `{"messageId":"m1"}`)
		synctest.Wait()
		if q := te.streams.takeRequests(); len(q) != 1 || q[0].Sender.User != "bob" {
			t.Errorf("submitted: %+v; want the message that came with the login", q)
		}
	})
}

func TestRouteThatCannotBeWritten(t *testing.T) {
	converse(t, Config{Auth: AuthOptional}, func(te *testEdge) {
		te.streams.putRoute = func(ctx context.Context, _ chat.Route) error {
			<-ctx.Done()
			return ctx.Err()
		}
		c := te.dial(1)
		c.write(wire.Login, `{"userId":"alice"}`)
		c.wantCode("the streams do not answer", wire.LoginAck, chat.Unavailable)
		c.wantClosed("the streams do not answer")
	})
}

func TestUnknownOutcomeIsNotAnswered(t *testing.T) {
	converse(t, Config{Auth: AuthOptional}, func(te *testEdge) {
		te.streams.submit = errors.New("timeout")
		te.streams.signal = errors.New("timeout")
		c := te.login(3, "alice")
		c.write(wire.Send, `{"messageId":"m1","toId":"bob"}`)
		c.wantIdle("nobody knows whether it is in the ingress")
		te.wantCounted("dropped_total", dropUnknown, 1)
		c.write(wire.Receive, `{"toId":"bob","messageSequence":1}`)
		c.wantCode("a receipt that was not sent", wire.Refuse, chat.Unavailable)
	})
}

func TestFloodFromOneConnection(t *testing.T) {
	converse(t, Config{Auth: AuthOptional}, func(te *testEdge) {
		flooder, healthy := te.login(1, "alice"), te.login(1, "bob")
		refused := make(chan int)
		go func() { // ends when it has read its answers
			n := 0
			for ; n < 1000; n++ {
				if f, err := flooder.read(); err != nil || f.Command != wire.SendAck {
					break
				}
			}
			refused <- n
		}()
		for range te.cfg.Burst - 1 + 1000 { // the login was a frame, too
			flooder.write(wire.Send, `{"messageId":"m1","toId":"bob"}`)
		}
		if n := <-refused; n != 1000 {
			t.Errorf("%d messages were refused; want 1000", n)
		}
		flooder.wantIdle("the connection stays open")
		healthy.write(wire.Send, `{"messageId":"m1","toId":"alice"}`)
		healthy.wantIdle("others are unaffected")
		te.wantCounted("refused_total", "too_many_frames", 1000)
	})
}

func TestPushThatComesTwice(t *testing.T) {
	converse(t, Config{Auth: AuthOptional}, func(te *testEdge) {
		c := te.login(1, "alice")
		te.SetVector(map[chat.Partition]chat.Revision{1: 5})
		push := func(p chat.Partition, to chat.Revision, revisions ...chat.Revision) {
			var d []chat.Delivery
			for _, r := range revisions {
				d = append(d, chat.Delivery{
					Revision: r, Command: int32(wire.Send), Payload: []byte(`{"r":` + string(rune('0'+r)) + `}`), Sessions: []chat.SessionID{1},
				})
			}
			te.Deliver(&chat.Push{Partition: p, To: to, Deliveries: d})
		}
		push(1, 7, 5, 6, 7)
		c.want("above the vector", wire.Send, `{"r":6}`)
		c.want("above the vector", wire.Send, `{"r":7}`)
		push(1, 7, 6, 7)
		push(1, 6, 6)
		c.wantIdle("what was delivered before")
		push(1, 0, 0)
		c.want("a signal", wire.Send, `{"r":0}`)
		push(2, 3, 3)
		c.want("another partition", wire.Send, `{"r":3}`)
		if got := te.Vector(); got[1] != 7 || got[2] != 3 || len(got) != 2 {
			t.Errorf("the vector is %v; want 1:7 2:3", got)
		}
	})
}

func TestDrainIsSpread(t *testing.T) {
	converse(t, Config{Auth: AuthOptional, DrainWindow: time.Second}, func(te *testEdge) {
		for range 2000 {
			te.dial(1)
		}
		synctest.Wait()
		te.stop()
		te.advance(500*time.Millisecond + 100*time.Microsecond)
		if n := counted(t, te.registry, "closed_total", "going_away"); n < 990 || n > 1010 {
			t.Errorf("after half the window %v of 2000 clients were sent away; want about half", n)
		}
		te.advance(500 * time.Millisecond)
		te.wantCounted("closed_total", "going_away", 2000)
	})
}

func TestClientThatDoesNotGo(t *testing.T) {
	converse(t, Config{Auth: AuthOptional}, func(te *testEdge) {
		c := te.login(3, "alice")
		te.stop()
		te.advance(te.cfg.CloseTimeout + sweepInterval) // it reads nothing
		if s := te.Stats(); s.Connections != 0 {
			t.Errorf("%+v are left; want the client to be cut", s)
		}
		_ = c
	})
}
