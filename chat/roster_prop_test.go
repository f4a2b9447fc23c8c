package chat_test

import (
	"cmp"
	"fmt"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/whaleshark-im/whaleshark/chat"
)

// naive is a group as its whole log tells it, change by change in their order: what a roster is held against, and what Postgres keeps.
type naive struct {
	version   int64
	muted     bool
	destroyed bool
	at        chat.Place
	stays     []chat.Membership
}

func (n *naive) present(u chat.UserID) *chat.Membership {
	for i := range n.stays {
		if n.stays[i].User == u && n.stays[i].Left == 0 {
			return &n.stays[i]
		}
	}
	return nil
}

func (n *naive) members() []chat.UserID {
	var list []chat.UserID
	for i := range n.stays {
		if n.stays[i].Left == 0 {
			list = append(list, n.stays[i].User)
		}
	}
	return list
}

func (n *naive) fold(at chat.Place, c *chat.Change) {
	n.version, n.at = c.Version, at
	n.muted = n.muted && c.Kind != chat.GroupMuted || c.Kind == chat.GroupMuted && c.On
	n.destroyed = n.destroyed || c.Kind == chat.GroupDestroyed
	for i := range n.stays {
		if s := &n.stays[i]; c.Kind == chat.GroupTransferred && s.Left == 0 && s.Role == chat.Owner {
			s.Role, s.At = chat.Ordinary, at
		}
	}
	for _, u := range c.Users {
		if c.Kind == chat.MemberUpdated {
			continue
		}
		if c.Kind == chat.GroupCreated || c.Kind == chat.MembersJoined {
			n.stays = append(n.stays, chat.Membership{User: u, Joined: at, Role: c.Role, At: at})
			if c.Kind == chat.GroupCreated {
				n.present(u).Role = chat.Owner
			}
			continue
		}
		m := n.present(u)
		m.At = at
		switch c.Kind { //nolint:exhaustive // the others are above
		case chat.MemberLeft, chat.MemberRemoved:
			m.Left = at
		case chat.RoleSet:
			m.Role = c.Role
		case chat.GroupTransferred:
			m.Role = chat.Owner
		case chat.MemberMuted:
			m.MutedUntil = c.Until
		}
	}
}

// state is what Postgres answers: without the stays that ended before a place; 0: without all that have ended.
func (n *naive) state(endedBefore chat.Place, mark chat.Revision) chat.GroupState {
	s := chat.GroupState{Version: n.version, Muted: n.muted, Destroyed: n.destroyed, At: n.at, Mark: mark}
	for _, m := range n.stays {
		if m.Left == 0 || endedBefore != 0 && m.Left >= endedBefore {
			s.Members = append(s.Members, m)
		}
	}
	return s
}

// next draws a change that Postgres may decide after what it has decided before.
func (n *naive) next(t *rapid.T, users []chat.UserID, now int64) chat.Change {
	c := chat.Change{Version: n.version + 1}
	if n.version == 0 {
		c.Kind, c.Users = chat.GroupCreated, []chat.UserID{rapid.SampledFrom(users).Draw(t, "owner")}
		return c
	}
	var ordinary, strangers []chat.UserID
	for _, u := range users {
		switch m := n.present(u); {
		case m == nil:
			strangers = append(strangers, u)
		case m.Role != chat.Owner:
			ordinary = append(ordinary, u)
		}
	}
	kinds := []chat.ChangeKind{chat.GroupMuted, chat.MemberMuted, chat.GroupUpdated, chat.MemberUpdated}
	if len(strangers) > 0 {
		kinds = append(kinds, chat.MembersJoined, chat.MembersJoined)
	}
	if len(ordinary) > 0 {
		kinds = append(kinds, chat.MemberLeft, chat.MemberRemoved, chat.RoleSet, chat.GroupTransferred)
	}
	if rapid.IntRange(0, 9).Draw(t, "end") == 0 {
		kinds = []chat.ChangeKind{chat.GroupDestroyed}
	}
	c.Kind = rapid.SampledFrom(kinds).Draw(t, "kind")
	role := rapid.SampledFrom([]chat.MemberRole{chat.Ordinary, chat.Manager})
	switch c.Kind { //nolint:exhaustive // the others concern nobody alone
	case chat.MembersJoined:
		c.Users, c.Role = strangers[:rapid.IntRange(1, len(strangers)).Draw(t, "joining")], role.Draw(t, "role")
	case chat.MemberLeft, chat.MemberRemoved, chat.RoleSet, chat.GroupTransferred:
		c.Users = []chat.UserID{rapid.SampledFrom(ordinary).Draw(t, "user")}
	case chat.GroupUpdated:
		c.Info = `{"groupName":"x"}`
	case chat.MemberUpdated:
		c.Users, c.Info = []chat.UserID{rapid.SampledFrom(n.members()).Draw(t, "user")}, `{"alias":"x"}`
	case chat.MemberMuted:
		c.Users = []chat.UserID{rapid.SampledFrom(n.members()).Draw(t, "user")}
		c.Until = now + rapid.Int64Range(-1000, 3000).Draw(t, "until")
	}
	if c.Kind == chat.RoleSet {
		c.Role = role.Draw(t, "role")
	}
	c.On = c.Kind == chat.GroupMuted && rapid.Bool().Draw(t, "on")
	return c
}

// view is all that a roster tells.
func view(r *chat.Roster, users []chat.UserID, from, to chat.Place) map[string]any {
	v := map[string]any{"version": r.Version(), "muted": r.Muted(), "destroyed": r.Destroyed(), "len": r.Len()}
	for _, u := range users {
		if m, ok := r.Member(u); ok {
			v["member "+string(u)] = m
		}
	}
	for at := from; at <= to; at++ {
		var names []string
		for m := range r.At(at) {
			if !r.Covers(m.User, at) {
				names = append(names, "not covered:")
			}
			names = append(names, string(m.User))
		}
		v[fmt.Sprint("at ", at)] = slices.Sorted(slices.Values(names))
	}
	return v
}

func (n *naive) view(users []chat.UserID, from, to chat.Place) map[string]any {
	v := map[string]any{"version": n.version, "muted": n.muted, "destroyed": n.destroyed, "len": len(n.members())}
	for _, u := range users {
		if m := n.present(u); m != nil {
			v["member "+string(u)] = *m
		}
	}
	for at := from; at <= to; at++ {
		var names []string
		for _, m := range n.stays {
			if m.Joined < at && (m.Left == 0 || at < m.Left) {
				names = append(names, string(m.User))
			}
		}
		v[fmt.Sprint("at ", at)] = slices.Sorted(slices.Values(names))
	}
	return v
}

// TestRosterFromAnySnapshot: what Postgres has folded up to somewhere, and the log from anywhere before that on, is the whole group.
func TestRosterFromAnySnapshot(t *testing.T) {
	users := []chat.UserID{"a", "b", "c", "d"}
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 25).Draw(t, "changes")
		changes := make([]chat.Change, n)
		snapshots := make([]naive, n+1) // after so many changes
		place := func(i int) chat.Place { return chat.Place(10 * (i + 1)) }
		var all chat.Roster
		for i := range changes {
			changes[i] = snapshots[i].next(t, users, 0)
			snapshots[i+1] = snapshots[i]
			snapshots[i+1].stays = slices.Clone(snapshots[i].stays)
			snapshots[i+1].fold(place(i), &changes[i])
			all.Fold(place(i), &changes[i])
		}
		whole := &snapshots[n]
		if diff := gocmp.Diff(whole.view(users, 0, place(n)), view(&all, users, 0, place(n))); diff != "" {
			t.Fatalf("the roster of %+v is (-want +got):\n%s", changes, diff)
		}

		had := rapid.IntRange(0, n).Draw(t, "snapshot after")
		from := rapid.IntRange(0, had).Draw(t, "fold from")
		seen := place(rapid.IntRange(0, n).Draw(t, "seen from")) // of what was before, nobody asks
		state := snapshots[had].state(seen, 0)
		if rapid.Bool().Draw(t, "only the present") {
			seen, state = place(had-1), snapshots[had].state(0, 0)
		}
		var r chat.Roster
		slices.SortFunc(state.Members, func(a, b chat.Membership) int { return cmp.Compare(b.Joined, a.Joined) })
		r.Learn(state)
		for i := from; i < n; i++ {
			r.Fold(place(i), &changes[i])
		}
		if diff := gocmp.Diff(whole.view(users, seen, place(n)), view(&r, users, seen, place(n))); diff != "" {
			t.Fatalf("%+v\nfrom %d on, onto a snapshot after %d, is (-want +got):\n%s", changes, from, had, diff)
		}
		r.Forget(seen)
		if diff := gocmp.Diff(whole.view(users, seen, place(n)), view(&r, users, seen, place(n))); diff != "" {
			t.Fatalf("after forgetting what ended before %d (-want +got):\n%s", seen, diff)
		}
	})
}
