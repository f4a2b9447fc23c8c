package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/store"
	"github.com/whaleshark-im/whaleshark/wire"
)

// ids returns who is in a group.
func (h *house) ids(group string) string {
	h.t.Helper()
	var ids []string
	for _, m := range h.info(group).MemberList {
		ids = append(ids, m.MemberID)
	}
	return strings.Join(ids, " ")
}

// promote makes a member of alice's group a manager.
func (h *house) promote(group, user string) {
	h.t.Helper()
	h.ask("/v1/group/member/updateRole", "admin", body{"groupId": group, "memberId": user, "role": 1}).want(chat.OK)
}

func TestMembersAreAdded(t *testing.T) {
	h := open(t)
	hooks := h.hooks()
	bob, a := h.device("bob", "two"), h.device("a", "three")
	private, public := h.group(body{"maxMemberCount": 4}, "bob"), h.group(body{"groupType": 2}, "bob")
	add := func(user, group string, users ...string) *answer {
		var list []body
		for _, u := range users {
			list = append(list, body{"memberId": u, "role": 2, "joinType": "by hand"})
		}
		return h.ask("/v1/group/member/add", user, body{"groupId": group, "members": list})
	}
	var results []memberResult
	add("bob", private, "alice", "a", "nobody", "b", "lld").want(chat.OK, &results)
	want := []memberResult{
		{"alice", 2, "the user is a member already"},
		{"a", 0, "success"},
		{"nobody", 1, "the user does not exist"},
		{"b", 0, "success"},
		{"lld", 1, "the group has as many members as it may have"},
	}
	if diff := cmp.Diff(want, results); diff != "" {
		t.Errorf("the results (-want +got):\n%s", diff)
	}
	var told membersAdded
	hooks.told(chat.HookMemberAdded, private, &told)
	if diff := cmp.Diff(membersAdded{private, 1, "bob", want}, told); diff != "" {
		t.Errorf("the webhook is told (-want +got):\n%s", diff)
	}
	for _, d := range []*device{bob, a} {
		d.hears(wire.AddedMember, `"members":["a","b"]`)
	}
	if add("bob", private, "a", "b").want(chat.OK, &results); results[0].Result != 2 || results[1].Result != 2 {
		t.Errorf("the same again: %v; want that both were there already", results)
	}
	for _, m := range h.info(private).MemberList[1:] {
		if m.Role != 0 {
			t.Errorf("%s has role %d; want 0", m.MemberID, m.Role)
		}
	}
	add("bob", public, "a").want(chat.ManagersOnly)
	add("lld", public, "a").want(chat.NotMember)
	add("lld", private, "a").want(chat.NotMember)
	add("alice", "none", "a").want(chat.GroupMissing)
	add("alice", public).want(chat.BadParameter)
	add("admin", public, "a").want(chat.OK)
	h.promote(public, "bob")
	add("bob", public, "b").want(chat.OK)
	if got := h.ids(public); got != "alice bob a b" {
		t.Errorf("members are %s", got)
	}
	h.ask("/v1/group/destroyGroup", "alice", body{"groupId": public}).want(chat.OK)
	add("alice", public, "lld").want(chat.GroupIsGone)
}

// TestWhatIsTooLargeToAskIsRefused blows a question up until it would not reach the webhook, which would forbid what it is asked about.
func TestWhatIsTooLargeToAskIsRefused(t *testing.T) {
	h := open(t)
	h.hooks()
	if err := h.conn.ServeHooks(t.Context(), func(context.Context, chat.HookQuestion) chat.HookAnswer {
		return chat.HookAnswer{Code: 77777, Msg: "no"}
	}); err != nil {
		t.Fatal(err)
	}
	g := h.group(body{}, "a")
	nobody := `,{"memberId":"nobody","extra":"` + strings.Repeat("<", 1000) + `"}` // each < is six bytes of the question
	text := fmt.Sprintf(`{"appId":10001,"operater":"alice","groupId":%q,"members":[{"memberId":"bob"}%s]}`, g, strings.Repeat(nobody, 300))
	h.send(http.MethodPost, "/v1/group/member/add", text, nil).want(chat.TooLarge).mentions("webhook")
	h.ask("/v1/group/member/add", "alice", body{"groupId": g, "members": []body{{"memberId": "bob"}}}).want(77777)
	if got := h.ids(g); got != "alice a" {
		t.Errorf("members are %s; want those of before", got)
	}
}

// TestWebhookSaysWhoIsAdded has the app's webhook answer in each way that it may.
func TestWebhookSaysWhoIsAdded(t *testing.T) {
	h := open(t)
	h.hooks()
	var says atomic.Pointer[chat.HookAnswer]
	if err := h.conn.ServeHooks(t.Context(), func(_ context.Context, q chat.HookQuestion) chat.HookAnswer {
		var asked struct {
			Operater string `json:"operater"`
			GroupID  string `json:"groupId"`
			Members  []memberInfo
		}
		if err := json.Unmarshal(q.Body, &asked); err != nil || asked.Operater == "" || asked.GroupID == "" || len(asked.Members) != 1 {
			t.Errorf("the webhook is asked %s", q.Body)
		}
		return *says.Load()
	}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		answer chat.HookAnswer
		closed bool
		code   chat.Code
		want   string
	}{
		{chat.HookAnswer{Code: chat.OK}, false, chat.OK, "alice a bob"},
		{chat.HookAnswer{Code: chat.OK, Data: json.RawMessage(`null`)}, false, chat.OK, "alice a bob"},
		{chat.HookAnswer{Code: chat.OK, Data: json.RawMessage(`[{"memberId":"b","role":"1"},{"memberId":"lld"}]`)}, false, chat.OK, "alice a b lld"},
		{chat.HookAnswer{Code: chat.OK, Data: json.RawMessage(`[]`)}, false, chat.OK, "alice a"},
		{chat.HookAnswer{Code: 77777, Msg: "not today"}, false, 77777, "alice a"},
		{chat.HookAnswer{Code: chat.OK, Data: json.RawMessage(`[{"alias":"x"}]`)}, false, chat.OK, "alice a bob"},
		{chat.HookAnswer{Code: chat.OK, Data: json.RawMessage(`{}`)}, true, chat.Unavailable, "alice a"},
		{chat.HookAnswer{Failed: true, Msg: "slow"}, true, chat.Unavailable, "alice a"},
		{chat.HookAnswer{Failed: true, Msg: "slow"}, false, chat.OK, "alice a bob"},
	} {
		h.setHooks(func(hooks *chat.Hooks) { hooks.FailClosed = c.closed })
		g := h.group(body{}, "a")
		says.Store(&c.answer)
		h.ask("/v1/group/member/add", "alice", body{"groupId": g, "members": []body{{"memberId": "bob"}}}).want(c.code)
		if got := h.ids(g); got != c.want {
			t.Errorf("after %+v members are %s; want %s", c.answer, got, c.want)
		}
		if c.answer.Data == nil { // of one who asks himself it may say nothing else
			h.ask("/v1/group/apply", "10001", body{"groupId": g}).want(c.code)
		}
	}
}

func TestMembersAreRemovedAndGo(t *testing.T) {
	h := open(t)
	hooks := h.hooks()
	a := h.device("a", "three")
	g := h.group(body{"groupType": 2}, "bob", "a", "b", "lld", "10001")
	h.promote(g, "bob")
	h.promote(g, "b")
	remove := func(user, group, member string) *answer {
		return h.ask("/v1/group/member/remove", user, body{"groupId": group, "memberId": member})
	}
	remove("a", g, "lld").want(chat.ManagersOnly)
	remove("10002", g, "lld").want(chat.NotMember)
	remove("bob", g, "10002").want(chat.NotMember)
	remove("bob", g, "alice").want(chat.OwnerNotRemove)
	remove("admin", g, "alice").want(chat.OwnerNotRemove)
	remove("bob", g, "b").want(chat.OwnerOnly)
	remove("bob", "none", "b").want(chat.GroupMissing)
	remove("bob", g, "").want(chat.BadParameter)
	remove("bob", g, "a").want(chat.OK)
	a.gets(wire.DeletedMember)
	var told struct{ GroupID, MemberID, Operater string }
	if hooks.told(chat.HookMemberDeleted, g, &told); told.GroupID != g || told.MemberID != "a" || told.Operater != "bob" {
		t.Errorf("the webhook is told %+v", told)
	}
	remove("alice", g, "b").want(chat.OK)
	remove("admin", g, "bob").want(chat.OK)
	remove("alice", h.group(body{}, "a"), "a").want(chat.OK) // a private one

	quit := func(user, group string) *answer { return h.ask("/v1/group/member/quit", user, body{"groupId": group}) }
	quit("alice", g).want(chat.OwnerNotRemove)
	quit("a", g).want(chat.NotMember)
	quit("a", "none").want(chat.GroupMissing)
	quit("lld", g).want(chat.OK)
	if got := h.ids(g); got != "alice 10001" {
		t.Errorf("members are %s; want alice and 10001", got)
	}
	h.ask("/v1/group/destroyGroup", "alice", body{"groupId": g}).want(chat.OK)
	quit("10001", g).want(chat.GroupIsGone)
	remove("alice", g, "10001").want(chat.GroupIsGone)
}

func TestMembersAreUpdated(t *testing.T) {
	h := open(t)
	lld := h.device("lld", "four")
	g, private := h.group(body{"groupType": 2}, "bob", "a", "b", "lld"), h.group(body{}, "bob", "a")
	h.promote(g, "bob")
	update := func(user, member string, in body) *answer {
		in["groupId"], in["memberId"] = g, member
		return h.ask("/v1/group/member/update", user, in)
	}
	update("a", "a", body{"alias": "Ay", "extra": "x"}).want(chat.OK)
	update("bob", "b", body{"alias": "Bee"}).want(chat.OK)
	update("admin", "alice", body{"alias": "Al"}).want(chat.OK)
	update("a", "b", body{"alias": "x"}).want(chat.SelfOnly)
	update("10001", "b", body{"alias": "x"}).want(chat.NotMember)
	update("bob", "10001", body{"alias": "x"}).want(chat.NotMember)
	update("a", "", body{}).want(chat.BadParameter)
	lld.hears(wire.UpdatedMember, `"memberId":"a","alias":"Ay","extra":"x"`)
	update("a", "b", body{"role": 1}).want(chat.ManagersOnly)
	update("bob", "b", body{"role": 1}).want(chat.OwnerOnly)
	update("alice", "bob", body{"role": 2}).want(chat.BadParameter)
	update("alice", "alice", body{"role": 0}).want(chat.BadParameter)
	update("alice", "b", body{"role": 1, "alias": "both"}).want(chat.OK)
	update("bob", "b", body{"role": 0}).want(chat.OwnerOnly)
	if got := h.info(g).MemberList; got[1].MemberID != "b" || got[1].Role != 1 || got[1].Alias != "both" || got[3].Alias != "Ay" || got[3].Extra != "x" {
		t.Errorf("members are %+v", got)
	}
	h.ask("/v1/group/member/update", "alice", body{"groupId": private, "memberId": "bob", "role": 1}).want(chat.AdminOnly)
	h.ask("/v1/group/member/update", "alice", body{"groupId": "none", "memberId": "bob", "alias": "x"}).want(chat.GroupMissing)

	role := func(user, group, member string, role int) *answer {
		return h.ask("/v1/group/member/updateRole", user, body{"groupId": group, "memberId": member, "role": role})
	}
	role("alice", private, "bob", 1).want(chat.AdminOnly)
	role("admin", private, "bob", 1).want(chat.OK)
	role("a", g, "lld", 1).want(chat.ManagersOnly)
	role("bob", g, "lld", 1).want(chat.OwnerOnly)
	role("10001", g, "lld", 1).want(chat.NotMember)
	role("alice", "none", "lld", 1).want(chat.GroupMissing)
	role("alice", g, "lld", 5).want(chat.BadParameter)
	role("alice", g, "b", 0).want(chat.OK)
	h.ask("/v1/group/destroyGroup", "alice", body{"groupId": g}).want(chat.OK)
	update("a", "a", body{"alias": "x"}).want(chat.GroupIsGone)
	role("alice", g, "b", 1).want(chat.GroupIsGone)
}

func TestMembersAreSilenced(t *testing.T) {
	h := open(t)
	a := h.device("a", "three")
	g := h.group(body{"groupType": 2}, "bob", "a", "b")
	h.promote(g, "bob")
	h.promote(g, "b")
	speak := func(user, group, member string, in body) *answer {
		in["groupId"], in["memberId"] = group, member
		return h.ask("/v1/group/member/speak", user, in)
	}
	hour := body{"speakDate": 3_600_000}
	began := time.Now()
	speak("bob", g, "a", hour).want(chat.OK)
	a.gets(wire.SpeakMember)
	until := time.UnixMilli(h.info(g).MemberList[3].SpeakDate)
	if d := until.Sub(began); d < time.Hour-time.Second || d > time.Hour+time.Minute {
		t.Errorf("a may not speak for %s; want an hour", d)
	}
	speak("bob", g, "a", body{"speakDate": 0}).want(chat.OK)
	if got := h.info(g).MemberList[3].SpeakDate; got != 0 {
		t.Errorf("a may not speak until %d; want that he may", got)
	}
	speak("a", g, "b", hour).want(chat.ManagersOnly)
	speak("lld", g, "b", hour).want(chat.NotMember)
	speak("alice", g, "lld", hour).want(chat.NotMember)
	speak("bob", g, "b", hour).want(chat.OwnerOnly)
	speak("bob", g, "alice", hour).want(chat.AdminOnly)
	speak("alice", "none", "b", hour).want(chat.GroupMissing)
	speak("alice", g, "b", body{}).want(chat.BadParameter)
	speak("alice", g, "b", body{"speakDate": -1}).want(chat.BadParameter)
	speak("alice", g, "b", hour).want(chat.OK)
	speak("admin", g, "alice", hour).want(chat.OK)
	h.ask("/v1/group/destroyGroup", "alice", body{"groupId": g}).want(chat.OK)
	speak("alice", g, "b", hour).want(chat.GroupIsGone)
}

func TestMembersAreListed(t *testing.T) {
	h := open(t)
	g := h.group(body{}, "bob", "a", "b", "lld")
	list := func(in body) (page memberList) {
		in["groupId"] = g
		h.ask("/v1/group/member/list", "bob", in).want(chat.OK, &page)
		return page
	}
	var got []string
	after, pages := "", 0
	for completed := false; !completed; pages++ {
		page := list(body{"limit": 2, "after": after})
		for _, m := range page.MemberList {
			got = append(got, m.MemberID)
			after = m.MemberID
		}
		if completed = page.Completed; page.TotalCount != 5 {
			t.Errorf("%d members in all; want 5", page.TotalCount)
		}
	}
	if diff := cmp.Diff([]string{"a", "alice", "b", "bob", "lld"}, got); diff != "" || pages != 3 {
		t.Errorf("%d pages (-want +got):\n%s", pages, diff)
	}
	if page := list(body{}); len(page.MemberList) != 5 || !page.Completed {
		t.Errorf("a page of no limit: %+v", page)
	}
	h.ask("/v1/group/member/list", "bob", body{"groupId": g, "limit": 101}).want(chat.BadParameter)
	h.ask("/v1/group/member/list", "bob", body{"groupId": "none"}).want(chat.GroupMissing)
	h.signed("/v1/group/member/list", "10001", body{"groupId": g}).want(chat.NotMember)
	h.signed("/v1/group/member/list", "lld", body{"groupId": g}).want(chat.OK)
	h.signed("/v1/group/member/list", "admin", body{"groupId": g}).want(chat.OK)
	var info groupInfo
	h.signed("/v1/group/getGroupInfo", "10001", body{"groupId": g}).want(chat.OK, &info)
	if len(info.MemberList) != 0 || info.MemberCount != 5 {
		t.Errorf("a stranger sees %d members of %d of a private group; want none of 5", len(info.MemberList), info.MemberCount)
	}
}

// TestGroupsAreReadInFewStatements counts those of a request, however many members there are.
func TestGroupsAreReadInFewStatements(t *testing.T) {
	h := open(t)
	if err := h.store.SeedGroup(t.Context(), store.DemoApp, "crowd", "u1", 300, nil); err != nil {
		t.Fatal(err)
	}
	other, count := h.counted()
	other.ask("/v1/group/getGroupInfo", "bob", body{"groupId": "team"}).want(chat.OK) // connects, and the caches know who asks
	for path, want := range map[string]int64{"/v1/group/getGroupInfo": 2, "/v1/group/member/list": 2} {
		for _, group := range []string{"team", "crowd"} {
			before := count.statements.Load()
			other.ask(path, "bob", body{"groupId": group}).want(chat.OK)
			if n := count.statements.Load() - before; n != want {
				t.Errorf("%s of %s takes %d statements; want %d", path, group, n, want)
			}
		}
	}
	before := count.statements.Load()
	other.ask("/v1/group/getJoinedGroup", "bob", body{"memberId": "bob"}).want(chat.OK)
	if n := count.statements.Load() - before; n != 2 {
		t.Errorf("a page of joined groups takes %d statements; want 2", n)
	}
}
