package api

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/wire"
)

const (
	pathAdd    = "/v1/friendship/addFriend"
	pathDelete = "/v1/friendship/deleteFriend"
	pathSync   = "/v1/friendship/syncFriendShipList"
	pathCheck  = "/v1/friendship/checkFriend"
	pathBlocks = "/v1/friendship/checkBlck"
)

func friend(from, to string) body { return body{"fromId": from, "toItem": body{"toId": to}} }

func pair(from, to string) body { return body{"fromId": from, "toId": to} }

// relation returns what one user holds of another.
func (h *house) relation(from, to string) friendship {
	h.t.Helper()
	var f friendship
	h.ask("/v1/friendship/getRelation", from, pair(from, to)).want(chat.OK, &f)
	return f
}

// payloadOf decodes a frame's payload.
func payloadOf[T any](t testing.TB, text string) (x T) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &x); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return x
}

func TestFriendsAreAdded(t *testing.T) {
	h := open(t)
	phone, tablet, bob := h.device("alice", "phone"), h.device("alice", "tablet"), h.device("10001", "phone")
	in := body{
		"fromId": "alice", "toItem": body{"toId": "10001", "remark": "One", "addSource": "qr", "extra": "x"},
		"clientType": int(chat.Android), "imei": "phone",
	}
	var got addedFriend
	h.ask(pathAdd, "alice", in).want(chat.OK, &got)
	if got.Request != nil || got.Friendship == nil || got.Friendship.Remark != "One" || got.Friendship.FriendSequence != 5 {
		t.Errorf("got %+v; want alice's side, as her fifth", got)
	}
	own := payloadOf[wire.FriendAdded](t, tablet.gets(wire.FriendAdd))
	if diff := cmp.Diff(wire.FriendAdded{FromID: "alice", ToID: "10001", Remark: "One", AddSource: "qr", Sequence: 5}, own); diff != "" {
		t.Errorf("her other device is told (-want +got):\n%s", diff)
	}
	other := payloadOf[wire.FriendAdded](t, bob.gets(wire.FriendAdd))
	if diff := cmp.Diff(wire.FriendAdded{FromID: "10001", ToID: "alice", AddSource: "qr", Sequence: 3}, other); diff != "" {
		t.Errorf("the new friend is told (-want +got):\n%s", diff)
	}
	phone.none(wire.FriendAdd)
	if f := h.relation("10001", "alice"); f.Status != statusFriend || f.Remark != "" {
		t.Errorf("the other side is %+v", f)
	}
	h.ask(pathAdd, "alice", in).want(chat.AlreadyFriends)
	h.ask(pathAdd, "10001", friend("10001", "alice")).want(chat.AlreadyFriends)
}

func TestWhoCannotBeAdded(t *testing.T) {
	h := open(t)
	h.ask(pathAdd, "alice", friend("alice", "nobody")).want(chat.UserMissing).mentions("nobody")
	h.ask(pathAdd, "nobody", friend("nobody", "alice")).want(chat.UserMissing).mentions("nobody")
	h.ask(pathAdd, "alice", friend("alice", "alice")).want(chat.BadParameter).mentions("toItem.toId")
	h.ask(pathAdd, "alice", body{"fromId": "alice"}).want(chat.BadParameter).mentions("toItem.toId")
	h.ask("/v1/user/data/modifyUserInfo", "admin", body{"userId": "10002", "disableAddFriend": 1}).want(chat.OK)
	h.ask(pathAdd, "alice", friend("alice", "10002")).want(chat.FriendNotAdded)
	h.signed(pathAdd, "bob", friend("alice", "10001")).want(chat.SignOtherUser)
	h.signed(pathAdd, "admin", friend("alice", "10001")).want(chat.OK)
}

func TestADeletedFriendIsAddedAgain(t *testing.T) {
	h := open(t)
	phone, tablet := h.device("alice", "phone"), h.device("alice", "tablet")
	in := pair("alice", "bob")
	in["clientType"], in["imei"] = int(chat.Android), "phone"
	h.ask(pathDelete, "alice", in).want(chat.OK)
	got := payloadOf[wire.FriendChanged](t, tablet.gets(wire.FriendDelete))
	if diff := cmp.Diff(wire.FriendChanged{FromID: "alice", ToID: "bob", Sequence: 5}, got); diff != "" {
		t.Errorf("her other device is told (-want +got):\n%s", diff)
	}
	phone.none(wire.FriendDelete)
	if a, b := h.relation("alice", "bob"), h.relation("bob", "alice"); a.Status != statusDeleted || b.Status != statusFriend {
		t.Errorf("alice holds %+v, bob %+v; want one side deleted", a, b)
	}
	h.ask(pathDelete, "alice", in).want(chat.FriendDeleted)
	h.ask(pathDelete, "alice", pair("alice", "10001")).want(chat.NotFriends)
	h.ask(pathAdd, "alice", friend("alice", "bob")).want(chat.OK)
	if a := h.relation("alice", "bob"); a.Status != statusFriend || a.FriendSequence != 6 {
		t.Errorf("alice holds %+v; want a friend again, as her sixth change", a)
	}
}

func TestAFriendIsUpdated(t *testing.T) {
	h := open(t)
	tablet := h.device("alice", "tablet")
	path := "/v1/friendship/updateFriend"
	h.ask(path, "alice", body{"fromId": "alice", "toItem": body{"toId": "bob", "remark": "Bobby", "extra": "x"}}).want(chat.OK)
	h.ask(path, "alice", body{"fromId": "alice", "toItem": body{"toId": "bob", "extra": ""}}).want(chat.OK)
	if f := h.relation("alice", "bob"); f.Remark != "Bobby" || f.Extra != "" || f.FriendSequence != 6 {
		t.Errorf("alice holds %+v; want the remark unchanged and extra cleared", f)
	}
	got := payloadOf[wire.FriendUpdated](t, tablet.gets(wire.FriendUpdate))
	if diff := cmp.Diff(wire.FriendUpdated{FromID: "alice", ToID: "bob", Remark: "Bobby", Extra: "x", Sequence: 5}, got); diff != "" {
		t.Errorf("her device is told (-want +got):\n%s", diff)
	}
	h.ask(path, "alice", friend("alice", "10001")).want(chat.RelationMissing)
	h.ask("/v1/friendship/getRelation", "alice", pair("alice", "10001")).want(chat.RelationMissing)
}

func TestAllFriendsAreDeleted(t *testing.T) {
	h := open(t)
	tablet := h.device("alice", "tablet")
	path := "/v1/friendship/deleteAllFriend"
	h.ask(path, "alice", body{"fromId": "alice", "toId": "alice"}).want(chat.OK)
	if got := payloadOf[wire.FriendsChanged](t, tablet.gets(wire.FriendAllDelete)); got.Sequence != 8 {
		t.Errorf("her device is told %+v; want the sequence of the last of her four friends", got)
	}
	seen := make(map[int64]bool)
	var list []friendship
	h.ask("/v1/friendship/getAllFriendShip", "alice", body{"fromId": "alice"}).want(chat.OK, &list)
	for _, f := range list {
		if f.Status != statusDeleted || f.FriendSequence < 5 || seen[f.FriendSequence] {
			t.Errorf("%+v is left; want each deleted under a sequence of its own", f)
		}
		seen[f.FriendSequence] = true
	}
	if len(list) != 4 {
		t.Errorf("%d rows are left; want all 4", len(list))
	}
	h.ask(path, "alice", body{"fromId": "alice"}).want(chat.OK) // nothing is left to delete
	h.ask(path, "alice", body{}).want(chat.BadParameter)
	h.ask("/v1/friendship/getAllFriendShip", "alice", body{}).want(chat.BadParameter)
}

func TestFriendsAreChecked(t *testing.T) {
	h := open(t)
	h.ask(pathDelete, "alice", pair("alice", "a")).want(chat.OK)
	h.ask(pathDelete, "b", pair("b", "alice")).want(chat.OK)
	h.ask(pathDelete, "alice", pair("alice", "lld")).want(chat.OK)
	h.ask(pathDelete, "lld", pair("lld", "alice")).want(chat.OK)
	h.ask("/v1/friendship/addBlack", "alice", pair("alice", "10001")).want(chat.OK) // a stranger's row is none of a friend
	for kind, want := range map[int]map[string]int32{
		1: {"bob": 1, "a": 0, "b": 1, "lld": 0, "10001": 0, "nobody": 0},
		2: {"bob": 1, "a": 3, "b": 2, "lld": 4, "10001": 0, "nobody": 0},
	} {
		h.wantChecked(pathCheck, kind, want)
	}
	h.ask(pathCheck, "alice", body{"fromId": "alice", "toIds": []string{"bob"}}).want(chat.BadParameter).mentions("checkType")
}

func TestBlocksAreChecked(t *testing.T) {
	h := open(t)
	black := "/v1/friendship/addBlack"
	h.ask(black, "alice", pair("alice", "a")).want(chat.OK)
	h.ask(black, "b", pair("b", "alice")).want(chat.OK)
	h.ask(black, "alice", pair("alice", "lld")).want(chat.OK)
	h.ask(black, "lld", pair("lld", "alice")).want(chat.OK)
	for kind, want := range map[int]map[string]int32{
		1: {"bob": 1, "a": 0, "b": 1, "lld": 0, "nobody": 1},
		2: {"bob": 1, "a": 3, "b": 2, "lld": 4, "nobody": 1},
	} {
		h.wantChecked(pathBlocks, kind, want)
	}
	h.ask(pathBlocks, "alice", body{"fromId": "alice", "toIds": []string{"bob"}, "checkType": 3}).want(chat.BadParameter).mentions("checkType")
}

func (h *house) wantChecked(path string, kind int, want map[string]int32) {
	h.t.Helper()
	var ids []string
	for id := range want {
		ids = append(ids, id)
	}
	var list []checkedFriend
	h.ask(path, "alice", body{"fromId": "alice", "toIds": ids, "checkType": kind}).want(chat.OK, &list)
	got := make(map[string]int32)
	for i, x := range list {
		if x.FromID != "alice" || x.ToID != ids[i] {
			h.t.Errorf("item %d is %+v; want the order of toIds", i, x)
		}
		got[x.ToID] = x.Status
	}
	if diff := cmp.Diff(want, got); diff != "" {
		h.t.Errorf("%s of checkType %d (-want +got):\n%s", path, kind, diff)
	}
}

func TestAStrangerIsBlocked(t *testing.T) {
	h := open(t)
	tablet := h.device("alice", "tablet")
	add, del := "/v1/friendship/addBlack", "/v1/friendship/deleteBlack"
	h.ask(add, "alice", pair("alice", "10001")).want(chat.OK)
	if f := h.relation("alice", "10001"); f.Status != statusStranger || f.Black != blackYes || f.BlackSequence != 5 || f.FriendSequence != 5 {
		t.Errorf("alice holds %+v; want a blocked stranger", f)
	}
	if got := payloadOf[wire.FriendChanged](t, tablet.gets(wire.FriendBlackAdd)); got.Sequence != 5 || got.ToID != "10001" {
		t.Errorf("her device is told %+v", got)
	}
	h.ask(add, "alice", pair("alice", "10001")).want(chat.FriendBlocked)
	h.ask(add, "alice", pair("alice", "nobody")).want(chat.UserMissing)
	h.ask(add, "alice", pair("alice", "alice")).want(chat.BadParameter)
	h.ask(del, "alice", pair("alice", "10001")).want(chat.OK)
	tablet.gets(wire.FriendBlackDelete)
	h.ask(del, "alice", pair("alice", "10001")).want(chat.NotBlocked)
	h.ask(del, "alice", pair("alice", "10002")).want(chat.NotBlocked)
	if f := h.relation("alice", "10001"); f.Status != statusStranger || f.Black != blackNot || f.BlackSequence != 6 {
		t.Errorf("alice holds %+v; want a stranger who is not blocked", f)
	}
	h.ask(pathAdd, "alice", friend("alice", "10001")).want(chat.OK)
	if f := h.relation("alice", "10001"); f.Status != statusFriend {
		t.Errorf("alice holds %+v; want a friend", f)
	}
}

// TestABlockHoldsAtOnce shows that what the sequencers remember of relations goes with the change.
func TestABlockHoldsAtOnce(t *testing.T) {
	h := open(t)
	bob := h.device("bob", "phone")
	outcomeOf := func(id string) chat.Code {
		_, err := bob.Send(t.Context(), wire.Message{To: "alice", MessageID: id, Body: "hi"})
		return asError(err).Code
	}
	if code := outcomeOf("m1"); code != chat.OK {
		t.Fatalf("bob's message to his friend is answered %d", code)
	}
	h.ask("/v1/friendship/addBlack", "alice", pair("alice", "bob")).want(chat.OK)
	n := 1
	h.eventually("bob is blocked", func() bool { n++; return outcomeOf(fmt.Sprint("m", n)) == chat.BlockedByFriend })
}

func TestFriendsAreSynced(t *testing.T) {
	h := open(t)
	var list []body
	for i := range 100 {
		list = append(list, body{"userId": fmt.Sprint("f", i)})
	}
	h.ask("/v1/user/importUser", "admin", body{"userData": list}).want(chat.OK)
	items := make([]body, 100)
	for i := range items {
		items[i] = body{"toId": fmt.Sprint("f", i), "remark": "r", "status": 1 + i%2, "black": 1 + i/2%2}
	}
	var got outcome
	h.ask("/v1/friendship/importFriendShip", "alice", body{"fromId": "alice", "friendItem": items}).want(chat.OK, &got)
	if len(got.SuccessID) != 100 {
		t.Fatalf("imported %d, failed %v; want 100", len(got.SuccessID), got.ErrorID)
	}
	for _, limit := range []int{0, 1, 7, 52, 104, 1000} {
		seen, after := make(map[string]bool), int64(0)
		for pages := 0; ; pages++ {
			var page syncPage[friendship]
			h.ask(pathSync, "alice", body{"lastSequence": after, "maxLimit": limit}).want(chat.OK, &page)
			for _, f := range page.DataList {
				if f.FriendSequence <= after || seen[f.ToID] {
					t.Fatalf("limit %d: %+v after %d", limit, f, after)
				}
				seen[f.ToID], after = true, f.FriendSequence
			}
			if page.MaxSequence != after || pages > 104 {
				t.Fatalf("limit %d: page %d says %d after %d", limit, pages, page.MaxSequence, after)
			}
			if page.Completed {
				break
			}
		}
		if len(seen) != 104 || after != 104 {
			t.Errorf("limit %d: %d friends up to %d; want 104", limit, len(seen), after)
		}
	}
	a := h.ask(pathSync, "alice", body{"lastSequence": 104, "maxLimit": 10}).want(chat.OK)
	if got := string(a.Data); got != `{"maxSequence":104,"completed":true,"dataList":[]}` {
		t.Errorf("a sync of nothing is %s", got)
	}
	h.ask(pathSync, "alice", body{"lastSequence": -1}).want(chat.BadParameter)
	var seqs map[string]int64
	h.ask("/v1/user/getUserSequence", "alice", body{"userId": "alice"}).want(chat.OK, &seqs)
	if seqs["friendShipSeq"] != 104 {
		t.Errorf("alice's sequences are %v; want that of the last of her friends", seqs)
	}
}

func TestFriendsAreImported(t *testing.T) {
	h := open(t)
	path := "/v1/friendship/importFriendShip"
	var got outcome
	h.ask(path, "alice", body{"fromId": "alice", "friendItem": []body{
		{"toId": "10001", "status": 1, "remark": "One", "addSource": "csv"},
		{"toId": "10002", "black": 2},
		{"toId": "bob", "status": 1},
		{"toId": "nobody"},
		{"toId": "alice"},
		{"toId": ""},
		{"toId": "10001"},
	}}).want(chat.OK, &got)
	want := outcome{SuccessID: []string{"10001", "10002"}, ErrorID: []string{"bob", "nobody", "alice", ""}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what became of them (-want +got):\n%s", diff)
	}
	if f := h.relation("alice", "10002"); f.Status != statusStranger || f.Black != blackYes || f.FriendSequence != 6 || f.BlackSequence != 6 {
		t.Errorf("alice holds %+v; want a blocked stranger", f)
	}
	h.ask(path, "alice", body{"fromId": "alice", "friendItem": []body{{"toId": "10003"}}}).want(chat.OK)
	if f := h.relation("alice", "10003"); f.Status != statusFriend || f.Black != blackNot {
		t.Errorf("alice holds %+v; want a friend, as the original's importers do who leave the status out", f)
	}
	h.ask(path, "nobody", body{"fromId": "nobody", "friendItem": []body{{"toId": "bob"}}}).want(chat.UserMissing)
	many := make([]body, 101)
	for i := range many {
		many[i] = body{"toId": fmt.Sprint("f", i)}
	}
	h.ask(path, "alice", body{"fromId": "alice", "friendItem": many}).want(chat.TooManyFriends)
	h.signed(path, "bob", body{"fromId": "alice", "friendItem": many[:1]}).want(chat.SignOtherUser)
}

func TestFriendsAddEachOtherAtOnce(t *testing.T) {
	h := open(t)
	for range 10 {
		var all sync.WaitGroup
		codes := make([]chat.Code, 2)
		for i, p := range [][2]string{{"10003", "10004"}, {"10004", "10003"}} {
			all.Go(func() { codes[i] = h.ask(pathAdd, p[0], friend(p[0], p[1])).Code })
		}
		all.Wait()
		for i, code := range codes {
			if code != chat.OK && code != chat.AlreadyFriends || codes[0] != chat.OK && codes[1] != chat.OK {
				t.Fatalf("the answers are %v; want one that is well, and %d to be that or already friends", codes, i)
			}
		}
		h.wantFriends("10003", "10004", true)
		h.ask(pathDelete, "10003", pair("10003", "10004")).want(chat.OK)
		h.ask(pathDelete, "10004", pair("10004", "10003")).want(chat.OK)
	}
}

// wantFriends checks that both sides say so.
func (h *house) wantFriends(a, b string, want bool) {
	h.t.Helper()
	var list []checkedFriend
	h.ask(pathCheck, a, body{"fromId": a, "toIds": []string{b}, "checkType": 2}).want(chat.OK, &list)
	if (list[0].Status == 1) != want {
		h.t.Errorf("between %s and %s it stands at %d; want friends: %t", a, b, list[0].Status, want)
	}
}

func TestFriendsAreDeletedWhileTheyAreAdded(t *testing.T) {
	h := open(t)
	for range 10 {
		var all sync.WaitGroup
		var deleted, added chat.Code
		all.Go(func() { deleted = h.ask(pathDelete, "alice", pair("alice", "bob")).Code })
		all.Go(func() { added = h.ask(pathAdd, "bob", friend("bob", "alice")).Code })
		all.Wait()
		if deleted != chat.OK || added != chat.OK && added != chat.AlreadyFriends {
			t.Fatalf("the answers are %d and %d", deleted, added)
		}
		h.wantFriends("alice", "bob", added == chat.OK) // it came after the deletion, or had nothing to do
		if added != chat.OK {
			h.ask(pathAdd, "alice", friend("alice", "bob")).want(chat.OK)
		}
	}
}

func TestABlockIsAddedTwiceAtOnce(t *testing.T) {
	h := open(t)
	var all sync.WaitGroup
	codes := make([]chat.Code, 8)
	for i := range codes {
		all.Go(func() { codes[i] = h.ask("/v1/friendship/addBlack", "alice", pair("alice", "10001")).Code })
	}
	all.Wait()
	won := 0
	for _, code := range codes {
		if code == chat.OK {
			won++
		} else if code != chat.FriendBlocked {
			t.Errorf("one is answered %d", code)
		}
	}
	if f := h.relation("alice", "10001"); won != 1 || f.FriendSequence != 5 {
		t.Errorf("%d of them have blocked, and the row is %+v; want one, and one change", won, f)
	}
}

func TestFriendsOfAnotherAppAreOthers(t *testing.T) {
	h := open(t)
	other := h.addOtherApp("admin", "alice", "bob", "10001")
	other("/v1/friendship/getRelation", "alice", pair("alice", "bob")).want(chat.RelationMissing)
	other(pathAdd, "alice", friend("alice", "lld")).want(chat.UserMissing)
	other(pathAdd, "alice", friend("alice", "10001")).want(chat.OK)
	other("/v1/friendship/addBlack", "alice", pair("alice", "bob")).want(chat.OK)
	h.ask("/v1/friendship/getRelation", "alice", pair("alice", "10001")).want(chat.RelationMissing)
	if f := h.relation("alice", "bob"); f.Black != blackNot {
		t.Errorf("alice holds %+v; want the other app's block to be its own", f)
	}
	other(pathDelete, "alice", pair("alice", "a")).want(chat.NotFriends)
	other("/v1/friendship/deleteAllFriend", "alice", body{"fromId": "alice"}).want(chat.OK)
	other("/v1/friendship/updateFriend", "alice", friend("alice", "a")).want(chat.RelationMissing)
	other("/v1/friendship/deleteBlack", "alice", pair("alice", "a")).want(chat.NotBlocked)
	var list []friendship
	other("/v1/friendship/getAllFriendShip", "alice", body{"fromId": "alice"}).want(chat.OK, &list)
	if len(list) != 2 || list[0].AppID != otherApp {
		t.Errorf("the other alice has %+v; want her two rows", list)
	}
	var page syncPage[friendship]
	other(pathSync, "alice", body{}).want(chat.OK, &page)
	if len(page.DataList) != 2 {
		t.Errorf("the other alice syncs %+v; want her two rows", page)
	}
	h.wantFriends("alice", "a", true)
}

func TestAHookMayForbidAFriendship(t *testing.T) {
	h := open(t)
	app, err := h.store.App(t.Context(), 10001)
	if err != nil {
		t.Fatal(err)
	}
	app.Hooks = chat.Hooks{URL: "http://127.0.0.1:1", Commands: []string{chat.HookFriendAdd, chat.HookFriendUpdate}, FailClosed: true}
	if err := h.store.SetApp(t.Context(), app); err != nil {
		t.Fatal(err)
	}
	h.conn.Nudge()
	h.eventually("the hook is asked", func() bool {
		a := h.ask(pathAdd, "10003", friend("10003", "10004"))
		if a.Code == chat.OK {
			h.ask(pathDelete, "10003", pair("10003", "10004")).want(chat.OK)
		}
		return a.Code == chat.Unavailable && strings.Contains(a.Msg, "webhook")
	})
	h.wantFriends("10003", "10004", false)
	h.ask("/v1/friendship/updateFriend", "alice", body{"fromId": "alice", "toItem": body{"toId": "bob", "remark": "Bobby"}}).want(chat.Unavailable)
}

// TestWebhooksHearOfFriends listens to the events that the webhooks are called for.
func TestWebhooksHearOfFriends(t *testing.T) {
	h := open(t)
	app, err := h.store.App(t.Context(), 10001)
	if err != nil {
		t.Fatal(err)
	}
	app.Hooks = chat.Hooks{URL: "http://127.0.0.1:1", Commands: slices.DeleteFunc(slices.Clone(chat.HookCommands), func(c string) bool {
		return c == chat.HookFriendAdd
	})}
	if err := h.store.SetApp(t.Context(), app); err != nil {
		t.Fatal(err)
	}
	h.conn.Nudge()
	h.eventually("the hooks are on", func() bool {
		app, err := h.directory.App(t.Context(), 10001)
		return err == nil && app.Hooks.URL != ""
	})
	var mu sync.Mutex
	var got []string
	heard := func(e *chat.Event) {
		mu.Lock()
		defer mu.Unlock()
		if e.Hook != nil {
			got = append(got, e.Hook.Command+" "+string(e.Hook.Body))
		}
	}
	if err := h.conn.HearEvents(t.Context(), heard, func() {}); err != nil {
		t.Fatal(err)
	}
	h.ask("/v1/user/data/modifyUserInfo", "alice", body{"userId": "alice", "nickName": "Al", "password": "secret"}).want(chat.OK)
	h.ask(pathAdd, "alice", friend("alice", "10001")).want(chat.OK)
	h.ask("/v1/friendship/updateFriend", "alice", body{"fromId": "alice", "toItem": body{"toId": "bob", "remark": ""}}).want(chat.OK)
	h.ask("/v1/friendship/addBlack", "alice", pair("alice", "bob")).want(chat.OK)
	h.ask("/v1/friendship/deleteBlack", "alice", pair("alice", "bob")).want(chat.OK)
	h.ask(pathDelete, "alice", pair("alice", "bob")).want(chat.OK)
	h.ask(pathDecide, "bantanger", body{"id": h.asked("alice"), "status": 1}).want(chat.OK)
	want := []string{
		`user.modify.after {"userId":"alice","nickName":"Al"}`,
		`friend.add.after {"fromId":"alice","toItem":{"toId":"10001","remark":"","addSource":"","extra":"","addWording":""}}`,
		`friend.update.after {"fromId":"alice","toItem":{"toId":"bob","remark":""}}`,
		`black.add.after {"fromId":"alice","toId":"bob"}`,
		`black.delete {"fromId":"alice","toId":"bob"}`,
		`friend.delete.after {"fromId":"alice","toId":"bob"}`,
		`friend.add.after {"fromId":"alice","toItem":{"toId":"bantanger","remark":"Ban","addSource":"qr","extra":"","addWording":""}}`,
	}
	h.eventually("the webhooks have heard of all", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(got) >= len(want)
	})
	mu.Lock()
	defer mu.Unlock()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("they are told (-want +got):\n%s", diff)
	}
}
