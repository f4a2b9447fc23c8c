package api

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/store"
	"github.com/whaleshark-im/whaleshark/wire"
)

const pathGroup = "/v1/friendship/group/"

func group(name string, ids ...string) body {
	return body{"fromId": "alice", "groupName": name, "toIds": ids}
}

func TestFriendGroups(t *testing.T) {
	h := open(t)
	tablet := h.device("alice", "tablet")
	var got outcome
	h.ask(pathGroup+"add", "alice", group("best", "bob", "nobody", "a")).want(chat.OK, &got)
	if diff := cmp.Diff(outcome{SuccessID: []string{"bob", "a"}, ErrorID: []string{"nobody"}}, got); diff != "" {
		t.Errorf("what became of them (-want +got):\n%s", diff)
	}
	if got := payloadOf[wire.FriendGroupChanged](t, tablet.gets(wire.FriendGroupAdd)); got.GroupName != "best" || got.Sequence != 1 {
		t.Errorf("her device is told %+v", got)
	}
	if got := payloadOf[wire.FriendGroupMembers](t, tablet.gets(wire.FriendGroupMemberAdd)); !slices.Equal(got.ToIDs, []string{"bob", "a"}) {
		t.Errorf("her device is told %+v; want who is in it", got)
	}
	h.ask(pathGroup+"add", "alice", group("best")).want(chat.FriendGroupThere)
	h.ask(pathGroup+"add", "nobody", body{"fromId": "nobody", "groupName": "x"}).want(chat.UserMissing)
	h.ask(pathGroup+"add", "alice", group("")).want(chat.BadParameter).mentions("groupName")
	h.send("PUT", pathGroup+"add", `{"appId":10001,"operater":"alice","fromId":"alice","groupName":"by PUT"}`, nil).want(chat.OK)

	h.ask(pathGroup+"member/add", "alice", group("best", "b", "bob")).want(chat.OK, &got)
	if diff := cmp.Diff(outcome{SuccessID: []string{"b", "bob"}, ErrorID: []string{}}, got); diff != "" {
		t.Errorf("what became of them (-want +got):\n%s", diff)
	}
	h.ask(pathGroup+"member/add", "alice", group("none", "b")).want(chat.NoFriendGroup)
	var gone []string
	h.ask(pathGroup+"member/del", "alice", group("best", "a", "lld")).want(chat.OK, &gone)
	if !slices.Equal(gone, []string{"a"}) {
		t.Errorf("%v were taken out; want a", gone)
	}
	if got := payloadOf[wire.FriendGroupMembers](t, tablet.gets(wire.FriendGroupMemberDelete)); !slices.Equal(got.ToIDs, gone) {
		t.Errorf("her device is told %+v", got)
	}
	h.ask(pathGroup+"member/del", "alice", group("none", "b")).want(chat.NoFriendGroup)

	h.ask(pathGroup+"del", "alice", body{"fromId": "alice", "groupName": []string{"best", "none"}}).want(chat.OK)
	if got := payloadOf[wire.FriendGroupChanged](t, tablet.gets(wire.FriendGroupDelete)); got.GroupName != "best" || got.Sequence != 5 {
		t.Errorf("her device is told %+v", got)
	}
	h.ask(pathGroup+"del", "alice", body{"fromId": "alice", "groupName": []string{"best"}}).want(chat.NoFriendGroup)
	h.ask(pathGroup+"member/add", "alice", group("best", "b")).want(chat.NoFriendGroup)
	h.ask(pathGroup+"add", "alice", group("best", "lld")).want(chat.OK)

	var page syncPage[friendGroup]
	h.ask(pathGroup+"sync", "alice", body{"lastSequence": 1}).want(chat.OK, &page)
	for i := range page.DataList {
		page.DataList[i].CreateTime, page.DataList[i].UpdateTime = 0, 0
	}
	want := syncPage[friendGroup]{MaxSequence: 6, Completed: true, DataList: []friendGroup{
		{FromID: "alice", GroupName: "by PUT", ToIDs: []string{}, Sequence: 2},
		{FromID: "alice", GroupName: "best", ToIDs: []string{}, Deleted: true, Sequence: 5},
		{FromID: "alice", GroupName: "best", ToIDs: []string{"lld"}, Sequence: 6},
	}}
	if diff := cmp.Diff(want, page); diff != "" {
		t.Errorf("what has changed (-want +got):\n%s", diff)
	}
	h.ask(pathGroup+"sync", "alice", body{"lastSequence": "x"}).want(chat.BadParameter)
	h.signed(pathGroup+"del", "bob", body{"fromId": "alice", "groupName": []string{"best"}}).want(chat.SignOtherUser)
}

func TestFriendGroupsAreBounded(t *testing.T) {
	h := open(t)
	if err := h.store.SeedPairs(t.Context(), store.DemoApp, store.MaxFriendGroup+1, nil); err != nil {
		t.Fatal(err)
	}
	ids := make([]string, store.MaxFriendGroup)
	for i := range ids {
		ids[i] = fmt.Sprint("u", i+1)
	}
	h.ask(pathGroup+"add", "alice", group("all", ids...)).want(chat.OK)
	h.ask(pathGroup+"member/add", "alice", group("all", ids...)).want(chat.OK)
	h.ask(pathGroup+"member/add", "alice", group("all", fmt.Sprint("u", store.MaxFriendGroup+1))).want(chat.BadParameter).mentions("1000")
}

func TestFriendGroupsOfAnotherAppAreOthers(t *testing.T) {
	h := open(t)
	other := h.addOtherApp("admin", "alice", "bob")
	h.ask(pathGroup+"add", "alice", group("best", "bob")).want(chat.OK)
	other(pathGroup+"member/add", "alice", group("best", "bob")).want(chat.NoFriendGroup)
	other(pathGroup+"member/del", "alice", group("best", "bob")).want(chat.NoFriendGroup)
	other(pathGroup+"del", "alice", body{"fromId": "alice", "groupName": []string{"best"}}).want(chat.NoFriendGroup)
	var page syncPage[friendGroup]
	other(pathGroup+"sync", "alice", body{}).want(chat.OK, &page)
	if len(page.DataList) != 0 {
		t.Errorf("the other alice has %+v; want nothing", page)
	}
	other(pathGroup+"add", "alice", group("best", "bob", "lld")).want(chat.OK)
	h.ask(pathGroup+"sync", "alice", body{}).want(chat.OK, &page)
	if len(page.DataList) != 1 || page.DataList[0].Sequence != 1 || !slices.Equal(page.DataList[0].ToIDs, []string{"bob"}) {
		t.Errorf("alice has %+v; want her own", page)
	}
}
