package store_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/whaleshark-im/whaleshark/chat"
)

const (
	app  = chat.AppID(10001)
	base = chat.Revision(1000) // of every log in these tests
)

// testLog makes the entries of one partition's log.
type testLog struct {
	rev  chat.Revision
	prev chat.Mark
	seqs map[chat.Conversation]chat.Seq
}

// block returns the next entry, which holds these records. The seqs of messages are given here.
func (l *testLog) block(records ...chat.Record) chat.Entry {
	if l.seqs == nil {
		l.seqs = make(map[chat.Conversation]chat.Seq)
	}
	for i := range records {
		if r := &records[i]; r.Kind == chat.MessageRecord {
			l.seqs[r.Conversation]++
			r.Seq = l.seqs[r.Conversation]
			if r.Digest == (chat.Digest{}) {
				r.Digest = chat.DigestOf(r.Body, r.Extra)
			}
		}
	}
	l.rev += 3 // other partitions have the ones between
	k := &chat.Block{Prev: l.prev.Revision, Time: time.UnixMilli(1_700_000_000_000 + int64(l.rev)), Records: records}
	chat.AppendBlock(nil, k, l.prev.Hash)
	l.prev = chat.Mark{Revision: l.rev, Hash: k.Hash}
	return chat.Entry{Revision: l.rev, Block: k}
}

func message(from, to chat.UserID, id, body string) chat.Record {
	return chat.Record{
		Kind:         chat.MessageRecord,
		Conversation: chat.PairOf(app, from, to),
		Sender:       chat.Device{App: app, User: from, Client: chat.Web, IMEI: "imei-" + string(from)},
		MessageID:    id,
		MessageTime:  1_690_000_000_123,
		Body:         body,
		Extra:        `{"x":1}`,
	}
}

func refusal(from, to chat.UserID, id string) chat.Record {
	r := message(from, to, id, "")
	return chat.Record{Kind: chat.RefusalRecord, Conversation: r.Conversation, Sender: r.Sender, MessageID: id, Code: chat.RelationMissing}
}

// targeted is what a look-up knows of the message of an entry.
func targeted(e chat.Entry, index int, recalled bool) chat.Targeted {
	r := e.Block.Records[index]
	return chat.Targeted{
		Sender: r.Sender.User, MessageID: r.MessageID, Seq: r.Seq, Place: chat.PlaceOf(base, e.Revision, index), Time: e.Block.Time, Recalled: recalled,
	}
}

// said returns a message to a group.
func said(from chat.UserID, group, id string) chat.Record {
	r := message(from, "", id, "said "+id)
	r.Conversation = chat.GroupOf(app, group)
	return r
}

func read(reader chat.UserID, c chat.Conversation, seq chat.Seq) chat.Record {
	return chat.Record{
		Kind: chat.ReadRecord, Conversation: c, Sender: chat.Device{App: app, User: reader, Client: chat.Web}, Seq: seq, Read: &chat.Read{},
	}
}

func setting(by chat.UserID, c chat.Conversation, s chat.Setting) chat.Record {
	return chat.Record{Kind: chat.SettingRecord, Conversation: c, Sender: chat.Device{App: app, User: by, Client: chat.Web}, Setting: &s}
}

// recall returns the recall of a message of an entry.
func recall(by chat.UserID, e chat.Entry, index int) chat.Record {
	r := e.Block.Records[index]
	return chat.Record{
		Kind: chat.RecallRecord, Conversation: r.Conversation, Sender: chat.Device{App: app, User: by, Client: chat.Web}, Seq: r.Seq,
		Recall: &chat.Recall{Place: chat.PlaceOf(base, e.Revision, index), Sender: r.Sender.User, MessageID: r.MessageID},
	}
}

func change(group string, c chat.Change) chat.Record {
	return chat.Record{Kind: chat.GroupRecord, Conversation: chat.GroupOf(app, group), Change: &c}
}

func created(group string, owner chat.UserID) chat.Record {
	return change(group, chat.Change{Kind: chat.GroupCreated, Version: 1, Users: []chat.UserID{owner}})
}

func joined(group string, version int64, users ...chat.UserID) chat.Record {
	return change(group, chat.Change{Kind: chat.MembersJoined, Version: version, Users: users})
}

func left(group string, version int64, user chat.UserID) chat.Record {
	return change(group, chat.Change{Kind: chat.MemberLeft, Version: version, Users: []chat.UserID{user}})
}

func groupMuted(group string, version int64) chat.Record {
	return change(group, chat.Change{Kind: chat.GroupMuted, Version: version, On: true})
}

// talk returns n messages that users of a few conversations say in turn.
func talk(n, conversations int, name string) []chat.Record {
	records := make([]chat.Record, n)
	for i := range records {
		from := chat.UserID(fmt.Sprintf("u%d", 2*(i%conversations)+1))
		to := chat.UserID(fmt.Sprintf("u%d", 2*(i%conversations)+2))
		records[i] = message(from, to, fmt.Sprintf("%s-%d", name, i), "said "+name)
	}
	return records
}

// run executes statements that the store itself has no business with.
func run(tb testing.TB, url string, statements ...string) {
	tb.Helper()
	conn, err := pgx.Connect(tb.Context(), url)
	if err != nil {
		tb.Fatal(err)
	}
	defer conn.Close(context.Background())
	for _, sql := range statements {
		if _, err := conn.Exec(tb.Context(), sql); err != nil {
			tb.Fatalf("%s: %v", sql, err)
		}
	}
}

// texts returns the one column of text that a query finds.
func texts(tb testing.TB, url, sql string) []string {
	tb.Helper()
	conn, err := pgx.Connect(tb.Context(), url)
	if err != nil {
		tb.Fatal(err)
	}
	defer conn.Close(context.Background())
	rows, _ := conn.Query(tb.Context(), sql) // its error comes with the rows
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		tb.Fatal(err)
	}
	return lines
}
