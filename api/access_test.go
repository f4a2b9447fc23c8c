package api

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/store"
)

// These tests go over every endpoint of the table, with the examples of its document: one that is added is tested, too.

// exampleBodyOf returns the example body of an endpoint.
func exampleBodyOf(t *testing.T, path string) body {
	t.Helper()
	example, ok := operations()[path].exampleIn.(map[string]any)
	if !ok {
		t.Fatalf("%s has no example", path)
	}
	return maps.Clone(body(example))
}

// TestEveryEndpointAsksWho asks without a userSign, with one of another app, and as somebody who is no administrator.
func TestEveryEndpointAsksWho(t *testing.T) {
	h := open(t)
	strict := h.another(nil, func(c *Config) { c.Auth = AuthRequired })
	h.addOtherApp("alice")
	for _, e := range h.api.endpoints() {
		in := exampleBodyOf(t, e.path)
		if e.access == forAnybody {
			if e.path != "/v1/user/login" {
				t.Errorf("%s is for anybody; want nothing to be but the login", e.path)
			}
			continue
		}
		strict.ask(e.path, "alice", in).want(chat.SignMissing)
		in["appId"] = otherApp
		strict.ask(e.path+"?identifier=alice&userSign="+sign("alice"), "alice", in).want(chat.SignWrong).mentions("another app")
		in["appId"] = store.DemoApp
		if e.access == forAdmins || e.access == forOwners {
			strict.ask(e.path+signedBy("alice", sign("alice")), "admin", in).want(chat.AdminOnly)
		}
	}
}

// TestNobodyActsForAnybodyElse names somebody else wherever a body says in whose name something is done.
func TestNobodyActsForAnybodyElse(t *testing.T) {
	h := open(t)
	strict := h.another(nil, func(c *Config) { c.Auth = AuthRequired })
	actors := []string{"fromId", "userId"}
	about := map[string]bool{"/v1/user/data/getSingleUserInfo": true} // profiles are for all users
	named := 0
	for _, e := range h.api.endpoints() {
		if e.access != forUsers || about[e.path] {
			continue
		}
		for _, f := range e.in.flat() {
			if !slices.Contains(actors, f.name) && (f.name != "memberId" || e.path != "/v1/group/getJoinedGroup") {
				continue
			}
			named++
			in := exampleBodyOf(t, e.path)
			in[f.name] = "lld"
			for _, operater := range []string{"alice", "lld", ""} {
				strict.ask(e.path+signedBy("alice", sign("alice")), operater, in).want(chat.SignOtherUser)
			}
		}
	}
	if named < 30 {
		t.Errorf("%d endpoints name who acts; want those that there are", named)
	}
}

// theirs is in everything that the demo app has of its own.
const theirs = "theirs alone"

// TestAppsAreApartEverywhere asks every endpoint as another app's administrator and as its user, with the ids of the demo app: nothing of the demo
// app's is told, or changes.
func TestAppsAreApartEverywhere(t *testing.T) {
	h := open(t)
	h.addOtherApp("alice", "bob", "lld")
	if err := h.store.Appoint(t.Context(), chat.UserKey{App: otherApp, User: "admin"}); err != nil {
		t.Fatal(err)
	}
	h.ask("/v1/user/data/modifyUserInfo", "alice", body{"userId": "alice", "nickName": theirs, "extra": theirs}).want(chat.OK)
	h.ask("/v1/group/update", "admin", body{"groupId": "team", "groupName": theirs, "notification": theirs}).want(chat.OK)
	h.ask("/v1/group/member/update", "admin", body{"groupId": "team", "memberId": "bob", "alias": theirs}).want(chat.OK)
	h.ask("/v1/group/apply", "10003", body{"groupId": "team", "wording": theirs}).want(chat.OK)
	h.ask("/v1/friendship/group/add", "alice", body{"fromId": "alice", "groupName": "team", "toIds": []string{"bob"}}).want(chat.OK)
	h.ask("/v1/friendship/updateFriend", "alice", body{"fromId": "alice", "toItem": body{"toId": "bob", "remark": theirs}}).want(chat.OK)
	h.ask("/v1/friendship/addFriend", "alice", body{"fromId": "alice", "toItem": body{"toId": "bantanger", "addWording": theirs}}).want(chat.OK)
	h.ask("/v1/message/send", "alice", body{"toId": "bob", "messageBody": theirs}).want(chat.OK)
	h.eventually("the group takes a message", func() bool {
		return h.ask("/v1/group/sendMessage", "alice", body{"groupId": "team", "messageBody": theirs}).Code == chat.OK
	})
	db, err := pgx.Connect(t.Context(), h.database)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(t.Context())
	h.eventually("the messages are in Postgres", func() bool { return ask[int](t, db, `SELECT count(*) FROM message WHERE body = $1`, theirs) == 2 })
	before := rowsOf(t, db, store.DemoApp)
	for _, e := range lastOf(h.api.endpoints(), "/v1/user/deleteUser", "/v1/app/keys/set") {
		for _, user := range []string{"alice", "admin"} {
			in := exampleBodyOf(t, e.path)
			in["appId"] = otherApp
			a := h.ask(e.path+"?userSign="+chat.Sign(otherApp, "other", chat.UserID(user), h.api.cfg.now(), 1e12), user, in)
			if a.Code == chat.SignWrong || a.Code == chat.SignExpired || a.Code == chat.BadParameter || a.Code == chat.Internal {
				t.Errorf("%s in the other app, by %s: %d %q", e.path, user, a.Code, a.Msg)
			}
			if strings.Contains(string(a.Data)+a.Msg, theirs) {
				t.Errorf("%s tells %s of the other app: %s", e.path, user, a.Data)
			}
		}
	}
	after := rowsOf(t, db, store.DemoApp)
	for table, rows := range before {
		if after[table] != rows {
			t.Errorf("the demo app's rows of %s have changed from\n%s\nto\n%s", table, rows, after[table])
		}
	}
}

// lastOf moves endpoints after which others find things changed to the end.
func lastOf(endpoints []endpoint, paths ...string) []endpoint {
	slices.SortStableFunc(endpoints, func(a, b endpoint) int {
		return cmp.Compare(slices.Index(paths, a.path), slices.Index(paths, b.path))
	})
	return endpoints
}

// rowsOf returns the rows of an app, by their tables.
func rowsOf(t *testing.T, db *pgx.Conn, app chat.AppID) map[string]string {
	t.Helper()
	tables := ask[[]string](t, db, `SELECT array_agg(c.table_name::text) FROM information_schema.columns AS c
		WHERE c.column_name = 'app_id' AND c.table_schema = 'public' AND c.table_name NOT IN ('event_outbox', 'outbox')`)
	if len(tables) < 12 {
		t.Fatalf("only the tables %v have apps", tables)
	}
	rows := make(map[string]string)
	for _, table := range tables {
		rows[table] = ask[string](t, db, `SELECT COALESCE(string_agg(x::text, chr(10) ORDER BY x::text), '') FROM `+table+` AS x WHERE app_id = $1`, app)
	}
	return rows
}

// ask returns the one value that a query comes to.
func ask[T any](t *testing.T, db *pgx.Conn, query string, args ...any) (x T) {
	t.Helper()
	if err := db.QueryRow(t.Context(), query, args...).Scan(&x); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return x
}
