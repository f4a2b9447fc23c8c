package edge

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"

	"github.com/coder/websocket"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/wire"
)

// ws is a transport whose frames are binary WebSocket messages, one in each. Text messages are ignored, as the original does.
type ws struct {
	conn   *websocket.Conn
	reader *bufio.Reader // of the library
	link   *link
	limits wire.Limits
	text   func() // counts a text message

	// For the library, and without an end: one that ends would cost it a registration on each call. Closing the link is what ends a call.
	life context.Context

	// Owned by read.
	message *[]byte   // holds the newest message; nil between two of them, so that an idle connection has no buffer
	rest    io.Reader // what is unread of a message that is too long
}

// The library's own buffers: what is larger passes them by.
const (
	wsReadBuffer  = 512
	wsWriteBuffer = 512
)

// acceptWS makes a WebSocket of a request. The connection outlives the request.
func acceptWS(ctx context.Context, w http.ResponseWriter, r *http.Request, limits wire.Limits, text func()) (*ws, error) {
	h := &hijacker{ResponseWriter: w}
	// Any origin may connect: nothing here rests on cookies, a login says who it is.
	conn, err := websocket.Accept(h, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
	if err != nil {
		return nil, fmt.Errorf("accept a WebSocket: %w", err)
	}
	conn.SetReadLimit(-1) // read has its own, which can be answered
	return &ws{conn: conn, reader: h.reader, link: h.link, limits: limits, text: text, life: context.WithoutCancel(ctx)}, nil
}

// hijacker puts a link beneath the library, with buffers smaller than those of the HTTP server.
type hijacker struct {
	http.ResponseWriter
	link   *link
	reader *bufio.Reader
}

func (h *hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, rw, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	h.link = newLink(c)
	early, err := rw.Peek(rw.Reader.Buffered()) // what came with the request
	if err != nil {
		return nil, nil, err
	}
	early = bytes.Clone(early)
	h.reader = bufio.NewReaderSize(bytes.NewReader(early), max(wsReadBuffer, len(early)))
	if _, err := h.reader.Peek(len(early)); err != nil {
		return nil, nil, err
	}
	return h.link, bufio.NewReadWriter(h.reader, bufio.NewWriterSize(h.link, wsWriteBuffer)), nil
}

func (t *ws) read() (wire.Up, error) {
	t.release()
	for {
		kind, r, err := t.conn.Reader(t.life)
		if err != nil {
			return wire.Up{}, err
		}
		if kind == websocket.MessageBinary {
			return t.frame(r)
		}
		t.text()
		if _, err := io.Copy(io.Discard, r); err != nil {
			return wire.Up{}, err
		}
	}
}

// frame reads a message, no further than a frame can be long.
func (t *ws) frame(r io.Reader) (wire.Up, error) {
	t.message = buffers.Get().(*[]byte)
	b, longest := (*t.message)[:0], t.limits.MaxUp()
	for len(b) <= longest {
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if err == io.EOF {
			*t.message = b
			return wire.DecodeUp(b, t.limits)
		}
		if err != nil {
			return wire.Up{}, err
		}
	}
	*t.message, t.rest = b, r
	f, err := wire.DecodeUp(b, t.limits)
	if err == nil {
		err = chat.Errorf(chat.BadLength, "the message is longer than a frame can be")
	}
	return f, err
}

func (t *ws) idle() bool {
	t.release()
	return t.reader.Buffered() == 0
}

func (t *ws) release() {
	if t.message != nil {
		putBuffer(t.message, *t.message)
		t.message = nil
	}
}

func (t *ws) discard() {
	t.release()
	for r := t.rest; ; {
		if r != nil {
			if _, err := io.Copy(io.Discard, r); err != nil {
				return
			}
		}
		var err error
		if _, r, err = t.conn.Reader(t.life); err != nil {
			return
		}
	}
}

func (t *ws) write(frames []frame, to *chat.Device) (untold int, err error) {
	message, batch := buffers.Get().(*[]byte), buffers.Get().(*[]byte)
	m := (*message)[:0]
	t.link.cork(*batch)
	for i := range frames {
		var unknown error
		if m, unknown = frames[i].appendWS(m[:0], to); unknown != nil {
			untold++
			continue
		}
		if err = t.conn.Write(t.life, websocket.MessageBinary, m); err != nil {
			break
		}
		if err = t.link.flush(); err != nil {
			break
		}
	}
	gathered, flushErr := t.link.uncork()
	putBuffer(message, m)
	putBuffer(batch, gathered)
	if err == nil {
		err = flushErr
	}
	return untold, err
}

func (t *ws) goodbye(e *ending) {
	status := websocket.StatusPolicyViolation
	switch e.code {
	case chat.GoingAway:
		status = websocket.StatusGoingAway
	case 0:
		status = websocket.StatusNormalClosure
	default:
	}
	reason := e.reason
	if e.code != 0 {
		reason = fmt.Sprintf("%d %s", e.code, e.code)
	}
	_ = t.conn.Close(status, reason) // the connection ends anyway
}

func (t *ws) ping(ctx context.Context) error { return t.conn.Ping(ctx) }

func (t *ws) pings() bool { return true }

func (t *ws) close() {
	t.release()
	_ = t.conn.CloseNow() // the link is closed already
}
