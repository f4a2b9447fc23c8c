package wire

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/whaleshark-im/whaleshark/chat"
)

func TestParseIsTheInverseOfAppend(t *testing.T) {
	odd := "\"\\\n\t\x01\u2028é👋</script>"
	check(t, "credentials", AppendCredentials, ParseCredentials, Credentials{User: "alice", UserSign: odd})
	check(t, "message", AppendMessage, ParseMessage, Message{
		MessageID: odd, To: "bob", Body: odd, Extra: odd, MessageTime: -1, First: true,
	})
	check(t, "message, the least", AppendMessage, ParseMessage, Message{})
	check(t, "placed", AppendPlaced, ParsePlaced, Placed{
		Message: Message{MessageID: "m1", To: "bob", Body: odd, Extra: "x", MessageTime: 5}, From: alicePhone, Place: 1<<53 - 1, Seq: 9,
	})
	check(t, "ack", AppendAck, ParseAck, Ack{Code: chat.OK, Reason: "success", MessageID: "m1", Seq: 3})
	check(t, "ack, refused", AppendAck, ParseAck, Ack{Code: chat.Busy, Reason: "why"})
	check(t, "receipt", AppendReceipt, ParseReceipt, Receipt{To: "alice", Seq: 3, Place: 1024, MessageID: "m1"})
	check(t, "arrived", AppendArrived, ParseArrived, Arrived{Receipt: Receipt{To: "alice", Seq: 3}, From: bobWeb})
	check(t, "arrived, by the server", AppendArrived, ParseArrived, Arrived{
		Receipt: Receipt{To: "bob", Seq: 3, Place: 7}, From: chat.Device{User: "alice"}, ServerSend: true,
	})
	check(t, "welcome", AppendWelcome, ParseWelcome, Welcome{
		Code: chat.OK, Reason: "success", Session: 1 << 60, ServerTime: 5, Heartbeat: 30000, MaxBody: 65536,
	})
	check(t, "welcome, refused", AppendWelcome, ParseWelcome, Welcome{Code: chat.SignWrong, Reason: "why"})
	check(t, "refusal", AppendRefusal, ParseRefusal, Refusal{Code: chat.BadBody, Reason: "why", Command: Receive, MessageID: "m1"})
	check(t, "pong", AppendPong, ParsePong, Pong{ServerTime: 1700000000000, Cursor: 5120})
}

func TestParseIsTheInverseOfAppendInGroupsAndSync(t *testing.T) {
	const odd = "\"\\\n\t\x01\u2028é👋</script>"
	oddTeam := Where{Group: odd}
	check(t, "credentials to resume", AppendCredentials, ParseCredentials, Credentials{User: "alice", Resume: true, Cursor: 5120})
	check(t, "credentials to resume from the beginning", AppendCredentials, ParseCredentials, Credentials{User: "alice", Resume: true})
	check(t, "welcome, resumed", AppendWelcome, ParseWelcome, Welcome{
		Code: chat.OK, Reason: "success", Session: 1, Cursor: 5120, Resume: true, Resumed: 3, Truncated: true,
	})
	check(t, "welcome, nothing to resume", AppendWelcome, ParseWelcome, Welcome{Code: chat.OK, Reason: "success", Cursor: 5120, Resume: true})
	check(t, "group message", AppendMessage, ParseMessage, Message{MessageID: "m1", Group: odd, Body: "hi", First: true})
	check(t, "placed in a group", AppendPlaced, ParsePlaced, groupPlaced)
	check(t, "placed and recalled", AppendPlaced, ParsePlaced, gone)
	for _, w := range []Where{toBob, oddTeam, {To: "bob", Group: "team"}} {
		check(t, "read up", AppendReadUpTo, ParseReadUpTo, ReadUpTo{Where: w, Seq: 7})
		check(t, "read down", AppendReadPosition, ParseReadPosition, ReadPosition{Where: w, Reader: odd, Seq: 7, Place: 7168})
		check(t, "recall up", AppendRecallOf, ParseRecallOf, RecallOf{Where: w, Place: 5120, Seq: 7, MessageID: odd})
		check(t, "recall up, the least", AppendRecallOf, ParseRecallOf, RecallOf{Where: w})
		check(t, "recall down", AppendRecalled, ParseRecalled, Recalled{
			Where: w, By: "alice", Place: 5120, Seq: 7, MessageID: odd, RecallAt: 6144,
		})
		check(t, "typing up", AppendTypingIn, ParseTypingIn, TypingIn{w})
		check(t, "typing down", AppendTypingBy, ParseTypingBy, TypingBy{Where: w, From: alicePhone})
		check(t, "history up", AppendHistoryOf, ParseHistoryOf, HistoryOf{
			Where: w, RequestID: odd, FromSeq: 1, ToSeq: 2, FromPlace: 3, ToPlace: 4, Descending: true, Limit: 5,
		})
	}
	check(t, "recall answer", AppendRecallAnswer, ParseRecallAnswer, RecallAnswer{Code: chat.OK, Reason: "success", Place: 5120, Seq: 7, MessageID: odd})
	check(t, "recall answer, the least", AppendRecallAnswer, ParseRecallAnswer, RecallAnswer{Code: chat.NotYours, Reason: "why"})
	check(t, "status up", AppendStatusSet, ParseStatusSet, StatusSet{Status: Online, Custom: odd})
	check(t, "status down", AppendUserStatus, ParseUserStatus, UserStatus{User: odd, Status: Offline, Custom: odd})
	check(t, "status of a device", AppendDeviceStatus, ParseDeviceStatus, DeviceStatus{Device: alicePhone, Status: 3, Custom: odd})
	check(t, "watch up", AppendWatchOf, ParseWatchOf, WatchOf{Users: []chat.UserID{"bob", odd, ""}, TTL: 60000})
	check(t, "watch up, of nobody", AppendWatchOf, ParseWatchOf, WatchOf{})
	check(t, "watch down", AppendWatching, ParseWatching, Watching{
		Code: chat.OK, Reason: "success", TTL: 60000, Users: []UserStatus{{User: "bob", Status: 3, Custom: odd}, {User: "carol", Status: Offline}},
	})
	check(t, "watch down, refused", AppendWatching, ParseWatching, Watching{Code: chat.Busy, Reason: "why"})
	for _, e := range groupEvents {
		parse := func(body []byte) (GroupEvent, error) { return ParseGroupEvent(e.Command, body) }
		check(t, e.Command.String(), AppendGroupEvent, parse, e)
		check(t, e.Command.String()+", the least", AppendGroupEvent, parse, GroupEvent{Command: e.Command})
	}
	check(t, "a member, described", AppendGroupEvent, func(body []byte) (GroupEvent, error) {
		return ParseGroupEvent(UpdatedMember, body)
	}, describedMember)
	for _, s := range append(settings, Setting{Command: ConversationUpdate, Where: Where{To: "a_b"}, User: "_c_", Top: chat.On}) {
		check(t, s.Command.String(), AppendSetting, func(body []byte) (Setting, error) { return ParseSetting(s.Command, body) }, s)
	}
	check(t, "news", AppendNews, ParseNews, News{Group: odd, Seq: 7, Place: 5120})
	check(t, "changes up", AppendChangesSince, ParseChangesSince, ChangesSince{RequestID: odd, Cursor: 5120, Limit: 100})
	check(t, "changes up, the least", AppendChangesSince, ParseChangesSince, ChangesSince{})
	check(t, "changes down", AppendChangesPage, ParseChangesPage, changesPage)
	check(t, "changes down, none", AppendChangesPage, ParseChangesPage, ChangesPage{Code: chat.OK, Reason: "success", Cursor: 5120})
	check(t, "changes down, refused", AppendChangesPage, ParseChangesPage, ChangesPage{Code: chat.Busy, Reason: "why", RequestID: odd})
	check(t, "history down", AppendHistoryPage, ParseHistoryPage, historyPage)
	check(t, "history down, of unknown kinds", AppendHistoryPage, ParseHistoryPage, HistoryPage{
		Code: chat.OK, Reason: "success", Records: []HistoryRecord{{Time: 1}, {}},
	})
	check(t, "history down, refused", AppendHistoryPage, ParseHistoryPage, HistoryPage{Code: chat.NotMember, Reason: "why"})
	check(t, "pull up", AppendPullSince, ParsePullSince, PullSince{RequestID: odd, Last: 5120, Limit: 100})
	check(t, "pull down", AppendPullPage, ParsePullPage, PullPage{
		Code: chat.OK, Reason: "success", RequestID: odd, Max: 5120, Completed: true, Truncated: true, Messages: []Placed{gone, groupPlaced},
	})
	check(t, "pull down, refused", AppendPullPage, ParsePullPage, PullPage{Code: chat.Busy, Reason: "why", RequestID: odd})
}

// TestInfoStandsBesideWhatTheEventHasItself appends infos that an event cannot take as they are.
func TestInfoStandsBesideWhatTheEventHasItself(t *testing.T) {
	for info, want := range map[string]string{
		`{"groupId":"other","sequence":9,"kind":1,"groupName":"x"}`: `,"groupName":"x"}`,
		"\t{ \"a\" : 1 }\n": `,"a":1}`,
		`{}`:                `}`,
		`{"a":1}x`:          `}`,
		`["a"]`:             `}`,
		"{\"a\":\"\xff\"}":  `}`,
	} {
		const head = `{"groupId":"team","messageKey":1,"sequence":2`
		got := string(AppendGroupEvent(nil, &GroupEvent{Command: UpdatedGroup, Group: "team", Place: 1, Version: 2, Info: info}))
		if got != head+want {
			t.Errorf("with %q it is %s; want %s", info, got, head+want)
		}
	}
}

func check[T any](t *testing.T, what string, appendTo func([]byte, *T) []byte, parse func([]byte) (T, error), want T) {
	t.Helper()
	b := appendTo(nil, &want)
	if !json.Valid(b) {
		t.Errorf("%s: not JSON: %s", what, b)
	}
	got, err := parse(b)
	if err != nil {
		t.Errorf("%s: %v in %s", what, err, b)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestCodeWithoutReasonSaysItsMeaning(t *testing.T) {
	got := string(AppendAck(nil, &Ack{Code: chat.UserMissing, MessageID: "m1"}))
	want := `{"code":20001,"msg":"the user does not exist","ok":false,"data":{"messageId":"m1"}}`
	if got != want {
		t.Errorf("got %s; want %s", got, want)
	}
	got = string(AppendAck(nil, &Ack{Code: chat.OK, MessageID: "m1", Seq: 1}))
	want = `{"code":200,"msg":"success","ok":true,"data":{"messageId":"m1","messageSequence":1}}`
	if got != want {
		t.Errorf("got %s; want %s", got, want)
	}
}

func TestTolerance(t *testing.T) {
	want := Message{MessageID: "m1", To: "b", Body: "hi"}
	for name, body := range map[string]string{
		"null instead of nothing":              `{"messageId":"m1","toId":"b","messageBody":"hi","messageTime":null,"extra":null,"first":null}`,
		"unknown members of any type":          `{"x":[1,{"y":"\ud800\u0000"}],"messageId":"m1","toId":"b","messageBody":"hi","z":{"messageId":"no"}}`,
		"nonsense in fields that we never use": `{"messageId":"m1","toId":"b","messageBody":"hi","fromId":7,"appId":"10001","imei":null,"clientType":{}}`,
		"the last of several":                  `{"messageId":"m0","messageId":"m1","toId":"b","messageBody":"hi"}`,
		"whitespace":                           " \t\r\n{ \"messageId\" : \"m1\" , \"toId\":\"b\",\"messageBody\":\"hi\" } \n",
		"escapes":                              `{"message\u0049d":"m\u0031","toId":"\u0062","messageBody":"h\u0069"}`,
	} {
		got, err := ParseMessage([]byte(body))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	for _, number := range []string{"5", "5.0", "0.5e1", "50e-1"} {
		r, err := ParseReceipt([]byte(`{"toId":"a","messageSequence":` + number + `}`))
		if err != nil || r.Seq != 5 {
			t.Errorf("the number %s is %d, %v; want 5", number, r.Seq, err)
		}
	}
}

func TestToleranceInLists(t *testing.T) {
	for body, want := range map[string]WatchOf{
		`{"userIds":null,"ttlMs":null}`:                        {},
		`{"userIds":[]}`:                                       {},
		`{"userIds":[ "b" , "\u0063" ],"x":[["\ud800"]]}`:      {Users: []chat.UserID{"b", "c"}},
		`{"userIds":["b",null]}`:                               {Users: []chat.UserID{"b", ""}},
		`{"userIds":["a","b"],"userIds":["c"],"ttlMs":1e3}`:    {Users: []chat.UserID{"c"}, TTL: 1000},
		`{"userIds":["a"],"ttlMs":5,"userIds":null,"z":"\"]"}`: {TTL: 5},
	} {
		got, err := ParseWatchOf([]byte(body))
		if err != nil {
			t.Errorf("%s: %v", body, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", body, diff)
		}
	}
	c, err := ParseCredentials([]byte(`{"userId":"a","cursor":null}`))
	if err != nil || c.Resume {
		t.Errorf("a login whose cursor is null is %+v, %v; want one that does not resume", c, err)
	}
	p, err := ParseChangesPage([]byte(`{"code":200,"data":{"conversations":[null,{"last":{"messageId":"m1"},"last":null,"x":[]}]}}`))
	if want := (ChangesPage{Code: chat.OK, Conversations: make([]ChangedConversation, 2)}); err != nil || !cmp.Equal(want, p) {
		t.Errorf("changes are %+v, %v; want two empty conversations", p, err)
	}
	h, err := ParseHistoryPage([]byte(`{"code":200,"data":{"records":[{"time":5,"messageKey":"odd","kind":"of tomorrow"}]}}`))
	if want := (HistoryPage{Code: chat.OK, Records: []HistoryRecord{{Time: 5}}}); err != nil || !cmp.Equal(want, h) {
		t.Errorf("history is %+v, %v; want one record of an unknown kind", h, err)
	}
}

func TestFaultsInListsSurface(t *testing.T) {
	many := `{"userIds":["a"` + strings.Repeat(`,"a"`, maxItems) + `]}`
	for body, want := range map[string]chat.Code{
		`{"userIds":"a"}`:                chat.BadParameter,
		`{"userIds":{}}`:                 chat.BadParameter,
		`{"userIds":["a",7]}`:            chat.BadParameter,
		`{"userIds":[["a"]]}`:            chat.BadParameter,
		`{"userIds":["a","\u0000","b"]}`: chat.BadString,
		`{"userIds":["\ud800"]}`:         chat.BadString,
		"{\"userIds\":[\"\xff\"]}":       chat.BadString,
		`{"userIds":["a",]}`:             chat.BadBody,
		`{"userIds":["a"`:                chat.BadBody,
		many:                             chat.BadParameter,
	} {
		_, err := ParseWatchOf([]byte(body))
		wantCode(t, body[:min(len(body), 40)], err, want)
	}
	for body, want := range map[string]chat.Code{
		`[7]`:                                   chat.BadParameter,
		`[{"kind":7}]`:                          chat.BadParameter,
		`[{"kind":"message","messageKey":"x"}]`: chat.BadParameter,
		`[{"kind":"read","fromId":"\u0000"}]`:   chat.BadString,
		`[{"kind":"group","members":[{}]},{}]`:  chat.BadParameter,
		`{}`:                                    chat.BadParameter,
	} {
		_, err := ParseHistoryPage([]byte(`{"code":200,"data":{"records":` + body + `}}`))
		wantCode(t, body, err, want)
	}
	_, err := ParseChangesPage([]byte(`{"code":200,"data":{"conversations":[{"last":{"toId":7}}]}}`))
	wantCode(t, "a last message to nobody", err, chat.BadParameter)
}

func TestCommandsHaveNamesOfTheirOwn(t *testing.T) {
	seen := map[string]Command{}
	for c := range Command(10000) {
		name := c.String()
		if other, again := seen[name]; again {
			t.Errorf("%d and %d are both called %s", other, c, name)
		}
		seen[name] = c
	}
}

func TestBadBodies(t *testing.T) {
	for body, want := range map[string]chat.Code{
		"":                                    chat.BadBody,
		"   ":                                 chat.BadBody,
		"null":                                chat.BadBody,
		"[]":                                  chat.BadBody,
		`"m1"`:                                chat.BadBody,
		"7":                                   chat.BadBody,
		"{":                                   chat.BadBody,
		`{"messageId"}`:                       chat.BadBody,
		`{"messageId":"m1"`:                   chat.BadBody,
		`{"messageId":"m1"} {}`:               chat.BadBody,
		`{"messageId":"m1"},`:                 chat.BadBody,
		`{"messageId":"m1",}`:                 chat.BadBody,
		`{"messageId":'m1'}`:                  chat.BadBody,
		"{\"messageId\":\"\n\"}":              chat.BadBody,
		`{"messageId":"\x"}`:                  chat.BadBody,
		`{messageId:"m1"}`:                    chat.BadBody,
		"{\"messageId\":\"a\x00b\"}":          chat.BadString,
		`{"messageId":"\u0000"}`:              chat.BadString,
		`{"messageId":"m1","toId":"\ud800"}`:  chat.BadString,
		`{"messageId":"m1","toId":"\udc00x"}`: chat.BadString,
		`{"messageBody":"\ud800\ud800"}`:      chat.BadString,
		"{\"extra\":\"\xff\"}":                chat.BadString,
		"{\"unknown\":\"\xc0\x80\"}":          chat.BadString,
		`{"messageId":7}`:                     chat.BadParameter,
		`{"toId":{}}`:                         chat.BadParameter,
		`{"messageBody":["hi"]}`:              chat.BadParameter,
		`{"messageTime":"now"}`:               chat.BadParameter,
		`{"messageTime":1.5}`:                 chat.BadParameter,
		`{"messageTime":9007199254740992}`:    chat.BadParameter,
		`{"messageTime":1e999}`:               chat.BadParameter,
		`{"first":1}`:                         chat.BadParameter,
	} {
		_, err := ParseMessage([]byte(body))
		wantCode(t, body, err, want)
	}
}

func TestMessageIDIsReadBesideAFault(t *testing.T) {
	for _, body := range []string{
		`{"messageId":"m1","toId":7}`,
		`{"toId":"\u0000","messageId":"m1"}`,
		`{"toId":[],"messageId":"m1"}`,
		"{\"messageBody\":\"\xff\",\"messageId\":\"m1\"}",
		`{"messageId":"m1","toId":`,
	} {
		if m, err := ParseMessage([]byte(body)); err == nil || m.MessageID != "m1" {
			t.Errorf("%s: message id %q, error %v; want m1 and an error", body, m.MessageID, err)
		}
	}
	for body, want := range map[string]string{
		`{"toId":"b","messageId":"m1","messageBody":` + `nonsense`: "m1",
		`{"messageId":7}`: "",
		`[]`:              "",
		``:                "",
	} {
		if got := MessageIDOf([]byte(body)); got != want {
			t.Errorf("the message id of %s is %q; want %q", body, got, want)
		}
	}
}

func FuzzMessage(f *testing.F) {
	f.Add("m1", "bob", "hi", "", int64(0), false)
	f.Add("\"\\", "é", "👋\n", "\u2028", int64(-1), true)
	f.Fuzz(func(t *testing.T, id, to, body, extra string, sent int64, first bool) {
		want := Message{MessageID: id, To: chat.UserID(to), Body: body, Extra: extra, MessageTime: sent, First: first}
		for _, s := range []string{id, to, body, extra} {
			if !utf8.ValidString(s) {
				return
			}
		}
		got, err := ParseMessage(AppendMessage(nil, &want))
		if err != nil {
			if clean(want) {
				t.Fatal(err)
			}
			return
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("written and read again:\n%s", diff)
		}
	})
}

func clean(m Message) bool {
	for _, s := range []string{m.MessageID, string(m.To), m.Body, m.Extra} {
		for _, r := range s {
			if r == 0 {
				return false
			}
		}
	}
	return m.MessageTime <= maxNumber && m.MessageTime >= -maxNumber
}

// What we take, a stricter reader takes too, and reads alike.
func FuzzBody(f *testing.F) {
	for _, o := range originals {
		f.Add(o.want.Body)
	}
	f.Add([]byte(`{"messageId":"\ud83d\udc4b","toId":null,"messageTime":1e3,"x":[{}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		m, err := ParseMessage(body)
		if err != nil {
			if e := (chat.Error{}); !errors.As(err, &e) {
				t.Fatalf("a bad body yields %v; want a code", err)
			}
			return
		}
		if m.Group != "" {
			m.To = "" // not written then
		}
		again, err := ParseMessage(AppendMessage(nil, &m))
		if err != nil {
			t.Fatalf("%q is read as %+v, which is then refused: %v", body, m, err)
		}
		if diff := cmp.Diff(m, again); diff != "" {
			t.Fatalf("written and read again:\n%s", diff)
		}
		if !json.Valid(body) {
			t.Fatalf("%q is taken, and is not JSON", body)
		}
	})
}

// The same of every other payload. Some fields are written only where they mean something, so that what is read first may hold more than
// what was written once; from there on nothing is lost.
func FuzzPayloads(f *testing.F) {
	for _, d := range append(downsOnTCP(), downs...) {
		f.Add(d.payload)
	}
	for _, body := range []string{
		`{"userId":"alice","cursor":5120}`,
		`{"toId":"bob","groupId":"team","messageSequence":7,"fromSequence":3,"toKey":9,"descending":true,"limit":5,"requestId":"r"}`,
		`{"userIds":["a",null,"\u0062"],"ttlMs":1e3,"status":3,"customStatus":"x","cursor":1,"lastKey":2}`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		fuzzPayload(t, body, AppendCredentials, ParseCredentials)
		fuzzPayload(t, body, AppendPlaced, ParsePlaced)
		fuzzPayload(t, body, AppendWelcome, ParseWelcome)
		fuzzPayload(t, body, AppendPong, ParsePong)
		fuzzPayload(t, body, AppendReadUpTo, ParseReadUpTo)
		fuzzPayload(t, body, AppendReadPosition, ParseReadPosition)
		fuzzPayload(t, body, AppendRecallOf, ParseRecallOf)
		fuzzPayload(t, body, AppendRecallAnswer, ParseRecallAnswer)
		fuzzPayload(t, body, AppendRecalled, ParseRecalled)
		fuzzPayload(t, body, AppendTypingIn, ParseTypingIn)
		fuzzPayload(t, body, AppendTypingBy, ParseTypingBy)
		fuzzPayload(t, body, AppendStatusSet, ParseStatusSet)
		fuzzPayload(t, body, AppendUserStatus, ParseUserStatus)
		fuzzPayload(t, body, AppendDeviceStatus, ParseDeviceStatus)
		fuzzPayload(t, body, AppendWatchOf, ParseWatchOf)
		fuzzPayload(t, body, AppendWatching, ParseWatching)
		for _, e := range groupEvents {
			fuzzPayload(t, body, AppendGroupEvent, func(body []byte) (GroupEvent, error) { return ParseGroupEvent(e.Command, body) })
		}
		for _, s := range settings {
			fuzzPayload(t, body, AppendSetting, func(body []byte) (Setting, error) { return ParseSetting(s.Command, body) })
		}
		fuzzPayload(t, body, AppendNews, ParseNews)
		fuzzPayload(t, body, AppendChangesSince, ParseChangesSince)
		fuzzPayload(t, body, AppendChangesPage, ParseChangesPage)
		fuzzPayload(t, body, AppendHistoryOf, ParseHistoryOf)
		fuzzPayload(t, body, AppendHistoryPage, ParseHistoryPage)
		fuzzPayload(t, body, AppendPullSince, ParsePullSince)
		fuzzPayload(t, body, AppendPullPage, ParsePullPage)
	})
}

func fuzzPayload[T any](t *testing.T, body []byte, appendTo func([]byte, *T) []byte, parse func([]byte) (T, error)) {
	t.Helper()
	first, err := parse(body)
	if err != nil {
		if e := (chat.Error{}); !errors.As(err, &e) {
			t.Fatalf("a bad body yields %v; want a code", err)
		}
		return
	}
	if !json.Valid(body) {
		t.Fatalf("%q is taken, and is not JSON", body)
	}
	written := appendTo(nil, &first)
	second, err := parse(written)
	if err != nil {
		t.Fatalf("%q is read as %+v, which is written as %s and then refused: %v", body, first, written, err)
	}
	third, err := parse(appendTo(nil, &second))
	if err != nil {
		t.Fatalf("%s is read as %+v, which is then refused: %v", written, second, err)
	}
	if diff := cmp.Diff(second, third); diff != "" {
		t.Fatalf("written and read again:\n%s", diff)
	}
}
