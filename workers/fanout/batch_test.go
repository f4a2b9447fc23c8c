package fanout

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/wire"
)

func route(user chat.UserID, imei string, edge chat.NodeID, session chat.SessionID) chat.Route {
	return chat.Route{Device: device(user, imei), Edge: edge, Session: session, Epoch: chat.Epoch(session)}
}

func device(user chat.UserID, imei string) chat.Device {
	return chat.Device{App: 1, User: user, Client: chat.Web, IMEI: imei}
}

// pushed runs a batch that begins at revision 7 and ends with revision 8.
func pushed(routes []chat.Route, f func(*batch)) *batch {
	b := newBatch(0, func(u chat.UserKey) []chat.Route {
		mine := slices.DeleteFunc(slices.Clone(routes), func(r chat.Route) bool { return r.Device.User != u.User || r.Device.App != u.App })
		return live(mine, func(e chat.NodeID) bool { return e == "dead" })
	}, limits{broadcast: 5, notify: 7})
	b.revision = 7
	f(b)
	b.finish()
	return b
}

// deliveries tells what a batch hands out, a line a delivery: edge, command, sessions, and the words of the payload that are asked for.
func deliveries(routes []chat.Route, f func(*batch)) []string {
	b := pushed(routes, f)
	var lines []string
	for _, edge := range slices.Sorted(maps.Keys(b.pushes)) {
		for _, d := range b.pushes[edge].Deliveries {
			slices.Sort(d.Sessions) // a group's members are in no order
			lines = append(lines, strings.TrimSpace(fmt.Sprint(edge, " ", wire.Command(d.Command), " to ", d.Sessions, " ", told(d.Payload))))
		}
	}
	return lines
}

func told(payload []byte) string {
	p := string(payload)
	switch {
	case strings.Contains(p, `"serverSend":true`):
		return "nobody is there"
	case strings.Contains(p, `"code":`) && !strings.Contains(p, `"code":200`):
		return "refused"
	}
	return ""
}

func readOf(by, of chat.UserID) *chat.Record {
	return &chat.Record{
		Kind: chat.ReadRecord, Conversation: chat.PairOf(1, by, of), Sender: device(by, "1"), Seq: 3, Read: &chat.Read{From: 1, Named: of},
	}
}

func settingOf(by, of chat.UserID, s chat.Setting) *chat.Record {
	return &chat.Record{Kind: chat.SettingRecord, Conversation: chat.PairOf(1, by, of), Sender: device(by, "1"), Setting: &s}
}

func recallOf(to chat.UserID, place chat.Place) *chat.Record {
	return &chat.Record{
		Kind: chat.RecallRecord, Conversation: chat.PairOf(1, "alice", to), Sender: device("alice", "1"), MessageID: "r", Seq: 3,
		Recall: &chat.Recall{Place: place, Sender: "alice", MessageID: "m"},
	}
}

func TestWhoGetsWhatOfAPair(t *testing.T) {
	message := func(from, to chat.UserID) func(*batch) {
		return func(b *batch) {
			b.pair(&chat.Record{
				Kind: chat.MessageRecord, Conversation: chat.PairOf(1, from, to), Sender: device(from, "1"), MessageID: "m", Seq: 3, Body: "hi",
			}, 9)
		}
	}
	alice := []chat.Route{route("alice", "1", "e1", 11), route("alice", "2", "e1", 12), route("alice", "3", "e2", 13)}
	bob := []chat.Route{route("bob", "1", "e1", 21), route("bob", "2", "e2", 22)}
	for name, c := range map[string]struct {
		routes []chat.Route
		do     func(*batch)
		want   []string
	}{
		"everybody is there: one delivery an edge": {
			slices.Concat(alice, bob), message("alice", "bob"),
			[]string{"e1 send_ack to [11]", "e1 send to [12 21]", "e2 send to [13 22]"},
		},
		"nobody of the receiver's": {
			alice, message("alice", "bob"),
			[]string{"e1 send_ack to [11]", "e1 send to [12]", "e1 receive to [11] nobody is there", "e2 send to [13]"},
		},
		"a dead edge is nobody": {
			[]chat.Route{route("alice", "1", "e1", 11), route("bob", "1", "dead", 21)},
			message("alice", "bob"),
			[]string{"e1 send_ack to [11]", "e1 receive to [11] nobody is there"},
		},
		"the older session of a device is on its way out": {
			[]chat.Route{route("alice", "1", "e1", 11), route("bob", "1", "e1", 21), route("bob", "1", "e2", 30)},
			message("alice", "bob"),
			[]string{"e1 send_ack to [11]", "e2 send to [30]"},
		},
		"the sender has gone": {
			bob, message("alice", "bob"),
			[]string{"e1 send to [21]", "e2 send to [22]"},
		},
		"to oneself: the other devices, once": {
			alice, message("alice", "alice"),
			[]string{"e1 send_ack to [11]", "e1 send to [12]", "e2 send to [13]"},
		},
		"to oneself, with no other device": {
			alice[:1], message("alice", "alice"),
			[]string{"e1 send_ack to [11]", "e1 receive to [11] nobody is there"},
		},
		"a refusal: the sending device alone": {
			slices.Concat(alice, bob), func(b *batch) {
				b.pair(&chat.Record{Kind: chat.RefusalRecord, Conversation: chat.PairOf(1, "alice", "bob"), Sender: device("alice", "1"), MessageID: "m", Code: chat.SenderMuted}, 9)
			},
			[]string{"e1 send_ack to [11] refused"},
		},
		"a read: the reader's other devices, and the peer": {
			slices.Concat(alice, bob), func(b *batch) { b.pair(readOf("alice", "bob"), 9) },
			[]string{"e1 read_notify to [12]", "e1 read_receipt to [21]", "e2 read_notify to [13]", "e2 read_receipt to [22]"},
		},
		"a read of what one has said to oneself": {
			alice, func(b *batch) { b.pair(readOf("alice", "alice"), 9) },
			[]string{"e1 read_notify to [12]", "e2 read_notify to [13]"},
		},
		"a setting: the user's other devices": {
			slices.Concat(alice, bob), func(b *batch) { b.pair(settingOf("alice", "bob", chat.Setting{Mute: chat.On, Top: chat.Off}), 9) },
			[]string{"e1 conversation_update to [12]", "e2 conversation_update to [13]"},
		},
		"a deletion, and a setting with it": {
			slices.Concat(alice[:2], bob), func(b *batch) { b.pair(settingOf("alice", "bob", chat.Setting{Top: chat.On, Delete: true}), 9) },
			[]string{"e1 conversation_update to [12]", "e1 conversation_delete to [12]"},
		},
		"a silent deletion, and a setting with it": {
			slices.Concat(alice[:2], bob), func(b *batch) {
				b.pair(settingOf("alice", "bob", chat.Setting{Top: chat.On, Delete: true, Silent: true}), 9)
			},
			[]string{"e1 conversation_update to [12]"},
		},
		"a recall: the caller's answer, and everybody else": {
			slices.Concat(alice, bob), func(b *batch) { b.pair(recallOf("bob", 3), 9) },
			[]string{"e1 recall_ack to [11]", "e1 recall_notify to [12 21]", "e2 recall_notify to [13 22]"},
		},
		"a recall of what one has said to oneself": {
			alice, func(b *batch) { b.pair(recallOf("alice", 3), 9) },
			[]string{"e1 recall_ack to [11]", "e1 recall_notify to [12]", "e2 recall_notify to [13]"},
		},
		"a recall that is refused": {
			slices.Concat(alice, bob), func(b *batch) {
				r := recallOf("bob", 3)
				r.Kind, r.Code = chat.RecallRefusalRecord, chat.RecallTooLate
				b.pair(r, 9)
			},
			[]string{"e1 recall_ack to [11] refused"},
		},
		"recalled in the same batch: its body is not pushed": {
			slices.Concat(alice, bob), func(b *batch) {
				b.lookAhead([]item{{record: recallOf("bob", 9)}})
				message("alice", "bob")(b)
			},
			[]string{"e1 send_ack to [11]"},
		},
		"a receipt: all devices of the sender": {
			slices.Concat(alice, bob), func(b *batch) {
				b.receipt(&chat.Signal{Kind: chat.Received, Conversation: chat.PairOf(1, "alice", "bob"), From: device("bob", "1"), Seq: 3})
			},
			[]string{"e1 receive to [11 12]", "e2 receive to [13]"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, deliveries(c.routes, c.do)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestHowARepeatIsAnswered(t *testing.T) {
	s := &chat.Signal{
		Kind: chat.Repeat, Conversation: chat.PairOf(1, "alice", "bob"), From: device("alice", "1"), MessageID: "m", Seq: 3, Place: 9,
	}
	receiver := device("bob", "1")
	alice, bob := route("alice", "1", "e1", 11), route("bob", "1", "e2", 21)
	for name, c := range map[string]struct {
		routes []chat.Route
		by     *chat.Device
		want   []string
	}{
		"a receiver has it":            {[]chat.Route{alice, bob}, &receiver, []string{"e1 send_ack to [11]", "e1 receive to [11]"}},
		"nobody of the receiver's":     {[]chat.Route{alice}, nil, []string{"e1 send_ack to [11]", "e1 receive to [11] nobody is there"}},
		"nobody knows: it is sent too": {[]chat.Route{alice, bob}, nil, []string{"e1 send_ack to [11]", "e2 send to [21]"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := deliveries(c.routes, func(b *batch) { b.repeat(s, c.by) })
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	recalled, inGroup := *s, *s
	recalled.Recalled, inGroup.Conversation = true, team
	for name, c := range map[string]struct {
		s    *chat.Signal
		by   *chat.Device
		want []string
	}{
		"it was recalled":                        {&recalled, nil, []string{"e1 send_ack to [11]"}},
		"it was recalled, and a receiver has it": {&recalled, &receiver, []string{"e1 send_ack to [11]", "e1 receive to [11]"}},
		"in a group":                             {&inGroup, nil, []string{"e1 group_send_ack to [11]"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := deliveries([]chat.Route{alice, bob}, func(b *batch) { b.repeat(c.s, c.by) })
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func receipt(by chat.Device, seq chat.Seq) *chat.Signal {
	return &chat.Signal{Kind: chat.Received, Conversation: chat.PairOf(1, "alice", "bob"), From: by, Seq: seq}
}

func TestReceiptsAreForgottenInTheirOrder(t *testing.T) {
	r := newReceipts()
	for i := range chat.Seq(receiptLimit + 10) {
		r.add(receipt(device("bob", "1"), i+1))
		r.add(receipt(device("bob", "2"), i+1))
	}
	repeated := func(seq chat.Seq) *chat.Device { return r.of(receipt(device("alice", "1"), seq)) }
	if repeated(10) != nil {
		t.Error("the oldest receipts are remembered")
	}
	if d := repeated(11); d == nil || d.IMEI != "2" {
		t.Errorf("the receipt of seq 11 is of %v", d)
	}
	if n := len(r.seen.values); n != receiptLimit {
		t.Errorf("%d receipts are remembered, want %d", n, receiptLimit)
	}
}

// TestNobodyAcknowledgesForTheReceiver gives receipts that somebody else has sent.
func TestNobodyAcknowledgesForTheReceiver(t *testing.T) {
	r := newReceipts()
	r.add(receipt(device("alice", "2"), 1)) // the sender, of the own message
	other := receipt(device("bob", "1"), 1)
	other.Conversation, other.Place = chat.PairOf(2, "alice", "bob"), 9 // another app, with the place of the message
	r.add(other)
	if d := r.of(receipt(device("alice", "1"), 1)); d != nil {
		t.Errorf("%v has acknowledged in bob's stead", d)
	}
}
