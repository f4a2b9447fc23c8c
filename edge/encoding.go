package edge

import (
	"sync"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/wire"
)

// A client speaks JSON or protobuf. Within the edge, as everywhere behind it, a payload is JSON: what comes is translated by the session, and
// what goes when it is written to the first of the protobuf clients that get it. Others pay nothing for it.

// hear notes how a client speaks that has not logged in yet: its answers are of the version and in the encoding of its newest frame, until
// the login decides.
func (s *session) hear(f *wire.Up) {
	if !s.ready {
		s.protocol, s.protobuf = f.Version, f.MessageType == wire.Protobuf
	}
}

// payload returns a frame's payload as JSON. Beside an error it holds what could be read of it.
func (s *session) payload(f *wire.Up) ([]byte, error) {
	switch f.MessageType {
	case wire.JSON:
		return f.Body, nil
	case wire.Protobuf:
		return wire.UpFromProto(f.Command, f.Body, s.cfg.Limits.Body)
	case wire.XML:
		return f.Body, chat.Errorf(chat.BadEncoding, "XML is not spoken; %s", chat.BadEncoding.Info().Meaning)
	default:
		return f.Body, chat.Error{Code: chat.BadEncoding}
	}
}

// message is a frame's payload as protobuf, translated by whoever writes it first.
type message struct {
	once  sync.Once
	bytes []byte
	err   error
}

// asProtobuf returns the frame's payload as protobuf.
func (f *frame) asProtobuf() ([]byte, error) {
	m := f.message
	if m == nil {
		return wire.AppendProtoDown(nil, f.command, f.payload)
	}
	m.once.Do(func() { m.bytes, m.err = wire.AppendProtoDown(nil, f.command, f.payload) })
	return m.bytes, m.err
}

// appendTCP appends the frame as TCP carries it, and nothing beside an error.
func (f *frame) appendTCP(b []byte) ([]byte, error) {
	if !f.protobuf {
		return wire.AppendDown(b, f.command, f.payload), nil
	}
	message, err := f.asProtobuf()
	if err != nil {
		return b, err
	}
	return wire.AppendProtoFrame(b, f.command, message), nil
}

// appendWS appends the frame as a WebSocket message carries it, and nothing beside an error.
func (f *frame) appendWS(b []byte, to *chat.Device) ([]byte, error) {
	switch {
	case f.protobuf:
		message, err := f.asProtobuf()
		if err != nil {
			return b, err
		}
		if f.local {
			to = nil
		}
		return wire.AppendProtoEnvelope(b, f.command, message, to), nil
	case f.local:
		return wire.AppendLocalEnvelope(b, f.command, f.payload), nil
	default:
		return wire.AppendEnvelope(b, f.command, f.payload, to), nil
	}
}
