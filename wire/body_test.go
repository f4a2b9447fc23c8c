package wire

import (
	"encoding/json"
	"errors"
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
	check(t, "pong", AppendPong, ParsePong, Pong{ServerTime: 1700000000000})
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
