package fanout

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/wire"
)

var team = chat.GroupOf(1, "team")

// crew is a device of each user, in turns on two edges; alice has two more.
func crew(users ...chat.UserID) []chat.Route {
	routes := []chat.Route{route("alice", "2", "e1", 2), route("alice", "3", "e2", 3)}
	for i, u := range users {
		routes = append(routes, route(u, "1", chat.NodeID(fmt.Sprint("e", 1+i%2)), chat.SessionID(10+i)))
	}
	return routes
}

// script hands records out at places 10, 20, 30, …, after the group was created by alice at place 1 and the others joined at place 2.
func script(users []chat.UserID, records ...chat.Record) func(*batch) {
	return func(b *batch) {
		g := new(group)
		g.roster.Fold(1, &chat.Change{Kind: chat.GroupCreated, Version: 1, Users: users[:1]})
		g.roster.Fold(2, &chat.Change{Kind: chat.MembersJoined, Version: 2, Users: users[1:]})
		items := make([]item, len(records))
		for i := range records {
			items[i] = item{record: &records[i], place: chat.Place(10 * (i + 1)), revision: b.revision}
		}
		b.lookAhead(items)
		for _, it := range items {
			b.answer(it.record)
			if needsGroup(it.record) {
				b.group(it.record, it.place, g)
			}
		}
	}
}

func said(by chat.UserID, seq chat.Seq) chat.Record {
	return chat.Record{Kind: chat.MessageRecord, Conversation: team, Sender: device(by, "1"), MessageID: "m", Seq: seq, Body: "hi"}
}

func read(by chat.UserID, from, to chat.Seq, named chat.UserID) chat.Record {
	return chat.Record{
		Kind: chat.ReadRecord, Conversation: team, Sender: device(by, "1"), Seq: to, Read: &chat.Read{From: from, Named: named},
	}
}

func recall(by chat.UserID, seq chat.Seq, place chat.Place) chat.Record {
	return chat.Record{
		Kind: chat.RecallRecord, Conversation: team, Sender: device(by, "1"), MessageID: "r", Seq: seq,
		Recall: &chat.Recall{Place: place, Sender: by, MessageID: "m"},
	}
}

func change(kind chat.ChangeKind, by chat.UserID, users ...chat.UserID) chat.Record {
	return chat.Record{
		Kind: chat.GroupRecord, Conversation: team, Sender: chat.Device{App: 1, User: by},
		Change: &chat.Change{Kind: kind, Version: 3, Users: users, Role: chat.Ordinary},
	}
}

// described is a change of alice's with what describes the group or a member.
func described(kind chat.ChangeKind, info string, users ...chat.UserID) chat.Record {
	r := change(kind, "alice", users...)
	r.Change.Info = info
	return r
}

func TestWhoGetsWhatOfAGroup(t *testing.T) {
	three := []chat.UserID{"alice", "bob", "carol"} // sessions 10 on e1, 11 on e2, 12 on e1
	six := []chat.UserID{"alice", "bob", "carol", "dave", "erin", "frank"}
	eight := append(slices.Clone(six), "grace", "heidi")
	dave := append(crew(three...), route("dave", "1", "e2", 13))
	refused := chat.Record{Kind: chat.RefusalRecord, Conversation: team, Sender: device("alice", "1"), MessageID: "m", Code: chat.NotMember}
	recallRefused := chat.Record{
		Kind: chat.RecallRefusalRecord, Conversation: team, Sender: device("alice", "1"), Recall: &chat.Recall{}, Code: chat.RecallTooLate,
	}
	for name, c := range map[string]struct {
		routes []chat.Route
		do     func(*batch)
		want   []string
	}{
		"a message: one delivery an edge, and the ack": {
			crew(three...), script(three, said("alice", 1)),
			[]string{"e1 group_send_ack to [10]", "e1 group_send to [2 12]", "e2 group_send to [3 11]"},
		},
		"an admin who is no member": {
			dave, script(three, said("dave", 1)),
			[]string{"e1 group_send to [2 10 12]", "e2 group_send_ack to [13]", "e2 group_send to [3 11]"},
		},
		"nobody else is there: nobody says so": {
			[]chat.Route{route("alice", "1", "e1", 10)},
			script(three, said("alice", 1)),
			[]string{"e1 group_send_ack to [10]"},
		},
		"refusals: the asking device alone": {
			crew(three...), script(three, refused, recallRefused),
			[]string{"e1 group_send_ack to [10] refused", "e1 recall_ack to [10] refused"},
		},
		"who is removed before does not get it": {
			crew(three...), script(three, change(chat.MemberRemoved, "alice", "bob"), said("carol", 1)),
			[]string{
				"e1 deleted_member to [2 10 12]", "e1 group_send_ack to [12]", "e1 group_send to [2 10]",
				"e2 deleted_member to [3 11]", "e2 group_send to [3]",
			},
		},
		"who leaves after gets it": {
			crew(three...), script(three, said("carol", 1), change(chat.MemberLeft, "bob", "bob")),
			[]string{
				"e1 group_send_ack to [12]", "e1 group_send to [2 10]", "e1 exit_group to [2 10 12]",
				"e2 group_send to [3 11]", "e2 exit_group to [3 11]",
			},
		},
		"who joins after does not get it": {
			dave, script(three, said("carol", 1), change(chat.MembersJoined, "alice", "dave"), said("carol", 2)),
			[]string{
				"e1 group_send_ack to [12]", "e1 group_send to [2 10]", "e1 added_member to [2 10 12]",
				"e1 group_send_ack to [12]", "e1 group_send to [2 10]",
				"e2 group_send to [3 11]", "e2 added_member to [3 11 13]", "e2 group_send to [3 11 13]",
			},
		},
		"recalled in the same batch: the ack, and no body": {
			crew(three...), script(three, said("alice", 1), recall("alice", 1, 10)),
			[]string{
				"e1 group_send_ack to [10]", "e1 recall_ack to [10]", "e1 recall_notify to [2 12]", "e2 recall_notify to [3 11]",
			},
		},
		"recalled later: everybody": {
			crew(three...), script(three, recall("bob", 1, 5)),
			[]string{"e1 recall_notify to [2 10 12]", "e2 recall_ack to [11]", "e2 recall_notify to [3]"},
		},
		"a read: the senders of what was read, each once, and not the reader": {
			crew(three...), script(three, said("bob", 1), said("carol", 2), said("alice", 3), said("bob", 4), read("alice", 1, 3, "bob")),
			[]string{
				"e1 group_send to [2 10 12]", "e1 group_send_ack to [12]", "e1 group_send to [2 10]", "e1 group_send_ack to [10]", "e1 group_send to [2 12]",
				"e1 group_send to [2 10 12]", "e1 group_read_notify to [2]", "e1 group_read_receipt to [12]",
				"e2 group_send_ack to [11]", "e2 group_send to [3]", "e2 group_send to [3 11]", "e2 group_send to [3 11]", "e2 group_send_ack to [11]",
				"e2 group_send to [3]", "e2 group_read_notify to [3]", "e2 group_read_receipt to [11]",
			},
		},
		"who is named and no member": {
			[]chat.Route{route("dave", "1", "e2", 13)},
			script(three, read("alice", 0, 0, "dave")),
			nil,
		},
		"in a large group the one that is named alone is told of a read": {
			[]chat.Route{route("bob", "1", "e1", 11), route("carol", "1", "e1", 12)},
			script(six, said("bob", 1), said("carol", 2), read("alice", 0, 2, "carol")),
			[]string{"e1 group_send_ack to [11]", "e1 group_send to [12]", "e1 group_send_ack to [12]", "e1 group_send to [11]", "e1 group_read_receipt to [12]"},
		},
		"in a large group those concerned, the managers and the owner are told of a member's change": {
			[]chat.Route{
				route("alice", "1", "e1", 10), route("bob", "1", "e1", 11), route("carol", "1", "e1", 12), route("dave", "1", "e1", 13),
			},
			script(six, change(chat.MemberMuted, "bob", "carol")),
			[]string{"e1 speak_member to [10 11 12]"},
		},
		"in a large group everybody is told of its end": {
			[]chat.Route{route("alice", "1", "e1", 10), route("bob", "1", "e1", 11)},
			script(six, change(chat.GroupDestroyed, "alice")),
			[]string{"e1 destroy_group to [10 11]"},
		},
		"in a very large group there is news, once": {
			crew(three...), script(eight, said("alice", 1), said("alice", 2)),
			[]string{
				"e1 group_send_ack to [10]", "e1 group_send to [2]", "e1 group_send_ack to [10]", "e1 group_send to [2]", "e1 group_news to [12]",
				"e2 group_send to [3]", "e2 group_send to [3]", "e2 group_news to [11]",
			},
		},
		"in a very large group there is news for senders, too": {
			crew(three...), script(eight, said("alice", 1), said("bob", 2)),
			[]string{
				"e1 group_send_ack to [10]", "e1 group_send to [2]", "e1 group_news to [2 10 12]",
				"e2 group_send to [3]", "e2 group_send_ack to [11]", "e2 group_news to [3 11]",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, deliveries(c.routes, c.do)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestEventsOfAGroup hands out one change of each kind to bob, who is a member, and to dave, who is not.
func TestEventsOfAGroup(t *testing.T) {
	users := []chat.UserID{"alice", "bob"}
	routes := []chat.Route{route("bob", "1", "e1", 11), route("dave", "1", "e1", 13)}
	muted := change(chat.MemberMuted, "alice", "bob")
	muted.Change.Until = 5000
	quiet := change(chat.GroupMuted, "alice")
	quiet.Change.On = true
	role := change(chat.RoleSet, "alice", "bob")
	role.Change.Role = chat.Manager
	event := func(e wire.GroupEvent) wire.GroupEvent {
		e.Group, e.Place, e.Version, e.By = "team", 10, 3, "alice"
		return e
	}
	for name, c := range map[string]struct {
		record chat.Record
		to     []chat.SessionID
		want   wire.GroupEvent
	}{
		"created": {
			described(chat.GroupCreated, `{"groupType":1}`, "dave"),
			[]chat.SessionID{11, 13},
			event(wire.GroupEvent{Command: wire.CreatedGroup, App: 1, Owner: "dave", Members: []chat.UserID{"dave"}, Info: `{"groupType":1}`}),
		},
		"joined": {
			change(chat.MembersJoined, "alice", "dave", "erin"),
			[]chat.SessionID{11, 13},
			event(wire.GroupEvent{Command: wire.AddedMember, Members: []chat.UserID{"dave", "erin"}}),
		},
		"updated": {
			described(chat.GroupUpdated, `{"groupName":"x"}`),
			[]chat.SessionID{11},
			event(wire.GroupEvent{Command: wire.UpdatedGroup, Info: `{"groupName":"x"}`}),
		},
		"member updated": {
			described(chat.MemberUpdated, `{"alias":"x"}`, "bob"),
			[]chat.SessionID{11},
			event(wire.GroupEvent{Command: wire.UpdatedMember, Member: "bob", Info: `{"alias":"x"}`}),
		},
		"left":        {change(chat.MemberLeft, "alice", "bob"), []chat.SessionID{11}, event(wire.GroupEvent{Command: wire.ExitGroup, Member: "bob"})},
		"removed":     {change(chat.MemberRemoved, "alice", "bob"), []chat.SessionID{11}, event(wire.GroupEvent{Command: wire.DeletedMember, Member: "bob"})},
		"role":        {role, []chat.SessionID{11}, event(wire.GroupEvent{Command: wire.UpdatedMember, Member: "bob", Role: 1})},
		"muted":       {muted, []chat.SessionID{11}, event(wire.GroupEvent{Command: wire.SpeakMember, Member: "bob", SpeakDate: 5000})},
		"all muted":   {quiet, []chat.SessionID{11}, event(wire.GroupEvent{Command: wire.MuteGroup, Mute: true})},
		"destroyed":   {change(chat.GroupDestroyed, "alice"), []chat.SessionID{11}, event(wire.GroupEvent{Command: wire.DestroyGroup})},
		"transferred": {change(chat.GroupTransferred, "alice", "bob"), []chat.SessionID{11}, event(wire.GroupEvent{Command: wire.TransferGroup, Owner: "bob"})},
	} {
		t.Run(name, func(t *testing.T) {
			b := pushed(routes, script(users, c.record))
			if n := len(b.pushes["e1"].Deliveries); n != 1 {
				t.Fatalf("there are %d deliveries, want 1", n)
			}
			d := b.pushes["e1"].Deliveries[0]
			got, err := wire.ParseGroupEvent(wire.Command(d.Command), d.Payload)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("the event (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(c.to, d.Sessions); diff != "" {
				t.Errorf("who gets it (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAGroupsMessageIsEncodedOnce(t *testing.T) {
	users := []chat.UserID{"alice", "bob", "carol"}
	b := pushed(crew(users...), script(users, said("bob", 1)))
	var payloads [][]byte
	for _, edge := range []chat.NodeID{"e1", "e2"} {
		for _, d := range b.pushes[edge].Deliveries {
			if wire.Command(d.Command) == wire.GroupSend {
				payloads = append(payloads, d.Payload)
			}
		}
	}
	if len(payloads) != 2 || &payloads[0][0] != &payloads[1][0] {
		t.Errorf("%d deliveries, of more than one payload", len(payloads))
	}
	m, err := wire.ParsePlaced(payloads[0])
	want := wire.Placed{Message: wire.Message{MessageID: "m", Group: "team", Body: "hi"}, From: device("bob", "1"), Place: 10, Seq: 1}
	if diff := cmp.Diff(want, m); err != nil || diff != "" {
		t.Errorf("%v, (-want +got):\n%s", err, diff)
	}
}

// TestABurstOfReadsIsOneReceipt lets bob read message after message; what is told once a batch comes with the batch's last revision, or an
// edge that has the blocks before it would drop it.
func TestABurstOfReadsIsOneReceipt(t *testing.T) {
	users := []chat.UserID{"alice", "bob", "carol"}
	routes := []chat.Route{route("alice", "1", "e1", 10)}
	b := pushed(routes, script(users, said("alice", 1), said("alice", 2), read("bob", 0, 1, ""), read("bob", 1, 2, "alice"), read("carol", 0, 1, "")))
	var got []string
	for _, d := range b.pushes["e1"].Deliveries {
		if wire.Command(d.Command) != wire.GroupReadReceipt {
			continue
		}
		r, err := wire.ParseReadPosition(d.Payload)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%s has read %s's up to %d in %s at %d, revision %d", r.Reader, r.To, r.Seq, r.Group, r.Place, d.Revision))
	}
	want := []string{"bob has read alice's up to 2 in team at 40, revision 7", "carol has read alice's up to 1 in team at 50, revision 7"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestSendersThatAreNotRemembered(t *testing.T) {
	users := []chat.UserID{"alice", "bob"}
	b := pushed(nil, script(users, said("bob", 7), read("alice", 3, 7, ""), read("alice", 6, 7, "")))
	want := []unknownSenders{{messages: chat.SeqRange{Conversation: team, After: 3, To: 6}, position: position{"alice", 7, 20, 0}}}
	if diff := cmp.Diff(want, b.unknown, cmp.AllowUnexported(unknownSenders{}, position{})); diff != "" {
		t.Errorf("what must be looked up (-want +got):\n%s", diff)
	}
}

func TestTheNewestSendersAreRemembered(t *testing.T) {
	var s senders
	for seq := chat.Seq(1); seq <= 5*senderLimit; seq++ {
		s.add(seq, chat.UserID(fmt.Sprint(seq)))
		s.add(seq-1, "again")
	}
	if n := len(s.users); n < senderLimit || n >= 2*senderLimit {
		t.Errorf("%d senders are remembered", n)
	}
	last := chat.Seq(5 * senderLimit)
	for _, c := range []struct {
		after, to, unknown chat.Seq
		n                  int
	}{
		{last - 2, last, last - 2, 2},
		{last - senderLimit, last, last - senderLimit, senderLimit},
		{0, 10, 10, 0},
		{last, last + 1, last + 1, 0}, // the log is ahead of what is remembered
		{0, s.first + 1, s.first - 1, 2},
	} {
		users, unknown := s.within(c.after, c.to)
		if unknown != c.unknown || len(users) != c.n {
			t.Errorf("in (%d, %d] there are %d senders and up to %d unknown ones, want %d and %d", c.after, c.to, len(users), unknown, c.n, c.unknown)
		}
		if c.n > 0 && users[c.n-1] != chat.UserID(fmt.Sprint(c.to)) {
			t.Errorf("the last sender in (%d, %d] is %s", c.after, c.to, users[c.n-1])
		}
	}
}

func TestWhatIsDegradedIsCounted(t *testing.T) {
	eight := []chat.UserID{"alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi"}
	b := pushed(nil, script(eight, said("alice", 1), read("bob", 0, 1, ""), change(chat.RoleSet, "alice", "bob")))
	want := map[string]int{"messages": 1, "read receipts": 1, "member events": 1}
	if diff := cmp.Diff(want, b.degraded); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestWhoSeesTyping(t *testing.T) {
	routes := crew("alice", "bob", "carol")
	members := func(n int) *group {
		g := new(group)
		users := []chat.UserID{"alice", "bob", "carol", "dave", "erin", "frank"}[:n]
		g.roster.Fold(1, &chat.Change{Kind: chat.MembersJoined, Version: 1, Users: users})
		return g
	}
	for name, c := range map[string]struct {
		in      chat.Conversation
		by      chat.UserID
		group   *group
		want    []string
		dropped string
	}{
		"a pair":               {chat.PairOf(1, "alice", "bob"), "alice", nil, []string{"e2 typing to [11]"}, ""},
		"oneself":              {chat.PairOf(1, "alice", "alice"), "alice", nil, nil, ""},
		"a stranger to a pair": {chat.PairOf(1, "alice", "bob"), "carol", nil, nil, "not a member"},
		"a group":              {team, "alice", members(3), []string{"e1 typing to [12]", "e2 typing to [11]"}, ""},
		"a group that is cold": {team, "alice", nil, nil, "group not at hand"},
		"who is no member":     {team, "carol", members(2), nil, "not a member"},
		"a large group":        {team, "alice", members(6), nil, "large group"},
	} {
		t.Run(name, func(t *testing.T) {
			got := deliveries(routes, func(b *batch) {
				b.revision = 0
				if dropped := b.typing(&chat.Signal{Kind: chat.Typing, Conversation: c.in, From: device(c.by, "1")}, c.group, 9); dropped != c.dropped {
					t.Errorf("dropped because of %q, want %q", dropped, c.dropped)
				}
			})
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestWhatIsNotUsedIsForgotten(t *testing.T) {
	r := newRosters(200)
	name := func(i int) chat.Conversation { return chat.GroupOf(1, fmt.Sprint(i)) }
	forgotten := false
	for i := range 100 {
		r.put(name(i), new(group))
		if r.get(name(0)) == nil {
			t.Fatalf("after %d groups, one that is used all the time is forgotten", i+1)
		}
		forgotten = r.turn() || forgotten
	}
	if !forgotten || r.get(name(50)) != nil || r.get(name(99)) == nil {
		t.Error("the groups that were used last are not those that are remembered")
	}
	if n := len(r.young) + len(r.old); n > 200/new(group).size()+2 {
		t.Errorf("%d groups are remembered", n)
	}
}

func TestParkedRecordsKeepTheirOrder(t *testing.T) {
	p := newParked()
	r := said("alice", 1)
	for _, place := range []chat.Place{20, 30, 10, 40} {
		for range 2 { // the log may be read again
			p.add(item{&r, place, chat.Revision(place)})
		}
	}
	var places []chat.Place
	for _, it := range p.groups[team] {
		places = append(places, it.place)
	}
	if diff := cmp.Diff([]chat.Place{10, 20, 30, 40}, places); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := p.served(50); got != 9 {
		t.Errorf("edges are told that they are served up to %d, want 9", got)
	}
	if p.remove(team); p.records != 0 || p.bytes != 0 || p.has(team) || p.served(50) != 50 {
		t.Errorf("%d records of %d bytes remain", p.records, p.bytes)
	}
}
