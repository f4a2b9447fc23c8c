package wire

import (
	"encoding/binary"
	"strconv"

	"github.com/whaleshark-im/whaleshark/chat"
)

// AppendEnvelope appends a frame down as a WebSocket message carries it: a header, and the payload within an envelope that is addressed to a
// device. Its keys stand in alphabetical order; without a payload there is no data.
func AppendEnvelope(b []byte, c Command, payload []byte, to *chat.Device) []byte {
	b, start := openEnvelope(b, c)
	b = strconv.AppendInt(append(b, `{"appId":`...), int64(to.App), 10)
	b = strconv.AppendInt(append(b, `,"clientType":`...), int64(to.Client), 10)
	b = appendData(b, c, payload)
	b = appendString(append(b, `,"imei":`...), to.IMEI)
	b = appendString(append(b, `,"toId":`...), string(to.User))
	return closeEnvelope(b, start)
}

// AppendLocalEnvelope appends a frame down as a WebSocket message carries it, without an address: an edge's own answer.
func AppendLocalEnvelope(b []byte, c Command, payload []byte) []byte {
	b, start := openEnvelope(b, c)
	b = appendData(append(b, `{"clientType":0`...), c, payload)
	return closeEnvelope(b, start)
}

func openEnvelope(b []byte, c Command) (_ []byte, start int) {
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
	binary.BigEndian.PutUint32(b[start-4:], uint32(size(b[start:]))) //nolint:gosec // not negative
	return b
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
