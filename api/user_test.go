package api

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/argon2"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/store"
	"github.com/whaleshark-im/whaleshark/wire"
)

const otherApp = chat.AppID(10002)

// addOtherApp adds an app whose users have the demo app's ids, and returns how to ask in it.
func (h *house) addOtherApp(users ...string) func(path, user string, in body) *answer {
	h.t.Helper()
	if err := h.store.SetApp(h.t.Context(), chat.App{ID: otherApp, Keys: []string{"other"}, CheckFriend: true, CheckBlack: true}); err != nil {
		h.t.Fatal(err)
	}
	var list []body
	for _, u := range users {
		list = append(list, body{"userId": u, "nickName": "other " + u, "userType": 1})
	}
	ask := func(path, user string, in body) *answer {
		h.t.Helper()
		in["appId"] = otherApp
		return h.ask(path, user, in)
	}
	var got outcome
	if ask("/v1/user/importUser", "admin", body{"userData": list}).want(chat.OK, &got); len(got.ErrorID) > 0 {
		h.t.Fatalf("users %v were not imported into the other app", got.ErrorID)
	}
	return ask
}

// signed asks as somebody who has proved who he is.
func (h *house) signed(path, user string, in body) *answer {
	h.t.Helper()
	b, err := json.Marshal(in)
	if err != nil {
		h.t.Fatal(err)
	}
	return h.send("POST", path+"?appId=10001&identifier="+user+"&userSign="+sign(user), string(b), nil)
}

func TestSequences(t *testing.T) {
	h := open(t)
	var seqs map[string]int64
	h.ask("/v1/user/getUserSequence", "alice", body{"userId": "alice"}).want(chat.OK, &seqs)
	if seqs["friendShipSeq"] != 4 || seqs["friendShipRequestSeq"] != 0 {
		t.Errorf("the sequences are %v; want 4 of her friends, and 0 of what has not happened", seqs)
	}
	h.ask("/v1/user/getUserSequence", "alice", body{}).want(chat.BadParameter).mentions("userId")
	h.ask("/v1/user/getUserSequence", "alice", body{"userId": "nobody"}).want(chat.UserMissing)
	h.signed("/v1/user/getUserSequence", "alice", body{"userId": "bob"}).want(chat.SignOtherUser)
}

func TestUsersAreImported(t *testing.T) {
	h := open(t)
	var got outcome
	carol := body{
		"userId": "carol", "nickName": "Carol", "location": "here", "birthDay": "1990-01-01", "password": "secret", "photo": "http://x/y.png",
		"userSex": "2", "selfSignature": "hi", "friendAllowType": 2, "disableAddFriend": 1, "silentFlag": 1, "extra": "{}", "appId": 7, "delFlag": 1,
	}
	h.ask("/v1/user/importUser", "admin", body{"userData": []body{
		carol, {"userId": "dave"}, {"userId": "alice"}, {"userId": ""}, {"userId": strings.Repeat("x", 51)}, {"userId": "dave", "nickName": "again"},
	}}).want(chat.OK, &got)
	want := outcome{SuccessID: []string{"carol", "dave"}, ErrorID: []string{"alice", "", strings.Repeat("x", 51)}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what became of them (-want +got):\n%s", diff)
	}
	var info userInfo
	a := h.ask("/v1/user/data/getSingleUserInfo", "alice", body{"userId": "carol"}).want(chat.OK, &info)
	wanted := userInfo{
		UserID: "carol", NickName: "Carol", Location: "here", BirthDay: "1990-01-01", Photo: "http://x/y.png", UserSex: "2", SelfSignature: "hi",
		FriendAllowType: 2, DisableAddFriend: 1, SilentFlag: 1, UserType: 1, AppID: store.DemoApp, Extra: "{}",
	}
	if diff := cmp.Diff(wanted, info); diff != "" {
		t.Errorf("carol (-want +got):\n%s", diff)
	}
	if strings.Contains(string(a.Data), "assword") {
		t.Errorf("the profile %s tells of the password", a.Data)
	}
	h.ask("/v1/user/importUser", "admin", body{"userData": []body{{"userId": "e", "friendAllowType": 3}}}).want(chat.BadParameter).
		mentions("userData.0.friendAllowType")
	many := make([]body, importedAtOnce+1)
	for i := range many {
		many[i] = body{"userId": fmt.Sprint("many", i)}
	}
	h.ask("/v1/user/importUser", "admin", body{"userData": many}).want(chat.TooManyUsers)
	h.ask("/v1/user/importUser", "admin", body{"userData": many[:importedAtOnce]}).want(chat.OK, &got)
	if len(got.SuccessID) != importedAtOnce {
		t.Errorf("%d users were imported; want %d", len(got.SuccessID), importedAtOnce)
	}
	h.signed("/v1/user/importUser", "alice", body{"userData": []body{{"userId": "e"}}}).want(chat.AdminOnly)
	lax := h.another(nil, func(c *Config) { c.MaxUserID = 100 }) // no body could name him
	lax.ask("/v1/user/importUser", "admin", body{"userData": []body{{"userId": strings.Repeat("x", 51)}}}).want(chat.OK, &got)
	if len(got.ErrorID) != 1 {
		t.Errorf("a user with 51 characters was imported: %+v", got)
	}
}

func TestPasswordsAreHashed(t *testing.T) {
	a, err := hashPassword(t.Context(), "secret")
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(a, "$")
	if len(parts) != 6 || parts[1] != "argon2id" {
		t.Fatalf("%q is no argon2id hash", a)
	}
	salt, _ := base64.RawStdEncoding.DecodeString(parts[4])
	key := argon2.IDKey([]byte("secret"), salt, hashTime, hashMemory, hashThreads, hashLength)
	if base64.RawStdEncoding.EncodeToString(key) != parts[5] {
		t.Errorf("%q is not the hash of the password", a)
	}
	if b, _ := hashPassword(t.Context(), "secret"); a == b {
		t.Errorf("the same password has the same hash twice: %q", a)
	}
}

// TestPasswordsAreHashedNowAndThen changes a password as often as a user may ask for anything.
func TestPasswordsAreHashedNowAndThen(t *testing.T) {
	h := open(t)
	change := func(user string) *answer {
		return h.signed("/v1/user/data/modifyUserInfo", user, body{"userId": user, "password": "secret"})
	}
	change("alice").want(chat.OK)
	h.eventually("another change is too much", func() bool { return change("alice").Code == chat.TooManyRequests })
	change("bob").want(chat.OK)
	h.signed("/v1/user/data/modifyUserInfo", "alice", body{"userId": "alice", "nickName": "Alice"}).want(chat.OK)
}

func TestDeletedUsersAreGone(t *testing.T) {
	h := open(t)
	bob := h.device("bob", "phone")
	var got outcome
	h.ask("/v1/user/deleteUser", "admin", body{"userId": []string{"bob", "nobody", "bob"}}).want(chat.OK, &got)
	if diff := cmp.Diff(outcome{SuccessID: []string{"bob"}, ErrorID: []string{"nobody"}}, got); diff != "" {
		t.Errorf("what became of them (-want +got):\n%s", diff)
	}
	bob.gets(wire.Kick)
	h.ask("/v1/user/data/getSingleUserInfo", "alice", body{"userId": "bob"}).want(chat.UserMissing)
	h.ask("/v1/user/importUser", "admin", body{"userData": []body{{"userId": "bob"}}}).want(chat.OK, &got)
	if !slices.Equal(got.ErrorID, []string{"bob"}) {
		t.Errorf("importing bob again: %v; want that his id is not given again", got)
	}
	h.ask("/v1/user/deleteUser", "admin", body{"userId": []string{}}).want(chat.BadParameter)
}

func TestProfilesAreReadTogether(t *testing.T) {
	h := open(t)
	var got userInfos
	h.ask("/v1/user/data/getUserInfo", "alice", body{"userIds": []string{"bob", "nobody", "admin", "bob"}}).want(chat.OK, &got)
	if len(got.UserDataItem) != 2 || !slices.Equal(got.FailUser, []string{"nobody"}) {
		t.Errorf("got %+v; want bob, admin, and nobody failed", got)
	}
	if a := h.ask("/v1/user/data/getSingleUserInfo", "alice", body{"userId": "nobody"}).want(chat.UserMissing); string(a.Data) != "null" {
		t.Errorf("the data of a failure is %s; want null", a.Data)
	}
	many := slices.Repeat([]string{"bob"}, 1001)
	h.ask("/v1/user/data/getUserInfo", "alice", body{"userIds": many}).want(chat.BadParameter).mentions("1000")
	h.ask("/v1/user/data/getUserInfo", "alice", body{"userIds": many[:1000]}).want(chat.OK)
	h.send("GET", "/v1/user/data/getUserInfo", `{"appId":10001,"operater":"alice","userIds":["bob"]}`, nil).want(chat.BadParameter).mentions("POST")
}

func TestAProfileIsModified(t *testing.T) {
	h := open(t)
	phone, tablet := h.device("alice", "phone"), h.device("alice", "tablet")
	from := func(in body) body {
		in["userId"], in["clientType"], in["imei"] = "alice", int(chat.Android), "phone"
		return in
	}
	path := "/v1/user/data/modifyUserInfo"
	h.ask(path, "alice", from(body{"nickName": "Al", "password": "secret", "photo": "p", "userSex": 1})).want(chat.OK)
	h.ask(path, "alice", from(body{"photo": "", "nickName": nil, "extra": "x"})).want(chat.OK)
	var info userInfo
	h.ask("/v1/user/data/getSingleUserInfo", "alice", body{"userId": "alice"}).want(chat.OK, &info)
	if info.NickName != "Al" || info.Photo != "" || info.UserSex != "1" || info.Extra != "x" {
		t.Errorf("got %+v; want what was not given unchanged, and what was given empty cleared", info)
	}
	for _, want := range []string{`"photo":"p"`, `"extra":"x"`} {
		if payload := tablet.gets(wire.UserModify); !strings.Contains(payload, want) || strings.Contains(payload, "assword") {
			t.Errorf("the other device is told %s; want %s and no password", payload, want)
		}
	}
	phone.none(wire.UserModify)

	h.ask(path, "alice", body{"userId": "alice"}).want(chat.UserNotUpdated)
	h.ask(path, "alice", body{"userId": "nobody", "nickName": "x"}).want(chat.UserMissing)
	h.ask(path, "alice", body{"userId": "alice", "nickName": strings.Repeat("x", 101)}).want(chat.BadParameter).mentions("nickName")
	h.signed(path, "bob", body{"userId": "alice", "nickName": "x"}).want(chat.SignOtherUser)
	h.signed(path, "alice", body{"userId": "alice", "userType": 100}).want(chat.AdminOnly)
	h.signed(path, "admin", body{"userId": "alice", "disableAddFriend": 1}).want(chat.OK)
}

func TestWhoIsForbiddenIsKicked(t *testing.T) {
	h := open(t)
	bob := h.device("bob", "phone")
	path := "/v1/user/data/modifyUserInfo"
	h.signed(path, "admin", body{"userId": "bob", "forbiddenFlag": 1}).want(chat.OK)
	bob.gets(wire.Kick)
	h.eventually("bob may do nothing", func() bool {
		return h.ask("/v1/user/data/getSingleUserInfo", "bob", body{"userId": "bob"}).Code == chat.SenderForbidden
	})
	h.signed(path, "admin", body{"userId": "bob", "forbiddenFlag": 0}).want(chat.OK)
	h.eventually("bob is free", func() bool {
		return h.ask("/v1/user/data/getSingleUserInfo", "bob", body{"userId": "bob"}).Code == chat.OK
	})
}

func TestModificationsAreToldToWebhooks(t *testing.T) {
	in := modifyUser{UserID: "alice", NickName: new("Al"), Password: new("secret")}
	c := &caller{app: chat.App{Hooks: chat.Hooks{URL: "http://x", Commands: []string{chat.HookUserModified}}}}
	hook := c.hook(chat.HookUserModified, in.told())
	if got := string(hook.Body); got != `{"userId":"alice","nickName":"Al"}` {
		t.Errorf("the webhook is told %s; want what changed, without the password", got)
	}
	if in.Password == nil {
		t.Error("the password is gone from the request, too")
	}
}

func TestUsersOfAnotherAppAreOthers(t *testing.T) {
	h := open(t)
	other := h.addOtherApp("admin", "alice", "zoe")
	h.ask("/v1/user/data/getSingleUserInfo", "alice", body{"userId": "zoe"}).want(chat.UserMissing)
	other("/v1/user/data/modifyUserInfo", "alice", body{"userId": "alice", "nickName": "Other"}).want(chat.OK)
	other("/v1/user/data/modifyUserInfo", "alice", body{"userId": "bob", "nickName": "Other"}).want(chat.UserMissing)
	var got outcome
	other("/v1/user/deleteUser", "admin", body{"userId": []string{"bob", "zoe"}}).want(chat.OK, &got)
	if !slices.Equal(got.ErrorID, []string{"bob"}) {
		t.Errorf("deleting bob in the other app: %v; want that he is not there", got)
	}
	var info userInfo
	h.ask("/v1/user/data/getSingleUserInfo", "alice", body{"userId": "alice"}).want(chat.OK, &info)
	if info.NickName != "alice" {
		t.Errorf("alice is called %q now; want the other app's change to be its own", info.NickName)
	}
	h.ask("/v1/user/data/getSingleUserInfo", "alice", body{"userId": "bob"}).want(chat.OK)
}
