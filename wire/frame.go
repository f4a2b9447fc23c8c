package wire

import (
	"bytes"
	"encoding/binary"

	"github.com/whaleshark-im/whaleshark/chat"
)

// Up is a frame from a client to the server.
type Up struct {
	Command     Command
	Version     int32
	ClientType  chat.ClientType
	MessageType int32 // how the body is encoded
	App         chat.AppID
	IMEI        []byte // without its trailing NULs
	Body        []byte // without its trailing NULs, unless it is protobuf; may be empty
}

// The message types that the protocol names.
const (
	JSON     int32 = 0
	Protobuf int32 = 1 // see whaleshark.proto
	XML      int32 = 2 // is not spoken
)

// Down is a frame from the server to a client.
type Down struct {
	Command Command
	Body    []byte // TCP: the payload; WebSocket: the envelope, see [Payload] and [ProtoPayload]
}

const (
	upHeader   = 28
	downHeader = 8
)

// Limits bounds what a peer may send, in bytes.
type Limits struct {
	IMEI int // of the imei; 0: DefaultLimits.IMEI
	Body int // of the body; 0: DefaultLimits.Body
}

// DefaultLimits are those that the protocol documents.
var DefaultLimits = Limits{IMEI: 256, Body: 64 << 10}

func (l Limits) orDefault() Limits {
	if l.IMEI == 0 {
		l.IMEI = DefaultLimits.IMEI
	}
	if l.Body == 0 {
		l.Body = DefaultLimits.Body
	}
	return l
}

// MaxUp returns the size in bytes of the largest frame up that the limits allow.
func (l Limits) MaxUp() int {
	l = l.orDefault()
	return upHeader + l.IMEI + l.Body
}

// AppendUp appends a frame up.
func AppendUp(b []byte, f *Up) []byte {
	return AppendUpFunc(b, f, func(b []byte) []byte { return append(b, f.Body...) })
}

// AppendUpFunc appends a frame up whose body is what body appends, not f.Body: encoded in place.
func AppendUpFunc(b []byte, f *Up, body func([]byte) []byte) []byte {
	for _, x := range [...]int32{
		int32(f.Command), f.Version, int32(f.ClientType), f.MessageType, int32(f.App), size(f.IMEI), 0,
	} {
		b = binary.BigEndian.AppendUint32(b, uint32(x)) //nolint:gosec // bits, not a number
	}
	b = append(b, f.IMEI...)
	start := len(b)
	b = body(b)
	binary.BigEndian.PutUint32(b[start-len(f.IMEI)-4:], uint32(size(b[start:]))) //nolint:gosec // not negative
	return b
}

// AppendDown appends a frame down as TCP carries it: a header and the payload. No payload at all is written as null, for a body is never
// empty.
func AppendDown(b []byte, c Command, payload []byte) []byte {
	if len(payload) == 0 {
		payload = null
	}
	b = binary.BigEndian.AppendUint32(b, uint32(c))             //nolint:gosec // bits, not a number
	b = binary.BigEndian.AppendUint32(b, uint32(size(payload))) //nolint:gosec // not negative
	return append(b, payload...)
}

// size returns a length as the header holds it. A longer one is a fault of the caller, who knows the limits.
func size(b []byte) int32 {
	if len(b) > 1<<30 {
		panic("wire: a part of a frame is longer than 1 GiB")
	}
	return int32(len(b)) //nolint:gosec // checked
}

// DecodeUp reads the frame up that a WebSocket message holds. Bytes after it are ignored, as the original does. IMEI and Body point into b.
// When the error is a bad length, the frame still holds what the header says.
func DecodeUp(b []byte, limits Limits) (Up, error) {
	if len(b) < upHeader {
		return Up{}, chat.Errorf(chat.BadLength, "a frame needs %d bytes of header; %d came", upHeader, len(b))
	}
	f, imei, body, err := parseUp(b, limits.orDefault())
	if err != nil {
		return f, err
	}
	if rest := len(b) - upHeader; rest < imei+body {
		return f, chat.Errorf(chat.BadLength, "the header promises %d bytes after it; %d came", imei+body, rest)
	}
	f.fill(b[upHeader:], imei, body)
	return f, nil
}

// parseUp reads a header, which b must hold in full, and the lengths of what follows it.
func parseUp(b []byte, limits Limits) (f Up, imei, body int, err error) {
	word := func(i int) int32 { return int32(binary.BigEndian.Uint32(b[4*i:])) } //nolint:gosec // bits, not a number
	f = Up{
		Command:     Command(word(0)),
		Version:     word(1),
		ClientType:  chat.ClientType(word(2)),
		MessageType: word(3),
		App:         chat.AppID(word(4)),
	}
	imei, body = int(word(5)), int(word(6))
	switch {
	case imei < 0 || imei > limits.IMEI:
		err = chat.Errorf(chat.BadLength, "the imei has %d bytes; at most %d may be", imei, limits.IMEI)
	case body < 0 || body > limits.Body:
		err = chat.Errorf(chat.BadLength, "the body has %d bytes; at most %d may be", body, limits.Body)
	}
	return f, imei, body, err
}

// fill takes the imei and the body from b. Browsers of the original pad both with NULs, because they count three bytes for characters
// that have two: those are cut off. No browser of the original speaks protobuf, whose messages may end with one.
func (f *Up) fill(b []byte, imei, body int) {
	f.IMEI = bytes.TrimRight(b[:imei], "\x00") //nolint:gosec // the caller has that many bytes
	f.Body = b[imei : imei+body]               //nolint:gosec // the same
	if f.MessageType != Protobuf {
		f.Body = bytes.TrimRight(f.Body, "\x00")
	}
}
