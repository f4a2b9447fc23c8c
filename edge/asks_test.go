package edge

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/wire"
)

func TestWhatFramesAskFor(t *testing.T) {
	bob := chat.PairOf(app, "alice", "bob")
	club := chat.GroupOf(app, "club")
	for _, test := range []struct {
		name    string
		command wire.Command
		body    string
		want    chat.Request
	}{
		{
			"a message to a group", wire.GroupSend, `{"messageId":"m1","groupId":"club","messageBody":"hi","toId":"x","first":true}`,
			chat.Request{Kind: chat.AskMessage, Conversation: club, MessageID: "m1", Body: "hi", First: true},
		},
		{
			"a pair's message that names a group", wire.Send, `{"messageId":"m1","groupId":"club","messageBody":"hi","toId":"bob"}`,
			chat.Request{Kind: chat.AskMessage, Conversation: bob, MessageID: "m1", Body: "hi"},
		},
		{
			"a read of a pair", wire.Read, `{"fromId":"mallory","toId":"bob","messageSequence":7,"conversationType":0}`,
			chat.Request{Kind: chat.AskRead, Conversation: bob, Seq: 7, Named: "bob"},
		},
		{
			"a read of a group", wire.GroupRead, `{"groupId":"club","toId":"bob","messageSequence":7}`,
			chat.Request{Kind: chat.AskRead, Conversation: club, Seq: 7, Named: "bob"},
		},
		{
			"a read of a group that names nobody", wire.GroupRead, `{"groupId":"club","messageSequence":7}`,
			chat.Request{Kind: chat.AskRead, Conversation: club, Seq: 7},
		},
		{
			"a recall by place", wire.Recall, `{"toId":"bob","messageKey":7168,"messageId":"m1"}`,
			chat.Request{Kind: chat.AskRecall, Conversation: bob, Place: 7168, MessageID: "m1"},
		},
		{
			"a recall by seq", wire.Recall, `{"groupId":"club","messageSequence":3}`,
			chat.Request{Kind: chat.AskRecall, Conversation: club, Seq: 3},
		},
		{
			"a recall by both", wire.Recall, `{"toId":"bob","messageSequence":3,"messageKey":7168}`,
			chat.Request{Kind: chat.AskRecall, Conversation: bob, Seq: 3},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			converse(t, Config{Auth: AuthOptional}, func(te *testEdge) {
				alice := te.login(3, "alice")
				test.want.Sender, test.want.Deadline = alice.device, time.Now().Add(te.cfg.RequestTimeout)
				alice.write(test.command, test.body)
				alice.wantIdle("who places it answers it")
				if diff := cmp.Diff([]*chat.Request{&test.want}, te.streams.takeRequests()); diff != "" {
					t.Errorf("submitted (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// TestRefusedAsks refuses each kind of frame: for what it holds, for its encoding, and because the ingress is full.
func TestRefusedAsks(t *testing.T) {
	long := func(n int) string { return strings.Repeat("é", n+1) }
	for _, test := range []struct {
		command wire.Command
		good    string
		answer  wire.Command // Refuse: silence in version 1
		full    string       // the answer while the ingress is full; empty: it does not go there
		bad     []string
	}{
		{
			wire.GroupSend, `{"messageId":"m1","groupId":"g"}`, wire.GroupSendAck,
			`{"code":90002,"msg":"the server is busy; send again","ok":false,"data":{"messageId":"m1"}}`,
			[]string{`{"messageId":"m1"}`, `{"messageId":"m1","toId":"bob"}`, `{"messageId":"m1","groupId":"` + long(50) + `"}`},
		},
		{
			wire.Recall, `{"toId":"bob","messageId":"m1","messageSequence":3}`, wire.RecallAck,
			`{"code":90002,"msg":"the server is busy; send again","ok":false,"data":{"messageSequence":3,"messageId":"m1"}}`,
			[]string{
				`{"messageSequence":3}`, `{"toId":"bob","messageSequence":3,"messageKey":-1}`, `{"toId":"bob"}`,
				`{"toId":"bob","messageSequence":-1}`, `{"groupId":"` + long(50) + `","messageSequence":3}`,
				`{"toId":"bob","messageSequence":3,"messageId":"` + long(128) + `"}`,
			},
		},
		{
			wire.Read, `{"toId":"bob","messageSequence":1}`, wire.Refuse,
			`{"code":90002,"msg":"the server is busy; send again","data":{"command":1106}}`,
			[]string{`{"toId":"bob"}`, `{"messageSequence":1}`, `{"toId":"bob","messageSequence":0}`, `{"groupId":"g","messageSequence":1}`},
		},
		{
			wire.GroupRead, `{"groupId":"g","messageSequence":1}`, wire.Refuse,
			`{"code":90002,"msg":"the server is busy; send again","data":{"command":2106}}`,
			[]string{
				`{"toId":"bob","messageSequence":1}`, `{"groupId":"g"}`, `{"groupId":"g","messageSequence":1,"toId":"` + long(50) + `"}`,
			},
		},
		{wire.Typing, `{"toId":"bob"}`, wire.Refuse, "", []string{`{}`, `{"groupId":"` + long(50) + `"}`}},
		{wire.Status, `{"status":1}`, wire.Refuse, "", []string{
			`{}`, `{"status":0}`, `{"status":2}`, `{"status":-1}`, `{"status":1,"customStatus":"` + long(64) + `"}`,
		}},
		{wire.Watch, `{"userIds":["bob"]}`, wire.Watch, "", []string{
			`{"userIds":[""]}`, `{"userIds":["` + long(50) + `"]}`, `{"userIds":[],"ttlMs":-1}`,
			`{"userIds":["u"` + strings.Repeat(`,"u"`, 200) + `]}`,
		}},
	} {
		t.Run(test.command.String(), func(t *testing.T) {
			converse(t, Config{Auth: AuthOptional}, func(te *testEdge) {
				for _, version := range []int32{1, 3} {
					c := te.login(version, "alice")
					wantRefused := func(why string, code chat.Code) {
						if version < 3 && test.answer == wire.Refuse {
							c.wantIdle(why)
							return
						}
						c.wantCode(why, test.answer, code)
					}
					for _, body := range test.bad {
						c.write(test.command, body)
						wantRefused(body, chat.BadParameter)
					}
					c.writeRaw(wire.AppendUp(nil, &wire.Up{Command: test.command, Version: version, MessageType: 2, Body: []byte(test.good)}))
					wantRefused("another encoding", chat.BadEncoding)
					if test.full == "" {
						continue
					}
					if q := te.streams.takeRequests(); len(q) != 0 {
						t.Fatalf("what was refused was submitted: %+v", q[0])
					}
					te.streams.set(func(r *recorder) { r.submit = chat.Error{Code: chat.Busy} })
					c.write(test.command, test.good)
					if version < 3 && test.answer == wire.Refuse {
						c.wantIdle("the ingress is full")
						te.wantCounted("dropped_total", "busy", 1)
					} else {
						c.want("the ingress is full", test.answer, test.full)
					}
					te.streams.takeRequests()
				}
				if version1 := float64(len(test.bad)); test.answer == wire.Refuse {
					te.wantCounted("dropped_total", "bad_parameter", version1)
					te.wantCounted("dropped_total", "bad_encoding", 1)
				}
			})
		})
	}
}

func TestTypingIsLimited(t *testing.T) {
	converse(t, Config{Auth: AuthOptional}, func(te *testEdge) {
		c := te.login(3, "alice")
		for range 7 {
			c.write(wire.Typing, `{"groupId":"club"}`)
		}
		c.wantIdle("nobody is told of what is too much")
		te.wantCounted("dropped_total", dropTyping, 2)
		s := te.streams.takeSignals()
		want := &chat.Signal{Kind: chat.Typing, Conversation: chat.GroupOf(app, "club"), From: c.device}
		if len(s) != 5 || *s[4] != *want {
			t.Fatalf("%d signals, the last %+v; want 5 of %+v", len(s), s[len(s)-1], want)
		}
		te.advance(time.Second)
		te.streams.set(func(r *recorder) { r.signal = errors.New("timeout") })
		c.write(wire.Typing, `{"toId":"bob"}`)
		c.wantIdle("nor of what was not sent")
		te.wantCounted("dropped_total", dropTyping, 3)
		if s := te.streams.takeSignals(); len(s) != 1 || s[0].Conversation != chat.PairOf(app, "alice", "bob") {
			t.Errorf("a second later the signals are %+v; want one to bob", s)
		}
	})
}

func TestTheCursorIsTold(t *testing.T) {
	converse(t, Config{Auth: AuthOptional}, func(te *testEdge) {
		c := te.dial(3)
		c.write(wire.Login, `{"userId":"alice"}`)
		if w := c.readWelcome(); w.Cursor != 77 {
			t.Errorf("the login is answered with cursor %d; want 77", w.Cursor)
		}
		c.write(wire.Ping, "")
		f, err := c.read()
		if err != nil {
			t.Fatal(err)
		}
		if p, err := wire.ParsePong(f.Body); err != nil || p.Cursor != 77 {
			t.Errorf("a ping is answered with %s, %v; want cursor 77", f.Body, err)
		}
	})
}
