package chat_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/whaleshark-im/whaleshark/chat"
)

// What the scripts ask for beside messages, and what Postgres is made to know.

// between reads the other end of a conversation: a user, or "#group".
func between(app chat.AppID, from, to string) chat.Conversation {
	if name, ok := strings.CutPrefix(to, "#"); ok {
		return chat.GroupOf(app, name)
	}
	return chat.PairOf(app, chat.UserID(from), chat.UserID(to))
}

// ask reads a line of one of
//
//	change  GROUP VERSION KIND USERS [role=ROLE] [until=SECONDS] [on] [info=INFO]
//	read    USER WITH SEQ [names=USER] [on=DEVICE]
//	recall  USER WITH ID (seq=SEQ | place=PLACE)
//	set     USER WITH [on=DEVICE] (mute | unmute | top | untop | delete)…
//
// each with reply=SUBJECT where somebody waits for the answer.
func (x *script) ask(t *testing.T, what string, f []string) {
	t.Helper()
	q := &chat.Request{Deadline: x.now.Add(10 * time.Second)}
	option := options(f)
	q.Reply = option["reply"]
	switch what {
	case "change":
		q.Kind, q.Conversation = chat.AskChange, chat.GroupOf(1, f[0])
		q.Change = x.change(t, f[1:])
	case "read":
		q.Kind, q.Conversation = chat.AskRead, between(1, f[0], f[1])
		q.Sender = chat.Device{App: 1, User: chat.UserID(f[0]), IMEI: option["on"]}
		q.Seq, q.Named = chat.Seq(number(t, f[2])), chat.UserID(option["names"])
	case "recall":
		q.Kind, q.Conversation = chat.AskRecall, between(1, f[0], f[1])
		q.Sender, q.MessageID = chat.Device{App: 1, User: chat.UserID(f[0])}, f[2]
		q.Seq, q.Place = chat.Seq(number(t, option["seq"])), chat.Place(number(t, option["place"]))
	case "set":
		q.Kind, q.Conversation = chat.AskSetting, between(1, f[0], f[1])
		q.Sender = chat.Device{App: 1, User: chat.UserID(f[0]), IMEI: option["on"]}
		q.Setting = settingOf(f[2:])
	}
	x.position++
	x.s.Offer(x.position, q, x.now)
}

func settingOf(words []string) *chat.Setting {
	s := new(chat.Setting)
	for _, w := range words {
		switch w {
		case "mute":
			s.Mute = chat.On
		case "unmute":
			s.Mute = chat.Off
		case "top":
			s.Top = chat.On
		case "untop":
			s.Top = chat.Off
		case "delete":
			s.Delete = true
		}
	}
	return s
}

func options(f []string) map[string]string {
	m := make(map[string]string)
	for _, s := range f {
		if k, v, ok := strings.Cut(s, "="); ok {
			m[k] = v
		}
	}
	return m
}

func number(t *testing.T, s string) int64 {
	t.Helper()
	if s == "" {
		return 0
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

var changeKinds = []string{"created", "joined", "left", "removed", "role", "mute", "mute-all", "destroyed", "transferred", "updated", "member-updated"}

func (x *script) change(t *testing.T, f []string) *chat.Change {
	t.Helper()
	i := slices.Index(changeKinds, f[1])
	if i < 0 {
		t.Fatalf("%q is no change", f[1])
	}
	c := &chat.Change{Version: number(t, f[0]), Kind: chat.ChangeKind(i + 1)}
	if len(f) > 2 && f[2] != "-" {
		for _, u := range strings.Split(f[2], ",") {
			c.Users = append(c.Users, chat.UserID(u))
		}
	}
	option := options(f)
	c.Role = chat.MemberRole(number(t, option["role"]))
	if s := option["until"]; s != "" {
		c.Until = x.now.Add(time.Duration(number(t, s)) * time.Second).UnixMilli()
	}
	c.On, c.Info = slices.Contains(f, "on"), option["info"]
	return c
}

// postgres makes Postgres know something: a group's members, a read position, a message.
func (x *script) postgres(t *testing.T, d *datadriven.TestData) {
	t.Helper()
	arg := make(map[string]string)
	for _, a := range d.CmdArgs {
		arg[a.Key] = strings.Join(a.Vals, ",")
	}
	switch d.Cmd {
	case "group":
		s := chat.GroupState{Version: number(t, arg["version"]), At: chat.Place(number(t, arg["at"]))}
		for i, u := range strings.Split(arg["members"], ",") {
			m := chat.Membership{User: chat.UserID(u), Joined: s.At, At: s.At}
			if i == 0 {
				m.Role = chat.Owner
			}
			s.Members = append(s.Members, m)
		}
		x.facts.Groups[chat.GroupOf(1, arg["name"])] = s
	case "position":
		x.facts.Reads[chat.ReadKey{Conversation: between(1, arg["user"], arg["with"]), User: chat.UserID(arg["user"])}] = chat.Seq(number(t, arg["seq"]))
	case "message":
		c := between(1, arg["from"], arg["to"])
		m := chat.Targeted{
			Sender: chat.UserID(arg["from"]), MessageID: arg["id"], Seq: chat.Seq(number(t, arg["seq"])), Place: chat.Place(number(t, arg["place"])),
			Time: x.now, Recalled: d.HasArg("recalled"),
		}
		x.facts.Targets[chat.Target{Conversation: c, Seq: m.Seq}] = m
		x.facts.Targets[chat.Target{Conversation: c, Place: m.Place}] = m
		x.facts.Heads[c] = max(x.facts.Heads[c], m.Seq)
	case "stored":
		c := between(1, arg["from"], arg["to"])
		x.facts.IDs[chat.IDOf(c, chat.UserID(arg["from"]), arg["id"])] = chat.Stored{
			Seq: chat.Seq(number(t, arg["seq"])), Place: chat.Place(number(t, arg["place"])), Digest: chat.DigestOf(arg["body"], ""),
			Recalled: d.HasArg("recalled"),
		}
	case "nobody-can-tell":
		for i := range x.asked {
			x.s.Unanswered(x.asked[i].Targets, x.now)
			x.asked[i].Targets = nil
		}
	}
}

// limits begins anew, with an empty log.
func (x *script) limits(t *testing.T, d *datadriven.TestData) {
	t.Helper()
	x.rosters, x.members = 0, 0
	d.MaybeScanArgs(t, "rosters", &x.rosters)
	d.MaybeScanArgs(t, "members", &x.members)
	x.log = nil
	x.begin()
}
