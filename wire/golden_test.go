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
	golden(t, "up-ping", up(Ping, 3, []byte("{}")))
	golden(t, "up-logout", up(Logout, 3, []byte("{}")))
}

// downs are payloads of every kind that goes down. Those without an address are an edge's own.
var downs = []struct {
	name    string
	command Command
	to      *chat.Device
	payload []byte
}{
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
		Code: chat.OK, Session: 42, ServerTime: 1700000000000, Heartbeat: 30000, MaxBody: 65536,
	})},
	{"login-ack-refused", LoginAck, nil, AppendWelcome(nil, &Welcome{Code: chat.UserMissing})},
	{"refuse", Refuse, nil, AppendRefusal(nil, &Refusal{Code: chat.UnknownCommand, Reason: "unknown command 7", Command: 7})},
	{"ping", Ping, nil, AppendPong(nil, &Pong{ServerTime: 1700000000000})},
	{"kick", Kick, &alicePhone, nil},
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
