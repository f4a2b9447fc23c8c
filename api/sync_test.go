package api

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/store"
)

const (
	offlinePath       = "/v1/message/syncOfflineMessageList"
	pairPath          = "/v1/message/syncP2PMessage"
	groupPath         = "/v1/message/syncGroupMessage"
	batchPath         = "/v1/message/batchSyncMessage"
	conversationsPath = "/v1/conversation/syncConversationList"
	joinedPath        = "/v1/group/syncJoinedGroup"
)

// pages asks for page after page until it is told that there are no more, and returns all rows. No page goes back or stands still.
func pages[Row any](h *house, path, user string, in body, limit int) (rows []Row) {
	h.t.Helper()
	last := int64(0)
	for n := 0; ; n++ {
		all := body{"lastSequence": last, "maxLimit": limit}
		maps.Copy(all, in)
		var p struct {
			syncPage[Row]
			Truncated bool
		}
		a := h.ask(path, user, all).want(chat.OK, &p)
		if p.DataList == nil || p.Truncated || len(p.DataList) > limit || p.MaxSequence < last || !p.Completed && p.MaxSequence == last || n > 1000 {
			h.t.Fatalf("%s: page %d after %d is %s", a.asked, n, last, a.Data)
		}
		rows, last = append(rows, p.DataList...), p.MaxSequence
		if p.Completed {
			return rows
		}
	}
}

// chatter is what was said and acknowledged, in the order of its keys.
type chatter struct {
	*house
	rand *rand.Rand
	said []messageRow
}

// say lets somebody say something to somebody, or in the team.
func (x *chatter) say() {
	x.t.Helper()
	people := []string{"alice", "bob", "a", "b", "lld"}
	from, to := people[x.rand.IntN(5)], people[x.rand.IntN(5)]
	row := messageRow{FromID: from, ToID: to, MessageBody: fmt.Sprint("said ", len(x.said))}
	var at placed
	if x.rand.IntN(3) == 0 {
		row.ToID, row.GroupID, row.ConversationType = "team", "team", 1
		at = x.saysInTeam(from, row.MessageBody)
	} else {
		at = x.says(from, to, row.MessageBody)
	}
	row.MessageID, row.MessageKey, row.Sequence, row.MessageTime = at.MessageID, at.MessageKey, at.MessageSequence, at.MessageTime
	x.said = append(x.said, row)
}

// whole fills in what a row says again.
func (x *chatter) whole(owner string, rows []messageRow) []messageRow {
	whole := make([]messageRow, len(rows))
	for i, r := range rows {
		r.AppID, r.OwnerID, r.MessageSequence, r.Content = int32(store.DemoApp), owner, r.Sequence, r.MessageBody
		other := r.ToID
		if r.ConversationType == 0 && r.ToID == owner {
			other = r.FromID
		}
		r.ConversationID = fmt.Sprintf("%d_%s_%s", r.ConversationType, owner, other)
		whole[i] = r
	}
	return whole
}

// of returns what concerns a user, as far as it also fits.
func (x *chatter) of(owner string, fits func(*messageRow) bool) (rows []messageRow) {
	for _, r := range x.said {
		if (r.FromID == owner || r.ToID == owner || r.GroupID != "") && fits(&r) {
			rows = append(rows, r)
		}
	}
	return x.whole(owner, rows)
}

func (x *chatter) same(got, want []messageRow, what string) {
	x.t.Helper()
	for i := range got {
		if r := &got[i]; r.CreateTime == 0 || r.CreateTime != r.Timestamp {
			x.t.Errorf("%s: made at %d, %d", what, r.CreateTime, r.Timestamp)
		}
		got[i].CreateTime, got[i].Timestamp = 0, 0
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		x.t.Fatalf("%s (-want +got):\n%s", what, diff)
	}
}

func chattering(t *testing.T) *chatter {
	t.Helper()
	x := &chatter{house: open(t), rand: rand.New(rand.NewPCG(1, 2))}
	x.teamIsThere()
	return x
}

// teamIsThere waits until the team is in the log: what somebody says in it before is refused.
func (h *house) teamIsThere() {
	h.t.Helper()
	h.eventually("the team is in the log", func() bool {
		return len(pages[joinedGroup](h, joinedPath, "bob", nil, 100)) == 1
	})
}

// freeze lets Postgres take in nothing that is said from now on, until the test ends.
func (h *house) freeze() {
	h.t.Helper()
	db, err := pgx.Connect(h.t.Context(), h.database)
	if err != nil {
		h.t.Fatal(err)
	}
	tx, err := db.Begin(h.t.Context())
	if err == nil {
		_, err = tx.Exec(h.t.Context(), `LOCK TABLE message IN EXCLUSIVE MODE`)
	}
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = db.Close(h.t.Context()) })
}

// TestPagesAreWhole says things at random, and syncs all of it with pages of all small sizes, while Postgres has a part of it and no more.
func TestPagesAreWhole(t *testing.T) {
	x := chattering(t)
	for range 25 {
		x.say()
	}
	x.freeze()
	for range 25 {
		x.say()
	}
	all := func(*messageRow) bool { return true }
	pair := func(r *messageRow) bool { return r.GroupID == "" }
	for limit := 1; limit <= 7; limit++ {
		owner := []string{"alice", "bob", "a", "b", "lld"}[limit%5]
		x.same(pages[messageRow](x.house, offlinePath, owner, nil, limit), x.of(owner, all), "all that is offline")
		x.same(pages[messageRow](x.house, pairPath, owner, body{"userId": owner}, limit), x.of(owner, pair), "all pairs")
		x.same(pages[messageRow](x.house, groupPath, owner, body{"userId": owner, "groupId": "team"}, limit),
			x.of(owner, func(r *messageRow) bool { return r.GroupID != "" }), "the team")
		for _, peer := range []string{"alice", "lld"} {
			x.same(pages[messageRow](x.house, pairPath, owner, body{"userId": owner, "toId": peer}, limit),
				x.of(owner, func(r *messageRow) bool {
					return r.GroupID == "" && (r.FromID == owner && r.ToID == peer || r.FromID == peer && r.ToID == owner)
				}), "one pair")
		}
		x.checkConversations(owner, limit)
		x.checkBatch(owner, limit)
	}
}

// newestOf returns a user's newest message of each conversation, in the order of their keys.
func (x *chatter) newestOf(owner string) (rows []messageRow) {
	seen := make(map[string]bool)
	all := x.of(owner, func(*messageRow) bool { return true })
	for i := len(all) - 1; i >= 0; i-- {
		if r := all[i]; !seen[r.ConversationID] {
			seen[r.ConversationID] = true
			rows = append([]messageRow{r}, rows...)
		}
	}
	return rows
}

func (x *chatter) checkConversations(owner string, limit int) {
	x.t.Helper()
	var last []messageRow
	for _, row := range pages[conversationRow](x.house, conversationsPath, owner, nil, limit) {
		if row.LastMessage == nil || row.Sequence != row.LastMessage.MessageKey || row.MessageSequence != row.LastMessage.Sequence ||
			row.ConversationID != row.LastMessage.ConversationID || row.FromID != owner || row.Deleted || row.Left {
			x.t.Fatalf("the conversation is %+v", row)
		}
		last = append(last, *row.LastMessage)
	}
	x.same(last, x.newestOf(owner), "the newest message of each conversation")
}

// checkBatch syncs all conversations, so many messages at a time, from nothing to the end.
func (x *chatter) checkBatch(owner string, count int) {
	x.t.Helper()
	got := make(map[string][]messageRow)
	var wanted []map[string]any // at first: whatever there is
	for n := 0; ; n++ {
		var out batchSynced
		x.ask(batchPath, owner, body{"userId": owner, "conversations": wanted, "maxCount": count}).want(chat.OK, &out)
		wanted = nil
		done := true
		for _, c := range out.ConversationList {
			if diff := cmp.Diff(c.DataList, c.Messages); diff != "" || len(c.Messages) > count {
				x.t.Fatalf("messages and dataList differ: %s", diff)
			}
			id := fmt.Sprintf("%d_%s_%s", c.ConversationType-1, owner, c.ConversationID)
			got[id] = append(got[id], c.Messages...)
			done = done && c.Completed
			wanted = append(wanted, map[string]any{
				"conversationId": c.ConversationID, "conversationType": c.ConversationType, "sequence": c.MaxSequence,
			})
		}
		if done != out.Completed || out.HasMore || n > 100 {
			x.t.Fatalf("batch %d says completed %v, has more %v; its conversations are completed: %v", n, out.Completed, out.HasMore, done)
		}
		if done {
			break
		}
	}
	for _, newest := range x.newestOf(owner) {
		id := newest.ConversationID
		x.same(got[id], x.of(owner, func(r *messageRow) bool { return x.whole(owner, []messageRow{*r})[0].ConversationID == id }), id)
		delete(got, id)
	}
	if len(got) > 0 {
		x.t.Errorf("beside them there is %v", got)
	}
}

// TestAnAnswerHasItsBounds syncs large messages: a page ends where it is full, and nothing is lost.
func TestAnAnswerHasItsBounds(t *testing.T) {
	h := open(t)
	text := make([]byte, 60<<10)
	for i := range text {
		text[i] = 'x'
	}
	for range 20 {
		h.says("alice", "bob", string(text))
	}
	var p syncPage[messageRow]
	h.ask(pairPath, "bob", body{"toId": "alice"}).want(chat.OK, &p)
	if p.Completed || len(p.DataList) == 0 || len(p.DataList) > 10 || p.MaxSequence != int64(len(p.DataList)) {
		t.Errorf("a full page has %d messages up to %d, completed %v", len(p.DataList), p.MaxSequence, p.Completed)
	}
	for _, path := range []string{offlinePath, pairPath} {
		if n := len(pages[messageRow](h, path, "bob", nil, 100)); n != 20 {
			t.Errorf("%s: all pages have %d messages", path, n)
		}
	}
	var out batchSynced
	h.says("a", "bob", "short")
	h.ask(batchPath, "bob", body{"conversations": []body{
		{"conversationId": "alice", "conversationType": 1, "sequence": 0}, {"conversationId": "a", "conversationType": 1},
	}}).want(chat.OK, &out)
	if a := out.ConversationList[1]; out.Completed || a.Completed || len(a.Messages) != 0 || a.MaxSequence != 0 {
		t.Errorf("behind a full conversation there is %+v", a)
	}
}
