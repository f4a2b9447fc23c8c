package api

import (
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/store"
	"github.com/whaleshark-im/whaleshark/wire"
)

// hookLog remembers what the demo app's webhook is told.
type hookLog struct {
	h  *house
	mu sync.Mutex
	by map[string][]string
}

// hooks lets the demo app be told of everything.
func (h *house) hooks() *hookLog {
	h.t.Helper()
	l := &hookLog{h: h, by: make(map[string][]string)}
	if err := h.conn.HearEvents(h.t.Context(), func(e *chat.Event) {
		l.mu.Lock()
		defer l.mu.Unlock()
		if e.Hook != nil {
			l.by[e.Hook.Command] = append(l.by[e.Hook.Command], string(e.Hook.Body))
		}
	}, func() {}); err != nil {
		h.t.Fatal(err)
	}
	h.setHooks(func(hooks *chat.Hooks) { hooks.URL, hooks.Commands = "http://127.0.0.1:1/", chat.HookCommands })
	return l
}

// setHooks changes what the demo app's webhook is told, and waits until the API knows.
func (h *house) setHooks(change func(*chat.Hooks)) {
	h.t.Helper()
	app, err := h.store.ChangeApp(h.t.Context(), store.DemoApp, func(a *chat.App) error { change(&a.Hooks); return nil })
	if err != nil {
		h.t.Fatal(err)
	}
	h.conn.Nudge()
	h.eventually("the API knows what the app wants to be told", func() bool {
		got, err := h.directory.App(h.t.Context(), store.DemoApp)
		return err == nil && cmp.Equal(got.Hooks, app.Hooks, cmpopts.EquateEmpty())
	})
}

// told waits until the webhook is told something about a group, and decodes it; each body is returned once.
func (l *hookLog) told(command, group string, into any) {
	l.h.t.Helper()
	var got string
	l.h.eventually("the webhook is told "+command, func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		i := slices.IndexFunc(l.by[command], func(b string) bool { return strings.Contains(b, group) })
		if i < 0 {
			return false
		}
		got = l.by[command][i]
		l.by[command] = slices.Delete(l.by[command], i, i+1)
		return true
	})
	if err := json.Unmarshal([]byte(got), into); err != nil {
		l.h.t.Fatalf("%s %s: %v", command, got, err)
	}
}

// hears waits for a frame whose payload says something, and passes over those of its command that do not.
func (d *device) hears(c wire.Command, what string) {
	d.t.Helper()
	for !strings.Contains(d.gets(c), what) {
		continue
	}
}

// info asks for a group in the name of an administrator.
func (h *house) info(group string) groupInfo {
	h.t.Helper()
	var info groupInfo
	h.ask("/v1/group/getGroupInfo", "admin", body{"groupId": group}).want(chat.OK, &info)
	return info
}

// group creates a group of alice's, and returns its id.
func (h *house) group(in body, members ...string) string {
	h.t.Helper()
	in["groupName"] = "g"
	var list []body
	for _, m := range members {
		list = append(list, body{"memberId": m})
	}
	in["member"] = list
	var made groupRow
	h.ask("/v1/group/createGroup", "alice", in).want(chat.OK, &made)
	return made.GroupID
}

func TestGroupIsCreated(t *testing.T) {
	h := open(t)
	hooks := h.hooks()
	alice, bob := h.device("alice", "one"), h.device("bob", "two")
	var made groupRow
	h.ask("/v1/group/createGroup", "alice", body{
		"groupType": 2, "groupName": "Whales & <sharks>", "mute": 1, "applyJoinType": 2, "introduction": "hi", "notification": "note",
		"photo": "http://x/y.png", "maxMemberCount": 3, "extra": "{}",
		"member": []body{{"memberId": "bob", "role": 1, "alias": "Bobby"}, {"memberId": "a", "role": 2}, {"memberId": "alice"}},
	}).want(chat.OK, &made)
	want := groupRow{
		GroupID: made.GroupID, AppID: 10001, OwnerID: "alice", GroupType: 2, GroupName: "Whales & <sharks>", Mute: 1, ApplyJoinType: 2,
		Introduction: "hi", Notification: "note", Photo: "http://x/y.png", MaxMemberCount: 3, Status: 1, Sequence: 4, Extra: "{}",
		CreateTime: made.CreateTime, UpdateTime: made.UpdateTime,
	}
	if diff := cmp.Diff(want, made); diff != "" || made.GroupID == "" || made.CreateTime == 0 {
		t.Errorf("the group (-want +got):\n%s", diff)
	}
	var told groupRow
	if hooks.told(chat.HookGroupCreated, made.GroupID, &told); told != made {
		t.Errorf("the webhook is told of %v; want %v", told, made)
	}
	info := h.info(made.GroupID)
	members := []memberRow{{MemberID: "alice", Role: 2}, {MemberID: "bob", Role: 1, Alias: "Bobby"}, {MemberID: "a"}}
	if diff := cmp.Diff(members, info.MemberList, cmpopts.IgnoreFields(memberRow{}, "JoinTime")); diff != "" || info.MemberCount != 3 {
		t.Errorf("%d members (-want +got):\n%s", info.MemberCount, diff)
	}
	alice.hears(wire.CreatedGroup, `"groupName":"Whales & <sharks>"`)
	bob.hears(wire.AddedMember, made.GroupID)
	bob.gets(wire.MuteGroup)
}

func TestGroupIsNotCreated(t *testing.T) {
	h := open(t)
	bob := []body{{"memberId": "bob"}}
	for _, c := range []struct {
		in   body
		code chat.Code
	}{
		{body{"member": bob}, chat.BadParameter},
		{body{"groupName": "x", "member": []body{}}, chat.BadParameter},
		{body{"groupName": "x", "member": bob, "groupType": 3}, chat.BadParameter},
		{body{"groupName": "x", "member": []body{{"memberId": "nobody"}}}, chat.UserMissing},
		{body{"groupName": "x", "member": bob, "maxMemberCount": 1}, chat.MemberLimit},
		{body{"groupName": "x", "member": bob, "groupId": "team"}, chat.GroupExists},
		{body{"groupName": "x", "member": bob, "groupId": " "}, chat.BadParameter}, // no body could name it
	} {
		h.ask("/v1/group/createGroup", "alice", c.in).want(c.code)
	}
	h.ask("/v1/group/createGroup", "nobody", body{"groupName": "x", "member": bob}).want(chat.UserMissing)
}

func TestGroupIsImported(t *testing.T) {
	h := open(t)
	var made groupRow
	h.ask("/v1/group/importGroup", "admin", body{"groupId": "old", "groupName": "Old", "ownerId": "bob", "createTime": 1600000000123}).want(chat.OK, &made)
	if made.GroupID != "old" || made.OwnerID != "bob" || made.CreateTime != 1600000000123 || made.GroupType != 1 || made.MaxMemberCount != 10000 {
		t.Errorf("the group is %+v; want what was given", made)
	}
	h.ask("/v1/group/importGroup", "admin", body{"groupId": "old", "groupName": "Old", "ownerId": "bob"}).want(chat.GroupExists)
	h.ask("/v1/group/importGroup", "admin", body{"groupName": "x", "groupType": 2}).want(chat.PublicWithoutOwner)
	h.ask("/v1/group/importGroup", "admin", body{"groupName": "x", "ownerId": "nobody"}).want(chat.UserMissing)
	if h.ask("/v1/group/importGroup", "admin", body{"groupName": "x"}).want(chat.OK, &made); made.OwnerID != "admin" {
		t.Errorf("the owner is %s; want who has imported it", made.OwnerID)
	}
	h.signed("/v1/group/importGroup", "alice", body{"groupName": "x", "ownerId": "alice"}).want(chat.AdminOnly)
	h.signed("/v1/group/importGroup", "admin", body{"groupName": "x", "ownerId": "alice"}).want(chat.OK)

	var results []memberResult
	h.ask("/v1/group/member/importGroupMember", "admin", body{"groupId": "old", "members": []body{
		{"memberId": "alice", "role": 1, "alias": "Al", "joinTime": 1600000000456, "joinType": "link", "extra": "e"},
		{"memberId": "alice"},
		{"memberId": "nobody"},
		{"memberId": "a", "role": 2},
		{"memberId": "b", "speakDate": int64(1) << 42},
	}}).want(chat.OK, &results)
	want := []memberResult{
		{"alice", 0, "success"},
		{"alice", 2, "the user is a member already"},
		{"nobody", 1, "the user does not exist"},
		{"a", 1, "nobody comes as the owner, or as one who has left"},
		{"b", 0, "success"},
	}
	if diff := cmp.Diff(want, results); diff != "" {
		t.Errorf("the results (-want +got):\n%s", diff)
	}
	members := []memberRow{
		{MemberID: "alice", Role: 1, Alias: "Al", JoinTime: 1600000000456, JoinType: "link", Extra: "e"},
		{MemberID: "b", SpeakDate: 1 << 42},
	}
	got := h.info("old").MemberList[1:]
	got[1].JoinTime = 0
	if diff := cmp.Diff(members, got); diff != "" {
		t.Errorf("members (-want +got):\n%s", diff)
	}
	h.ask("/v1/group/member/importGroupMember", "admin", body{"groupId": "none", "members": []body{{"memberId": "a"}}}).want(chat.GroupMissing)
	h.ask("/v1/group/destroyGroup", "admin", body{"groupId": "old"}).want(chat.OK)
	h.ask("/v1/group/member/importGroupMember", "admin", body{"groupId": "old", "members": []body{{"memberId": "a"}}}).want(chat.GroupIsGone)
}

func TestGroupIsUpdated(t *testing.T) {
	h := open(t)
	hooks := h.hooks()
	bob := h.device("bob", "two")
	private, public := h.group(body{}, "bob", "a"), h.group(body{"groupType": 2}, "bob")
	before := h.info(private)
	h.ask("/v1/group/update", "a", body{
		"groupId": private, "groupName": "new", "notification": "read this", "introduction": "", "maxMemberCount": 5, "applyJoinType": 0,
	}).want(chat.OK)
	after := before.groupRow
	after.GroupName, after.Notification, after.MaxMemberCount, after.ApplyJoinType, after.Sequence = "new", "read this", 5, 0, before.Sequence+1
	got := h.info(private)
	after.UpdateTime = got.UpdateTime
	if diff := cmp.Diff(after, got.groupRow); diff != "" {
		t.Errorf("the group (-want +got):\n%s", diff)
	}
	var told groupRow
	if hooks.told(chat.HookGroupUpdated, private, &told); told != got.groupRow {
		t.Errorf("the webhook is told of %v; want %v", told, got.groupRow)
	}
	var event map[string]any
	if err := json.Unmarshal([]byte(bob.gets(wire.UpdatedGroup)), &event); err != nil {
		t.Fatal(err)
	}
	delete(event, "messageKey")
	want := map[string]any{
		"groupId": private, "fromId": "a", "sequence": 3.0, "groupName": "new", "notification": "read this", "maxMemberCount": 5.0, "applyJoinType": 0.0,
	}
	if diff := cmp.Diff(want, event); diff != "" {
		t.Errorf("the members hear (-want +got):\n%s", diff)
	}
	h.ask("/v1/group/update", "alice", body{"groupId": private}).want(chat.OK) // nothing changes
	h.ask("/v1/group/update", "alice", body{"groupId": private, "groupName": ""}).want(chat.OK)
	if now := h.info(private); now.Sequence != got.Sequence {
		t.Errorf("the sequence is %d after nothing has changed; want %d", now.Sequence, got.Sequence)
	}
	h.ask("/v1/group/update", "alice", body{"groupId": private, "mute": 1}).want(chat.OK)
	bob.gets(wire.MuteGroup)
	h.ask("/v1/group/update", "a", body{"groupId": private, "mute": 0}).want(chat.ManagersOnly)
	h.ask("/v1/group/update", "bob", body{"groupId": public, "groupName": "x"}).want(chat.ManagersOnly)
	h.ask("/v1/group/update", "lld", body{"groupId": private, "groupName": "x"}).want(chat.NotMember)
	h.ask("/v1/group/update", "alice", body{"groupId": "none", "groupName": "x"}).want(chat.GroupMissing)
	h.ask("/v1/group/update", "admin", body{"groupId": public, "groupName": "x"}).want(chat.OK)
	h.ask("/v1/group/destroyGroup", "alice", body{"groupId": public}).want(chat.OK)
	h.ask("/v1/group/update", "alice", body{"groupId": public, "groupName": "x"}).want(chat.GroupIsGone)
}

func TestJoinedGroups(t *testing.T) {
	h := open(t)
	gone, public := h.group(body{"groupType": 2}, "a"), h.group(body{"groupType": 2}, "a")
	h.ask("/v1/group/destroyGroup", "alice", body{"groupId": gone}).want(chat.OK)
	left := h.group(body{}, "a")
	h.ask("/v1/group/member/quit", "a", body{"groupId": left}).want(chat.OK)
	for _, c := range []struct {
		in    body
		total int
		want  []string
	}{
		{body{}, 2, []string{"team", public}},
		{body{"groupType": []int{2}}, 1, []string{public}},
		{body{"groupType": []int{1, 2}, "limit": 1, "offset": 0}, 2, []string{"team"}},
		{body{"limit": 1, "offset": 1}, 2, []string{"team"}},
		{body{"limit": 1, "offset": 2}, 2, []string{public}},
		{body{"limit": 1, "offset": 3}, 2, nil},
		{body{"groupType": []int{7}}, 0, nil},
	} {
		c.in["memberId"] = "a"
		var page groupPage
		h.ask("/v1/group/getJoinedGroup", "a", c.in).want(chat.OK, &page)
		var ids []string
		for _, g := range page.GroupList {
			ids = append(ids, g.GroupID)
		}
		if diff := cmp.Diff(c.want, ids); diff != "" || page.TotalCount != c.total || page.GroupList == nil {
			t.Errorf("%v: %d groups in all, want %d (-want +got):\n%s", c.in, page.TotalCount, c.total, diff)
		}
	}
	h.ask("/v1/group/getJoinedGroup", "a", body{}).want(chat.BadParameter)
	h.signed("/v1/group/getJoinedGroup", "a", body{"memberId": "bob"}).want(chat.SignOtherUser)
}

func TestGroupIsGivenAwayAndDestroyed(t *testing.T) {
	h := open(t)
	hooks := h.hooks()
	bob := h.device("bob", "two")
	private, public := h.group(body{}, "bob"), h.group(body{"groupType": 2}, "bob", "a")
	h.ask("/v1/group/transferGroup", "bob", body{"groupId": public, "ownerId": "bob"}).want(chat.OwnerOnly)
	h.ask("/v1/group/transferGroup", "lld", body{"groupId": public, "ownerId": "bob"}).want(chat.OwnerOnly)
	h.ask("/v1/group/transferGroup", "alice", body{"groupId": public, "ownerId": "lld"}).want(chat.NotMember)
	h.ask("/v1/group/transferGroup", "alice", body{"groupId": "none", "ownerId": "lld"}).want(chat.GroupMissing)
	h.ask("/v1/group/transferGroup", "alice", body{"groupId": public, "ownerId": "bob"}).want(chat.OK)
	var transferred transferGroup
	if hooks.told(chat.HookGroupTransfer, public, &transferred); transferred != (transferGroup{public, "bob"}) {
		t.Errorf("the webhook is told of %v", transferred)
	}
	bob.gets(wire.TransferGroup)
	if info := h.info(public); info.OwnerID != "bob" || info.MemberList[0].MemberID != "bob" || info.MemberList[2].Role != 0 {
		t.Errorf("the group is %+v; want it to be bob's alone", info)
	}
	h.ask("/v1/group/getGroupInfo", "alice", body{"groupId": "none"}).want(chat.GroupMissing)

	h.ask("/v1/group/destroyGroup", "alice", body{"groupId": public}).want(chat.OwnerOnly)
	h.ask("/v1/group/destroyGroup", "lld", body{"groupId": public}).want(chat.OwnerOnly)
	h.ask("/v1/group/destroyGroup", "alice", body{"groupId": private}).want(chat.PrivateNotDestroy)
	h.ask("/v1/group/destroyGroup", "bob", body{"groupId": public}).want(chat.OK)
	h.ask("/v1/group/destroyGroup", "admin", body{"groupId": private}).want(chat.OK)
	h.ask("/v1/group/destroyGroup", "bob", body{"groupId": public}).want(chat.GroupIsGone)
	h.ask("/v1/group/destroyGroup", "admin", body{"groupId": "none"}).want(chat.GroupMissing)
	h.ask("/v1/group/transferGroup", "bob", body{"groupId": public, "ownerId": "a"}).want(chat.GroupIsGone)
	bob.gets(wire.DestroyGroup)
	var gone groupID
	if hooks.told(chat.HookGroupDestroyed, public, &gone); gone.GroupID != public {
		t.Errorf("the webhook is told that %v is gone; want %s", gone, public)
	}
	if info := h.info(public); info.Status != 2 {
		t.Errorf("the destroyed group's status is %d; want 2", info.Status)
	}
}

func TestGroupIsSilenced(t *testing.T) {
	h := open(t)
	bob := h.device("bob", "two")
	g := h.group(body{"groupType": 2}, "bob")
	const path = "/v1/group/forbidSendMessage"
	h.ask(path, "bob", body{"groupId": g, "mute": 1}).want(chat.ManagersOnly)
	h.ask(path, "lld", body{"groupId": g, "mute": 1}).want(chat.NotMember)
	h.ask(path, "alice", body{"groupId": g}).want(chat.BadParameter)
	h.ask(path, "alice", body{"groupId": "none", "mute": 1}).want(chat.GroupMissing)
	h.ask(path, "alice", body{"groupId": g, "mute": 1}).want(chat.OK)
	if payload := bob.gets(wire.MuteGroup); !strings.Contains(payload, `"mute":1`) || h.info(g).Mute != 1 {
		t.Errorf("bob hears %s; want that the group is mute", payload)
	}
	h.ask(path, "admin", body{"groupId": g, "mute": 0}).want(chat.OK)
	if payload := bob.gets(wire.MuteGroup); !strings.Contains(payload, `"fromId":"admin"`) {
		t.Errorf("bob hears %s; want that the administrator did it", payload)
	}
	h.ask("/v1/group/destroyGroup", "alice", body{"groupId": g}).want(chat.OK)
	h.ask(path, "alice", body{"groupId": g, "mute": 1}).want(chat.GroupIsGone)
}
