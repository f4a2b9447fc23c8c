package sequence_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/storetest"
	"github.com/whaleshark-im/whaleshark/streams"
	"github.com/whaleshark-im/whaleshark/streams/streamstest"
	"github.com/whaleshark-im/whaleshark/workers/sequence"
)

func ask(t *testing.T, c *streams.Conn, q *chat.Request) chat.Answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	a, err := c.Ask(ctx, q)
	if err != nil {
		t.Fatalf("%+v: %v", q, err)
	}
	return a
}

// TestWhoAsksHearsTheOutcome asks one thing after the other from another process.
func TestWhoAsksHearsTheOutcome(t *testing.T) {
	db := storetest.New(t)
	if err := db.Seed(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := streamstest.Server(t)
	start(t, sequence.Config{Conn: streamstest.Connect(t, s, streams.Layout{}), Database: db})
	c := streamstest.Connect(t, s, streams.Layout{})
	m1 := message("alice", "bob", "m1", "hi")
	first := ask(t, c, m1)
	read := func(to chat.Seq) *chat.Request {
		q := message("bob", "alice", "", "")
		q.Kind, q.Seq = chat.AskRead, to
		return q
	}
	r := placed(t, c, 1)[0]
	moved := ask(t, c, read(5))
	for _, x := range []struct {
		what      string
		got, want chat.Answer
	}{
		{"a message", first, chat.Answer{Kind: chat.AskMessage, Code: chat.OK, MessageID: "m1", Seq: 1, Place: r.place}},
		{"a repeat", ask(t, c, m1), first},
		{"another message of its id", ask(t, c, message("alice", "bob", "m1", "ho")), chat.Answer{
			Kind: chat.AskMessage, Code: chat.MessageIDReused, MessageID: "m1",
		}},
		{"a message to nobody", ask(t, c, message("alice", "nobody", "m2", "hi")), chat.Answer{
			Kind: chat.AskMessage, Code: chat.UserMissing, MessageID: "m2",
		}},
		{"a read", moved, chat.Answer{Kind: chat.AskRead, Code: chat.OK, Seq: 1, Place: moved.Place}},
		{"a read that moves nothing", ask(t, c, read(1)), chat.Answer{Kind: chat.AskRead, Code: chat.OK, Seq: 1}},
		{"a recall", ask(t, c, recall(m1, "r1", 1, 0)), chat.Answer{Kind: chat.AskRecall, Code: chat.OK, MessageID: "r1", Seq: 1, Place: r.place}},
		{"a second recall", ask(t, c, recall(m1, "r2", 0, r.place)), chat.Answer{
			Kind: chat.AskRecall, Code: chat.RecalledAlready, MessageID: "r2", Seq: 1, Place: r.place,
		}},
		{"a recall of nothing", ask(t, c, recall(m1, "r3", 9, 0)), chat.Answer{Kind: chat.AskRecall, Code: chat.MessageMissing, MessageID: "r3", Seq: 9}},
	} {
		if diff := cmp.Diff(x.want, x.got); diff != "" {
			t.Errorf("%s is answered with (-want +got):\n%s", x.what, diff)
		}
	}
	if moved.Place <= r.place {
		t.Errorf("the read's record is at %d, the message at %d", moved.Place, r.place)
	}
}

// TestAnOwnerDiesBetweenCommitAndAnswer: the test is that owner. It commits what is asked for, and is never heard of again; the
// next owner tells what has become of it.
func TestAnOwnerDiesBetweenCommitAndAnswer(t *testing.T) {
	db := storetest.New(t)
	if err := db.Seed(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := streamstest.Server(t)
	c := streamstest.Connect(t, s, streams.Layout{})
	m1 := message("alice", "bob", "m1", "hi")
	heard := make(chan chat.Answer, 1)
	go func() { // ends with its question
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		a, err := c.Ask(ctx, m1)
		if err != nil {
			t.Errorf("m1: %v", err)
		}
		heard <- a
	}()
	place := commitOne(t, c, m1.Conversation.Partition(c.Partitions()))
	select {
	case a := <-heard:
		t.Fatalf("%+v is heard, and nobody has said it", a)
	default:
	}
	start(t, sequence.Config{Conn: streamstest.Connect(t, s, streams.Layout{}), Database: db})
	want := chat.Answer{Kind: chat.AskMessage, Code: chat.OK, MessageID: "m1", Seq: 1, Place: place}
	if diff := cmp.Diff(want, <-heard); diff != "" {
		t.Errorf("m1 is answered with (-want +got):\n%s", diff)
	}
	if n := len(records(t, c, 1)); n != 1 {
		t.Errorf("the log has %d records, want the one", n)
	}
}

// commitOne commits the first message that comes through a partition's ingress, and returns its place.
func commitOne(t *testing.T, c *streams.Conn, p chat.Partition) chat.Place {
	t.Helper()
	r, err := c.ReadIngress(t.Context(), c.Generation(), p, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	<-r.Ready()
	offered := r.Take(1)[0]
	now := time.Now()
	rule := chat.NewSequencer(chat.SequencerConfig{Partition: p, Base: c.Base(), Life: c.Generation().Ingress})
	rule.Vouch()
	rule.Offer(offered.Position, offered.Request, now)
	rule.Step(now)
	needs, _ := rule.Needs()
	facts := chat.Facts{Apps: map[chat.AppID]chat.App{10001: {}}, Users: make(map[chat.UserKey]chat.User)}
	for _, u := range needs.Users {
		facts.Users[u] = chat.User{}
	}
	rule.Learn(needs, facts, now, now)
	step := rule.Step(now)
	revision := make(chan chat.Revision, 1)
	c.Append(p, step.Data, 0, func(rev chat.Revision, err error) {
		if err != nil {
			t.Errorf("append: %v", err)
		}
		revision <- rev
	})
	return chat.PlaceOf(c.Base(), <-revision, 0)
}
