package sequence_test

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/storetest"
	"github.com/whaleshark-im/whaleshark/streams"
	"github.com/whaleshark-im/whaleshark/streams/streamstest"
	"github.com/whaleshark-im/whaleshark/workers/sequence"
)

func recall(of *chat.Request, id string, seq chat.Seq, place chat.Place) *chat.Request {
	return &chat.Request{
		Kind: chat.AskRecall, Conversation: of.Conversation, Sender: of.Sender, MessageID: id,
		Seq: seq, Place: place, Deadline: time.Now().Add(30 * time.Second),
	}
}

// TestMessagesAreRecalledBeforePostgresHasThem runs without a persist worker: the messages are in the log alone.
func TestMessagesAreRecalledBeforePostgresHasThem(t *testing.T) {
	db := storetest.New(t)
	if err := db.Seed(t.Context()); err != nil {
		t.Fatal(err)
	}
	c := streamstest.Connect(t, streamstest.Server(t), streams.Layout{})
	start(t, sequence.Config{Conn: c, Database: db})
	m1, m2, other := message("alice", "bob", "m1", "hi"), message("alice", "bob", "m2", "ho"), message("alice", "nobody", "m3", "hello?")
	submit(t, c, m1, m2, other)
	places := make(map[string]chat.Place)
	for _, r := range placed(t, c, 3) {
		places[r.MessageID] = r.place
	}

	submit(t, c,
		recall(m1, "r1", 1, 0), recall(m2, "r2", 0, places["m2"]), recall(m1, "r3", 0, places["m1"]),
		recall(m1, "another conversation's place", 0, places["m3"]), recall(m1, "no record's place", 0, places["m1"]+900),
		recall(m1, "an earlier log's place", 0, 1), recall(m1, "above the head", 3, 0))
	got := make(map[string]string)
	for _, r := range records(t, c, 10) {
		switch r.Kind { //nolint:exhaustive // the others are not asked for
		case chat.RecallRecord:
			got[r.MessageID] = fmt.Sprint(r.Recall.Sender, r.Recall.MessageID, r.Seq, r.Recall.Place == places[r.Recall.MessageID])
		case chat.RecallRefusalRecord:
			got[r.MessageID] = r.Code.String()
		}
	}
	want := map[string]string{
		"r1": "alicem11 true", "r2": "alicem22 true", "r3": "recalled_already",
		"another conversation's place": "message_missing", "no record's place": "message_missing",
		"an earlier log's place": "message_missing", "above the head": "message_missing",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the recalls became (-want +got):\n%s", diff)
	}
	repeatOf(t, c, m1)
}

// repeatOf sends a message that was recalled once more: its sender is told of the message, and nothing is pushed.
func repeatOf(t *testing.T, c *streams.Conn, q *chat.Request) {
	t.Helper()
	signals, err := c.ReadSignals(q.Conversation.Partition(c.Partitions()), func() { t.Error("a signal was dropped") })
	if err != nil {
		t.Fatal(err)
	}
	defer signals.Close()
	submit(t, c, q)
	select {
	case <-signals.Ready():
	case <-time.After(20 * time.Second):
		t.Fatal("nobody answers the repeat")
	}
	for _, s := range signals.Take(1) {
		if s.Kind != chat.Repeat || s.Seq != 1 || !s.Recalled || s.Body != "" {
			t.Errorf("the repeat of a recalled message is answered with %+v", s)
		}
	}
}

// TestReadsMoveForward: a read that moves nothing leaves no record.
func TestReadsMoveForward(t *testing.T) {
	db := storetest.New(t)
	if err := db.Seed(t.Context()); err != nil {
		t.Fatal(err)
	}
	c := streamstest.Connect(t, streamstest.Server(t), streams.Layout{})
	start(t, sequence.Config{Conn: c, Database: db})
	submit(t, c, message("alice", "bob", "m1", "hi"), message("alice", "bob", "m2", "ho"))
	records(t, c, 2)
	read := func(to chat.Seq) *chat.Request {
		q := message("bob", "alice", "", "")
		q.Kind, q.Seq = chat.AskRead, to
		return q
	}
	for i, to := range []chat.Seq{1, 1, 7} { // one after the other, so that they do not share a record
		submit(t, c, read(to))
		records(t, c, []int{3, 3, 4}[i])
	}
	submit(t, c, read(9), message("alice", "bob", "m3", "end"))
	got := make(map[chat.Seq]chat.Seq)
	for _, r := range records(t, c, 5) {
		if r.Kind == chat.ReadRecord {
			got[r.Read.From] = r.Seq
		}
	}
	if want := map[chat.Seq]chat.Seq{0: 1, 1: 2}; !maps.Equal(got, want) {
		t.Errorf("positions moved %v, want %v", got, want)
	}
}
