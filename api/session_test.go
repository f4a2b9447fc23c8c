package api

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/wire"
)

// imeis names the devices of a list of sessions.
func imeis(list []session) string {
	var names []string
	for _, s := range list {
		names = append(names, s.IMEI)
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

func TestSessions(t *testing.T) {
	h := open(t)
	h.own("/v1/app/options/set", body{"loginPolicy": chat.ManyDevices}).want(chat.OK)
	tablet, phone, other := h.device("alice", "tablet"), h.device("alice", "phone"), h.device("bob", "phone")
	list := func() []session {
		t.Helper()
		var got sessionList
		h.ask("/v1/user/session/list", "alice", body{"userId": "alice"}).want(chat.OK, &got)
		return got.Sessions
	}
	kick := func(which body) string {
		t.Helper()
		var got sessionList
		which["userId"] = "alice"
		h.ask("/v1/user/session/kick", "alice", which).want(chat.OK, &got)
		return imeis(got.Sessions)
	}
	h.eventually("both sessions are listed", func() bool { return imeis(list()) == "phone tablet" })
	for _, s := range list() {
		if s.ClientType != int64(chat.Android) || s.Edge == "" || s.Protocol != 3 || s.Since == 0 || s.Status != int64(wire.Online) {
			t.Errorf("a session is listed as %+v", s)
		}
	}
	for what, which := range map[string]body{
		"another edge": {"edge": "elsewhere"}, "another session": {"session": "1234567"},
		"another kind of device": {"device": body{"clientType": 1, "imei": "phone"}},
	} {
		if got := kick(which); got != "" {
			t.Errorf("%s: %s is kicked", what, got)
		}
	}
	if got := kick(body{"device": body{"clientType": 3, "imei": "phone"}}); got != "phone" {
		t.Errorf("of the phone %q is kicked", got)
	}
	phone.gets(wire.Kick)
	h.eventually("the phone's session is gone", func() bool { return imeis(list()) == "tablet" })
	s := list()[0]
	if got := kick(body{"edge": s.Edge, "session": s.Session}); got != "tablet" {
		t.Errorf("of the tablet's session %q is kicked", got)
	}
	tablet.gets(wire.Kick)
	h.eventually("no session is left", func() bool { return len(list()) == 0 })
	h.device("alice", "tablet")
	h.device("alice", "phone")
	h.eventually("both are back", func() bool { return imeis(list()) == "phone tablet" })
	if got := kick(body{}); got != "phone tablet" {
		t.Errorf("of all sessions %q are kicked", got)
	}
	h.eventually("no session is left again", func() bool { return len(list()) == 0 })
	other.none(wire.Kick)

	bob := signedBy("bob", sign("bob"))
	h.ask("/v1/user/session/list"+bob, "bob", body{"userId": "alice"}).want(chat.SignOtherUser)
	h.ask("/v1/user/session/kick"+bob, "bob", body{"userId": "alice"}).want(chat.SignOtherUser)
	h.own("/v1/user/session/list", body{"userId": "bob"}).want(chat.OK)
	h.ask("/v1/user/session/list", "alice", body{}).want(chat.BadParameter).mentions("userId")
	h.ask("/v1/user/session/kick", "alice", body{"userId": "alice", "session": "first"}).want(chat.BadParameter).mentions("session")
	h.ask("/v1/user/session/kick", "alice", body{"userId": "alice", "device": body{"clientType": 3}}).want(chat.BadParameter).mentions("device.imei")
}

func TestStatuses(t *testing.T) {
	h := open(t)
	query := func(users ...string) string {
		t.Helper()
		var got []userStatus
		h.ask("/v1/user/status/query", "alice", body{"userIds": users}).want(chat.OK, &got)
		return fmt.Sprint(got)
	}
	phone := h.device("bob", "phone")
	h.eventually("bob is online", func() bool { return query("bob", "lld") == "[{bob 1 } {lld 2 }]" })
	if err := phone.SetStatus(wire.StatusSet{Status: 7, Custom: "at lunch"}); err != nil {
		t.Fatal(err)
	}
	h.eventually("bob is at lunch", func() bool { return query("lld", "bob") == "[{lld 2 } {bob 7 at lunch}]" })
	_ = phone.Close()
	h.eventually("bob is offline", func() bool { return query("bob") == "[{bob 2 }]" })
	h.ask("/v1/user/status/query", "alice", body{"userIds": []string{}}).want(chat.BadParameter).mentions("userIds")
	h.ask("/v1/user/status/query", "alice", body{"userIds": slices.Repeat([]string{"bob"}, 201)}).want(chat.BadParameter).mentions("userIds")
}

func TestSubscription(t *testing.T) {
	h := open(t)
	h.own("/v1/app/options/set", body{"loginPolicy": chat.ManyDevices}).want(chat.OK)
	one, two := h.device("alice", "one"), h.device("alice", "two")
	subscribe := func(in body, sessions int64) subscription {
		t.Helper()
		var got subscription
		h.ask("/v1/user/status/subscribe", "alice", in).want(chat.OK, &got)
		if got.Sessions != sessions {
			t.Errorf("%d sessions watch; want %d", got.Sessions, sessions)
		}
		return got
	}
	list := func() int {
		var got sessionList
		h.ask("/v1/user/session/list", "alice", body{"userId": "alice"}).want(chat.OK, &got)
		return len(got.Sessions)
	}
	h.eventually("both sessions are seen", func() bool { return list() == 2 })

	got := subscribe(body{"userIds": []string{"bob"}, "clientType": 3, "imei": "one", "ttlMs": 60_000}, 1)
	if diff := cmp.Diff(subscription{Sessions: 1, TTL: 60_000, Users: []userStatus{{UserID: "bob", Status: 2}}}, got); diff != "" {
		t.Errorf("the answer (-want +got):\n%s", diff)
	}
	told, err := wire.ParseWatching([]byte(one.gets(wire.Watch)))
	if err != nil || len(told.Users) != 1 || told.TTL != 60_000 {
		t.Errorf("the device hears %+v, %v", told, err)
	}
	two.none(wire.Watch)
	bob := h.device("bob", "phone")
	if s, err := wire.ParseUserStatus([]byte(one.gets(wire.StatusNotify))); err != nil || s.User != "bob" || s.Status != wire.Online {
		t.Errorf("the device hears of %+v, %v", s, err)
	}
	two.none(wire.StatusNotify)
	_ = bob.Close()

	if got := subscribe(body{"userIds": []string{"bob", "lld"}}, 2); got.TTL != wire.MaxWatchTTL.Milliseconds() || len(got.Users) != 2 {
		t.Errorf("without a time the answer is %+v", got)
	}
	two.gets(wire.Watch)
	one.gets(wire.Watch)
	subscribe(body{"userIds": []string{}}, 2) // nobody any more
	two.gets(wire.Watch)
	h.ask("/v1/user/status/subscribe", "lld", body{"userIds": []string{"bob"}}).want(chat.OK)
	h.ask("/v1/user/status/subscribe", "alice", body{"userIds": slices.Repeat([]string{"bob"}, 201)}).want(chat.BadParameter).mentions("userIds")
	h.ask("/v1/user/status/subscribe", "alice", body{"ttlMs": -1}).want(chat.BadParameter).mentions("ttlMs")
}
