package bench

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/wire"
)

var noDeadline time.Time

// conn is a connection of a load: [client.Client] with nothing that a load does not need. What is written is gathered until flush, so that
// the answers to all that one read brought leave in one write; what is read is handed out frame by frame, where it lies.
type conn struct {
	*socket
	device chat.Device

	// Guarded by mu.
	mu      sync.Mutex
	out     []byte // what flush will write
	spare   []byte // takes its place meanwhile
	writing bool
	frame   []byte // of a WebSocket
}

const loginPatience = time.Minute // a storm of them may take a while

// login connects and logs in.
func (t *Target) login(ctx context.Context, device chat.Device) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, loginPatience)
	defer cancel()
	addr := t.address()
	s, err := dialSocket(ctx, t.Transport, addr)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", addr, err)
	}
	c := &conn{socket: s, device: device}
	if err := c.greet(ctx, t.sign(device.User)); err != nil {
		_ = c.Close()
		return nil, fmt.Errorf("log in as %s: %w", device.User, err)
	}
	return c, nil
}

func (c *conn) greet(ctx context.Context, sign string) error {
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if err := c.say(wire.Login, wire.AppendCredentials(nil, &wire.Credentials{User: c.device.User, UserSign: sign})); err != nil {
		return err
	}
	for {
		f, ok, err := c.next()
		switch {
		case err != nil:
			return err
		case !ok:
			if err := c.fill(); err != nil {
				return err
			}
		case f.Command == wire.LoginAck:
			return c.welcome(&f)
		case f.Command == wire.Refuse:
			return c.refusal(&f)
		}
	}
}

func (c *conn) welcome(f *frame) error {
	b, err := c.payload(f)
	if err != nil {
		return err
	}
	w, err := wire.ParseWelcome(b)
	if err == nil && w.Code != chat.OK {
		err = chat.Error{Code: w.Code, Reason: w.Reason}
	}
	return err
}

// refusal is why the server refuses something.
func (c *conn) refusal(f *frame) error {
	b, err := c.payload(f)
	if err != nil {
		return err
	}
	r, err := wire.ParseRefusal(b)
	if err != nil {
		return err
	}
	return chat.Error{Code: r.Code, Reason: r.Reason}
}

// put gathers a frame whose body is what body appends.
func (c *conn) put(command wire.Command, body func([]byte) []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	up := wire.Up{Command: command, Version: wire.Version3, ClientType: c.device.Client, App: c.device.App, IMEI: imei}
	if !c.ws {
		c.out = wire.AppendUpFunc(c.out, &up, body)
		return
	}
	c.frame = wire.AppendUpFunc(c.frame[:0], &up, body)
	c.out = appendMessage(c.out, wsBinary, c.frame)
}

// pong answers a WebSocket's ping.
func (c *conn) pong(body []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out = appendMessage(c.out, wsPong, body)
}

// flush writes what was gathered. If somebody is writing, he writes that as well: who reads never waits for a peer that does not.
func (c *conn) flush() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.writing {
		return nil
	}
	c.writing = true
	defer func() { c.writing = false }()
	for len(c.out) > 0 {
		b := c.out
		c.out = c.spare[:0]
		if err := c.writeUnlocked(b); err != nil {
			return err
		}
		if c.spare = b; cap(b) > largeBuffer {
			c.spare = nil
		}
	}
	return nil
}

// writeUnlocked writes while others may gather.
func (c *conn) writeUnlocked(b []byte) error {
	c.mu.Unlock()
	defer c.mu.Lock()
	_, err := c.Write(b)
	return err
}

// say writes a frame.
func (c *conn) say(command wire.Command, body []byte) error {
	c.put(command, func(b []byte) []byte { return append(b, body...) })
	return c.flush()
}

// read hands on what one read brings, frame by frame, and answers pings.
func (c *conn) read(took func(wire.Down)) error {
	if err := c.fill(); err != nil {
		return err
	}
	return c.rest(took)
}

// rest hands on what was read already.
func (c *conn) rest(took func(wire.Down)) error {
	for {
		f, ok, err := c.next()
		switch {
		case err != nil || !ok:
			return err
		case f.control == wsPing:
			c.pong(f.Body)
		case f.control == 0:
			took(f.Down)
		}
	}
}
