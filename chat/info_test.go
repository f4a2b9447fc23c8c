package chat_test

import (
	"strings"
	"testing"
	"time"

	"github.com/whaleshark-im/whaleshark/chat"
)

// sampleInfoBlock has changes of groups with what describes them, and settings.
func sampleInfoBlock() *chat.Block {
	group, by := chat.GroupOf(10001, "team"), chat.Device{App: 10001, User: "alice"}
	return &chat.Block{
		Partition: 3, Prev: 43, Time: time.UnixMilli(1_700_000_000_789), Checkpoint: chat.Checkpoint{Life: 99, Low: 21},
		Records: []chat.Record{
			{Kind: chat.GroupRecord, Conversation: group, Sender: by, Change: &chat.Change{
				Kind: chat.GroupCreated, Version: 1, Users: []chat.UserID{"alice"}, Info: `{"groupType":1,"groupName":"Team"}`,
			}},
			{Kind: chat.GroupRecord, Conversation: group, Sender: by, Change: &chat.Change{
				Kind: chat.GroupUpdated, Version: 2, Info: `{"introduction":"we"}`,
			}},
			{Kind: chat.GroupRecord, Conversation: group, Sender: by, Change: &chat.Change{
				Kind: chat.MemberUpdated, Version: 3, Users: []chat.UserID{"alice"}, Info: `{"alias":"al"}`,
			}},
			{Kind: chat.SettingRecord, Conversation: group, Sender: alice, Setting: &chat.Setting{Mute: chat.On, Top: chat.Off}},
			{Kind: chat.SettingRecord, Conversation: chat.PairOf(10001, "alice", "bob"), Sender: alice, Setting: &chat.Setting{Delete: true}},
			{Kind: chat.SettingRecord, Conversation: group, Sender: alice, Setting: &chat.Setting{Top: chat.On, Delete: true, Silent: true}},
		},
	}
}

func TestInfoIsAnObject(t *testing.T) {
	one := []chat.UserID{"alice"}
	for name, c := range map[string]struct {
		change chat.Change
		ok     bool
	}{
		"none":                    {chat.Change{Kind: chat.RoleSet}, true},
		"of a new group":          {chat.Change{Kind: chat.GroupCreated, Info: ` {"groupName":"x"}`}, true},
		"of a group":              {chat.Change{Kind: chat.GroupUpdated, Info: `{}`}, true},
		"of a member":             {chat.Change{Kind: chat.MemberUpdated, Users: one, Info: `{"alias":"x"}`}, true},
		"of nobody":               {chat.Change{Kind: chat.MemberUpdated, Info: `{}`}, false},
		"of a user as a group":    {chat.Change{Kind: chat.GroupUpdated, Users: one, Info: `{}`}, false},
		"nothing is updated":      {chat.Change{Kind: chat.GroupUpdated}, false},
		"of what has none":        {chat.Change{Kind: chat.RoleSet, Info: `{}`}, false},
		"a list":                  {chat.Change{Kind: chat.GroupUpdated, Info: `[]`}, false},
		"half an object":          {chat.Change{Kind: chat.GroupUpdated, Info: `{"a":`}, false},
		"an object and something": {chat.Change{Kind: chat.GroupUpdated, Info: `{},"x":1`}, false},
		"too long":                {chat.Change{Kind: chat.GroupUpdated, Info: `{"a":"` + strings.Repeat("x", chat.MaxInfo) + `"}`}, false},
	} {
		if err := c.change.Check(); (err == nil) != c.ok {
			t.Errorf("%s: %v; want it to be right: %t", name, err, c.ok)
		}
	}
}

func sampleSettingRequest() *chat.Request {
	return &chat.Request{
		Kind: chat.AskSetting, Conversation: chat.PairOf(10001, "alice", "bob"), Sender: alice, Deadline: time.UnixMilli(1_700_000_000_123),
		Setting: &chat.Setting{Mute: chat.Off, Top: chat.On, Delete: true},
	}
}

func sampleInfoRequest() *chat.Request {
	return &chat.Request{
		Kind: chat.AskChange, Conversation: chat.GroupOf(10001, "team"), Sender: chat.Device{App: 10001, User: "alice"},
		Deadline: time.UnixMilli(1_700_000_000_123), Change: sampleInfoBlock().Records[1].Change,
	}
}
