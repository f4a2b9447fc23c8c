package api

import (
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/wire"
)

const (
	pathDecide   = "/v1/friendshipRequest/approveFriendRequest"
	pathRequests = "/v1/friendshipRequest/getFriendRequest"
)

// asked lets a user ask bantanger, who wants to be asked first, and returns the request's number.
func (h *house) asked(from string) int64 {
	h.t.Helper()
	var got addedFriend
	h.ask(pathAdd, from, body{
		"fromId": from, "toItem": body{"toId": "bantanger", "remark": "Ban", "addSource": "qr", "addWording": "hello"},
	}).want(chat.OK, &got)
	if got.Request == nil || got.Friendship != nil {
		h.t.Fatalf("%s's wish came to %+v; want a request", from, got)
	}
	return got.Request.ID
}

func TestAFriendIsAskedFirst(t *testing.T) {
	h := open(t)
	ban := h.device("bantanger", "phone")
	id := h.asked("alice")
	got := payloadOf[wire.FriendRequested](t, ban.gets(wire.FriendRequest))
	got.CreateTime, got.UpdateTime = 0, 0
	want := wire.FriendRequested{
		ID: id, AppID: 10001, FromID: "alice", ToID: "bantanger", Remark: "Ban", AddSource: "qr", AddWording: "hello", Sequence: 1,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("who is asked is told (-want +got):\n%s", diff)
	}
	h.ask("/v1/friendship/getRelation", "alice", pair("alice", "bantanger")).want(chat.RelationMissing)
	if again := h.asked("alice"); again != id {
		t.Errorf("asking again made request %d; want %d refreshed", again, id)
	}
	var list []friendRequest
	for _, path := range []string{pathRequests, "/v1/friendship/getFriendshipRequests"} {
		h.ask(path, "bantanger", body{"fromId": "bantanger"}).want(chat.OK, &list)
		if len(list) != 1 || list[0].ID != id || list[0].Sequence != 2 || list[0].ReadStatus != 0 {
			t.Errorf("%s: %+v; want the one, changed twice", path, list)
		}
		h.ask(path, "bantanger", body{}).want(chat.BadParameter)
	}
	h.ask("/v1/friendshipRequest/readFriendShipRequestReq", "bantanger", body{"fromId": "bantanger"}).want(chat.OK)
	if got := payloadOf[wire.FriendsChanged](t, ban.gets(wire.FriendRequestRead)); got.Sequence != 3 {
		t.Errorf("the device is told %+v; want the third change", got)
	}
	h.ask(pathRequests, "bantanger", body{"fromId": "bantanger"}).want(chat.OK, &list)
	if list[0].ReadStatus != 1 || list[0].Sequence != 3 {
		t.Errorf("the request is %+v; want it read", list[0])
	}
	h.ask("/v1/friendshipRequest/readFriendShipRequestReq", "bantanger", body{"fromId": "bantanger"}).want(chat.OK) // none is left
	h.ask("/v1/friendshipRequest/readFriendShipRequestReq", "bantanger", body{}).want(chat.BadParameter)
}

func TestARequestIsAgreedTo(t *testing.T) {
	h := open(t)
	id := h.asked("alice")
	alice, phone, tablet := h.device("alice", "phone"), h.device("bantanger", "phone"), h.device("bantanger", "tablet")
	in := body{"id": id, "status": 1, "clientType": int(chat.Android), "imei": "phone"}
	h.ask(pathDecide, "bob", in).want(chat.NotYourRequest)
	h.ask(pathDecide, "bantanger", body{"id": id + 1, "status": 1}).want(chat.RequestMissing)
	h.ask(pathDecide, "bantanger", body{"id": id, "status": 3}).want(chat.BadParameter)
	h.ask(pathDecide, "bantanger", in).want(chat.OK)
	h.ask(pathDecide, "bantanger", in).want(chat.RequestMissing)

	own := payloadOf[wire.FriendRequestDecided](t, tablet.gets(wire.FriendRequestApprove))
	if diff := cmp.Diff(wire.FriendRequestDecided{ID: id, FromID: "alice", ToID: "bantanger", Status: 1, Sequence: 2}, own); diff != "" {
		t.Errorf("the approver's other device is told (-want +got):\n%s", diff)
	}
	phone.none(wire.FriendRequestApprove)
	alice.gets(wire.FriendRequestApprove)
	hers := payloadOf[wire.FriendAdded](t, alice.gets(wire.FriendAdd))
	his := payloadOf[wire.FriendAdded](t, phone.gets(wire.FriendAdd))
	if diff := cmp.Diff(wire.FriendAdded{FromID: "alice", ToID: "bantanger", Remark: "Ban", AddSource: "qr", Sequence: 5}, hers); diff != "" {
		t.Errorf("alice is told (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(wire.FriendAdded{FromID: "bantanger", ToID: "alice", AddSource: "qr", Sequence: 3}, his); diff != "" {
		t.Errorf("bantanger is told (-want +got):\n%s", diff)
	}
	h.wantFriends("alice", "bantanger", true)
	if f := h.relation("alice", "bantanger"); f.Remark != "Ban" || f.FriendSequence != 5 {
		t.Errorf("alice holds %+v; want what she has asked for", f)
	}
	h.ask(pathAdd, "alice", friend("alice", "bantanger")).want(chat.AlreadyFriends)
}

func TestARequestIsRejected(t *testing.T) {
	h := open(t)
	id, alice := h.asked("alice"), h.device("alice", "phone")
	path := "/v1/friendship/approveFriendRequest"
	h.ask(path, "bob", body{"id": id, "status": 2}).want(chat.NotYourRequest)
	h.signed(path, "admin", body{"id": id, "status": 2}).want(chat.OK)
	h.ask(path, "bantanger", body{"id": id, "status": 2}).want(chat.RequestMissing)
	if got := payloadOf[wire.FriendRequestDecided](t, alice.gets(wire.FriendRequestApprove)); got.Status != 2 || got.Sequence != 2 {
		t.Errorf("alice is told %+v; want that she was rejected", got)
	}
	h.ask("/v1/friendship/getRelation", "alice", pair("alice", "bantanger")).want(chat.RelationMissing)
	if again := h.asked("alice"); again == id {
		t.Error("a request that was rejected is open again; want a new one")
	}
}

func TestTheOneWhoAskedIsGone(t *testing.T) {
	h := open(t)
	for _, path := range []string{pathDecide, "/v1/friendship/approveFriendRequest"} {
		from := map[string]string{pathDecide: "alice"}[path]
		if from == "" {
			from = "bob"
		}
		id := h.asked(from)
		h.ask("/v1/user/deleteUser", "admin", body{"userId": []string{from}}).want(chat.OK)
		h.ask(path, "bantanger", body{"id": id, "status": 1}).want(chat.UserMissing)
		h.ask(path, "bantanger", body{"id": id, "status": 2}).want(chat.OK)
	}
}

func TestARequestThatNeedsNoAnswerIsClosed(t *testing.T) {
	h := open(t)
	id, ban := h.asked("alice"), h.device("bantanger", "phone")
	h.ask(pathAdd, "bantanger", friend("bantanger", "alice")).want(chat.OK)
	if got := payloadOf[wire.FriendRequestDecided](t, ban.gets(wire.FriendRequestApprove)); got.ID != id || got.Status != 1 {
		t.Errorf("bantanger is told %+v; want that the request is agreed to", got)
	}
	h.ask(pathDecide, "bantanger", body{"id": id, "status": 2}).want(chat.RequestMissing)
	h.wantFriends("alice", "bantanger", true)
}

func TestARequestIsDecidedTwiceAtOnce(t *testing.T) {
	h := open(t)
	for _, from := range []string{"alice", "bob", "a", "b", "lld"} {
		id := h.asked(from)
		var all sync.WaitGroup
		codes := make([]chat.Code, 4)
		for i := range codes {
			all.Go(func() { codes[i] = h.ask(pathDecide, "bantanger", body{"id": id, "status": 1}).Code })
		}
		all.Wait()
		won := 0
		for _, code := range codes {
			if code == chat.OK {
				won++
			} else if code != chat.RequestMissing {
				t.Errorf("one is answered %d", code)
			}
		}
		if won != 1 {
			t.Errorf("the answers are %v; want one that is well", codes)
		}
		h.wantFriends(from, "bantanger", true)
	}
}

func TestRequestsAreSynced(t *testing.T) {
	h := open(t)
	h.ask("/v1/user/data/modifyUserInfo", "alice", body{"userId": "alice", "friendAllowType": 2}).want(chat.OK)
	h.asked("alice")
	for _, u := range []string{"10001", "10002", "10003"} {
		h.ask(pathAdd, u, friend(u, "alice")).want(chat.OK)
	}
	h.ask("/v1/friendshipRequest/readFriendShipRequestReq", "alice", body{"fromId": "alice"}).want(chat.OK)
	var got []string
	var after int64
	for completed := false; !completed; {
		var page syncPage[friendRequest]
		h.ask("/v1/friendshipRequest/sync", "alice", body{"lastSequence": after, "maxLimit": 3}).want(chat.OK, &page)
		for _, r := range page.DataList {
			if r.Sequence <= after {
				t.Errorf("%+v comes after %d", r, after)
			}
			got, after = append(got, r.FromID), r.Sequence
		}
		completed = page.Completed
	}
	if diff := cmp.Diff([]string{"alice", "10001", "10002", "10003"}, got); diff != "" || after != 7 {
		t.Errorf("up to %d, hers and those to her (-want +got):\n%s", after, diff)
	}
	var seqs map[string]int64
	h.ask("/v1/user/getUserSequence", "alice", body{"userId": "alice"}).want(chat.OK, &seqs)
	if seqs["friendShipRequestSeq"] != after {
		t.Errorf("the sequences are %v; want what was synced", seqs)
	}
	h.ask("/v1/friendshipRequest/sync", "alice", body{"maxLimit": -1}).want(chat.BadParameter)
}

func TestRequestsOfAnotherAppAreOthers(t *testing.T) {
	h := open(t)
	id := h.asked("alice")
	other := h.addOtherApp("admin", "alice", "bantanger")
	other(pathDecide, "bantanger", body{"id": id, "status": 1}).want(chat.RequestMissing)
	var list []friendRequest
	other(pathRequests, "bantanger", body{"fromId": "bantanger"}).want(chat.OK, &list)
	var page syncPage[friendRequest]
	other("/v1/friendshipRequest/sync", "bantanger", body{}).want(chat.OK, &page)
	if len(list) != 0 || len(page.DataList) != 0 {
		t.Errorf("the other bantanger sees %+v and %+v; want nothing", list, page)
	}
	other("/v1/friendshipRequest/readFriendShipRequestReq", "bantanger", body{"fromId": "bantanger"}).want(chat.OK)
	h.ask(pathRequests, "bantanger", body{"fromId": "bantanger"}).want(chat.OK, &list)
	if len(list) != 1 || list[0].ReadStatus != 0 {
		t.Errorf("the requests are %+v; want one that is unread", list)
	}
}
