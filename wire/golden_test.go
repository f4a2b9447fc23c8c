package wire

import (
	"bytes"
	"encoding/hex"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/whaleshark-im/whaleshark/chat"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew")

// golden compares a frame with testdata/name.hex. The files are shared with clients in other languages.
func golden(t *testing.T, name string, frame []byte) {
	t.Helper()
	path := filepath.Join("testdata", name+".hex")
	if *rewrite {
		if err := os.WriteFile(path, []byte(hex.EncodeToString(frame)+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if want := readGolden(t, name); !bytes.Equal(frame, want) {
		t.Errorf("%s:\n got %q\nwant %q", name, frame, want)
	}
}

func readGolden(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name+".hex"))
	if err != nil {
		t.Fatal(err)
	}
	frame, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return frame
}

// The three frames that the original's own pages were seen to send.
var originals = []struct {
	name string
	want Up
}{
	{"up-original-login", Up{
		Command: Login, Version: 1, ClientType: chat.Web, App: 10001, IMEI: []byte("web"),
		Body: []byte(`{"userId":"lld","appId":10001,"clientType":1,"imei":"web","customStatus":null,"customClientName":""}`),
	}},
	{"up-original-send", Up{
		Command: Send, Version: 1, ClientType: chat.Web, App: 10001, IMEI: []byte("web"),
		Body: []byte(`{"messageId":"m1","fromId":"a","toId":"b","appId":10001,"clientType":1,"imei":"web","messageBody":"hi"}`),
	}},
	{"up-original-ping", Up{
		Command: Ping, Version: 1, ClientType: chat.Web, App: 10001, IMEI: []byte("web"),
		Body: []byte(`{"type":"ping","timestamp":1}`),
	}},
}

func TestFramesOfTheOriginal(t *testing.T) {
	for _, test := range originals {
		frame := readGolden(t, test.name)
		got, err := DecodeUp(frame, DefaultLimits)
		if err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
		if again := AppendUp(nil, &got); !bytes.Equal(again, frame) {
			t.Errorf("%s encodes to other bytes:\n got %x\nwant %x", test.name, again, frame)
		}
	}
}

func TestBodiesOfTheOriginal(t *testing.T) {
	body := func(name string) []byte {
		f, err := DecodeUp(readGolden(t, name), DefaultLimits)
		if err != nil {
			t.Fatal(err)
		}
		return f.Body
	}
	c, err := ParseCredentials(body("up-original-login"))
	if want := (Credentials{User: "lld"}); err != nil || c != want {
		t.Errorf("login is %+v, %v; want %+v", c, err, want)
	}
	m, err := ParseMessage(body("up-original-send"))
	if want := (Message{MessageID: "m1", To: "b", Body: "hi"}); err != nil || m != want {
		t.Errorf("send is %+v, %v; want %+v", m, err, want)
	}
}

var (
	alicePhone = chat.Device{App: 10001, User: "alice", Client: chat.IOS, IMEI: "phone"}
	bobWeb     = chat.Device{App: 10001, User: "bob", Client: chat.Web, IMEI: "web"}

	toBob  = Where{To: "bob"}
	inTeam = Where{Group: "team"}
)

func TestGoldenUp(t *testing.T) {
	up := func(c Command, version int32, body []byte) []byte {
		return AppendUp(nil, &Up{Command: c, Version: version, ClientType: chat.IOS, App: 10001, IMEI: []byte("phone"), Body: body})
	}
	golden(t, "up-login", up(Login, 3, AppendCredentials(nil, &Credentials{User: "alice", UserSign: "eJyr_"})))
	golden(t, "up-send", up(Send, 3, AppendMessage(nil, &Message{MessageID: "m1", To: "bob", Body: "héllo \"wörld\"\n👋"})))
	golden(t, "up-send-first", up(Send, 3, AppendMessage(nil, &Message{
		MessageID: "m1", To: "bob", Body: "hi", Extra: "x", MessageTime: 1700000000000, First: true,
	})))
	golden(t, "up-receive", up(Receive, 3, AppendReceipt(nil, &Receipt{To: "alice", Seq: 7, Place: 5120, MessageID: "m1"})))
	golden(t, "up-login-resume", up(Login, 3, AppendCredentials(nil, &Credentials{User: "alice", UserSign: "eJyr_", Resume: true, Cursor: 5120})))
	golden(t, "up-group-send", up(GroupSend, 3, AppendMessage(nil, &Message{MessageID: "m1", Group: "team", Body: "hi", First: true})))
	golden(t, "up-read", up(Read, 3, AppendReadUpTo(nil, &ReadUpTo{Where: Where{To: "bob"}, Seq: 7})))
	golden(t, "up-group-read", up(GroupRead, 3, AppendReadUpTo(nil, &ReadUpTo{Where: Where{To: "bob", Group: "team"}, Seq: 7})))
	golden(t, "up-recall", up(Recall, 3, AppendRecallOf(nil, &RecallOf{Where: toBob, Place: 5120, MessageID: "m1"})))
	golden(t, "up-recall-group", up(Recall, 3, AppendRecallOf(nil, &RecallOf{Where: inTeam, Seq: 7})))
	golden(t, "up-typing", up(Typing, 3, AppendTypingIn(nil, &TypingIn{toBob})))
	golden(t, "up-typing-group", up(Typing, 3, AppendTypingIn(nil, &TypingIn{inTeam})))
	golden(t, "up-status", up(Status, 3, AppendStatusSet(nil, &StatusSet{Status: 3, Custom: "at lunch"})))
	golden(t, "up-watch", up(Watch, 3, AppendWatchOf(nil, &WatchOf{Users: []chat.UserID{"bob", "carol"}, TTL: 60000})))
	golden(t, "up-watch-end", up(Watch, 3, AppendWatchOf(nil, &WatchOf{})))
	golden(t, "up-changes", up(Changes, 3, AppendChangesSince(nil, &ChangesSince{RequestID: "r1", Cursor: 5120, Limit: 100})))
	golden(t, "up-history", up(History, 3, AppendHistoryOf(nil, &HistoryOf{
		Where: toBob, RequestID: "r1", FromSeq: 3, ToSeq: 7, Descending: true, Limit: 100,
	})))
	golden(t, "up-history-group", up(History, 3, AppendHistoryOf(nil, &HistoryOf{Where: inTeam, FromPlace: 4096, ToPlace: 9216})))
	golden(t, "up-pull", up(Pull, 3, AppendPullSince(nil, &PullSince{RequestID: "r1", Last: 5120, Limit: 100})))
	golden(t, "up-ping", up(Ping, 3, []byte("{}")))
	golden(t, "up-logout", up(Logout, 3, []byte("{}")))
}

// down is a frame that goes down. One without an address is an edge's own.
type down struct {
	name    string
	command Command
	to      *chat.Device
	payload []byte
}

// downs are payloads that are shown on both transports.
var downs = []down{
	{"send", Send, &bobWeb, AppendPlaced(nil, &Placed{
		Message: Message{MessageID: "m1", To: "bob", Body: "héllo \"wörld\"\n👋", Extra: "x", MessageTime: 1700000000000},
		From:    alicePhone, Place: 5120, Seq: 7,
	})},
	{"send-ack", SendAck, &alicePhone, AppendAck(nil, &Ack{Code: chat.OK, MessageID: "m1", Seq: 7})},
	{"send-ack-refused", SendAck, &alicePhone, AppendAck(nil, &Ack{Code: chat.RelationMissing, MessageID: "m1"})},
	{"send-ack-local", SendAck, nil, AppendAck(nil, &Ack{Code: chat.BadBody})},
	{"receive", Receive, &alicePhone, AppendArrived(nil, &Arrived{
		Receipt: Receipt{To: "alice", Seq: 7, Place: 5120}, From: bobWeb,
	})},
	{"receive-server", Receive, &alicePhone, AppendArrived(nil, &Arrived{
		Receipt: Receipt{To: "alice", Seq: 7, Place: 5120, MessageID: "m1"}, From: chat.Device{User: "bob"}, ServerSend: true,
	})},
	{"login-ack", LoginAck, nil, AppendWelcome(nil, &Welcome{
		Code: chat.OK, Session: 42, ServerTime: 1700000000000, Heartbeat: 30000, MaxBody: 65536, Cursor: 5120,
	})},
	{"login-ack-resumed", LoginAck, nil, AppendWelcome(nil, &Welcome{
		Code: chat.OK, Session: 42, ServerTime: 1700000000000, Heartbeat: 30000, MaxBody: 65536, Cursor: 5120, Resume: true, Resumed: 3,
	})},
	{"login-ack-refused", LoginAck, nil, AppendWelcome(nil, &Welcome{Code: chat.UserMissing})},
	{"refuse", Refuse, nil, AppendRefusal(nil, &Refusal{Code: chat.UnknownCommand, Reason: "unknown command 7", Command: 7})},
	{"ping", Ping, nil, AppendPong(nil, &Pong{ServerTime: 1700000000000, Cursor: 5120})},
	{"kick", Kick, &alicePhone, nil},
	{"group-send", GroupSend, &bobWeb, AppendPlaced(nil, &groupPlaced)},
	{"recall-notify", RecallNotify, &bobWeb, AppendRecalled(nil, &recalled)},
	{"history", History, nil, AppendHistoryPage(nil, &historyPage)},
}

var (
	groupPlaced = Placed{
		Message: Message{MessageID: "m1", Group: "team", Body: "hi"}, From: alicePhone, Place: 5120, Seq: 7,
	}
	gone = Placed{
		Message: Message{MessageID: "m1", To: "bob"}, From: alicePhone, Place: 5120, Seq: 7, Recalled: true,
	}
	recalled    = Recalled{Where: toBob, By: "alice", Place: 5120, Seq: 7, MessageID: "m1", RecallAt: 6144}
	changesPage = ChangesPage{
		Code: chat.OK, Reason: "success", RequestID: "r1", Cursor: 9216, Completed: true, Conversations: []ChangedConversation{
			{Where: toBob, Head: 7, ChangeAt: 6144, Read: 5, PeerRead: 6, Unread: 2, Last: &gone},
			{Where: inTeam, Head: 9, ChangeAt: 9216, Read: 9, Left: true},
			{Where: Where{To: "carol"}, Head: 3, ChangeAt: 9200, Mute: true, Top: true, Deleted: true},
		},
	}
	historyPage = HistoryPage{
		Code: chat.OK, Reason: "success", RequestID: "r1", Completed: true, Records: []HistoryRecord{
			{Message: &gone, Time: 1700000000001},
			{Recall: &recalled, Time: 1700000000002},
			{Read: &ReadPosition{Where: Where{To: "alice"}, Reader: "bob", Seq: 7, Place: 7168}, Time: 1700000000003},
			{Group: &GroupEvent{Command: AddedMember, Group: "team", Place: 8192, Version: 2, Members: []chat.UserID{"bob"}}, Time: 1700000000004},
			{Group: &GroupEvent{Command: UpdatedGroup, Group: "team", Place: 9216, Version: 3, Info: `{"groupName":"Team"}`}, Time: 1700000000005},
		},
	}
	settings = []Setting{
		{Command: ConversationDelete, Where: Where{To: "alice"}, User: "bob", Place: 5120},
		{Command: ConversationUpdate, Where: inTeam, User: "bob", Place: 5120, Mute: chat.On, Top: chat.Off},
	}
	groupEvents = []GroupEvent{
		{
			Command: CreatedGroup, Group: "team", Place: 1024, Version: 1, By: "alice", App: 10001, Owner: "alice", Members: []chat.UserID{"alice", "bob"},
			Info: `{"groupType":1,"groupName":"Team","mute":0,"createTime":1700000000000}`,
		},
		{Command: AddedMember, Group: "team", Place: 2048, Version: 2, By: "alice", Members: []chat.UserID{"carol"}},
		{Command: UpdatedGroup, Group: "team", Place: 2560, Version: 3, By: "alice", Info: `{"groupName":"The \"team\"","photo":null,"extra":{"a":[1]}}`},
		{Command: ExitGroup, Group: "team", Place: 3072, Version: 4, By: "bob", Member: "bob"},
		{Command: UpdatedMember, Group: "team", Place: 4096, Version: 5, By: "alice", Member: "bob", Role: 1},
		{Command: DeletedMember, Group: "team", Place: 5120, Version: 6, By: "alice", Member: "bob"},
		{Command: DestroyGroup, Group: "team", Place: 6144, Version: 7},
		{Command: TransferGroup, Group: "team", Place: 7168, Version: 8, By: "alice", Owner: "bob"},
		{Command: MuteGroup, Group: "team", Place: 8192, Version: 9, By: "alice", Mute: true},
		{Command: SpeakMember, Group: "team", Place: 9216, Version: 10, By: "alice", Member: "bob", SpeakDate: 1700000000000},
	}
	describedMember = GroupEvent{
		Command: UpdatedMember, Group: "team", Place: 10240, Version: 11, By: "bob", Member: "bob", Info: `{"alias":"bo","extra":"x"}`,
	}
)

// downsOnTCP are the payloads that are shown on TCP alone: an envelope holds any payload alike.
func downsOnTCP() []down {
	ds := []down{
		{"group-send-ack", GroupSendAck, &alicePhone, AppendAck(nil, &Ack{Code: chat.OK, MessageID: "m1", Seq: 7})},
		{"group-send-ack-refused", GroupSendAck, &alicePhone, AppendAck(nil, &Ack{Code: chat.NotMember, MessageID: "m1"})},
		{"read-notify", ReadNotify, &bobWeb, AppendReadPosition(nil, &ReadPosition{Where: Where{To: "alice"}, Reader: "bob", Seq: 7, Place: 7168})},
		{"read-receipt", ReadReceipt, &alicePhone, AppendReadPosition(nil, &ReadPosition{Where: Where{To: "alice"}, Reader: "bob", Seq: 7})},
		{"group-read-notify", GroupReadNotify, &bobWeb, AppendReadPosition(nil, &ReadPosition{Where: inTeam, Reader: "bob", Seq: 7, Place: 7168})},
		{"group-read-receipt", GroupReadReceipt, &alicePhone, AppendReadPosition(nil, &ReadPosition{
			Where: Where{To: "alice", Group: "team"}, Reader: "bob", Seq: 7, Place: 7168,
		})},
		{"recall-ack", RecallAck, &alicePhone, AppendRecallAnswer(nil, &RecallAnswer{Code: chat.OK, Place: 5120, Seq: 7, MessageID: "m1"})},
		{"recall-ack-refused", RecallAck, &alicePhone, AppendRecallAnswer(nil, &RecallAnswer{Code: chat.NotYours, Seq: 7})},
		{"recall-notify-group", RecallNotify, &bobWeb, AppendRecalled(nil, &Recalled{
			Where: inTeam, By: "alice", Place: 5120, Seq: 7, MessageID: "m1", RecallAt: 6144,
		})},
		{"typing", Typing, &bobWeb, AppendTypingBy(nil, &TypingBy{Where: toBob, From: alicePhone})},
		{"typing-group", Typing, &bobWeb, AppendTypingBy(nil, &TypingBy{Where: inTeam, From: alicePhone})},
		{"status-notify", StatusNotify, &bobWeb, AppendUserStatus(nil, &UserStatus{User: "alice", Status: Offline})},
		{"status-sync", StatusSync, &bobWeb, AppendDeviceStatus(nil, &DeviceStatus{
			Device: chat.Device{App: 10001, User: "bob", Client: chat.IOS, IMEI: "phone"}, Status: 3, Custom: "at lunch",
		})},
		{"watch", Watch, nil, AppendWatching(nil, &Watching{Code: chat.OK, TTL: 60000, Users: []UserStatus{
			{User: "bob", Status: 3, Custom: "at lunch"}, {User: "carol", Status: Offline},
		}})},
		{"watch-refused", Watch, nil, AppendWatching(nil, &Watching{Code: chat.BadParameter})},
		{"group-news", GroupNews, &bobWeb, AppendNews(nil, &News{Group: "team", Seq: 7, Place: 5120})},
		{"changes", Changes, nil, AppendChangesPage(nil, &changesPage)},
		{"changes-refused", Changes, nil, AppendChangesPage(nil, &ChangesPage{Code: chat.Busy, RequestID: "r1"})},
		{"pull", Pull, nil, AppendPullPage(nil, &PullPage{
			Code: chat.OK, RequestID: "r1", Max: 5120, Completed: true, Messages: []Placed{gone, groupPlaced},
		})},
		{"login-ack-truncated", LoginAck, nil, AppendWelcome(nil, &Welcome{
			Code: chat.OK, Session: 42, ServerTime: 1700000000000, Heartbeat: 30000, MaxBody: 65536, Cursor: 5120, Resume: true, Truncated: true,
		})},
	}
	ds = append(ds, down{"updated-member-info", UpdatedMember, &bobWeb, AppendGroupEvent(nil, &describedMember)})
	for _, s := range settings {
		ds = append(ds, down{strings.ReplaceAll(s.Command.String(), "_", "-"), s.Command, &bobWeb, AppendSetting(nil, &s)})
	}
	for _, e := range groupEvents {
		name := strings.ReplaceAll(e.Command.String(), "_", "-")
		ds = append(ds, down{name, e.Command, &bobWeb, AppendGroupEvent(nil, &e)})
	}
	return ds
}

func TestGoldenDown(t *testing.T) {
	for _, d := range downs {
		golden(t, "down-tcp-"+d.name, AppendDown(nil, d.command, d.payload))
		if d.to == nil {
			golden(t, "down-ws-"+d.name, AppendLocalEnvelope(nil, d.command, d.payload))
		} else {
			golden(t, "down-ws-"+d.name, AppendEnvelope(nil, d.command, d.payload, d.to))
		}
	}
	for _, d := range downsOnTCP() {
		golden(t, "down-tcp-"+d.name, AppendDown(nil, d.command, d.payload))
	}
}

func TestDownIsReadAsItWasWritten(t *testing.T) {
	for _, d := range downs {
		f, err := DecodeDown(readGolden(t, "down-tcp-"+d.name), 1<<20)
		if err != nil {
			t.Fatalf("%s: %v", d.name, err)
		}
		want := d.payload
		if want == nil {
			want = []byte("null")
		}
		if f.Command != d.command || !bytes.Equal(f.Body, want) {
			t.Errorf("%s on TCP is %v %s; want %v %s", d.name, f.Command, f.Body, d.command, want)
		}

		f, err = DecodeDown(readGolden(t, "down-ws-"+d.name), 1<<20)
		if err != nil {
			t.Fatalf("%s: %v", d.name, err)
		}
		payload, err := Payload(f.Body)
		if err != nil || f.Command != d.command || !bytes.Equal(payload, d.payload) {
			t.Errorf("%s in an envelope is %v %s, %v; want %v %s", d.name, f.Command, payload, err, d.command, d.payload)
		}
	}
}

// The envelope as the original was seen to write it: keys in order, null left out.
func TestEnvelope(t *testing.T) {
	frame := AppendEnvelope(nil, Send, []byte(`{"messageBody":"hi"}`), &bobWeb)
	want := `{"appId":10001,"clientType":1,"command":1103,"data":{"messageBody":"hi"},"imei":"web","toId":"bob"}`
	if got := string(frame[downHeader:]); got != want {
		t.Errorf("the envelope is\n%s\nwant\n%s", got, want)
	}
	frame = AppendLocalEnvelope(nil, SendAck, []byte(`{}`))
	if got, want := string(frame[downHeader:]), `{"clientType":0,"command":1046,"data":{}}`; got != want {
		t.Errorf("the envelope is %s; want %s", got, want)
	}
}
