package api

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/store"
)

// signedBy is the query of a request whose sender proves who he is.
func signedBy(user, sign string) string {
	return "?" + url.Values{"appId": {store.DemoApp.String()}, "identifier": {user}, "userSign": {sign}}.Encode()
}

// own asks in the name of the administrator of the demo app, who proves it.
func (h *house) own(path string, in body) *answer {
	h.t.Helper()
	return h.ask(path+signedBy("admin", sign("admin")), "admin", in)
}

func TestOptionsOfAnApp(t *testing.T) {
	h := open(t)
	get := func() (o appOptions) {
		t.Helper()
		h.ask("/v1/app/options/get", "admin", body{}).want(chat.OK, &o)
		return o
	}
	plain := appOptions{CheckFriend: true, CheckBlack: true, RouteModel: 3, DeleteMode: 1, Callbacks: []string{}, Keys: 1}
	if diff := cmp.Diff(plain, get()); diff != "" {
		t.Errorf("the options of a new app (-want +got):\n%s", diff)
	}
	var now appOptions
	h.own("/v1/app/options/set", body{
		"checkFriend": false, "loginPolicy": 1, "imRouteModel": "2", "deleteConversationSyncMode": 2, "callbackUrl": "https://example.org/hook",
		"callbackSecrets": []string{"old", "new"}, "callbacks": []string{chat.HookFriendAdded}, "historyBeforeJoining": true, "callbackFailClosed": 1,
	}).want(chat.OK, &now)
	want := appOptions{
		CheckBlack: true, LoginPolicy: 1, HistoryBefore: true, RouteModel: 2, DeleteMode: 2, URL: "https://example.org/hook",
		Callbacks: []string{chat.HookFriendAdded}, FailClosed: true, Secrets: 2, Keys: 1,
	}
	if diff := cmp.Diff(want, now); diff != "" {
		t.Errorf("the options that were set (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want, get()); diff != "" {
		t.Errorf("the options that are read then (-want +got):\n%s", diff)
	}
	h.own("/v1/app/options/set", body{"callbackUrl": "", "callbacks": []string{}}).want(chat.OK, &now)
	want.URL, want.Callbacks = "", []string{}
	if diff := cmp.Diff(want, now); diff != "" {
		t.Errorf("what is left out stays as it is (-want +got):\n%s", diff)
	}
	for field, bad := range map[string]any{
		"callbackUrl": "ftp://example.org", "callbackSecrets": []string{"a", "b", "c"}, "loginPolicy": 5, "imRouteModel": 0, "checkBlack": "maybe",
	} {
		h.own("/v1/app/options/set", body{field: bad}).want(chat.BadParameter).mentions(field)
	}
	for _, url := range []string{"https://", "//example.org", "http://[", "javascript:alert(1)"} {
		h.own("/v1/app/options/set", body{"callbackUrl": url}).want(chat.BadParameter).mentions("callbackUrl")
	}
	h.own("/v1/app/options/set", body{"callbacks": []string{"friend.hugged"}}).want(chat.BadParameter).mentions("friend.hugged")
	h.own("/v1/app/options/set", body{"callbackSecrets": []string{" "}}).want(chat.BadParameter).mentions("callbackSecrets")
	h.ask("/v1/app/options/set", "admin", body{"checkFriend": true}).want(chat.AdminOnly) // he has not proved it
	h.ask("/v1/app/options/get"+signedBy("alice", sign("alice")), "alice", body{}).want(chat.AdminOnly)
	if diff := cmp.Diff(want, get()); diff != "" {
		t.Errorf("after what was refused (-want +got):\n%s", diff)
	}
}

func TestKeysOfAnApp(t *testing.T) {
	h := open(t)
	h.own("/v1/app/keys/set", body{"keys": []string{}}).want(chat.BadParameter).mentions("keys")
	h.own("/v1/app/keys/set", body{"keys": []string{""}}).want(chat.BadParameter).mentions("keys")
	h.ask("/v1/app/keys/set", "admin", body{"keys": []string{"new"}}).want(chat.AdminOnly)
	h.own("/v1/app/keys/set", body{"keys": []string{"new", "bantanger"}}).want(chat.OK)

	issue := func(user string, expire int64) *answer {
		return h.own("/v1/user/sign/issue", body{"userId": user, "expire": expire})
	}
	issue("nobody", 1).want(chat.UserMissing)
	issue("alice", 31*24*3600).want(chat.BadParameter).mentions("expire")
	h.ask("/v1/user/sign/issue", "admin", body{"userId": "alice"}).want(chat.AdminOnly)
	var issued issuedSign
	issue("alice", 60).want(chat.OK, &issued)
	app, err := h.store.App(t.Context(), store.DemoApp)
	if err != nil {
		t.Fatal(err)
	}
	now := h.api.cfg.now()
	if left := issued.Expire - now.UnixMilli(); left < 50_000 || left > 60_000 {
		t.Errorf("a userSign of a minute holds for %d ms", left)
	}
	if err := chat.VerifySign(issued.Sign, store.DemoApp, "alice", app.Keys[:1], now); err != nil {
		t.Errorf("it is not signed with the first key: %v", err)
	}
	me := body{"userId": "alice"}
	h.ask("/v1/user/getUserSequence"+signedBy("alice", issued.Sign), "alice", me).want(chat.OK)
	h.ask("/v1/user/getUserSequence"+signedBy("alice", sign("alice")), "alice", me).want(chat.OK) // the old key holds, too
	h.send(http.MethodPost, "/v1/user/getUserSequence"+signedBy("bob", issued.Sign), "{}", nil).want(chat.SignOtherUser)

	h.own("/v1/app/keys/set", body{"keys": []string{"new"}}).want(chat.OK)
	h.ask("/v1/user/getUserSequence"+signedBy("alice", sign("alice")), "alice", me).want(chat.SignWrong)
}
