package api

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/store"
)

// as asks in a user's name with his userSign, where everybody must have one.
func (h *house) as(user, path string, in body) *answer {
	h.t.Helper()
	b, err := json.Marshal(in)
	if err != nil {
		h.t.Fatal(err)
	}
	return h.send("POST", path+"?appId=10001&identifier="+user+"&userSign="+sign(user), string(b), nil)
}

// bodiesOf returns what the rows say.
func bodiesOf(rows []messageRow) string {
	all := make([]string, len(rows))
	for i, r := range rows {
		all[i] = r.MessageBody
	}
	return strings.Join(all, " ")
}

// TestNobodyReadsAnothersMessages asks for what is somebody else's, in every way there is.
func TestNobodyReadsAnothersMessages(t *testing.T) {
	h := open(t, func(c *Config) { c.Auth = AuthRequired })
	h.as("alice", sendPath, body{"toId": "bob", "messageBody": "secret"}).want(chat.OK)
	for path, in := range map[string]body{
		pairPath:                              {"userId": "alice", "toId": "bob"},
		groupPath:                             {"userId": "alice", "groupId": "team"},
		batchPath:                             {"userId": "alice"},
		"/v1/conversation/unread":             {"userId": "alice"},
		"/v1/conversation/deleteConversation": {"fromId": "alice", "conversationId": "0_alice_bob"},
		"/v1/conversation/updateConversation": {"fromId": "alice", "conversationId": "0_alice_bob", "isTop": 1},
		recallPath:                            {"fromId": "alice", "toId": "bob", "messageSequence": 1},
		readPath:                              {"fromId": "alice", "toId": "bob", "messageSequence": 1},
		"/v1/message/p2pCheckSend":            {"fromId": "alice", "toId": "bob"},
		"/v1/message/groupCheckSend":          {"fromId": "alice", "toId": "team"},
	} {
		h.as("lld", path, in).want(chat.SignOtherUser)
		if a := h.as("admin", path, in); a.Code == chat.SignOtherUser {
			t.Errorf("%s: an administrator is told %q", path, a.Msg)
		}
	}
	group := body{"conversationId": "27a35ff2f9be4cc9a8d3db1ad3322804", "conversationType": 2}
	h.as("lld", groupPath, body{"groupId": group["conversationId"]}).want(chat.NotMember)
	h.as("lld", batchPath, body{"conversations": []body{{"conversationId": "bob", "conversationType": 1}, group}}).want(chat.NotMember)
	var p syncPage[messageRow]
	if h.as("lld", offlinePath, body{}).want(chat.OK, &p); len(p.DataList) != 0 || !p.Completed || p.MaxSequence != 0 {
		t.Errorf("whoever has nothing is told %+v", p)
	}
}

// TestAMemberSeesWhatWasSaidWhileHeWasThere removes a member and lets him come back.
func TestAMemberSeesWhatWasSaidWhileHeWasThere(t *testing.T) {
	h := open(t)
	h.teamIsThere()
	team := chat.GroupOf(store.DemoApp, "team")
	isMember := func(is bool) {
		t.Helper()
		h.conn.Nudge()
		h.eventually("the log has it", func() bool {
			return (h.ask(readPath, "b", body{"groupId": "team", "messageSequence": 1}).Code == chat.OK) == is
		})
	}
	h.saysInTeam("alice", "one")
	if err := h.store.RemoveMember(t.Context(), team, "alice", "b"); err != nil {
		t.Fatal(err)
	}
	isMember(false)
	h.saysInTeam("alice", "two")
	left := pages[messageRow](h, groupPath, "b", body{"groupId": "team"}, 1)
	if _, err := h.store.AddMembers(t.Context(), team, "alice", []chat.UserID{"b"}); err != nil {
		t.Fatal(err)
	}
	isMember(true)
	h.saysInTeam("alice", "three")
	back := pages[messageRow](h, groupPath, "b", body{"groupId": "team"}, 1)
	if l, b := bodiesOf(left), bodiesOf(back); l != "one" || b != "one three" {
		t.Errorf("he sees %q when he has left, %q when he is back", l, b)
	}
	if b := bodiesOf(pages[messageRow](h, offlinePath, "b", nil, 2)); b != "one three" {
		t.Errorf("offline he gets %q", b)
	}
}

func TestARecalledMessageIsEmpty(t *testing.T) {
	h := open(t)
	h.says("alice", "bob", "one")
	h.says("alice", "bob", "two")
	h.ask(recallPath, "alice", body{"toId": "bob", "messageSequence": 1}).want(chat.OK)
	rows := pages[messageRow](h, offlinePath, "bob", nil, 100)
	if len(rows) != 2 || !rows[0].Recalled || rows[0].DelFlag != 1 || rows[0].MessageBody != "" || rows[0].Content != "" || rows[1].DelFlag != 0 {
		t.Errorf("bob gets %+v", rows)
	}
}

func TestWhatIsWrongWithASync(t *testing.T) {
	h := open(t)
	for _, path := range []string{offlinePath, pairPath, groupPath, conversationsPath, joinedPath} {
		h.ask(path, "alice", body{"groupId": "team", "lastSequence": -1}).want(chat.BadParameter).mentions("lastSequence")
		h.ask(path, "alice", body{"groupId": "team", "maxLimit": "many"}).want(chat.BadParameter).mentions("maxLimit")
		var p syncPage[struct{}]
		h.ask(path, "alice", body{"groupId": "none", "toId": "bob", "lastSequence": nil, "maxLimit": nil})
		for _, last := range []int64{0, math.MaxInt64} {
			a := h.ask(path, "nobody", body{"toId": "bob", "groupId": "none", "lastSequence": last})
			if a.Code == chat.NotMember {
				continue
			}
			if a.want(chat.OK, &p); len(p.DataList) != 0 || !p.Completed || p.MaxSequence < last {
				t.Errorf("%s for nobody: %s", path, a.Data)
			}
		}
	}
	h.ask(groupPath, "alice", body{}).want(chat.BadParameter).mentions("groupId")
	h.ask(batchPath, "alice", body{"conversations": []body{{"conversationId": "bob"}}}).want(chat.BadParameter).mentions("conversationType")
	h.ask(batchPath, "alice", body{"conversations": []body{{"conversationId": "bob", "conversationType": 0}}}).want(chat.BadParameter)
	h.ask(batchPath, "alice", body{"conversations": []body{{"conversationType": 1}}}).want(chat.BadParameter).mentions("conversationId")
	many := make([]body, 101)
	for i := range many {
		many[i] = body{"conversationId": "bob", "conversationType": 1}
	}
	h.ask(batchPath, "alice", body{"conversations": many}).want(chat.BadParameter).mentions("conversations")
	var out batchSynced
	h.ask(batchPath, "alice", body{"conversations": many[1:]}).want(chat.OK, &out)
	if len(out.ConversationList) != 100 || !out.Completed {
		t.Errorf("100 conversations are answered with %d, completed %v", len(out.ConversationList), out.Completed)
	}
}

// TestAppsShareNothing has users of the same names in two apps.
func TestAppsShareNothing(t *testing.T) {
	h := open(t)
	h.exec(`INSERT INTO app (app_id, keys, check_friend) VALUES (10002, '{k}', false)`)
	h.exec(`INSERT INTO app_user (app_id, user_id) SELECT 10002, unnest('{alice,bob}'::text[])`)
	bob := h.device("bob", "phone")
	other := body{"appId": 10002}
	ask := func(path string, in body) *answer {
		t.Helper()
		all := body{}
		for k, v := range other {
			all[k] = v
		}
		for k, v := range in {
			all[k] = v
		}
		return h.ask(path, "bob", all)
	}
	ask(sendPath, body{"fromId": "alice", "toId": "bob", "messageBody": "there", "messageId": "m1"}).want(chat.OK)
	h.ask(sendPath, "alice", body{"toId": "bob", "messageBody": "here", "messageId": "m1"}).want(chat.OK)
	for _, path := range []string{offlinePath, pairPath} {
		here, there := syncPage[messageRow]{}, syncPage[messageRow]{}
		h.ask(path, "bob", body{}).want(chat.OK, &here)
		ask(path, body{}).want(chat.OK, &there)
		if bodiesOf(here.DataList) != "here" || bodiesOf(there.DataList) != "there" || there.DataList[0].AppID != 10002 {
			t.Errorf("%s: here is %q, there %q", path, bodiesOf(here.DataList), bodiesOf(there.DataList))
		}
	}
	var conversations syncPage[conversationRow]
	ask(conversationsPath, body{}).want(chat.OK, &conversations)
	if len(conversations.DataList) != 1 || conversations.DataList[0].LastMessage.MessageBody != "there" {
		t.Errorf("there are the conversations %+v", conversations.DataList)
	}
	ask(groupPath, body{"groupId": "team"}).want(chat.NotMember)
	ask(sendGroupPath, body{"groupId": "team", "messageBody": "hi"}).want(chat.GroupMissing)
	if p := bob.gets(1103); !strings.Contains(p, "here") {
		t.Errorf("bob's device here gets %s", p)
	}
	bob.none(1103)
}
