package store_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/store"
	"github.com/whaleshark-im/whaleshark/sql/storetest"
)

func ptr[T any](x T) *T { return &x }

// TestRulesGoByTypeAndRights has the same done in a private group and in a public one, by whom it may be and by whom it may not.
func TestRulesGoByTypeAndRights(t *testing.T) {
	s, _, public := groupOf(t)
	made, err := s.CreateGroup(t.Context(), store.NewGroup{App: app, Owner: "o", Members: []chat.UserID{"m1", "u1", "u2"}})
	if err != nil {
		t.Fatal(err)
	}
	private := chat.GroupOf(app, made.ID)
	admin := store.Acting{Admin: true}
	name := func(g chat.Conversation, by chat.UserID, to string, how ...store.Acting) error {
		return s.UpdateGroup(t.Context(), g, by, store.GroupInfo{Name: &to}, how...)
	}
	alias := func(g chat.Conversation, by, of chat.UserID, how ...store.Acting) error {
		return s.UpdateMember(t.Context(), g, by, of, store.MemberUpdate{Alias: ptr("by " + string(by))}, how...)
	}
	add := func(g chat.Conversation, by chat.UserID, how ...store.Acting) error {
		_, err := s.AddMembers(t.Context(), g, by, []chat.UserID{"n1"}, how...)
		return err
	}
	for what, c := range map[string]struct {
		err  error
		code chat.Code
	}{
		"a member names a private group":          {name(private, "u1", "x"), chat.OK},
		"a member names a public group":           {name(public, "u1", "x"), chat.ManagersOnly},
		"a stranger names a private group":        {name(private, "n1", "x"), chat.NotMember},
		"an administrator names a group":          {name(public, "n1", "y", admin), chat.OK},
		"a member silences a private group":       {s.UpdateGroup(t.Context(), private, "u1", store.GroupInfo{Muted: ptr(store.Switch(true))}), chat.ManagersOnly},
		"a member adds to a private group":        {add(private, "u1"), chat.OK},
		"a member adds to a public group":         {add(public, "u1"), chat.ManagersOnly},
		"an administrator adds to a group":        {add(public, "n3", admin), chat.OK},
		"an owner gives a role in private":        {s.SetRole(t.Context(), private, "o", "u1", chat.Manager), chat.AdminOnly},
		"the app gives a role in private":         {s.SetRole(t.Context(), private, "", "m1", chat.Manager), chat.OK},
		"an administrator gives a role":           {s.SetRole(t.Context(), private, "n3", "u1", chat.Manager, admin), chat.OK},
		"one has his own alias":                   {alias(public, "u1", "u1"), chat.OK},
		"a manager gives another one an alias":    {alias(public, "m1", "u2"), chat.OK},
		"a member gives another one an alias":     {alias(public, "u1", "u2"), chat.SelfOnly},
		"who is no member has no alias":           {alias(public, "o", "n2"), chat.NotMember},
		"an owner destroys a private group":       {s.DestroyGroup(t.Context(), private, "o"), chat.PrivateNotDestroy},
		"a manager destroys a private group":      {s.DestroyGroup(t.Context(), private, "m1"), chat.PrivateNotDestroy},
		"a stranger transfers a group":            {s.TransferGroup(t.Context(), public, "n3", "u1"), chat.OwnerOnly},
		"an administrator silences an owner":      {s.MuteMember(t.Context(), public, "n3", "o", time.UnixMilli(9), admin), chat.OK},
		"an owner silences himself":               {s.MuteMember(t.Context(), public, "o", "o", time.UnixMilli(8)), chat.AdminOnly},
		"an administrator leaves what is not his": {s.LeaveGroup(t.Context(), public, "n3", admin), chat.NotMember},
	} {
		var refusal chat.Error
		if errors.As(c.err, &refusal); c.err != nil && refusal.Code != c.code || c.err == nil && c.code != chat.OK {
			t.Errorf("%s: %v; want %v", what, c.err, c.code)
		}
	}
	outgoing, err := s.Outgoing(t.Context(), 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range outgoing {
		if o.Change.Kind == chat.GroupUpdated && o.Conversation == public && o.By != "n1" {
			t.Errorf("the record says that %q named the group; want the administrator, who did", o.By)
		}
	}
}

// TestInfoIsWhatHasChanged has a change say what is another now, and nothing that was so before.
func TestInfoIsWhatHasChanged(t *testing.T) {
	s, url, g := groupOf(t)
	var told []store.Changed
	tell := store.Acting{Tell: func(c store.Changed) []chat.Event { told = append(told, c); return nil }}
	all := store.GroupInfo{
		Name: ptr("g"), Muted: ptr(store.Switch(true)), Joining: ptr(store.EverybodyJoins), Introduction: ptr("<i>"), Notification: ptr(""),
		MaxMembers: ptr(7), Extra: ptr("e"), Type: ptr(store.PrivateGroup), Status: 2, CreatedAt: 5,
	}
	for range 2 {
		if err := s.UpdateGroup(t.Context(), g, "o", all, tell); err != nil {
			t.Fatal(err)
		}
		u := store.MemberUpdate{Role: ptr(chat.Manager), Alias: ptr("al"), Extra: ptr("")}
		if err := s.UpdateMember(t.Context(), g, "o", "u1", u, tell); err != nil {
			t.Fatal(err)
		}
	}
	want := []chat.Change{
		{Kind: chat.GroupMuted, Version: 5, On: true},
		{Kind: chat.GroupUpdated, Version: 6, Info: `{"mute":1,"applyJoinType":2,"introduction":"<i>","maxMemberCount":7,"extra":"e"}`},
		{Kind: chat.RoleSet, Version: 7, Users: []chat.UserID{"u1"}, Role: chat.Manager},
		{Kind: chat.MemberUpdated, Version: 8, Users: []chat.UserID{"u1"}, Info: `{"alias":"al"}`},
	}
	if diff := cmp.Diff(want, news(t, s, 4)); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
	if len(told) != 2 || told[0].Group.MaxMembers != 7 || told[1].Group.Version != 8 || told[0].Group.UpdatedAt.IsZero() {
		t.Errorf("told of %+v; want what the group was after each change, and of nothing that changed nothing", told)
	}
	if n := count(t, url, `SELECT count(*) FROM group_member WHERE user_id = 'u1' AND alias = 'al' AND role = 1`); n != 1 {
		t.Error("the member is not what the change says")
	}
	long := strings.Repeat("x", chat.MaxInfo)
	if err := s.UpdateGroup(t.Context(), g, "o", store.GroupInfo{Name: ptr("new"), Extra: &long}); !errors.As(err, new(chat.Error)) {
		t.Errorf("more than the log takes: %v; want a refusal", err)
	}
	if n := count(t, url, `SELECT count(*) FROM chat_group WHERE name = 'new'`); n != 0 {
		t.Error("the refused change is in the row")
	}
}

// TestGroupIsReadInFewStatements counts what a read of a group asks of Postgres.
func TestGroupIsReadInFewStatements(t *testing.T) {
	url := storetest.URL(t)
	var sent counter
	s, err := store.Open(t.Context(), url, store.Options{Tracer: &sent})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Seed(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.SeedGroup(t.Context(), app, "crowd", "u9", 30, nil); err != nil {
		t.Fatal(err)
	}
	crowd := chat.GroupOf(app, "crowd")
	if err := s.SetRole(t.Context(), crowd, "", "u5", chat.Manager); err != nil {
		t.Fatal(err)
	}
	asked := func(what string, want int64, f func() error) {
		t.Helper()
		before := sent.queries.Load()
		if err := f(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if got := sent.queries.Load() - before; got != want {
			t.Errorf("%s: %d statements; want %d", what, got, want)
		}
	}
	asked("a group with its first members", 2, func() error {
		view, err := s.Group(t.Context(), crowd, "u5")
		if err != nil || view.Members != 30 || !view.IsMember || view.Role != chat.Manager {
			t.Errorf("the group is %+v; want u5, a manager, among 30", view)
		}
		members, err := s.FirstMembers(t.Context(), crowd, 4)
		var got []chat.UserID
		for _, m := range members {
			got = append(got, m.User)
		}
		if diff := cmp.Diff([]chat.UserID{"u9", "u5", "u1", "u10"}, got); diff != "" {
			t.Errorf("the first members (-want +got):\n%s", diff)
		}
		return err
	})
	asked("a page of members", 1, func() error {
		members, err := s.MembersAfter(t.Context(), crowd, "u8", 10)
		want := []store.Member{{User: "u9", MemberInfo: store.MemberInfo{Role: chat.Owner}}}
		if diff := cmp.Diff(want, members, cmpopts.IgnoreFields(store.MemberInfo{}, "JoinedAt")); diff != "" {
			t.Errorf("the page (-want +got):\n%s", diff)
		}
		return err
	})
	asked("groups by their ids", 1, func() error {
		groups, err := s.Groups(t.Context(), app, []string{"team", "none", "crowd"})
		if len(groups) != 2 || groups[0].ID != "crowd" || groups[1].Owner != "alice" {
			t.Errorf("groups are %+v", groups)
		}
		return err
	})
	asked("a page of joined groups", 2, func() error {
		groups, total, err := s.JoinedGroups(t.Context(), chat.UserKey{App: app, User: "alice"}, nil, 0, 10)
		if total != 1 || len(groups) != 1 {
			t.Errorf("%d of %d groups; want the team", len(groups), total)
		}
		return err
	})
}
