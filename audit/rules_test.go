package audit_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/whaleshark-im/whaleshark/audit"
	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/store"
	"github.com/whaleshark-im/whaleshark/sql/storetest"
	"github.com/whaleshark-im/whaleshark/streams"
	"github.com/whaleshark-im/whaleshark/streams/streamstest"
)

var team = chat.GroupOf(10001, "team")

func by(u chat.UserID) chat.Device {
	return chat.Device{App: 10001, User: u, Client: chat.Web, IMEI: "w"}
}

func said(u chat.UserID, seq chat.Seq) chat.Record {
	return chat.Record{
		Kind: chat.MessageRecord, Conversation: team, Sender: by(u), MessageID: "m" + string(rune('0'+seq)), Seq: seq,
		Body: "hi", Digest: chat.DigestOf("hi", ""),
	}
}

func read(u chat.UserID, from, to chat.Seq) chat.Record {
	return chat.Record{Kind: chat.ReadRecord, Conversation: team, Sender: by(u), Seq: to, Read: &chat.Read{From: from}}
}

// recall is bob's, of his own message.
func recall(seq chat.Seq, place chat.Place) chat.Record {
	return chat.Record{
		Kind: chat.RecallRecord, Conversation: team, Sender: by("bob"), MessageID: "r", Seq: seq,
		Recall: &chat.Recall{Place: place, Sender: "bob", MessageID: "m" + string(rune('0'+seq))},
	}
}

func set(u chat.UserID, s chat.Setting) chat.Record {
	return chat.Record{Kind: chat.SettingRecord, Conversation: team, Sender: by(u), Setting: &s}
}

func described(version int64, info string) chat.Record {
	r := change(chat.GroupUpdated, version)
	r.Change.Info = info
	return r
}

func change(kind chat.ChangeKind, version int64, users ...chat.UserID) chat.Record {
	return chat.Record{Kind: chat.GroupRecord, Conversation: team, Sender: by("alice"), Change: &chat.Change{Kind: kind, Version: version, Users: users}}
}

// at is a place in the log: a block's number, and a record's index in it.
func at(block chat.Revision, index int) chat.Place { return chat.PlaceOf(0, block, index) }

// teamLog is a log in which all is as it must be.
func teamLog() [][]chat.Record {
	return [][]chat.Record{
		{change(chat.GroupCreated, 1, "alice"), change(chat.MembersJoined, 2, "bob", "eve"), said("bob", 1), said("eve", 2)},
		{read("alice", 0, 2), change(chat.MemberRemoved, 3, "eve"), recall(1, at(1, 2)), said("alice", 3)},
		{
			read("alice", 2, 3), change(chat.GroupTransferred, 4, "bob"), change(chat.MembersJoined, 5, "eve"), said("eve", 4),
			{Kind: chat.RecallRefusalRecord, Conversation: team, Sender: by("eve"), Seq: 3, Recall: &chat.Recall{}, Code: chat.NotYours},
			set("bob", chat.Setting{Mute: chat.On, Top: chat.Off, Delete: true}), set("eve", chat.Setting{Top: chat.On}),
			described(6, `{"groupName":"Team"}`),
		},
	}
}

// play appends blocks to a new log, and applies those before the last behind to a new database.
func play(t *testing.T, blocks [][]chat.Record, behind int) (*streams.Conn, *store.Store, string) {
	t.Helper()
	c := streamstest.Connect(t, streamstest.Server(t), streams.Layout{})
	url := storetest.URL(t)
	s := storetest.Open(t, url)
	p := team.Partition(c.Partitions())
	var tail, mark chat.Mark
	for n, records := range blocks {
		b := &chat.Block{Partition: p, Prev: tail.Revision, Time: time.UnixMilli(1_700_000_000_000), Records: records}
		data := chat.AppendBlock(nil, b, tail.Hash)
		done := make(chan error, 1)
		c.Append(p, data, tail.Revision, func(rev chat.Revision, err error) {
			tail = chat.Mark{Revision: rev, Hash: b.Hash}
			done <- err
		})
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if n < len(blocks)-behind {
			applied, err := s.Apply(t.Context(), p, c.Base(), mark, []chat.Entry{{Revision: tail.Revision, Block: b}})
			if err != nil {
				t.Fatal(err)
			}
			mark = applied.Mark
		}
	}
	return c, s, url
}

func TestVerifyKnowsEveryKind(t *testing.T) {
	for behind := range 4 {
		c, s, _ := play(t, teamLog(), behind)
		r, err := audit.Verify(t.Context(), c, s, nil)
		if err != nil {
			t.Errorf("postgres is %d blocks behind: %v", behind, err)
		}
		if r.Messages != 4 || r.Reads != 2 || r.Recalls != 1 || r.Changes != 6 || r.Settings != 2 || r.Refusals != 1 || r.Stays != []int{4, 3, 3, 0}[behind] {
			t.Errorf("postgres is %d blocks behind: the report is %+v", behind, r)
		}
	}
}

func TestVerifyFindsWhatTheLogMayNotSay(t *testing.T) {
	for name, c := range map[string]struct {
		then chat.Record
		want string
	}{
		"a version again":            {change(chat.MembersJoined, 5, "frank"), "has version 5, want 7"},
		"a version left out":         {change(chat.MembersJoined, 8, "frank"), "has version 8, want 7"},
		"a read that stays":          {read("alice", 3, 3), "alice reads up to seq 3, and had read up to 3"},
		"a read of what is not":      {read("bob", 0, 5), "bob reads up to seq 5, and the head is 4"},
		"a read from elsewhere":      {read("alice", 2, 4), "alice reads from seq 2 on, and had read up to 3"},
		"a recall again":             {recall(1, at(1, 2)), "was recalled at place 2050 already"},
		"a recall of what is not":    {recall(4, at(3, 3)), "bob's m4 with seq 4, does not stand at place"},
		"a recall at another place":  {recall(1, at(1, 3)), "does not stand at place 1027"},
		"a setting of a stranger":    {set("frank", chat.Setting{Top: chat.On}), "frank sets what is not his"},
		"a message of somebody else": {said("frank", 5), "frank is no member of the group here"},
	} {
		t.Run(name, func(t *testing.T) {
			c2, s, _ := play(t, append(teamLog(), []chat.Record{c.then}), 0)
			_, err := audit.Verify(t.Context(), c2, s, nil)
			var fault *audit.Fault
			if !errors.As(err, &fault) || !strings.Contains(fault.What, c.want) || fault.Conversation != team || fault.Place != at(4, 0) {
				t.Errorf("verify says %v, want %q at place %d", err, c.want, at(4, 0))
			}
		})
	}
}

func TestVerifyFindsWhatTheRowsMayNotSay(t *testing.T) {
	for name, c := range map[string]struct{ sql, want string }{
		"a body that was recalled":  {`UPDATE message SET body = 'hi', extra = '', recalled = NULL WHERE seq = 1`, "postgres does not have the message at place"},
		"a body that is gone":       {`UPDATE message SET body = NULL, extra = NULL WHERE seq = 3`, "postgres has another body"},
		"a recall of its own":       {`UPDATE message SET body = NULL, extra = NULL, recalled = 1030 WHERE seq = 3`, "recalled, and the log does not"},
		"a recall elsewhere":        {`UPDATE message SET recalled = 1030 WHERE seq = 1`, "postgres has the message recalled at place 1030"},
		"a stay that is missing":    {`DELETE FROM membership WHERE user_id = 'alice'`, "postgres does not have alice's stay"},
		"a stay of its own":         {`INSERT INTO membership SELECT conversation_id, joined, 9, 0, place, 0, app_id, 0, false, 'frank' FROM membership WHERE role = 2`, "a stay of frank that the log does not"},
		"a stay that never ends":    {`UPDATE membership SET left_place = NULL WHERE left_place > 0`, "postgres has eve's stay as"},
		"settings that are missing": {`DELETE FROM conversation_setting WHERE user_id = 'bob'`, "postgres does not have bob's settings"},
		"settings of their own":     {`INSERT INTO conversation_setting SELECT conversation_id, 0, 1030, app_id, true, NULL, 'alice' FROM membership WHERE role = 2`, "settings of alice that the log does not"},
		"another setting":           {`UPDATE conversation_setting SET muted = NULL WHERE user_id = 'bob'`, "postgres has bob's settings as"},
		"a role of its own":         {`UPDATE membership SET role = 1 WHERE user_id = 'bob'`, "postgres has bob's stay as"},
	} {
		t.Run(name, func(t *testing.T) {
			conn, s, url := play(t, teamLog(), 0)
			pg, err := pgx.Connect(t.Context(), url)
			if err != nil {
				t.Fatal(err)
			}
			defer pg.Close(t.Context())
			if _, err := pg.Exec(t.Context(), c.sql); err != nil {
				t.Fatal(err)
			}
			_, err = audit.Verify(t.Context(), conn, s, nil)
			var fault *audit.Fault
			if !errors.As(err, &fault) || !strings.Contains(fault.What, c.want) {
				t.Errorf("verify says %v, want %q", err, c.want)
			}
		})
	}
}

func TestReplayTellsWhatAUserCouldSee(t *testing.T) {
	c, _, _ := play(t, teamLog(), 3)
	tell := func(q audit.Query) []string {
		t.Helper()
		var lines []string
		err := audit.Replay(t.Context(), c, q, nil, func(e audit.Event) error {
			lines = append(lines, strings.Join(strings.Fields(e.String())[2:], " "))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return lines
	}
	all := []string{
		`1024 10001/g/team v1 alice created, by alice`,
		`1025 10001/g/team v2 bob, eve joined ordinary, by alice`,
		`1026 10001/g/team#1 bob: "hi"`,
		`1027 10001/g/team#2 eve: "hi"`,
		`2048 10001/g/team alice has read up to #2, from #0`,
		`2049 10001/g/team v3 eve removed, by alice`,
		`2050 10001/g/team bob recalled bob's #1`,
		`2051 10001/g/team#3 alice: "hi"`,
		`3072 10001/g/team alice has read up to #3, from #2`,
		`3073 10001/g/team v4 bob transferred, by alice`,
		`3074 10001/g/team v5 eve joined ordinary, by alice`,
		`3075 10001/g/team#4 eve: "hi"`,
		`3076 10001/g/team eve refused the recall of #3: not_yours`,
		`3077 10001/g/team bob mutes, unpins, deletes his copy`,
		`3078 10001/g/team eve pins`,
		`3079 10001/g/team v6 group_updated {"groupName":"Team"}, by alice`,
	}
	if diff := cmp.Diff(all, tell(audit.Query{Conversation: team})); diff != "" {
		t.Errorf("the group (-want +got):\n%s", diff)
	}
	eves := append(append(append([]string(nil), all[1:6]...), all[10:13]...), all[14:]...)
	if diff := cmp.Diff(eves, tell(audit.Query{User: chat.UserKey{App: 10001, User: "eve"}})); diff != "" {
		t.Errorf("eve (-want +got):\n%s", diff)
	}
	if got := tell(audit.Query{User: chat.UserKey{App: 10001, User: "frank"}}); len(got) != 0 {
		t.Errorf("frank, who was never there, sees %v", got)
	}
}
