package wire

import (
	"encoding/binary"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/whaleshark-im/whaleshark/chat"
)

// AppendEnvelope appends a frame down as a WebSocket message carries it: a header, and the payload within an envelope that is addressed to a
// device. Its keys stand in alphabetical order; without a payload there is no data.
func AppendEnvelope(b []byte, c Command, payload []byte, to *chat.Device) []byte {
	b, start := openFrame(b, c)
	b = strconv.AppendInt(append(b, `{"appId":`...), int64(to.App), 10)
	b = strconv.AppendInt(append(b, `,"clientType":`...), int64(to.Client), 10)
	b = appendData(b, c, payload)
	b = appendString(append(b, `,"imei":`...), to.IMEI)
	b = appendString(append(b, `,"toId":`...), string(to.User))
	return closeEnvelope(b, start)
}

// AppendLocalEnvelope appends a frame down as a WebSocket message carries it, without an address: an edge's own answer.
func AppendLocalEnvelope(b []byte, c Command, payload []byte) []byte {
	b, start := openFrame(b, c)
	b = appendData(append(b, `{"clientType":0`...), c, payload)
	return closeEnvelope(b, start)
}

// AppendProtoFrame appends a frame down as TCP carries it to a protobuf client: a header and the payload's message, which may be empty.
func AppendProtoFrame(b []byte, c Command, message []byte) []byte {
	b, start := openFrame(b, c)
	b = append(b, message...)
	putSize(b, start)
	return b
}

// AppendProtoEnvelope appends a frame down as a WebSocket message carries it to a protobuf client: a header, and the payload's message within
// an envelope that is addressed to a device; nil: to nobody.
func AppendProtoEnvelope(b []byte, c Command, message []byte, to *chat.Device) []byte {
	fields := theSchema().envelope.byName
	b, start := openFrame(b, c)
	if to == nil {
		b = fields["clientType"].appendInt(b, 0)
	} else {
		b = fields["appId"].appendInt(b, int64(to.App))
		b = fields["clientType"].appendInt(b, int64(to.Client))
	}
	b = fields["command"].appendInt(b, int64(c))
	b = protowire.AppendBytes(fields["data"].appendTag(b, protowire.BytesType), message)
	if to != nil {
		b = fields["imei"].appendString(b, to.IMEI)
		b = fields["toId"].appendString(b, string(to.User))
	}
	putSize(b, start)
	return b
}

// ProtoPayload returns the payload's message within the envelope of a frame down to a protobuf client. It points into the envelope.
func ProtoPayload(envelope []byte) ([]byte, error) {
	var r reader
	var payload []byte
	for _, x := range r.occurrences(theSchema().envelope, envelope) {
		if x.field.name == "data" {
			payload = x.bytes
		}
	}
	return payload, r.fault
}

func openFrame(b []byte, c Command) (_ []byte, start int) {
	b = binary.BigEndian.AppendUint32(b, uint32(c)) //nolint:gosec // bits, not a number
	b = append(b, 0, 0, 0, 0)
	return b, len(b)
}

func appendData(b []byte, c Command, payload []byte) []byte {
	b = strconv.AppendInt(append(b, `,"command":`...), int64(c), 10)
	if len(payload) == 0 {
		return b
	}
	return append(append(b, `,"data":`...), payload...)
}

func closeEnvelope(b []byte, start int) []byte {
	b = append(b, '}')
	putSize(b, start)
	return b
}

func putSize(b []byte, start int) {
	binary.BigEndian.PutUint32(b[start-4:], uint32(size(b[start:]))) //nolint:gosec // not negative
}

// Payload returns the payload within the envelope of a frame down; nil if there is none. It points into the envelope.
func Payload(envelope []byte) ([]byte, error) {
	var payload []byte
	o := open(envelope)
	for o.next() {
		if string(o.name) == "data" && !o.isNull() {
			payload = o.value
		}
	}
	return payload, o.close()
}
