//go:build !race

package wire

import (
	"bytes"
	"io"
	"testing"

	"github.com/whaleshark-im/whaleshark/chat"
)

// How much a frame costs is counted, not timed: a change that makes the codec allocate is seen at once.
func TestAllocations(t *testing.T) {
	send := AppendMessage(nil, &Message{MessageID: "m1", To: "bob", Body: "hello"})
	frame := AppendUp(nil, &Up{Command: Send, Version: 1, App: 10001, IMEI: []byte("web"), Body: send})
	decoder := NewUpDecoder(idle{frame}, DefaultLimits)
	placed := &Placed{Message: Message{MessageID: "m1", To: "bob", Body: "hello"}, From: alicePhone, Place: 5120, Seq: 7}
	payload := AppendPlaced(nil, placed)
	message, err := AppendProtoDown(nil, Send, payload)
	if err != nil {
		t.Fatal(err)
	}
	receipt := AppendReceipt(nil, &Receipt{To: "alice", Seq: 7, Place: 5120})
	out := make([]byte, 0, 1<<10)

	for _, test := range []struct {
		name string
		want float64
		run  func()
	}{
		{"decode a frame from a stream", 0, func() { _, _ = decoder.Decode() }},
		{"decode the frame of a message", 0, func() { _, _ = DecodeUp(frame, DefaultLimits) }},
		{"parse a message (its three strings)", 3, func() { _, _ = ParseMessage(send) }},
		{"parse a receipt (its one string)", 1, func() { _, _ = ParseReceipt(receipt) }},
		{"find the message id", 1, func() { MessageIDOf(send) }},
		{"encode a placed message", 0, func() { AppendPlaced(out, placed) }},
		{"encode an ack", 0, func() { AppendAck(out, &Ack{Code: chat.OK, MessageID: "m1", Seq: 7}) }},
		{"splice a payload for TCP", 0, func() { AppendDown(out, Send, payload) }},
		{"splice a payload for WebSocket", 0, func() { AppendEnvelope(out, Send, payload, &bobWeb) }},
		{"splice a protobuf payload for TCP", 0, func() { AppendProtoFrame(out, Send, message) }},
		{"splice a protobuf payload for WebSocket", 0, func() { AppendProtoEnvelope(out, Send, message, &bobWeb) }},
	} {
		if got := testing.AllocsPerRun(200, test.run); got > test.want {
			t.Errorf("%s allocates %v times; want at most %v", test.name, got, test.want)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	frame := readGolden(b, "up-original-send")
	d := NewUpDecoder(&repeat{frame: bytes.Repeat(frame, 64)}, DefaultLimits)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := d.Decode(); err != nil {
			b.Fatal(err)
		}
	}
}

// repeat reads the same frames for ever.
type repeat struct {
	frame []byte
	at    int
}

func (r *repeat) Read(p []byte) (int, error) {
	if r.at == len(r.frame) {
		r.at = 0
	}
	n := copy(p, r.frame[r.at:])
	r.at += n
	return n, nil
}

var _ io.Reader = (*repeat)(nil)

func BenchmarkParseMessage(b *testing.B) {
	body := originals[1].want.Body
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseMessage(body); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendPlaced(b *testing.B) {
	p := &Placed{
		Message: Message{MessageID: "m1", To: "bob", Body: string(bytes.Repeat([]byte("x"), 300))}, From: alicePhone, Place: 5120, Seq: 7,
	}
	out := make([]byte, 0, 1<<10)
	b.ReportAllocs()
	for b.Loop() {
		out = AppendPlaced(out[:0], p)
	}
}

func BenchmarkAppendEnvelope(b *testing.B) {
	payload := AppendPlaced(nil, &Placed{
		Message: Message{MessageID: "m1", To: "bob", Body: string(bytes.Repeat([]byte("x"), 300))}, From: alicePhone, Place: 5120, Seq: 7,
	})
	out := make([]byte, 0, 1<<10)
	b.ReportAllocs()
	for b.Loop() {
		out = AppendEnvelope(out[:0], Send, payload, &bobWeb)
	}
}

func BenchmarkAppendProtoDown(b *testing.B) {
	payload := AppendPlaced(nil, &Placed{
		Message: Message{MessageID: "m1", To: "bob", Body: string(bytes.Repeat([]byte("x"), 300))}, From: alicePhone, Place: 5120, Seq: 7,
	})
	out := make([]byte, 0, 1<<10)
	b.ReportAllocs()
	for b.Loop() {
		var err error
		if out, err = AppendProtoDown(out[:0], Send, payload); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkUpFromProto(b *testing.B) {
	message, err := AppendProtoUp(nil, Send, originals[1].want.Body)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := UpFromProto(Send, message, 0); err != nil {
			b.Fatal(err)
		}
	}
}

// What compiling the schema costs, once in a process.
func BenchmarkCompile(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := compile(protoSource); err != nil {
			b.Fatal(err)
		}
	}
}
