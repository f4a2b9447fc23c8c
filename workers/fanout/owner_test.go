package fanout

import (
	"testing"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/streams"
	"github.com/whaleshark-im/whaleshark/streams/streamstest"
)

// TestARepeatDoesNotOvertakeTheLog sends messages again at an owner that has handed the log out up to revision 7.
func TestARepeatDoesNotOvertakeTheLog(t *testing.T) {
	const base = 100
	o := &owner{
		cfg:      Config{Conn: streamstest.Connect(t, streamstest.Server(t), streams.Layout{Base: base})},
		revision: 7,
		received: newReceipts(),
		recalled: newLately[chat.Place, struct{}](recallLimit),
	}
	routes := []chat.Route{route("alice", "1", "e1", 11), route("bob", "1", "e1", 12)}
	for what, test := range map[string]struct {
		place   chat.Place
		answers int
	}{
		"a message that was handed out":         {chat.PlaceOf(base, 7, chat.MaxBlockRecords-1), 2},
		"a message of the log before this one":  {chat.PlaceOf(0, 99, 0), 2},
		"a message that is still to be read":    {chat.PlaceOf(base, 8, 0), 0},
		"a message that is far from being read": {chat.PlaceOf(base, 1000, 0), 0},
	} {
		t.Run(what, func(t *testing.T) {
			got := deliveries(routes, func(b *batch) {
				o.signal(b, &chat.Signal{
					Kind: chat.Repeat, Conversation: chat.PairOf(1, "alice", "bob"), From: device("alice", "1"), MessageID: "m", Seq: 3, Place: test.place,
				})
			})
			if len(got) != test.answers {
				t.Errorf("sent again, it leads to %q, want %d deliveries", got, test.answers)
			}
		})
	}
}

// TestARepeatThatARecallHasOvertaken still holds the body that was taken back.
func TestARepeatThatARecallHasOvertaken(t *testing.T) {
	o := &owner{
		cfg:      Config{Conn: streamstest.Connect(t, streamstest.Server(t), streams.Layout{})},
		revision: 7,
		received: newReceipts(),
		recalled: newLately[chat.Place, struct{}](recallLimit),
	}
	const place = 5 * chat.MaxBlockRecords
	o.record(newBatch(0, func(chat.UserKey) []chat.Route { return nil }, limits{}), &item{recallOf("bob", place), place + 1, 6})
	got := deliveries([]chat.Route{route("alice", "1", "e1", 11), route("bob", "1", "e1", 12)}, func(b *batch) {
		o.signal(b, &chat.Signal{
			Kind: chat.Repeat, Conversation: chat.PairOf(1, "alice", "bob"), From: device("alice", "1"), MessageID: "m", Seq: 3, Place: place, Body: "hi",
		})
	})
	if want := "e1 send_ack to [11]"; len(got) != 1 || got[0] != want {
		t.Errorf("sent again, it leads to %q, want %q", got, want)
	}
}

func TestTheOldestIsForgotten(t *testing.T) {
	l := newLately[int, string](100)
	for i := range 110 {
		l.set(i, "once")
		l.set(i, "again")
	}
	if _, known := l.get(9); known {
		t.Error("the oldest is remembered")
	}
	if value, _ := l.get(10); value != "again" || len(l.values) != 100 {
		t.Errorf("10 is %q, and %d are remembered", value, len(l.values))
	}
}
