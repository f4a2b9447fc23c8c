package api

import (
	"context"
	"fmt"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/history"
	"github.com/whaleshark-im/whaleshark/sql/store"
	"github.com/whaleshark-im/whaleshark/wire"
)

const (
	deletePath = "/v1/conversation/deleteConversation"
	updatePath = "/v1/conversation/updateConversation"
	unreadPath = "/v1/conversation/unread"
)

// conversation returns how a conversation stands for a user.
func (h *house) conversation(user, id string) conversationRow {
	h.t.Helper()
	for _, row := range pages[conversationRow](h, conversationsPath, user, nil, 100) {
		if row.ConversationID == id {
			return row
		}
	}
	h.t.Fatalf("%s has no conversation %s", user, id)
	return conversationRow{}
}

func TestAConversationIsSetForItsOwnerAlone(t *testing.T) {
	h := open(t)
	bob, alice := h.device("bob", "phone"), h.device("alice", "phone")
	h.says("alice", "bob", "one")
	h.says("bob", "alice", "two")
	if row := h.conversation("bob", "0_bob_alice"); row.Unread != 1 || row.MessageSequence != 2 || row.IsMute != 0 || row.IsTop != 0 || row.ToID != "alice" {
		t.Errorf("at first it stands as %+v", row)
	}
	h.ask(updatePath, "bob", body{"conversationId": "0_bob_alice", "isMute": 1, "isTop": 1}).want(chat.OK)
	s, err := wire.ParseSetting(wire.ConversationUpdate, []byte(bob.gets(wire.ConversationUpdate)))
	if err != nil || s.Mute != chat.On || s.Top != chat.On || s.To != "alice" {
		t.Errorf("his device gets %+v, %v", s, err)
	}
	h.ask(updatePath, "bob", body{"conversationId": "0_bob_alice", "fromId": "bob", "isTop": 0}).want(chat.OK)
	row := h.conversation("bob", "0_bob_alice")
	if row.IsMute != 1 || row.IsTop != 0 || row.Unread != 1 || row.Sequence < int64(s.Place) {
		t.Errorf("set, it stands as %+v", row)
	}
	var total unread
	if h.ask(unreadPath, "bob", body{}).want(chat.OK, &total); total != (unread{Total: 1, Muted: 1}) {
		t.Errorf("unread is %+v", total)
	}
	h.ask(readPath, "bob", body{"toId": "alice", "messageSequence": 2}).want(chat.OK)
	if row := h.conversation("bob", "0_bob_alice"); row.ReadSequence != 2 || row.Unread != 0 {
		t.Errorf("read, it stands as %+v", row)
	}
	if row := h.conversation("alice", "0_alice_bob"); row.IsMute != 0 || row.PeerReadSequence != 2 || row.ReadSequence != 0 || row.Unread != 1 {
		t.Errorf("the other user has it as %+v", row)
	}
	alice.none(wire.ConversationUpdate)

	h.ask(updatePath, "bob", body{"conversationId": "0_bob_alice"}).want(chat.NothingToUpdate)
	h.ask(updatePath, "bob", body{"conversationId": "0_bob_alice", "isTop": 2}).want(chat.BadParameter).mentions("isTop")
}

func TestADeletedConversationIsEmptyForItsOwner(t *testing.T) {
	h := open(t)
	bob := h.device("bob", "phone")
	h.says("alice", "bob", "one")
	h.ask(deletePath, "bob", body{"conversationId": "0_bob_alice"}).want(chat.OK)
	bob.gets(wire.ConversationDelete)
	if row := h.conversation("bob", "0_bob_alice"); !row.Deleted || row.LastMessage != nil || row.Unread != 0 {
		t.Errorf("deleted, it stands as %+v", row)
	}
	if rows := pages[messageRow](h, pairPath, "bob", body{"toId": "alice"}, 10); len(rows) != 0 {
		t.Errorf("he still sees %+v", rows)
	}
	if rows := pages[messageRow](h, pairPath, "alice", body{"toId": "bob"}, 10); bodiesOf(rows) != "one" {
		t.Errorf("the other user sees %q", bodiesOf(rows))
	}
	h.says("alice", "bob", "two")
	row := h.conversation("bob", "0_bob_alice")
	if row.Deleted || row.Unread != 1 || row.LastMessage == nil || row.LastMessage.Sequence != 2 {
		t.Errorf("with something new it stands as %+v", row)
	}
	if rows := pages[messageRow](h, offlinePath, "bob", nil, 10); bodiesOf(rows) != "two" {
		t.Errorf("he sees %q", bodiesOf(rows))
	}
}

// TestAnAppMayDeleteSilently deletes twice: nothing is pushed the first time, though what is pushed comes in order.
func TestAnAppMayDeleteSilently(t *testing.T) {
	h := open(t)
	h.exec(`UPDATE app SET delete_mode = 2`)
	bob := h.device("bob", "phone")
	h.says("alice", "bob", "one")
	h.ask(deletePath, "bob", body{"conversationId": "0_bob_alice"}).want(chat.OK)
	h.ask(updatePath, "bob", body{"conversationId": "0_bob_alice", "isTop": 1}).want(chat.OK)
	bob.gets(wire.ConversationUpdate)
	bob.none(wire.ConversationDelete)
	if row := h.conversation("bob", "0_bob_alice"); !row.Deleted || row.IsTop != 1 {
		t.Errorf("it stands as %+v", row)
	}
}

// TestNamesOfConversations has users whose ids hold what stands between them.
func TestNamesOfConversations(t *testing.T) {
	h := open(t)
	h.exec(`INSERT INTO app_user (app_id, user_id) SELECT 10001, unnest('{x_y,y,z_}'::text[])`)
	h.exec(`INSERT INTO friendship (app_id, from_id, to_id) VALUES (10001, 'x_y', 'z_'), (10001, 'z_', 'x_y')`)
	h.says("x_y", "z_", "hi")
	h.ask(updatePath, "x_y", body{"conversationId": "0_x_y_z_", "isTop": 1}).want(chat.OK)
	if row := h.conversation("x_y", "0_x_y_z_"); row.IsTop != 1 || row.ToID != "z_" {
		t.Errorf("it stands as %+v", row)
	}
	h.teamIsThere()
	for _, path := range []string{deletePath, updatePath} {
		for id, code := range map[string]chat.Code{
			"1_bob_team": chat.OK, "1_bob_none": chat.GroupMissing, "1_bob_27a35ff2f9be4cc9a8d3db1ad3322804": chat.NotMember,
			"0_bob_somebody": chat.OK, "0_alice_bob": chat.BadParameter, "0_bob_": chat.BadParameter, "0_bob": chat.BadParameter,
			"2_bob_alice": chat.BadParameter, "bob": chat.BadParameter, "": chat.BadParameter,
		} {
			a := h.ask(path, "bob", body{"conversationId": id, "isMute": 1}).want(code)
			if code == chat.BadParameter {
				a.mentions("conversationId")
			}
		}
	}
}

// TestSequencesTellWhetherThereIsSomethingToSync compares them with what the syncs end at.
func TestSequencesTellWhetherThereIsSomethingToSync(t *testing.T) {
	h := open(t)
	h.teamIsThere()
	sequences := func() (s map[string]int64) {
		t.Helper()
		h.ask("/v1/user/getUserSequence", "bob", body{"userId": "bob"}).want(chat.OK, &s)
		return s
	}
	end := func(path string) int64 {
		t.Helper()
		var p syncPage[struct{}]
		h.ask(path, "bob", body{}).want(chat.OK, &p)
		return p.MaxSequence
	}
	conversations, groups := end(conversationsPath), end(joinedPath)
	if s := sequences(); s["conversationSeq"] == 0 || s["conversationSeq"] > conversations || s["groupSeq"] == 0 || s["groupSeq"] > groups {
		t.Errorf("who is told all up to %d and %d is to sync up to %v", conversations, groups, s)
	}
	at := h.says("alice", "bob", "news")
	h.says("a", "b", "no news")
	if s := sequences(); s["conversationSeq"] != at.MessageKey || s["groupSeq"] > groups {
		t.Errorf("after a message at %d the sequences are %v", at.MessageKey, s)
	}
}

// counter counts statements; it may be used by any number at once.
type counter struct{ statements atomic.Int64 }

func (c *counter) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	c.statements.Add(1)
	return ctx
}

func (c *counter) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// counted returns the house with another API in front of it, whose statements are counted.
func (h *house) counted() (*house, *counter) {
	h.t.Helper()
	count := new(counter)
	traced, err := store.Open(h.t.Context(), h.database, store.Options{Tracer: count})
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(traced.Close)
	cfg := h.api.cfg
	cfg.Metrics = nil
	api := New(cfg, traced, h.conn, history.New(history.Config{}, h.conn, traced), h.directory)
	server := httptest.NewServer(api.handler)
	h.t.Cleanup(server.Close)
	other := *h
	other.url = server.URL
	return &other, count
}

// TestSyncingConversationsTakesAFewStatements counts those of pages of one and of many conversations.
func TestSyncingConversationsTakesAFewStatements(t *testing.T) {
	h := open(t)
	h.exec(`UPDATE app SET check_friend = false`)
	h.exec(`INSERT INTO app_user (app_id, user_id) SELECT 10001, 'p' || i FROM generate_series(1, 30) AS i`)
	for i := range 30 {
		h.says("bob", fmt.Sprint("p", i+1), "hi")
	}
	h.eventually("Postgres has it all", func() bool {
		return h.exec(`SELECT 1 FROM conversation WHERE 'bob' IN (a, b) AND kind = 0`) == 30
	})
	other, count := h.counted()
	other.ask(conversationsPath, "bob", body{}).want(chat.OK) // connects, and prepares statements
	for _, limit := range []int{1, 30} {
		before := count.statements.Load()
		var p syncPage[conversationRow]
		other.ask(conversationsPath, "bob", body{"maxLimit": limit}).want(chat.OK, &p)
		if n := count.statements.Load() - before; len(p.DataList) != limit || n > 10 {
			t.Errorf("%d conversations take %d statements; want 10 at most", len(p.DataList), n)
		}
	}
}
