package client

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"

	"github.com/coder/websocket"

	"github.com/whaleshark-im/whaleshark/wire"
)

// transport is what differs between TCP and WebSocket. Write is called by one goroutine at a time, and read by one.
type transport interface {
	read() (wire.Down, error) // its Body, the payload, is valid until the next read
	write(frame []byte) error
	close()
}

func dial(ctx context.Context, cfg *Config) (transport, error) {
	u, err := url.Parse(cfg.URL)
	if err != nil {
		return nil, err
	}
	switch u.Scheme {
	case "tcp":
		conn, err := cfg.Connect(ctx, "tcp", u.Host)
		if err != nil {
			return nil, err
		}
		return &tcp{conn: conn, decoder: wire.NewDownDecoder(conn, cfg.MaxDown)}, nil
	case "ws", "wss":
		return dialWS(ctx, cfg)
	}
	return nil, fmt.Errorf("scheme %q; want tcp, ws or wss", u.Scheme)
}

type tcp struct {
	conn    net.Conn
	decoder *wire.DownDecoder
}

func (t *tcp) read() (wire.Down, error) { return t.decoder.Decode() }

func (t *tcp) write(frame []byte) error {
	_, err := t.conn.Write(frame)
	return err
}

func (t *tcp) close() { _ = t.conn.Close() } // the connection is over anyway

type ws struct {
	conn     *websocket.Conn
	limit    int
	protobuf bool
	message  []byte

	// For the library, and without an end: closing the connection is what ends a call.
	life context.Context
}

func dialWS(ctx context.Context, cfg *Config) (transport, error) {
	hc := &http.Client{Transport: &http.Transport{DialContext: cfg.Connect}}
	conn, _, err := websocket.Dial(ctx, cfg.URL, &websocket.DialOptions{HTTPClient: hc}) //nolint:bodyclose // the library owns it
	if err != nil {
		return nil, err
	}
	conn.SetReadLimit(int64(cfg.MaxDown) + 1<<10)
	return &ws{conn: conn, limit: cfg.MaxDown, protobuf: cfg.Protobuf, life: context.WithoutCancel(ctx)}, nil
}

// read returns the payload within the envelope as the frame's body.
func (t *ws) read() (wire.Down, error) {
	for {
		kind, r, err := t.conn.Reader(t.life)
		if err != nil {
			return wire.Down{}, err
		}
		if kind != websocket.MessageBinary {
			if _, err := io.Copy(io.Discard, r); err != nil {
				return wire.Down{}, err
			}
			continue
		}
		if t.message, err = readAll(t.message[:0], r); err != nil {
			return wire.Down{}, err
		}
		f, err := wire.DecodeDown(t.message, t.limit)
		if err != nil {
			return f, err
		}
		if t.protobuf {
			f.Body, err = wire.ProtoPayload(f.Body)
		} else {
			f.Body, err = wire.Payload(f.Body)
		}
		return f, err
	}
}

// readAll appends what r holds.
func readAll(b []byte, r io.Reader) ([]byte, error) {
	for {
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if err == io.EOF {
			return b, nil
		}
		if err != nil {
			return b, err
		}
	}
}

func (t *ws) write(frame []byte) error {
	return t.conn.Write(t.life, websocket.MessageBinary, frame)
}

func (t *ws) close() { _ = t.conn.CloseNow() } // the connection is over anyway
