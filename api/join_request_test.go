package api

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sync/errgroup"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/wire"
)

// hearsRequest waits for the next word of a request to join.
func (d *device) hearsRequest() (r wire.JoinRequest) {
	d.t.Helper()
	if err := json.Unmarshal([]byte(d.gets(wire.JoinGroup)), &r); err != nil {
		d.t.Fatal(err)
	}
	return r
}

func TestJoiningByRequest(t *testing.T) {
	h := open(t)
	hooks := h.hooks()
	alice, bob, a, lld := h.device("alice", "one"), h.device("bob", "two"), h.device("a", "three"), h.device("lld", "four")
	g := h.group(body{"groupType": 2, "maxMemberCount": 4}, "bob", "a")
	h.promote(g, "bob")
	apply := func(user, wording string) (r joinRequest) {
		h.ask("/v1/group/apply", user, body{"groupId": g, "wording": wording}).want(chat.OK, &r)
		return r
	}
	approve := func(user string, id int64, status int) *answer {
		return h.ask("/v1/group/join/approve", user, body{"id": id, "status": status})
	}
	open := func(in body) (page joinRequests) {
		in["groupId"] = g
		h.ask("/v1/group/join/list", "bob", in).want(chat.OK, &page)
		return page
	}
	first := apply("lld", "please")
	again := apply("lld", "pretty please")
	want := joinRequest{ID: first.ID, GroupID: g, FromID: "lld", Wording: "pretty please", CreateTime: first.CreateTime}
	if diff := cmp.Diff(want, again, cmpopts.IgnoreFields(joinRequest{}, "UpdateTime")); diff != "" || first.ID == 0 {
		t.Errorf("asking again (-want +got):\n%s", diff)
	}
	for _, d := range []*device{alice, bob} {
		if r := d.hearsRequest(); r.Wording != "please" || r.RequestID != first.ID || r.FromID != "lld" || r.GroupID != g || r.Status != 0 {
			t.Errorf("they hear %+v", r)
		}
		if r := d.hearsRequest(); r.Wording != "pretty please" {
			t.Errorf("they hear %+v", r)
		}
	}
	other := apply("b", "")
	if page := open(body{"limit": 1}); len(page.RequestList) != 1 || page.RequestList[0].ID != other.ID || page.Completed {
		t.Errorf("the first page is %+v", page)
	}
	if page := open(body{"limit": 1, "after": other.ID}); len(page.RequestList) != 1 || page.RequestList[0] != again || !page.Completed {
		t.Errorf("the second page is %+v", page)
	}
	approve("a", first.ID, 1).want(chat.ManagersOnly)
	approve("lld", first.ID, 1).want(chat.NotMember)
	approve("bob", first.ID, 3).want(chat.BadParameter)
	approve("bob", 1<<40, 1).want(chat.RequestMissing)
	approve("bob", first.ID, 1).want(chat.OK)
	approve("bob", first.ID, 1).want(chat.RequestMissing)
	approve("alice", other.ID, 1).want(chat.MemberLimit)
	if r := lld.hearsRequest(); r.Status != 1 || r.HandledBy != "bob" {
		t.Errorf("who has asked hears %+v", r)
	}
	lld.gets(wire.AddedMember)
	alice.hearsRequest() // of b's
	if r := alice.hearsRequest(); r.Status != 1 || r.RequestID != first.ID {
		t.Errorf("the owner hears %+v", r)
	}
	a.none(wire.JoinGroup)
	var told membersAdded
	if hooks.told(chat.HookMemberAdded, g, &told); told.MemberID[0].MemberID != "lld" || told.Operater != "bob" {
		t.Errorf("the webhook is told %+v", told)
	}
	approve("admin", other.ID, 2).want(chat.OK)
	if page := open(body{}); len(page.RequestList) != 0 || page.RequestList == nil || !page.Completed {
		t.Errorf("open requests are %+v; want none", page)
	}
	if page := open(body{"status": 2}); len(page.RequestList) != 1 || page.RequestList[0].HandledBy != "admin" {
		t.Errorf("rejected requests are %+v", page)
	}
	if got := h.ids(g); got != "alice bob a lld" {
		t.Errorf("members are %s", got)
	}
	h.ask("/v1/group/join/list", "a", body{"groupId": g}).want(chat.ManagersOnly)
	h.ask("/v1/group/join/list", "b", body{"groupId": g}).want(chat.NotMember)
	h.ask("/v1/group/join/list", "alice", body{"groupId": "none"}).want(chat.GroupMissing)
	h.ask("/v1/group/join/list", "alice", body{"groupId": g, "limit": 101}).want(chat.BadParameter)
}

func TestJoiningWithoutRequest(t *testing.T) {
	h := open(t)
	free, closed := h.group(body{"applyJoinType": 2, "maxMemberCount": 3}, "a"), h.group(body{"applyJoinType": 0}, "a")
	asks := h.group(body{"groupType": 2}, "a")
	apply := func(user, group string) *answer { return h.ask("/v1/group/apply", user, body{"groupId": group}) }
	var r joinRequest
	if apply("bob", free).want(chat.OK, &r); r.Status != 1 || r.ID != 0 {
		t.Errorf("the answer is %+v; want that he is in", r)
	}
	apply("bob", free).want(chat.AlreadyMember)
	apply("b", free).want(chat.MemberLimit)
	apply("bob", closed).want(chat.MemberNotAdded)
	apply("nobody", asks).want(chat.UserMissing)
	apply("bob", "none").want(chat.GroupMissing)
	h.ask("/v1/group/apply", "bob", body{}).want(chat.BadParameter)
	if got := h.ids(free); got != "alice a bob" {
		t.Errorf("members are %s", got)
	}
	apply("bob", asks).want(chat.OK, &r)
	h.ask("/v1/group/member/add", "alice", body{"groupId": asks, "members": []body{{"memberId": "bob"}}}).want(chat.OK)
	h.ask("/v1/group/join/approve", "alice", body{"id": r.ID, "status": 2}).want(chat.RequestMissing) // he is in already
	apply("b", asks).want(chat.OK, &r)
	h.ask("/v1/group/destroyGroup", "alice", body{"groupId": asks}).want(chat.OK)
	apply("lld", asks).want(chat.GroupIsGone)
	h.ask("/v1/group/join/approve", "alice", body{"id": r.ID, "status": 1}).want(chat.GroupIsGone)
}

// TestLastPlaceIsTakenOnce has many want the last place of a group at once, in each way of coming in.
func TestLastPlaceIsTakenOnce(t *testing.T) {
	h := open(t)
	users := []string{"bob", "a", "b", "lld", "10001", "10002", "10003", "10004"}
	for round := range 3 {
		g := h.group(body{"applyJoinType": 2, "maxMemberCount": 3}, "bantanger")
		codes := make([]chat.Code, len(users))
		var w errgroup.Group
		for i, u := range users {
			w.Go(func() error {
				if i%2 == 0 {
					codes[i] = h.ask("/v1/group/apply", u, body{"groupId": g}).Code
					return nil
				}
				var results []memberResult
				a := h.ask("/v1/group/member/add", "alice", body{"groupId": g, "members": []body{{"memberId": u}}})
				if err := json.Unmarshal(a.Data, &results); err != nil {
					return fmt.Errorf("%s: %w", a.asked, err)
				}
				codes[i] = []chat.Code{chat.OK, chat.MemberLimit, chat.AlreadyMember}[results[0].Result]
				return nil
			})
		}
		if err := w.Wait(); err != nil {
			t.Fatal(err)
		}
		n := make(map[chat.Code]int)
		for _, c := range codes {
			n[c]++
		}
		if diff := cmp.Diff(map[chat.Code]int{chat.OK: 1, chat.MemberLimit: 7}, n); diff != "" || h.info(g).MemberCount != 3 {
			t.Errorf("round %d: %d members; codes (-want +got):\n%s", round, h.info(g).MemberCount, diff)
		}
	}
}

// TestRequestIsDecidedOnce has two decide a request at once, each another way.
func TestRequestIsDecidedOnce(t *testing.T) {
	h := open(t)
	g := h.group(body{"groupType": 2}, "bob")
	h.promote(g, "bob")
	for _, u := range []string{"a", "b", "lld", "10001"} {
		var r joinRequest
		h.ask("/v1/group/apply", u, body{"groupId": g}).want(chat.OK, &r)
		var codes [2]chat.Code
		var w errgroup.Group
		for i, by := range []string{"alice", "bob"} {
			w.Go(func() error {
				codes[i] = h.ask("/v1/group/join/approve", by, body{"id": r.ID, "status": i + 1}).Code
				return nil
			})
		}
		_ = w.Wait()
		agreed, rejected := codes == [2]chat.Code{chat.OK, chat.RequestMissing}, codes == [2]chat.Code{chat.RequestMissing, chat.OK}
		in := false
		for _, m := range h.info(g).MemberList {
			in = in || m.MemberID == u
		}
		if agreed == rejected || in != agreed {
			t.Errorf("%s: agreeing and rejecting answer %v, and he is in: %t; want one of the two", u, codes, in)
		}
	}
}

// TestGroupEndsOnce has a group transferred, destroyed and joined at once: what comes after the end is refused.
func TestGroupEndsOnce(t *testing.T) {
	h := open(t)
	for range 4 {
		g := h.group(body{"groupType": 2, "applyJoinType": 2}, "bob")
		var transfer, destroy, again, apply chat.Code
		var w errgroup.Group
		ask := func(code *chat.Code, path, user string, in body) {
			w.Go(func() error { *code = h.ask(path, user, in).Code; return nil })
		}
		ask(&transfer, "/v1/group/transferGroup", "alice", body{"groupId": g, "ownerId": "bob"})
		ask(&destroy, "/v1/group/destroyGroup", "alice", body{"groupId": g})
		ask(&again, "/v1/group/destroyGroup", "admin", body{"groupId": g})
		ask(&apply, "/v1/group/apply", "a", body{"groupId": g})
		_ = w.Wait()
		info := h.info(g)
		ends := 0
		for _, c := range []chat.Code{destroy, again} {
			if c == chat.OK {
				ends++
			}
		}
		owner := map[chat.Code]string{chat.OK: "bob", chat.GroupIsGone: "alice"}[transfer]
		members := map[chat.Code]int{chat.OK: 3, chat.GroupIsGone: 2}[apply]
		if ends != 1 || info.Status != 2 || info.OwnerID != owner || info.MemberCount != members {
			t.Errorf("transfer %d, destroy %d and %d, apply %d: the group is %+v", transfer, destroy, again, apply, info)
		}
	}
}

// TestGroupsOfAnotherAppAreNotThere asks in one app for what is in another, by every endpoint.
func TestGroupsOfAnotherAppAreNotThere(t *testing.T) {
	h := open(t)
	const other = chat.AppID(10077)
	if err := h.store.SetApp(t.Context(), chat.App{ID: other, Keys: []string{"k"}}); err != nil {
		t.Fatal(err)
	}
	if err := h.store.SeedPairs(t.Context(), other, 4, nil); err != nil {
		t.Fatal(err)
	}
	g := h.group(body{"groupType": 2}, "bob")
	var r joinRequest
	h.ask("/v1/group/apply", "a", body{"groupId": g}).want(chat.OK, &r)
	before := h.info(g)
	u2 := []body{{"memberId": "u2"}}
	for path, in := range map[string]body{
		"/v1/group/getGroupInfo":             {},
		"/v1/group/update":                   {"groupName": "x"},
		"/v1/group/destroyGroup":             {},
		"/v1/group/transferGroup":            {"ownerId": "u1"},
		"/v1/group/forbidSendMessage":        {"mute": 1},
		"/v1/group/member/importGroupMember": {"members": u2},
		"/v1/group/member/add":               {"members": u2},
		"/v1/group/member/remove":            {"memberId": "bob"},
		"/v1/group/member/update":            {"memberId": "bob", "alias": "x"},
		"/v1/group/member/updateRole":        {"memberId": "bob", "role": 1},
		"/v1/group/member/speak":             {"memberId": "bob", "speakDate": 1000},
		"/v1/group/member/quit":              {},
		"/v1/group/member/list":              {},
		"/v1/group/apply":                    {},
		"/v1/group/join/list":                {},
	} {
		in["appId"], in["groupId"] = other, g
		h.ask(path, "alice", in).want(chat.GroupMissing)
	}
	h.ask("/v1/group/join/approve", "alice", body{"appId": other, "id": r.ID, "status": 1}).want(chat.RequestMissing)
	var page groupPage
	if h.ask("/v1/group/getJoinedGroup", "bob", body{"appId": other, "memberId": "bob"}).want(chat.OK, &page); page.TotalCount != 0 {
		t.Errorf("bob is in %d groups of another app", page.TotalCount)
	}
	h.ask("/v1/group/createGroup", "u1", body{"appId": other, "groupName": "x", "member": []body{{"memberId": "bob"}}}).want(chat.UserMissing)
	h.ask("/v1/group/createGroup", "u1", body{"appId": other, "groupName": "x", "groupId": g, "member": u2}).want(chat.OK)
	h.ask("/v1/group/importGroup", "u1", body{"appId": other, "groupName": "x", "groupId": "team", "ownerId": "u1"}).want(chat.OK)
	h.ask("/v1/group/update", "u1", body{"appId": other, "groupId": g, "introduction": "the other one"}).want(chat.OK)
	if diff := cmp.Diff(before, h.info(g), cmp.AllowUnexported(groupInfo{})); diff != "" {
		t.Errorf("the group of the first app (-want +got):\n%s", diff)
	}
}
