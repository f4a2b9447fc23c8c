package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/whaleshark-im/whaleshark/chat"
)

// shown is a payload that is shown in testdata.
type shown struct {
	name    string
	up      bool
	command Command
	payload []byte
}

// allShown returns every payload that is shown in testdata, whoever put it there.
func allShown(t testing.TB) []shown {
	t.Helper()
	var all []shown
	for _, pattern := range []string{"up-*.hex", "down-tcp-*.hex"} {
		paths, err := filepath.Glob(filepath.Join("testdata", pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			name := strings.TrimSuffix(filepath.Base(path), ".hex")
			frame := readGolden(t, name)
			if strings.HasPrefix(pattern, "up") {
				f, err := DecodeUp(frame, DefaultLimits)
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				all = append(all, shown{name, true, f.Command, f.Body})
				continue
			}
			f, err := DecodeDown(frame, 1<<20)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			all = append(all, shown{name, false, f.Command, f.Body})
		}
	}
	if len(all) < 60 {
		t.Fatalf("only %d payloads are shown in testdata", len(all))
	}
	return all
}

func (s *shown) toProto() ([]byte, error) {
	if s.up {
		return AppendProtoUp(nil, s.command, s.payload)
	}
	return AppendProtoDown(nil, s.command, s.payload)
}

func (s *shown) fromProto(message []byte) ([]byte, error) {
	if s.up {
		return UpFromProto(s.command, message, DefaultLimits.Body)
	}
	return DownFromProto(s.command, message)
}

// values returns what a payload says: without nulls and empty lists, which say nothing.
func values(t testing.TB, payload []byte) any {
	t.Helper()
	if len(payload) == 0 || bytes.Equal(payload, null) {
		payload = []byte("{}")
	}
	d := json.NewDecoder(bytes.NewReader(payload))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%s: %v", payload, err)
	}
	return said(v)
}

func said(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name, x := range v {
			if list, ok := x.([]any); x == nil || ok && len(list) == 0 {
				delete(v, name)
			} else {
				v[name] = said(x)
			}
		}
	case []any:
		for i := range v {
			v[i] = said(v[i])
		}
	}
	return v
}

// text makes a text of each extra that is something else: an app's own, whose type is not ours to say.
func text(v any, extra bool) any {
	if _, ok := v.(string); extra && !ok {
		b, err := json.Marshal(v)
		if err != nil {
			panic(err)
		}
		return string(b)
	}
	switch v := v.(type) {
	case map[string]any:
		for name, x := range v {
			v[name] = text(x, name == "extra")
		}
	case []any:
		for i := range v {
			v[i] = text(v[i], false)
		}
	}
	return v
}

func TestEveryPayloadSurvivesProtobuf(t *testing.T) {
	for _, s := range allShown(t) {
		if strings.HasPrefix(s.name, "up-original-") || s.command == Ping && s.up || s.command == Logout {
			continue // with members that nobody reads
		}
		message, err := s.toProto()
		if err != nil {
			t.Errorf("%s to protobuf: %v", s.name, err)
			continue
		}
		back, err := s.fromProto(message)
		if err != nil {
			t.Errorf("%s from protobuf: %v", s.name, err)
			continue
		}
		if diff := cmp.Diff(text(values(t, s.payload), false), values(t, back)); diff != "" {
			t.Errorf("%s comes back from protobuf as something else; a field that is missing belongs into whaleshark.proto (-want +got):\n%s", s.name, diff)
		}
		if size := len(message); size >= len(s.payload) && size > 0 {
			t.Errorf("%s has %d bytes as protobuf and %d as JSON", s.name, size, len(s.payload))
		}
	}
}

func TestPayloadsOfTheOriginalAsProtobuf(t *testing.T) {
	for _, test := range originals {
		message, err := AppendProtoUp(nil, test.want.Command, test.want.Body)
		if err != nil {
			t.Errorf("%s to protobuf: %v", test.name, err)
		}
		back, err := UpFromProto(test.want.Command, message, DefaultLimits.Body)
		if err != nil {
			t.Errorf("%s from protobuf: %v", test.name, err)
		}
		want, err1 := ParseMessage(test.want.Body)
		got, err2 := ParseMessage(back)
		if test.want.Command == Send && (err1 != nil || err2 != nil || got != want) {
			t.Errorf("%s says %+v, %v; want %+v, %v", test.name, got, err2, want, err1)
		}
	}
}

// A protobuf library that knows nothing of this package must read what is written here, and be read.
func TestProtobufAsOthersSpeakIt(t *testing.T) {
	file, err := describe(protoSource)
	if err != nil {
		t.Fatal(err)
	}
	names := make(map[Command]protoreflect.Name)
	commands := file.Enums().ByName("Command").Values()
	for i := range commands.Len() {
		names[Command(commands.Get(i).Number())] = messageName(commands.Get(i).Name())
	}
	for _, s := range allShown(t) {
		name := names[s.command] + "Down"
		if s.up {
			name = names[s.command] + "Up"
		}
		ours, err := s.toProto()
		if err != nil {
			t.Fatalf("%s: %v", s.name, err)
		}
		theirs := dynamicpb.NewMessage(file.Messages().ByName(name))
		if err := proto.Unmarshal(ours, theirs); err != nil || len(theirs.GetUnknown()) > 0 {
			t.Errorf("%s is not read as a %s: %v, with %d unknown bytes", s.name, name, err, len(theirs.GetUnknown()))
			continue
		}
		b, err := proto.Marshal(theirs)
		if err != nil {
			t.Fatalf("%s: %v", s.name, err)
		}
		back, err := s.fromProto(b)
		if err != nil {
			t.Fatalf("%s: %v", s.name, err)
		}
		want, _ := s.fromProto(ours)
		if diff := cmp.Diff(values(t, want), values(t, back)); diff != "" {
			t.Errorf("%s as others write it (-want +got):\n%s", s.name, diff)
		}
	}
}

func TestGoldenProto(t *testing.T) {
	up := func(c Command, payload []byte) []byte {
		body, err := AppendProtoUp(nil, c, payload)
		if err != nil {
			t.Fatal(err)
		}
		return AppendUp(nil, &Up{
			Command: c, Version: 3, ClientType: chat.IOS, MessageType: Protobuf, App: 10001, IMEI: []byte("phone"), Body: body,
		})
	}
	golden(t, "proto-up-login", up(Login, AppendCredentials(nil, &Credentials{User: "alice", UserSign: "eJyr_"})))
	golden(t, "proto-up-login-resume", up(Login, AppendCredentials(nil, &Credentials{User: "alice", Resume: true})))
	golden(t, "proto-up-send", up(Send, AppendMessage(nil, &Message{MessageID: "m1", To: "bob", Body: "héllo \"wörld\"\n👋"})))
	golden(t, "proto-up-watch", up(Watch, AppendWatchOf(nil, &WatchOf{Users: []chat.UserID{"bob", "carol"}, TTL: 60000})))
	golden(t, "proto-up-ping", up(Ping, nil))
	for _, d := range downs {
		message, err := AppendProtoDown(nil, d.command, d.payload)
		if err != nil {
			t.Fatalf("%s: %v", d.name, err)
		}
		golden(t, "proto-down-tcp-"+d.name, AppendProtoFrame(nil, d.command, message))
		golden(t, "proto-down-ws-"+d.name, AppendProtoEnvelope(nil, d.command, message, d.to))
	}
}

func TestProtoDownIsReadAsItWasWritten(t *testing.T) {
	for _, d := range downs {
		onTCP, err := DecodeDown(readGolden(t, "proto-down-tcp-"+d.name), 1<<20)
		if err != nil {
			t.Fatalf("%s: %v", d.name, err)
		}
		onWS, err := DecodeDown(readGolden(t, "proto-down-ws-"+d.name), 1<<20)
		if err != nil {
			t.Fatalf("%s: %v", d.name, err)
		}
		inEnvelope, err := ProtoPayload(onWS.Body)
		if err != nil || !bytes.Equal(inEnvelope, onTCP.Body) || onTCP.Command != d.command || onWS.Command != d.command {
			t.Errorf("%s in an envelope is %v %x, %v; want %v %x", d.name, onWS.Command, inEnvelope, err, d.command, onTCP.Body)
		}
		payload, err := DownFromProto(d.command, inEnvelope)
		if diff := cmp.Diff(values(t, d.payload), values(t, payload)); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", d.name, err, diff)
		}
	}
}

// A message may end with a zero that means something.
func TestProtobufIsNotCutOff(t *testing.T) {
	f, err := DecodeUp(readGolden(t, "proto-up-login-resume"), DefaultLimits)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := UpFromProto(Login, f.Body, 0)
	if err != nil {
		t.Fatal(err)
	}
	c, err := ParseCredentials(payload)
	if want := (Credentials{User: "alice", Resume: true}); err != nil || c != want {
		t.Errorf("the login is %+v, %v; want %+v", c, err, want)
	}
}

// field returns a field of SendUp as it goes on the wire.
func textField(number protowire.Number, s string) []byte {
	return protowire.AppendString(protowire.AppendTag(nil, number, protowire.BytesType), s)
}

func numberField(number protowire.Number, x int64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(nil, number, protowire.VarintType), uint64(x))
}

func TestUpFromProto(t *testing.T) {
	id := textField(1, "m1")
	for _, test := range []struct {
		name string
		body []byte
		want string
		code chat.Code
	}{
		{"nothing", nil, `{}`, 0},
		{"a message", slicesOf(id, textField(2, "bob"), numberField(5, 7), numberField(7, 1)), `{"messageId":"m1","toId":"bob","messageTime":7,"first":true}`, 0},
		{"fields in another order", slicesOf(textField(2, "bob"), id), `{"messageId":"m1","toId":"bob"}`, 0},
		{"the last of several", slicesOf(textField(1, "m0"), id), `{"messageId":"m1"}`, 0},
		{"an empty string is there", textField(4, ""), `{"messageBody":""}`, 0},
		{"a number below 0", numberField(5, -7), `{"messageTime":-7}`, 0},
		{"a field that is newer", slicesOf(id, textField(99, "x"), numberField(98, 1)), `{"messageId":"m1"}`, 0},
		{"a field of another type", slicesOf(id, numberField(2, 1)), `{"messageId":"m1"}`, 0},
		{"quotes", textField(4, "\"\\\n\u2028"), `{"messageBody":"\"\\\n` + "\u2028" + `"}`, 0},
		{"JSON", []byte(`{"messageId":"m1"}`), `{}`, chat.BadBody},
		{"an end that is missing", slicesOf(id, textField(2, "bob")[:3]), `{"messageId":"m1"}`, chat.BadBody},
		{"invalid UTF-8", slicesOf(id, textField(2, "\xff")), `{"messageId":"m1","toId":null}`, chat.BadString},
		{"U+0000", slicesOf(id, textField(2, "a\x00")), `{"messageId":"m1","toId":null}`, chat.BadString},
	} {
		got, err := UpFromProto(Send, test.body, DefaultLimits.Body)
		e, _ := errors.AsType[chat.Error](err)
		if string(got) != test.want || e.Code != test.code {
			t.Errorf("%s: %s, %v; want %s and code %v", test.name, got, err, test.want, test.code)
		}
	}

	long := textField(4, strings.Repeat("\x01", 12000))
	if _, err := UpFromProto(Send, long, DefaultLimits.Body); !errors.Is(err, chat.Errorf(chat.BadBody, "the body has 72018 bytes as JSON; at most 65536 may be")) {
		t.Errorf("a body that is long as JSON: %v", err)
	}
	if _, err := UpFromProto(SendAck, nil, 0); !isCode(err, chat.UnknownCommand) {
		t.Errorf("a command that does not go up: %v", err)
	}
}

func slicesOf(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func isCode(err error, c chat.Code) bool {
	e, ok := errors.AsType[chat.Error](err)
	return ok && e.Code == c
}

func TestValuesThatAreMixed(t *testing.T) {
	got, err := UpFromProto(Watch, []byte("\x10\x01\x0a\x01a\x10\x02\x0a\x01b\x10\x03\x0a\x01c"), 0)
	if want := `{"userIds":["a","b","c"],"ttlMs":3}`; err != nil || string(got) != want {
		t.Errorf("%s, %v; want %s", got, err, want)
	}
}

// BenchmarkManyValues reads the worst that fits into a frame: it must not cost much more than its bytes do.
func BenchmarkManyValues(b *testing.B) {
	body := bytes.Repeat([]byte{0x12, 0, 0x0a, 0}, 16<<10)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := UpFromProto(Send, body, 0); err != nil {
			b.Fatal(err)
		}
	}
}

// Several values of a field that is a message are one, as protobuf wants it.
func TestMessagesMerge(t *testing.T) {
	data := func(parts ...[]byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(nil, 4, protowire.BytesType), slicesOf(parts...))
	}
	got, err := DownFromProto(SendAck, slicesOf(data(textField(1, "m1")), numberField(1, 200), data(numberField(2, 7))))
	if want := `{"code":200,"data":{"messageId":"m1","messageSequence":7}}`; err != nil || string(got) != want {
		t.Errorf("the ack is %s, %v; want %s", got, err, want)
	}
}

// What cannot be translated leaves nothing behind.
func TestPayloadThatIsNoneOfTheCommands(t *testing.T) {
	for _, payload := range []string{`[]`, `7`, `{"code":200`, "{\"msg\":\"\xff\"}", `{} {}`} {
		b, err := AppendProtoDown([]byte("before"), SendAck, []byte(payload))
		if err == nil || string(b) != "before" {
			t.Errorf("%s becomes %q, %v", payload, b, err)
		}
	}
	b, err := AppendProtoDown([]byte("before"), 7, nil)
	if !isCode(err, chat.UnknownCommand) || string(b) != "before" {
		t.Errorf("a payload of an unknown command becomes %q, %v", b, err)
	}
}

// What an app says of its own groups may be of any type.
func TestMembersOfAnotherType(t *testing.T) {
	const payload = `{"groupId":"team","members":["a",7],"mute":true,"createTime":1.5,"extra":{"a": [1]},"photo":null,"groupName":7,"mood":"good"}`
	message, err := AppendProtoDown(nil, CreatedGroup, []byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	got, err := DownFromProto(CreatedGroup, message)
	if want := `{"groupId":"team","members":["a","7"],"groupName":"7","extra":"{\"a\": [1]}"}`; err != nil || string(got) != want {
		t.Errorf("it goes down as %s, %v; want %s", got, err, want)
	}
	for _, payload := range []string{`{"messageId":7}`, `{"messageTime":"7"}`, `{"messageTime":1.5}`, `{"first":1}`} {
		if b, err := AppendProtoUp(nil, Send, []byte(payload)); len(b) > 0 || !isCode(err, chat.BadParameter) {
			t.Errorf("%s goes up as %x, %v; want code %v", payload, b, err, chat.BadParameter)
		}
	}
}

func FuzzUpFromProto(f *testing.F) {
	for _, s := range allShown(f) {
		message, err := s.toProto()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(int32(s.command), message)
	}
	f.Fuzz(func(t *testing.T, command int32, message []byte) {
		c := Command(command)
		for _, from := range []func() ([]byte, error){
			func() ([]byte, error) { return UpFromProto(c, message, DefaultLimits.Body) },
			func() ([]byte, error) { return DownFromProto(c, message) },
		} {
			payload, err := from()
			if err != nil && !isCode(err, chat.UnknownCommand) && !isCode(err, chat.BadBody) && !isCode(err, chat.BadString) {
				t.Fatalf("%v is no error of a client", err)
			}
			if len(payload) > 0 && !json.Valid(payload) {
				t.Fatalf("%x becomes %q", message, payload)
			}
			if len(payload) > 8*len(message)+64 && err == nil {
				t.Fatalf("%d bytes become %d", len(message), len(payload))
			}
		}
		if payload, err := UpFromProto(c, message, DefaultLimits.Body); err == nil {
			again, err := AppendProtoUp(nil, c, payload)
			if err != nil {
				return // a number that is too large
			}
			back, err := UpFromProto(c, again, 0)
			if err != nil || !bytes.Equal(back, payload) {
				t.Fatalf("%s comes back as %s, %v", payload, back, err)
			}
		}
		_, _ = ProtoPayload(message)
	})
}
