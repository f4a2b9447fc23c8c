package api

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/store"
)

func TestJoinedGroupsAreSynced(t *testing.T) {
	h := open(t)
	h.teamIsThere()
	first := pages[joinedGroup](h, joinedPath, "bob", nil, 1)[0]
	if first.GroupID != "team" || first.OwnerID != "alice" || first.GroupName != "team" || first.Status != store.GroupNormal || first.Left || first.Sequence == 0 {
		t.Errorf("bob is in %+v", first)
	}
	for _, id := range []string{"g1", "g2", "g3", "g4"} {
		if _, err := h.store.CreateGroup(t.Context(), store.NewGroup{
			App: store.DemoApp, ID: id, Owner: "bob", Name: id, Members: []chat.UserID{"lld"},
		}); err != nil {
			t.Fatal(err)
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		h.conn.Nudge()
	}
	must(h.store.RemoveMember(t.Context(), chat.GroupOf(store.DemoApp, "team"), "alice", "bob"))
	must(h.store.DestroyGroup(t.Context(), chat.GroupOf(store.DemoApp, "g2"), ""))
	state := func(rows []joinedGroup) map[string]string {
		all := make(map[string]string)
		for _, r := range rows {
			all[r.GroupID] += map[bool]string{true: "left ", false: ""}[r.Left] + map[bool]string{true: "destroyed", false: ""}[r.Destroyed]
			if r.Left != (r.OwnerID == "") || r.Destroyed != (r.Status == store.GroupDestroyed) {
				t.Errorf("a group is told as %+v", r)
			}
		}
		return all
	}
	want := map[string]string{"team": "left ", "g1": "", "g2": "destroyed", "g3": "", "g4": ""}
	h.eventually("the log has it all", func() bool {
		return cmp.Equal(state(pages[joinedGroup](h, joinedPath, "bob", nil, 100)), want)
	})
	for limit := 1; limit <= 7; limit++ {
		if diff := cmp.Diff(want, state(pages[joinedGroup](h, joinedPath, "bob", nil, limit))); diff != "" {
			t.Errorf("%d at a time (-want +got):\n%s", limit, diff)
		}
	}
	if rows := pages[joinedGroup](h, joinedPath, "admin", nil, 1); len(rows) != 0 {
		t.Errorf("who is in no group is told %+v", rows)
	}
}
