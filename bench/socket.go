package bench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"

	"github.com/whaleshark-im/whaleshark/wire"
)

// Transport is how frames travel.
type Transport string

// The transports.
const (
	TCP Transport = "tcp"
	WS  Transport = "ws"
)

// The operations of a WebSocket frame.
const (
	wsText   = 1
	wsBinary = 2
	wsClose  = 8
	wsPing   = 9
	wsPong   = 10

	wsFinal  = 0x80
	wsMasked = 0x80
)

const (
	smallBuffer = 1 << 10  // of a connection that nothing comes on
	largeBuffer = 32 << 10 // of one that much comes on
	maxDown     = 1 << 20  // the largest frame that a server may send
)

// socket is the bytes of a connection. A WebSocket is spoken by hand: frames are few kinds, and a library would take more CPU than all the
// rest of a load.
type socket struct {
	net.Conn
	ws bool

	// Owned by the reader. b[from:to] is unread.
	b        []byte
	from, to int
}

func dialSocket(ctx context.Context, transport Transport, addr string) (*socket, error) {
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	s := &socket{Conn: c, ws: transport == WS, b: make([]byte, smallBuffer)}
	if !s.ws {
		return s, nil
	}
	if err := s.upgrade(ctx, addr); err != nil {
		_ = c.Close()
		return nil, err
	}
	return s, nil
}

// upgrade makes a WebSocket of a connection.
func (s *socket) upgrade(ctx context.Context, addr string) error {
	if deadline, ok := ctx.Deadline(); ok {
		_ = s.SetDeadline(deadline)
		defer func() { _ = s.SetDeadline(noDeadline) }()
	}
	const ask = "GET /ws HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
		"Sec-WebSocket-Key: d2hhbGVzaGFyayBiZW5jaA==\r\n\r\n"
	if _, err := fmt.Fprintf(s.Conn, ask, addr); err != nil {
		return err
	}
	r := bufio.NewReaderSize(s.Conn, len(s.b))
	answer, err := http.ReadResponse(r, nil)
	if err != nil {
		return fmt.Errorf("upgrade to a WebSocket: %w", err)
	}
	_ = answer.Body.Close() // it has none
	if answer.StatusCode != http.StatusSwitchingProtocols {
		return fmt.Errorf("upgrade to a WebSocket: %s", answer.Status)
	}
	s.to, err = io.ReadFull(r, s.b[:r.Buffered()])
	return err
}

// fill reads once, and waits for it.
func (s *socket) fill() error {
	if s.from == s.to {
		s.from, s.to = 0, 0
	}
	if s.to == len(s.b) {
		s.makeRoom()
	}
	n, err := s.Read(s.b[s.to:])
	s.to += n
	if n > 0 {
		return nil // an error comes again
	}
	return err
}

// makeRoom moves what is unread to the front, into a larger buffer if it takes more than half of this one: the peer is busy.
func (s *socket) makeRoom() {
	b := s.b
	if s.from < len(s.b)/2 || len(s.b) < largeBuffer {
		b = make([]byte, 2*len(s.b))
	}
	s.to = copy(b, s.b[s.from:s.to])
	s.b, s.from = b, 0
}

// frame is what came: a frame down, or a control frame of a WebSocket.
type frame struct {
	wire.Down
	control byte // 0: none
}

var errTooLong = errors.New("a frame is longer than 1 MiB")

// next returns the next whole frame of what was read; false: there is none. Its body is valid until the next fill.
func (s *socket) next() (frame, bool, error) {
	if s.ws {
		return s.nextMessage()
	}
	const header = 8
	b := s.b[s.from:s.to]
	if len(b) < header {
		return frame{}, false, nil
	}
	n := int(binary.BigEndian.Uint32(b[4:]))
	if n > maxDown {
		return frame{}, false, errTooLong
	}
	if len(b) < header+n {
		return frame{}, false, nil
	}
	s.from += header + n
	return frame{Down: wire.Down{Command: wire.Command(binary.BigEndian.Uint32(b)), Body: b[header : header+n]}}, true, nil //nolint:gosec // bits
}

// nextMessage is next, of a WebSocket. Bodies are envelopes, in which the fields of the payload have their names all the same.
func (s *socket) nextMessage() (frame, bool, error) {
	for {
		b := s.b[s.from:s.to]
		header, n := wsHeader(b)
		switch {
		case header == 0 || n <= maxDown && len(b) < header+n:
			return frame{}, false, nil
		case n > maxDown:
			return frame{}, false, errTooLong
		}
		s.from += header + n
		body := b[header : header+n]
		switch op := b[0] & 0xf; {
		case op == wsClose:
			return frame{}, false, io.EOF
		case op == wsPing || op == wsPong:
			return frame{Down: wire.Down{Body: body}, control: op}, true, nil
		case op == wsText:
		case op != wsBinary || b[0]&wsFinal == 0:
			return frame{}, false, fmt.Errorf("a WebSocket frame of type %#x, which a server has no reason to send", b[0])
		default:
			f, err := wire.DecodeDown(body, maxDown)
			return frame{Down: f}, err == nil, err
		}
	}
}

// wsHeader returns the length of a frame's header, 0 if it is not all there, and that of its payload.
func wsHeader(b []byte) (header, payload int) {
	if len(b) < 2 {
		return 0, 0
	}
	switch n := int(b[1] & 0x7f); {
	case n == 126 && len(b) >= 4:
		return 4, int(binary.BigEndian.Uint16(b[2:]))
	case n == 127 && len(b) >= 10:
		return 10, int(min(binary.BigEndian.Uint64(b[2:]), maxDown+1))
	case n < 126:
		return 2, n
	}
	return 0, 0
}

// appendMessage appends a WebSocket frame, masked as a client's must be; with zeros, which change nothing.
func appendMessage(b []byte, op byte, payload []byte) []byte {
	b = append(b, wsFinal|op)
	switch n := len(payload); {
	case n < 126:
		b = append(b, wsMasked|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, wsMasked|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, wsMasked|127), uint64(n))
	}
	return append(append(b, 0, 0, 0, 0), payload...)
}

// payload returns the payload of a frame, without an envelope.
func (s *socket) payload(f *frame) ([]byte, error) {
	if !s.ws {
		return f.Body, nil
	}
	p, err := wire.Payload(f.Body)
	return bytes.Clone(p), err
}
