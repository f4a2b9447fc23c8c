package store_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/store"
)

func TestRequestsAreToldInTheirTransaction(t *testing.T) {
	s, url, g := groupOf(t)
	admin := store.Acting{Admin: true}
	if err := s.UpdateGroup(t.Context(), g, "o", store.GroupInfo{Joining: ptr(store.ApprovedJoin)}, admin); err != nil {
		t.Fatal(err)
	}
	var told []store.Requested
	tell := func(r store.Requested) []chat.Event {
		told = append(told, r)
		return []chat.Event{{App: app, Aggregate: chat.GroupAggregate(r.Group.ID)}}
	}
	r, err := s.ApplyToGroup(t.Context(), g, "n1", "hi", tell)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]chat.UserID{"o", "m1", "m2"}, r.Staff); diff != "" {
		t.Errorf("who decides (-want +got):\n%s", diff)
	}
	if _, err := s.DecideJoinRequest(t.Context(), app, "u1", r.ID, true, false, tell); !errors.Is(err, chat.Error{Code: chat.ManagersOnly}) {
		t.Errorf("an ordinary member decides: %v", err)
	}
	run(t, url, `UPDATE app_user SET deleted_at = now() WHERE user_id = 'n1'`)
	var refusal chat.Error
	if _, err := s.DecideJoinRequest(t.Context(), app, "m1", r.ID, true, false, tell); !errors.As(err, &refusal) || refusal.Code != chat.RequestMissing {
		t.Errorf("one who is deleted is let in: %v", err)
	}
	run(t, url, `UPDATE app_user SET deleted_at = NULL WHERE user_id = 'n1'`)
	if _, err := s.DecideJoinRequest(t.Context(), app, "m1", r.ID, true, false, tell); err != nil {
		t.Fatal(err)
	}
	if len(told) != 2 || told[1].Status != store.RequestAgreed || told[1].HandledBy != "m1" {
		t.Errorf("told of %+v", told)
	}
	if n := count(t, url, `SELECT count(*) FROM event_outbox WHERE aggregate LIKE 'group/%'`); n != 2 {
		t.Errorf("%d events; want one of the request and one of the answer", n)
	}
	if n := count(t, url, `SELECT count(*) FROM group_member WHERE user_id = 'n1' AND join_type = 'apply'`); n != 1 {
		t.Error("he is no member")
	}
	run(t, url, `INSERT INTO group_member (app_id, group_id, user_id, role)
		SELECT 10001, group_id, 'x' || i, 1 FROM chat_group, generate_series(1, 2000) AS i`)
	run(t, url, `UPDATE chat_group SET max_members = 3000`)
	if r, err := s.ApplyToGroup(t.Context(), g, "n2", "hi", tell); err != nil || len(r.Staff) != 1000 || r.Staff[0] != "o" {
		t.Errorf("of 2003 who may decide %d are told, %v; want 1000, the owner first", len(r.Staff), err)
	}
}
