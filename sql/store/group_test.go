package store_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/store"
	"github.com/whaleshark-im/whaleshark/sql/storetest"
)

// groupOf returns a store with a group: o owns it, m1 and m2 are managers, u1 and u2 ordinary; n1 to n3 are no members.
func groupOf(t *testing.T) (*store.Store, string, chat.Conversation) {
	t.Helper()
	url := storetest.URL(t)
	s := storetest.Open(t, url)
	users := []string{"o", "m1", "m2", "u1", "u2", "n1", "n2", "n3"}
	run(t, url, `INSERT INTO app_user (app_id, user_id) SELECT 10001, unnest('{`+strings.Join(users, ",")+`}'::text[])`)
	made, err := s.CreateGroup(t.Context(), store.NewGroup{
		App: app, Owner: "o", Name: "g", Type: store.PublicGroup, Members: []chat.UserID{"m1", "u1", "m2", "u2", "u1", "o"}, MaxMembers: 6,
	})
	if err != nil {
		t.Fatal(err)
	}
	group := chat.GroupOf(app, made.ID)
	for _, m := range []chat.UserID{"m1", "m2"} {
		if err := s.SetRole(t.Context(), group, "o", m, chat.Manager); err != nil {
			t.Fatal(err)
		}
	}
	return s, url, group
}

// news returns the changes of the outbox after a version.
func news(t *testing.T, s *store.Store, after int64) []chat.Change {
	t.Helper()
	outgoing, err := s.Outgoing(t.Context(), 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	var changes []chat.Change
	for _, o := range outgoing {
		if o.Change.Version > after {
			changes = append(changes, o.Change)
		}
	}
	return changes
}

func TestGroupRules(t *testing.T) {
	until := time.UnixMilli(1_700_000_000_000)
	for name, c := range map[string]struct {
		do   func(*store.Store, chat.Conversation) error
		code chat.Code
		want *chat.Change
	}{
		"a member goes": {
			func(s *store.Store, g chat.Conversation) error { return s.LeaveGroup(t.Context(), g, "u1") }, chat.OK,
			&chat.Change{Kind: chat.MemberLeft, Version: 5, Users: []chat.UserID{"u1"}},
		},
		"the owner does not go": {
			func(s *store.Store, g chat.Conversation) error { return s.LeaveGroup(t.Context(), g, "o") }, chat.OwnerNotRemove, nil,
		},
		"a stranger does not go": {
			func(s *store.Store, g chat.Conversation) error { return s.LeaveGroup(t.Context(), g, "n1") }, chat.NotMember, nil,
		},
		"a manager removes an ordinary member": {
			func(s *store.Store, g chat.Conversation) error { return s.RemoveMember(t.Context(), g, "m1", "u1") }, chat.OK,
			&chat.Change{Kind: chat.MemberRemoved, Version: 5, Users: []chat.UserID{"u1"}},
		},
		"a manager does not remove a manager": {
			func(s *store.Store, g chat.Conversation) error { return s.RemoveMember(t.Context(), g, "m1", "m2") }, chat.OwnerOnly, nil,
		},
		"nobody removes the owner": {
			func(s *store.Store, g chat.Conversation) error { return s.RemoveMember(t.Context(), g, "", "o") }, chat.OwnerNotRemove, nil,
		},
		"an ordinary member removes nobody": {
			func(s *store.Store, g chat.Conversation) error { return s.RemoveMember(t.Context(), g, "u1", "u2") }, chat.ManagersOnly, nil,
		},
		"who is no member is not removed": {
			func(s *store.Store, g chat.Conversation) error { return s.RemoveMember(t.Context(), g, "o", "n1") }, chat.NotMember, nil,
		},
		"the app removes a manager": {
			func(s *store.Store, g chat.Conversation) error { return s.RemoveMember(t.Context(), g, "", "m1") }, chat.OK,
			&chat.Change{Kind: chat.MemberRemoved, Version: 5, Users: []chat.UserID{"m1"}},
		},
		"a manager sets no role": {
			func(s *store.Store, g chat.Conversation) error {
				return s.SetRole(t.Context(), g, "m1", "u1", chat.Manager)
			}, chat.OwnerOnly, nil,
		},
		"the owner sets a role": {
			func(s *store.Store, g chat.Conversation) error {
				return s.SetRole(t.Context(), g, "o", "m1", chat.Ordinary)
			}, chat.OK,
			&chat.Change{Kind: chat.RoleSet, Version: 5, Users: []chat.UserID{"m1"}, Role: chat.Ordinary},
		},
		"a role that is there changes nothing": {
			func(s *store.Store, g chat.Conversation) error {
				return s.SetRole(t.Context(), g, "o", "m1", chat.Manager)
			}, chat.OK, nil,
		},
		"nobody is made owner by a role": {
			func(s *store.Store, g chat.Conversation) error {
				return s.SetRole(t.Context(), g, "o", "m1", chat.Owner)
			}, chat.BadParameter, nil,
		},
		"a manager mutes an ordinary member": {
			func(s *store.Store, g chat.Conversation) error {
				return s.MuteMember(t.Context(), g, "m1", "u1", until)
			}, chat.OK,
			&chat.Change{Kind: chat.MemberMuted, Version: 5, Users: []chat.UserID{"u1"}, Until: until.UnixMilli()},
		},
		"a manager does not mute the owner": {
			func(s *store.Store, g chat.Conversation) error { return s.MuteMember(t.Context(), g, "m1", "o", until) }, chat.AdminOnly, nil,
		},
		"who may speak is not unmuted": {
			func(s *store.Store, g chat.Conversation) error {
				return s.MuteMember(t.Context(), g, "m1", "u1", time.Time{})
			}, chat.OK, nil,
		},
		"a manager mutes the group": {
			func(s *store.Store, g chat.Conversation) error { return s.MuteGroup(t.Context(), g, "m1", true) }, chat.OK,
			&chat.Change{Kind: chat.GroupMuted, Version: 5, On: true},
		},
		"an ordinary member does not mute the group": {
			func(s *store.Store, g chat.Conversation) error { return s.MuteGroup(t.Context(), g, "u1", true) }, chat.ManagersOnly, nil,
		},
		"the owner transfers the group": {
			func(s *store.Store, g chat.Conversation) error { return s.TransferGroup(t.Context(), g, "o", "u1") }, chat.OK,
			&chat.Change{Kind: chat.GroupTransferred, Version: 5, Users: []chat.UserID{"u1"}},
		},
		"nobody else transfers it": {
			func(s *store.Store, g chat.Conversation) error { return s.TransferGroup(t.Context(), g, "m1", "m1") }, chat.OwnerOnly, nil,
		},
		"a stranger does not get it": {
			func(s *store.Store, g chat.Conversation) error { return s.TransferGroup(t.Context(), g, "o", "n1") }, chat.NotMember, nil,
		},
		"a manager does not destroy it": {
			func(s *store.Store, g chat.Conversation) error { return s.DestroyGroup(t.Context(), g, "m1") }, chat.OwnerOnly, nil,
		},
		"the owner destroys it": {
			func(s *store.Store, g chat.Conversation) error { return s.DestroyGroup(t.Context(), g, "o") }, chat.OK,
			&chat.Change{Kind: chat.GroupDestroyed, Version: 5},
		},
		"a manager describes the group": {
			func(s *store.Store, g chat.Conversation) error {
				return s.Describe(t.Context(), g, "m1", chat.Change{Kind: chat.GroupUpdated, Info: `{"groupName":"x"}`})
			}, chat.OK,
			&chat.Change{Kind: chat.GroupUpdated, Version: 5, Info: `{"groupName":"x"}`},
		},
		"what describes it is no object": {
			func(s *store.Store, g chat.Conversation) error {
				return s.Describe(t.Context(), g, "m1", chat.Change{Kind: chat.GroupUpdated, Info: `"x"`})
			}, chat.BadParameter, nil,
		},
		"a group that is not there": {
			func(s *store.Store, _ chat.Conversation) error {
				return s.MuteGroup(t.Context(), chat.GroupOf(app, "nothing"), "", true)
			}, chat.GroupMissing, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, _, g := groupOf(t)
			err := c.do(s, g)
			var refusal chat.Error
			if errors.As(err, &refusal); err != nil && refusal.Code != c.code || err == nil && c.code != chat.OK {
				t.Errorf("it says %v; want %v", err, c.code)
			}
			var want []chat.Change
			if c.want != nil {
				want = []chat.Change{*c.want}
			}
			if diff := cmp.Diff(want, news(t, s, 4)); diff != "" {
				t.Errorf("changes (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTransferredGroupHasOneOwner(t *testing.T) {
	s, url, g := groupOf(t)
	if err := s.TransferGroup(t.Context(), g, "o", "u1"); err != nil {
		t.Fatal(err)
	}
	if err := s.SetRole(t.Context(), g, "o", "u2", chat.Manager); !errors.Is(err, chat.Error{Code: chat.ManagersOnly}) {
		t.Errorf("the owner before sets a role: %v; want %v", err, chat.ManagersOnly)
	}
	if err := s.LeaveGroup(t.Context(), g, "o"); err != nil {
		t.Errorf("the owner before goes: %v", err)
	}
	if n := count(t, url, `SELECT count(*) FROM group_member WHERE role = 2 AND user_id = 'u1'`); n != 1 {
		t.Errorf("%d owners are u1; want 1", n)
	}
}

func TestJoiningTellsOfEach(t *testing.T) {
	s, _, g := groupOf(t)
	if _, err := s.AddMembers(t.Context(), g, "u1", []chat.UserID{"n1"}); !errors.Is(err, chat.Error{Code: chat.ManagersOnly}) {
		t.Errorf("an ordinary member adds somebody: %v; want %v", err, chat.ManagersOnly)
	}
	added, err := s.AddMembers(t.Context(), g, "m1", []chat.UserID{"u1", "nobody", "n1", "n1", "n2"})
	if err != nil {
		t.Fatal(err)
	}
	want := []store.Added{
		{"u1", chat.AlreadyMember}, {"nobody", chat.UserMissing}, {"n1", chat.OK}, {"n1", chat.AlreadyMember}, {"n2", chat.MemberLimit},
	}
	if diff := cmp.Diff(want, added); diff != "" {
		t.Errorf("added (-want +got):\n%s", diff)
	}
	changes := []chat.Change{{Kind: chat.MembersJoined, Version: 5, Users: []chat.UserID{"n1"}}}
	if diff := cmp.Diff(changes, news(t, s, 4)); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
	if err := s.RemoveMember(t.Context(), g, "m1", "n1"); err != nil {
		t.Fatal(err)
	}
	if added, err := s.AddMembers(t.Context(), g, "", []chat.UserID{"n2"}); err != nil || added[0].Code != chat.OK {
		t.Errorf("the app adds n2 to the room that n1 has left: %v, %v", added, err)
	}
}

func TestDestroyedGroupStaysSo(t *testing.T) {
	s, _, g := groupOf(t)
	if err := s.DestroyGroup(t.Context(), g, ""); err != nil {
		t.Fatal(err)
	}
	if err := s.MuteGroup(t.Context(), g, "", true); !errors.Is(err, chat.Error{Code: chat.GroupIsGone}) {
		t.Errorf("muting it: %v; want %v", err, chat.GroupIsGone)
	}
	if err := s.DestroyGroup(t.Context(), g, "o"); !errors.Is(err, chat.Error{Code: chat.GroupIsGone}) {
		t.Errorf("destroying it again: %v; want %v", err, chat.GroupIsGone)
	}
	if _, err := s.CreateGroup(t.Context(), store.NewGroup{App: app, ID: g.A, Owner: "o"}); !errors.Is(err, chat.Error{Code: chat.GroupExists}) {
		t.Errorf("creating it again: %v; want %v", err, chat.GroupExists)
	}
}

// TestGroupOlderThanItsLogDoesNotChange has rows that are older than what persist has folded, as after a restore: numbers are not given twice.
func TestGroupOlderThanItsLogDoesNotChange(t *testing.T) {
	s, url, g := groupOf(t)
	gone := chat.GroupOf(app, "gone")
	for c, version := range map[chat.Conversation]string{g: "4", gone: "7"} {
		run(t, url, `INSERT INTO conversation (app_id, token, kind, a, head, last_place, version) VALUES (10001, '`+c.String()+`', 1, '`+c.A+`', 0, 0, `+version+`)`)
	}
	if err := s.MuteGroup(t.Context(), g, "o", true); err != nil {
		t.Fatalf("a log that is all folded in: %v", err)
	}
	run(t, url, `UPDATE conversation SET version = 6 WHERE a = '`+g.A+`'`)
	refused := func(what string, err error) {
		t.Helper()
		var refusal chat.Error
		if !errors.As(err, &refusal) || refusal.Code != chat.Unavailable || !strings.Contains(refusal.Reason, "restored") {
			t.Errorf("%s: %v; want %v, and why", what, err, chat.Unavailable)
		}
	}
	refused("a change", s.MuteGroup(t.Context(), g, "o", false))
	_, err := s.AddMembers(t.Context(), g, "o", []chat.UserID{"n1"})
	refused("a joining", err)
	_, err = s.CreateGroup(t.Context(), store.NewGroup{App: app, ID: gone.A, Owner: "o"})
	refused("creating a group that has a log", err)
	if n := count(t, url, `SELECT count(*) FROM outbox WHERE version > 5 OR group_id = 'gone'`); n != 0 {
		t.Errorf("%d changes are on their way; want none", n)
	}
}

func TestGroupNeedsItsPeople(t *testing.T) {
	s, url, _ := groupOf(t)
	for name, c := range map[string]struct {
		group store.NewGroup
		code  chat.Code
	}{
		"an owner who is not there": {store.NewGroup{App: app, Owner: "nobody"}, chat.UserMissing},
		"a member who is not there": {store.NewGroup{App: app, Owner: "o", Members: []chat.UserID{"u1", "nobody"}}, chat.UserMissing},
		"too many members":          {store.NewGroup{App: app, Owner: "o", Members: []chat.UserID{"u1", "u2"}, MaxMembers: 2}, chat.MemberLimit},
		"an id with U+0000":         {store.NewGroup{App: app, Owner: "o", ID: "a\x00"}, chat.BadParameter},
	} {
		_, err := s.CreateGroup(t.Context(), c.group)
		var refusal chat.Error
		if !errors.As(err, &refusal) || refusal.Code != c.code {
			t.Errorf("%s: %v; want %v", name, err, c.code)
		}
	}
	if n := count(t, url, `SELECT count(*) FROM chat_group`); n != 1 {
		t.Errorf("%d groups; want only the one before", n)
	}
}

// TestChangesAtOnceHaveOneOrder has many change a group at the same time: its versions are dense, and the outbox has them in order.
func TestChangesAtOnceHaveOneOrder(t *testing.T) {
	s, _, g := groupOf(t)
	var w errgroup.Group
	for i := range 8 {
		w.Go(func() error {
			for n := range 5 {
				if err := s.MuteMember(t.Context(), g, "", "u1", time.UnixMilli(int64(100*i+n+1))); err != nil {
					return fmt.Errorf("mute %d of %d: %w", n, i, err)
				}
			}
			return nil
		})
	}
	if err := w.Wait(); err != nil {
		t.Fatal(err)
	}
	changes := news(t, s, 0)
	for i, c := range changes {
		if c.Version != int64(i+1) {
			t.Fatalf("change %d of the outbox has version %d", i+1, c.Version)
		}
	}
	if len(changes) != 44 {
		t.Errorf("%d changes; want 44", len(changes))
	}
}
