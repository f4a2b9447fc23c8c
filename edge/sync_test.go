package edge

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/history"
	"github.com/whaleshark-im/whaleshark/wire"
)

// told is a History that says what it is told to. Fields are set before it is asked.
type told struct {
	err       error
	items     []chat.Item
	truncated bool
	held      chan struct{} // what every question waits for; nil: nothing
	asked     chan struct{} // gets one for each question that waits; nil: nobody wants to know
	mu        sync.Mutex
	after     chat.Place // as it was asked
	from, to  chat.Seq
	of        chat.Conversation
}

func (h *told) wait() {
	if h.held != nil {
		h.asked <- struct{}{}
		<-h.held
	}
}

func (h *told) Changes(_ context.Context, _ chat.UserKey, after chat.Place, _ int) (history.Summaries, error) {
	h.wait()
	h.mu.Lock()
	h.after = after
	h.mu.Unlock()
	s := history.Summaries{Cursor: 99, Completed: true}
	for i := range h.items {
		item := &h.items[i]
		s.Summaries = append(s.Summaries, history.Summary{Conversation: item.Record.Conversation, Place: item.Place, Newest: item})
	}
	return s, h.err
}

func (h *told) Records(
	_ context.Context, _ chat.UserKey, of chat.Conversation, from, _ chat.Place, _ bool, _ int,
) (history.Page, error) {
	h.of, h.after = of, from
	return history.Page{Items: h.items, More: h.truncated}, h.err
}

func (h *told) Messages(_ context.Context, _ chat.UserKey, of chat.Conversation, from, to chat.Seq, _ bool, _ int) (history.Page, error) {
	h.of, h.from, h.to = of, from, to
	return history.Page{Items: h.items, More: h.truncated}, h.err
}

func (h *told) Pull(_ context.Context, _ chat.UserKey, last chat.Place, _ int) (history.Pulled, error) {
	h.after = last
	p := history.Pulled{Messages: h.items, Completed: true, Truncated: h.truncated, MaxKey: last}
	for _, i := range h.items {
		p.MaxKey = i.Place
	}
	return p, h.err
}

func (h *told) Missed(
	_ context.Context, _ chat.Device, after chat.Place, _ chat.Revision, _ int,
) (missed []chat.Item, truncated bool, err error) {
	h.wait()
	h.mu.Lock()
	h.after = after
	h.mu.Unlock()
	return h.items, h.truncated, h.err
}

func (h *told) End(context.Context) (chat.Revision, error) { return 10, nil }
func (h *told) PlaceAfter(rev chat.Revision) chat.Place    { return chat.PlaceOf(0, rev+1, 0) - 1 }
func said(place chat.Place, seq chat.Seq, body string) chat.Item {
	return chat.Item{Place: place, Time: time.UnixMilli(5), Record: chat.Record{
		Kind: chat.MessageRecord, Conversation: chat.PairOf(app, "alice", "bob"), Seq: seq, MessageID: "m", Body: body,
		Sender: chat.Device{App: app, User: "alice", Client: chat.Web, IMEI: "x"},
	}}
}

const saidHi = `{"messageId":"m","toId":"bob","messageBody":"hi","fromId":"alice","messageKey":9000,"messageSequence":7,"appId":10001,"clientType":1,"imei":"x"`

func TestHistoryIsAnswered(t *testing.T) {
	h := &told{items: []chat.Item{said(9000, 7, "hi")}}
	converse(t, Config{Auth: AuthOptional, History: h}, func(te *testEdge) {
		bob := te.login(3, "bob")
		bob.write(wire.Changes, `{"cursor":5,"requestId":"q1"}`)
		bob.want("changes", wire.Changes, `{"code":200,"msg":"success","data":{"cursor":99,"completed":true,"conversations":[{"toId":"alice",`+
			`"conversationType":0,"messageSequence":0,"changeKey":9000,"readSequence":0,"unread":0,"last":`+saidHi+`}}],"requestId":"q1"}}`)
		bob.write(wire.History, `{"toId":"alice","fromSequence":3,"toSequence":9}`)
		bob.want("history by seq", wire.History, `{"code":200,"msg":"success","data":{"completed":true,"records":[`+
			saidHi+`,"kind":"message","time":5}]}}`)
		if h.of != chat.PairOf(app, "alice", "bob") || h.from != 3 || h.to != 9 {
			t.Errorf("asked for %v from %d to %d", h.of, h.from, h.to)
		}
		bob.write(wire.Pull, `{"lastKey":8000}`)
		bob.want("pull", wire.Pull, `{"code":200,"msg":"success","data":{"maxKey":9000,"completed":true,"truncated":false,"messages":[`+saidHi+`}]}}`)
		if h.after != 8000 {
			t.Errorf("pulled after %d", h.after)
		}
	})
}

func TestHistoryIsRefused(t *testing.T) {
	h := &told{}
	converse(t, Config{Auth: AuthOptional, History: h}, func(te *testEdge) {
		bob := te.login(3, "bob")
		bob.write(wire.Changes, `{"cursor":-1,"requestId":"q1"}`)
		bob.want("a cursor below 0", wire.Changes, `{"code":90001,"msg":"a bound or the limit is below 0","data":{"requestId":"q1"}}`)
		h.err = chat.Error{Code: chat.NotMember}
		bob.write(wire.History, `{"groupId":"g","requestId":"q2"}`)
		bob.want("a stranger", wire.History, `{"code":40006,"msg":"not a member of the conversation","data":{"requestId":"q2"}}`)
		h.err = errors.New("out of order")
		bob.write(wire.Pull, `{"lastKey":1}`)
		bob.wantCode("who cannot tell", wire.Pull, chat.Unavailable)
	})
}

// TestAnAnswerIsBounded asks for more than a client's queue takes, in each way. Control characters are six bytes each when they are sent.
func TestAnAnswerIsBounded(t *testing.T) {
	h := &told{}
	for i := range chat.Seq(10) {
		h.items = append(h.items, said(chat.Place(1000+i), i, strings.Repeat("\x01", 1000)))
	}
	const room = 15_000 // half of what may wait: for two of them
	converse(t, Config{Auth: AuthOptional, History: h, QueueBytes: 2 * room}, func(te *testEdge) {
		bob := te.login(3, "bob")
		ask := func(c wire.Command, body string) []byte {
			t.Helper()
			bob.write(c, body)
			f, err := bob.read()
			if err != nil || len(f.Body) > room {
				t.Fatalf("%v is answered with %d bytes, %v; want %d at most", c, len(f.Body), err, room)
			}
			return f.Body
		}
		pulled, err := wire.ParsePullPage(ask(wire.Pull, `{"lastKey":1}`))
		if err != nil || len(pulled.Messages) != 2 || pulled.Completed || pulled.Max != 1001 {
			t.Errorf("pulled %d messages up to %d, completed %v, %v; want 2", len(pulled.Messages), pulled.Max, pulled.Completed, err)
		}
		changes, err := wire.ParseChangesPage(ask(wire.Changes, `{"cursor":0}`))
		if err != nil || len(changes.Conversations) != 2 || changes.Completed || changes.Cursor != 1001 {
			t.Errorf("got %d changes up to %d, completed %v, %v; want 2", len(changes.Conversations), changes.Cursor, changes.Completed, err)
		}
		records, err := wire.ParseHistoryPage(ask(wire.History, `{"toId":"alice"}`))
		if err != nil || len(records.Records) != 2 || records.Completed {
			t.Errorf("got %d records, completed %v, %v; want 2", len(records.Records), records.Completed, err)
		}
		h.items = nil
		for i := range chat.Place(3) {
			h.items = append(h.items, joined(1000+i, 100))
		}
		records, err = wire.ParseHistoryPage(ask(wire.History, `{"groupId":"g"}`))
		if err != nil || len(records.Records) != 2 || records.Completed {
			t.Errorf("got %d records of changes to 100 members each, completed %v, %v; want 2", len(records.Records), records.Completed, err)
		}
	})
}

// joined is a change of a group that lets so many users in.
func joined(place chat.Place, users int) chat.Item {
	c := &chat.Change{Kind: chat.MembersJoined, Version: 2}
	for i := range users {
		c.Users = append(c.Users, chat.UserID(fmt.Sprintf("user%056d", i)))
	}
	return chat.Item{Place: place, Record: chat.Record{Kind: chat.GroupRecord, Conversation: chat.GroupOf(app, "g"), Change: c}}
}

// TestManyQuestionsAtOnce asks without reading the answers: the questions wait, and the client is not slow.
func TestManyQuestionsAtOnce(t *testing.T) {
	h := &told{items: []chat.Item{said(1000, 1, strings.Repeat("x", 1500))}}
	converse(t, Config{Auth: AuthOptional, History: h, QueueBytes: 4000}, func(te *testEdge) {
		bob := te.login(3, "bob")
		const questions = 20
		var written atomic.Int32
		go func() { // ends with the last one, which is read below
			for range questions {
				bob.write(wire.Pull, `{"lastKey":1}`)
				written.Add(1)
			}
		}()
		synctest.Wait()
		if n := written.Load(); n > 4 {
			t.Errorf("%d questions were read of a client that takes no answers", n)
		}
		for i := range questions {
			if f, err := bob.read(); err != nil || f.Command != wire.Pull {
				t.Fatalf("answer %d is %v, %v", i, f.Command, err)
			}
		}
		te.wantCounted("closed_total", "slow_consumer", 0)
	})
}

// TestWhoTakesNoAnswersIsSlow asks, and never reads.
func TestWhoTakesNoAnswersIsSlow(t *testing.T) {
	h := &told{items: []chat.Item{said(1000, 1, strings.Repeat("x", 1500))}}
	converse(t, Config{Auth: AuthOptional, History: h, QueueBytes: 4000}, func(te *testEdge) {
		bob := te.login(3, "bob")
		for range 3 {
			bob.write(wire.Pull, `{"lastKey":1}`)
		}
		te.advance(te.cfg.WriteTimeout + 2*sweepInterval)
		te.wantCounted("closed_total", "slow_consumer", 1)
		te.advance(te.cfg.CloseTimeout + 2*sweepInterval)
		if s := te.Stats(); s.Connections != 0 {
			t.Errorf("%d connections are left", s.Connections)
		}
	})
}

// TestHistoryHoldsUpNobodyElse asks more than may ask at once; one too many is told so.
func TestHistoryHoldsUpNobodyElse(t *testing.T) {
	h := &told{}
	converse(t, Config{Auth: AuthOptional, History: h, RequestTimeout: time.Second}, func(te *testEdge) {
		h.held, h.asked = make(chan struct{}), make(chan struct{}, atOnce+1)
		var all []*testClient
		for i := range atOnce + 1 {
			c := te.loginAs(3, chat.Device{App: app, User: "bob", Client: chat.Web, IMEI: string(rune('a' + i))})
			c.write(wire.Changes, `{"cursor":0}`)
			synctest.Wait()
			all = append(all, c)
		}
		if n := len(h.asked); n != atOnce {
			t.Errorf("%d ask at once, want %d", n, atOnce)
		}
		all[atOnce].wantCode("one too many", wire.Changes, chat.Busy)
		alice := te.login(3, "alice")
		alice.write(wire.Ping, "")
		if f, err := alice.read(); err != nil || f.Command != wire.Ping {
			t.Errorf("somebody else's ping: %v, %v", f.Command, err)
		}
		close(h.held)
	})
}

// TestALoginResumes lets frames come while what was missed is read: those that tell of the same again are dropped.
func TestALoginResumes(t *testing.T) {
	h := &told{items: []chat.Item{said(9000, 7, "hi")}}
	converse(t, Config{Auth: AuthOptional, History: h}, func(te *testEdge) {
		h.held, h.asked = make(chan struct{}), make(chan struct{}, 1)
		bob := te.dial(3)
		bob.write(wire.Login, `{"userId":"bob","cursor":4000}`)
		<-h.asked
		push := func(revision chat.Revision, c wire.Command, payload string) chat.Delivery {
			return chat.Delivery{Revision: revision, Command: int32(c), Payload: []byte(payload), Sessions: []chat.SessionID{1}}
		}
		te.Deliver(&chat.Push{To: 11, Deliveries: []chat.Delivery{
			push(9, wire.Send, `{"in":"what was missed"}`), push(9, wire.SendAck, `{"an":"ack"}`), push(10, wire.RecallNotify, `{"in":"it, too"}`),
			push(0, wire.Receive, `{"a":"signal"}`), push(10, wire.GroupReadReceipt, `{"not":"in it"}`), push(11, wire.Send, `{"after":"it"}`),
		}})
		close(h.held)
		w := bob.readWelcome()
		if w.Code != chat.OK || !w.Resume || w.Resumed != 1 || w.Truncated || w.Cursor != h.PlaceAfter(10) || h.after != 4000 {
			t.Errorf("the login is answered with %+v, after it was asked for what is above %d", w, h.after)
		}
		bob.want("what was missed", wire.Send, saidHi+`}`)
		bob.want("an ack", wire.SendAck, `{"an":"ack"}`)
		bob.want("a signal", wire.Receive, `{"a":"signal"}`)
		bob.want("a group's receipt", wire.GroupReadReceipt, `{"not":"in it"}`)
		bob.want("what came after it", wire.Send, `{"after":"it"}`)
		bob.wantIdle("that is all")
		te.wantCounted("dropped_total", dropResumed, 2)
	})
}

// TestTheFanOutMayBeBehindALogin lets frames that tell of what was missed come after the login was answered.
func TestTheFanOutMayBeBehindALogin(t *testing.T) {
	h := &told{items: []chat.Item{said(9000, 7, "hi")}}
	converse(t, Config{Auth: AuthOptional, History: h}, func(te *testEdge) {
		bob := te.dial(3)
		bob.write(wire.Login, `{"userId":"bob","cursor":4000}`)
		if w := bob.readWelcome(); w.Resumed != 1 {
			t.Errorf("the login is answered with %+v", w)
		}
		bob.want("what was missed", wire.Send, saidHi+`}`)
		push := func(revision chat.Revision, c wire.Command, payload string) {
			te.Deliver(&chat.Push{To: revision, Deliveries: []chat.Delivery{
				{Revision: revision, Command: int32(c), Payload: []byte(payload), Sessions: []chat.SessionID{1}},
			}})
		}
		push(9, wire.Send, `{"in":"what was missed"}`)
		push(10, wire.GroupReadReceipt, `{"not":"in it"}`)
		bob.want("a group's receipt", wire.GroupReadReceipt, `{"not":"in it"}`)
		push(11, wire.Send, `{"after":"it"}`)
		bob.want("what came after it", wire.Send, `{"after":"it"}`)
		te.wantCounted("dropped_total", dropResumed, 1)
	})
}

// TestALoginIsToldOfSettings lets a setting be missed that is also pushed: it is told once.
func TestALoginIsToldOfSettings(t *testing.T) {
	h := &told{items: []chat.Item{{Place: 9000, Record: chat.Record{
		Kind: chat.SettingRecord, Conversation: chat.PairOf(app, "alice", "bob"), Sender: chat.Device{App: app, User: "bob"},
		Setting: &chat.Setting{Mute: chat.On, Top: chat.Off, Delete: true},
	}}}}
	converse(t, Config{Auth: AuthOptional, History: h}, func(te *testEdge) {
		bob := te.dial(3)
		bob.write(wire.Login, `{"userId":"bob","cursor":4000}`)
		if w := bob.readWelcome(); w.Resumed != 1 {
			t.Errorf("the login is answered with %+v", w)
		}
		const where = `{"conversationId":"0_bob_alice","toId":"alice","conversationType":0,"messageKey":9000`
		bob.want("how it is set", wire.ConversationUpdate, where+`,"sequence":9000,"isMute":1,"isTop":0}`)
		bob.want("that it is deleted", wire.ConversationDelete, where+`}`)
		push := &chat.Push{To: 9}
		for _, c := range []wire.Command{wire.ConversationUpdate, wire.ConversationDelete, wire.UpdatedGroup} {
			push.Deliveries = append(push.Deliveries, chat.Delivery{
				Revision: 9, Command: int32(c), Payload: []byte(`{"in":"what was missed"}`), Sessions: []chat.SessionID{1},
			})
		}
		te.Deliver(push)
		bob.wantIdle("that is all")
		te.wantCounted("dropped_total", dropResumed, 3)
	})
}

func TestALoginThatMissedTooMuchMustPull(t *testing.T) {
	for name, h := range map[string]*told{
		"too many":     {truncated: true},
		"escapes":      {items: []chat.Item{said(9000, 7, strings.Repeat("\x01", 500)), said(9001, 8, strings.Repeat("\x01", 500))}},
		"too large":    {items: []chat.Item{said(9000, 7, strings.Repeat("x", 5000)), said(9001, 8, "y")}},
		"nobody knows": {err: errors.New("away")},
	} {
		t.Run(name, func(t *testing.T) {
			converse(t, Config{Auth: AuthOptional, History: h, QueueBytes: 4000}, func(te *testEdge) {
				bob := te.dial(3)
				bob.write(wire.Login, `{"userId":"bob","cursor":4000}`)
				if w := bob.readWelcome(); w.Code != chat.OK || !w.Resume || w.Resumed != 0 || !w.Truncated {
					t.Errorf("the login is answered with %+v", w)
				}
				bob.wantIdle("it is sent nothing of it")
			})
		})
	}
}

// TestMoreMayBeMissedThanMayWait sends a client that resumes more frames than its queue takes otherwise.
func TestMoreMayBeMissedThanMayWait(t *testing.T) {
	h := &told{}
	for i := range chat.Seq(20) {
		h.items = append(h.items, said(chat.Place(1000+i), i, "hi"))
	}
	converse(t, Config{Auth: AuthOptional, History: h, QueueFrames: 4}, func(te *testEdge) {
		bob := te.dial(3)
		bob.write(wire.Login, `{"userId":"bob","cursor":0}`)
		synctest.Wait()
		te.Deliver(&chat.Push{To: 11, Deliveries: []chat.Delivery{
			{Revision: 11, Command: int32(wire.Send), Payload: []byte(`{"more":1}`), Sessions: []chat.SessionID{1}},
		}})
		if w := bob.readWelcome(); w.Resumed != 20 {
			t.Errorf("the login is answered with %+v", w)
		}
		for range h.items {
			if f, err := bob.read(); err != nil || f.Command != wire.Send {
				t.Fatalf("got %v, %v", f.Command, err)
			}
		}
		bob.want("what came after it", wire.Send, `{"more":1}`)
	})
}
