package api

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/directory"
	"github.com/whaleshark-im/whaleshark/history"
	"github.com/whaleshark-im/whaleshark/sql/store"
	"github.com/whaleshark-im/whaleshark/sql/storetest"
	"github.com/whaleshark-im/whaleshark/streams"
	"github.com/whaleshark-im/whaleshark/streams/streamstest"
	"github.com/whaleshark-im/whaleshark/wire"
)

const (
	sendPath      = "/v1/message/send"
	sendGroupPath = "/v1/group/sendMessage"
	recallPath    = "/v1/message/recall"
	readPath      = "/v1/message/read"
)

// exec changes rows behind everybody's back.
func (h *house) exec(sql string, args ...any) (rows int64) {
	h.t.Helper()
	db, err := pgx.Connect(h.t.Context(), h.database)
	if err != nil {
		h.t.Fatal(err)
	}
	defer db.Close(h.t.Context())
	tag, err := db.Exec(h.t.Context(), sql, args...)
	if err != nil {
		h.t.Fatalf("%s: %v", sql, err)
	}
	return tag.RowsAffected()
}

// says sends a message to a user and returns where it is.
func (h *house) says(from, to, text string) (at placed) {
	h.t.Helper()
	h.ask(sendPath, from, body{"toId": to, "messageBody": text}).want(chat.OK, &at)
	return at
}

// saysInTeam sends a message to the team, and returns where it is.
func (h *house) saysInTeam(from, text string) (at placed) {
	h.t.Helper()
	h.ask(sendGroupPath, from, body{"groupId": "team", "messageBody": text}).want(chat.OK, &at)
	return at
}

func TestAMessageSentByHTTPTakesTheRoadOfAll(t *testing.T) {
	h := open(t)
	alice, bob := h.device("alice", "phone"), h.device("bob", "phone")
	said := body{
		"messageId": "m1", "toId": "bob", "messageBody": "hi", "extra": "x", "messageTime": 1_700_000_000_000, "messageRandom": -5,
		"badgeMode": 1, "messageLifeTime": 3,
	}
	var first placed
	h.ask(sendPath, "alice", said).want(chat.OK, &first)
	if first.MessageID != "m1" || first.MessageTime != 1_700_000_000_000 || first.MessageSequence != 1 || first.MessageKey == 0 {
		t.Errorf("answered %+v", first)
	}
	for _, d := range []*device{alice, bob} {
		p, err := wire.ParsePlaced([]byte(d.gets(wire.Send)))
		want := chat.Device{App: store.DemoApp, User: "alice"}
		if err != nil || p.Body != "hi" || p.Extra != "x" || p.Seq != 1 || int64(p.Place) != first.MessageKey || p.From != want || p.To != "bob" {
			t.Errorf("got %+v, %v", p, err)
		}
	}

	var again placed
	h.ask(sendPath, "alice", said).want(chat.OK, &again)
	if again != first {
		t.Errorf("sent again: %+v, want %+v", again, first)
	}
	var refused placed
	h.ask(sendPath, "alice", body{"messageId": "m1", "toId": "bob", "messageBody": "other"}).want(chat.MessageIDReused, &refused)
	if refused != (placed{MessageID: "m1", MessageTime: refused.MessageTime}) {
		t.Errorf("a refusal says %+v", refused)
	}

	if ack, err := alice.Send(t.Context(), wire.Message{MessageID: "m2", To: "bob", Body: "from the socket"}); err != nil || ack.Seq != 2 {
		t.Errorf("what the socket says next has number %d, %v", ack.Seq, err)
	}
	if third := h.says("bob", "alice", "back"); third.MessageSequence != 3 || third.MessageID == "" || third.MessageTime == 0 {
		t.Errorf("what HTTP says next: %+v", third)
	}
}

func TestTheDeviceThatAsksIsNotToldWhatItSays(t *testing.T) {
	h := open(t)
	h.exec(`UPDATE app SET login_policy = 4`) // all devices of a user at once
	phone, desk := h.device("alice", "phone"), h.device("alice", "desk")
	h.ask(sendPath, "alice", body{"toId": "bob", "messageBody": "hi", "clientType": int(chat.Android), "imei": "phone"}).want(chat.OK)
	desk.gets(wire.Send)
	h.says("bob", "alice", "and to both")
	if p, err := wire.ParsePlaced([]byte(phone.gets(wire.Send))); err != nil || p.Body != "and to both" {
		t.Errorf("the device that has asked gets %+v, %v", p, err)
	}
}

func TestAGroupsMessageSentByHTTP(t *testing.T) {
	h := open(t)
	bob, alice := h.device("bob", "phone"), h.device("alice", "phone")
	var at placed
	h.eventually("the group is in the log", func() bool {
		a := h.ask(sendGroupPath, "alice", body{"messageId": "g1", "groupId": "team", "messageBody": "hi all"})
		return a.Code == chat.OK && json.Unmarshal(a.Data, &at) == nil
	})
	for _, d := range []*device{bob, alice} {
		p, err := wire.ParsePlaced([]byte(d.gets(wire.GroupSend)))
		if err != nil || p.Group != "team" || p.Body != "hi all" || int64(p.Seq) != at.MessageSequence || int64(p.Place) != at.MessageKey {
			t.Errorf("got %+v, %v", p, err)
		}
	}
	h.ask(sendGroupPath, "alice", body{"messageId": "g1", "groupId": "team", "messageBody": "something else"}).want(chat.MessageIDReused)
	if ack, err := bob.Send(t.Context(), wire.Message{MessageID: "g2", Group: "team", Body: "x"}); err != nil || int64(ack.Seq) != at.MessageSequence+1 {
		t.Errorf("what the socket says next has number %d, %v", ack.Seq, err)
	}
}

// TestWhatWasDecidedHoldsForTheNextRequest speaks where one may since the request before.
func TestWhatWasDecidedHoldsForTheNextRequest(t *testing.T) {
	h := open(t)
	for i := range 20 {
		g := fmt.Sprint("new", i)
		h.ask("/v1/group/createGroup", "alice", body{"groupId": g, "groupName": "x", "member": []body{{"memberId": "a"}}}).want(chat.OK)
		h.ask("/v1/group/sendMessage", "alice", body{"groupId": g, "messageBody": "welcome"}).want(chat.OK)
		h.ask("/v1/group/member/add", "alice", body{"groupId": g, "members": []body{{"memberId": "bob"}}}).want(chat.OK)
		h.ask("/v1/group/sendMessage", "bob", body{"groupId": g, "messageBody": "thanks"}).want(chat.OK)
		h.ask("/v1/friendship/addBlack", "alice", pair("alice", "bob")).want(chat.OK)
		h.eventually("bob is blocked", func() bool {
			return h.ask(sendPath, "bob", body{"toId": "alice", "messageBody": "?"}).Code == chat.BlockedByFriend
		})
		h.ask("/v1/friendship/deleteBlack", "alice", pair("alice", "bob")).want(chat.OK)
		h.ask(sendPath, "bob", body{"toId": "alice", "messageBody": "!"}).want(chat.OK)
	}
}

// TestRefusalsOfMessagesBetweenUsers checks that both the log and the check beforehand refuse alike.
func TestRefusalsOfMessagesBetweenUsers(t *testing.T) {
	h := open(t)
	h.exec(`UPDATE friendship SET deleted = true WHERE from_id = 'alice' AND to_id = 'lld'`)
	h.exec(`UPDATE friendship SET blocked = true WHERE from_id = 'a' AND to_id = 'b'`)
	h.exec(`UPDATE app_user SET silent = true WHERE user_id = '10008'`)
	h.exec(`UPDATE app_user SET forbidden = true WHERE user_id = '10007'`)
	for _, test := range []struct {
		from, to string
		code     chat.Code
	}{
		{"alice", "bob", chat.OK},
		{"alice", "alice", chat.OK},
		{"alice", "nobody", chat.UserMissing},
		{"nobody", "alice", chat.UserMissing},
		{"10008", "alice", chat.SenderMuted},
		{"10007", "alice", chat.SenderForbidden},
		{"alice", "10003", chat.RelationMissing},
		{"alice", "lld", chat.FriendDeleted},
		{"lld", "alice", chat.DeletedByFriend},
		{"a", "b", chat.FriendBlocked},
		{"b", "a", chat.BlockedByFriend},
	} {
		h.ask(sendPath, "admin", body{"fromId": test.from, "toId": test.to, "messageBody": "hi"}).want(test.code)
		h.ask("/v1/message/p2pCheckSend", "admin", body{"fromId": test.from, "toId": test.to, "command": 1103}).want(test.code)
	}
	h.ask("/v1/message/p2pCheckSend", "alice", body{"fromId": "alice"}).want(chat.BadParameter).mentions("toId")
}

func TestRefusalsOfMessagesInGroups(t *testing.T) {
	h := open(t)
	team, other := chat.GroupOf(store.DemoApp, "team"), chat.GroupOf(store.DemoApp, "27a35ff2f9be4cc9a8d3db1ad3322804")
	h.exec(`UPDATE app_user SET silent = true WHERE user_id = 'a'`)
	h.exec(`UPDATE app_user SET forbidden = true WHERE user_id = 'b'`)
	ask := func(user, group string, code chat.Code) {
		t.Helper()
		h.ask("/v1/message/groupCheckSend", "admin", body{"fromId": user, "toId": group, "command": 2104}).want(code)
		h.eventually(fmt.Sprintf("the log says %d to %s in %s", code, user, group), func() bool { // it hears of changes a moment later
			return h.ask(sendGroupPath, "admin", body{"fromId": user, "groupId": group, "messageBody": "hi"}).Code == code
		})
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		h.conn.Nudge()
	}
	ask("bob", "team", chat.OK)
	ask("nobody", "team", chat.UserMissing)
	ask("a", "team", chat.SenderMuted)
	ask("b", "team", chat.SenderForbidden)
	ask("bob", "none", chat.GroupMissing)
	ask("10001", "team", chat.NotMember)
	must(h.store.MuteMember(t.Context(), team, "alice", "bob", time.Now().Add(time.Hour)))
	ask("bob", "team", chat.MemberIsMuted)
	must(h.store.MuteGroup(t.Context(), team, "alice", true))
	ask("lld", "team", chat.GroupIsMuted)
	ask("alice", "team", chat.OK)
	must(h.store.DestroyGroup(t.Context(), other, ""))
	ask("bantanger", other.A, chat.GroupIsGone)
	h.ask("/v1/message/groupCheckSend", "alice", body{"toId": "team"}).want(chat.BadParameter).mentions("fromId")
}

// TestAnAppMayRefuseOrReplaceAMessage answers in the app's place.
func TestAnAppMayRefuseOrReplaceAMessage(t *testing.T) {
	h := open(t)
	h.exec(`UPDATE app SET hook_url = 'http://app', hooks = '{message.send.before}'`)
	h.teamIsThere()
	if err := h.conn.ServeBefore(t.Context(), func(_ context.Context, q *chat.Request) chat.HookVerdict {
		if q.Body == "bad" {
			return chat.HookVerdict{Kind: chat.HookVetoed}
		}
		return chat.HookVerdict{Kind: chat.HookReplaced, Body: "[" + q.Body + "]"}
	}); err != nil {
		t.Fatal(err)
	}
	h.ask(sendPath, "alice", body{"toId": "bob", "messageBody": "bad"}).want(chat.Vetoed)
	h.ask(sendGroupPath, "alice", body{"groupId": "team", "messageBody": "bad"}).want(chat.Vetoed)
	if at := h.says("alice", "bob", "good"); at.MessageSequence != 1 {
		t.Errorf("what is allowed is %+v", at)
	}
	if rows := pages[messageRow](h, offlinePath, "bob", nil, 10); bodiesOf(rows) != "[good]" {
		t.Errorf("bob gets %q", bodiesOf(rows))
	}
}

func TestWhatIsWrongWithAMessage(t *testing.T) {
	h := open(t, func(c *Config) { c.Auth = AuthRequired })
	long := strings.Repeat("x", wire.DefaultLimits.Body)
	path := sendPath + "?appId=10001&identifier=alice&userSign=" + sign("alice")
	ask := func(in body) *answer {
		b, _ := json.Marshal(in)
		return h.send("POST", path, string(b), nil)
	}
	for _, test := range []struct {
		in       body
		code     chat.Code
		mentions string
	}{
		{body{"messageBody": "hi"}, chat.BadParameter, "toId"},
		{body{"toId": "bob"}, chat.BadParameter, "messageBody"},
		{body{"toId": "bob", "messageBody": "hi", "messageId": strings.Repeat("é", 129)}, chat.BadParameter, "messageId"},
		{body{"toId": strings.Repeat("b", 51), "messageBody": "hi"}, chat.BadParameter, "toId"},
		{body{"toId": "bob", "messageBody": long + "x"}, chat.BadParameter, "messageBody"},
		{body{"toId": "bob", "messageBody": long, "extra": "x"}, chat.BadParameter, "65537 bytes"},
		{body{"toId": "bob", "messageBody": strings.Repeat("é", len(long)/2+1)}, chat.BadParameter, "65538 bytes"},
		{body{"toId": "bob", "messageBody": "hi", "fromId": "lld"}, chat.SignOtherUser, "alice may not act for lld"},
		{body{"toId": "bob", "messageBody": long, "messageId": strings.Repeat("é", 128)}, chat.OK, ""},
	} {
		ask(test.in).want(test.code).mentions(test.mentions)
	}
}

func TestRecallsAndReads(t *testing.T) {
	h := open(t)
	alice, bob := h.device("alice", "phone"), h.device("bob", "phone")
	first, second, third := h.says("alice", "bob", "one"), h.says("alice", "bob", "two"), h.says("alice", "bob", "three")

	var read readUpTo
	h.ask(readPath, "bob", body{"toId": "alice", "messageSequence": 2}).want(chat.OK, &read)
	if alice.gets(wire.ReadReceipt); read.MessageSequence != 2 {
		t.Errorf("read up to %d, want 2", read.MessageSequence)
	}
	h.ask(readPath, "bob", body{"toId": "alice", "messageSequence": 1}).want(chat.OK, &read)
	if read.MessageSequence != 2 {
		t.Errorf("a position goes back to %d", read.MessageSequence)
	}
	h.ask(readPath, "bob", body{"toId": "alice", "messageSequence": 99}).want(chat.OK, &read)
	if read.MessageSequence != 3 {
		t.Errorf("what nobody has said is read up to %d", read.MessageSequence)
	}

	var gone placed
	h.ask(recallPath, "alice", body{"toId": "bob", "messageKey": first.MessageKey}).want(chat.OK, &gone)
	if gone.MessageKey != first.MessageKey || gone.MessageSequence != 1 {
		t.Errorf("recalled %+v, want %+v", gone, first)
	}
	if r, err := wire.ParseRecalled([]byte(bob.gets(wire.RecallNotify))); err != nil || r.Seq != 1 || r.By != "alice" {
		t.Errorf("got %+v, %v", r, err)
	}
	h.ask(recallPath, "alice", body{"toId": "bob", "messageSequence": 1}).want(chat.RecalledAlready)
	h.ask(recallPath, "alice", body{"toId": "bob", "messageSequence": 77}).want(chat.MessageMissing)
	h.ask(recallPath, "bob", body{"toId": "alice", "messageSequence": 2}).want(chat.NotYours)
	h.eventually("Postgres has the third message", func() bool {
		return h.exec(`UPDATE message SET created_at = now() - interval '1 day' WHERE place = $1`, third.MessageKey) == 1
	})
	h.ask(recallPath, "alice", body{"toId": "bob", "messageSequence": 3}).want(chat.RecallTooLate)
	h.ask(recallPath, "admin", body{"fromId": "alice", "toId": "bob", "messageSequence": second.MessageSequence}).want(chat.OK)

	for _, path := range []string{recallPath, readPath} {
		h.ask(path, "alice", body{"groupId": "none", "messageSequence": 1}).want(chat.GroupMissing)
		h.eventually("the group is in the log", func() bool {
			return h.ask(path, "10001", body{"groupId": "team", "messageSequence": 1}).Code == chat.NotMember
		})
		h.ask(path, "alice", body{"messageSequence": 1}).want(chat.BadParameter).mentions("toId or groupId")
		h.ask(path, "alice", body{"toId": "bob"}).want(chat.BadParameter).mentions("messageSequence")
		h.ask(path, "alice", body{"toId": "bob", "messageSequence": -1}).want(chat.BadParameter).mentions("messageSequence")
	}
}

// shell is a house without workers and edges.
func shell(t *testing.T) (*house, context.Context, *sync.WaitGroup) {
	t.Helper()
	h := &house{t: t, store: storetest.New(t)}
	if err := h.store.Seed(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.conn = streamstest.Connect(t, streamstest.Server(t), streams.Layout{})
	h.history = history.New(history.Config{}, h.conn, h.store)
	h.directory = directory.New(directory.Config{}, h.store)
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	t.Cleanup(func() { stop(); running.Wait() })
	h.serve(ctx, &running, []func(*Config){func(c *Config) { c.RequestTimeout = 300 * time.Millisecond }})
	return h, ctx, &running
}

// TestNobodyAnswers sends where no sequencer is: what became of it is unknown, and who asks is told with what to ask again.
func TestNobodyAnswers(t *testing.T) {
	h, _, _ := shell(t)
	var at placed
	h.ask(sendPath, "alice", body{"toId": "bob", "messageBody": "hi"}).want(chat.Unavailable, &at).mentions("unknown")
	if at.MessageID == "" || at.MessageKey != 0 {
		t.Errorf("the answer says %+v", at)
	}
}

// TestAFullLogIsBusy has a sequencer that says so.
func TestAFullLogIsBusy(t *testing.T) {
	h, ctx, running := shell(t)
	running.Go(func() { h.conn.HeedFull(ctx) })
	running.Go(func() {
		h.conn.Work(ctx, streams.RoleSequence, func(context.Context, *streams.Generation, *streams.Members) (streams.Duty, error) {
			return streams.Duty{
				Node: streams.NewNode(), Log: slog.New(slog.DiscardHandler),
				Own: func(ctx context.Context, _ chat.Partition, post *streams.Post) error {
					post.Full(true)
					<-ctx.Done()
					return ctx.Err()
				},
			}, nil
		})
	})
	for path, in := range map[string]body{
		sendPath:      {"toId": "bob", "messageBody": "hi"},
		sendGroupPath: {"groupId": "team", "messageBody": "hi"},
		recallPath:    {"toId": "bob", "messageSequence": 1},
		readPath:      {"toId": "bob", "messageSequence": 1},
		deletePath:    {"conversationId": "0_alice_bob"},
		updatePath:    {"conversationId": "0_alice_bob", "isTop": 1},
	} {
		h.eventually(path+" is answered with busy", func() bool { return h.ask(path, "alice", in).Code == chat.Busy })
	}
}

// TestOneMessageSentByManyAtOnce is said once.
func TestOneMessageSentByManyAtOnce(t *testing.T) {
	h := open(t)
	var at [20]placed
	var senders sync.WaitGroup
	for i := range at {
		senders.Go(func() {
			a := h.ask(sendPath, "alice", body{"messageId": "m1", "messageTime": 5, "toId": "bob", "messageBody": "hi"})
			if err := json.Unmarshal(a.Data, &at[i]); err != nil || a.Code != chat.OK {
				t.Errorf("answered %d %q, %v", a.Code, a.Msg, err)
			}
		})
	}
	senders.Wait()
	for _, x := range at {
		if x != at[0] || x.MessageSequence != 1 {
			t.Errorf("one hears %+v, another %+v", at[0], x)
		}
	}
	if rows := pages[messageRow](h, offlinePath, "bob", nil, 10); len(rows) != 1 {
		t.Errorf("bob gets %q", bodiesOf(rows))
	}
}

// TestWhatAMessageCostsInStatements counts what the API itself asks Postgres for: nothing on the way into the log, and of a batch a few statements and a
// few for each conversation that has something new.
func TestWhatAMessageCostsInStatements(t *testing.T) {
	h := open(t)
	h.says("alice", "bob", "hi")
	h.says("alice", "a", "hi")
	other, count := h.counted()
	for _, c := range []struct {
		what, path, user string
		in               body
		most             int64
	}{
		{"a message", sendPath, "alice", body{"toId": "bob", "messageBody": "again"}, 0},
		{"whether one may send", "/v1/message/p2pCheckSend", "alice", body{"fromId": "alice", "toId": "bob"}, 2},
		{"a batch of two conversations", batchPath, "alice", body{"userId": "alice", "conversations": []body{
			{"conversationId": "bob", "conversationType": 1, "sequence": 0}, {"conversationId": "a", "conversationType": 1, "sequence": 0},
		}}, 20},
	} {
		before := count.statements.Load()
		other.ask(c.path, c.user, c.in).want(chat.OK)
		if n := count.statements.Load() - before; n > c.most {
			t.Errorf("%s costs %d statements, want %d at most", c.what, n, c.most)
		}
	}
}
