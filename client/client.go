package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/wire"
)

// Config tells where a client connects and who it is.
type Config struct {
	URL      string      // tcp://host:port, or ws://host:port/ws
	Device   chat.Device // whose headers frames have; its user logs in
	UserSign string      // proves who the user is; empty: none
	Version  int32       // of the protocol; 0: 3
	Protobuf bool        // bodies are protobuf on the wire; whoever calls or is called still has them as JSON

	Resume   bool          // the server sends what has come since Cursor, and then what comes
	Cursor   chat.Place    // of an earlier [wire.Welcome] or [wire.Pong]; 0: the beginning
	Receipts bool          // acknowledge each message of a pair with a receipt, after its handler has returned
	Ping     time.Duration // how often to ping once logged in; 0: as the server asks for, or every 30 s; negative: never
	MaxDown  int           // bytes of the largest body that the server may send; 0: 1 MiB
	Handler  Handler

	// Connect opens the connection beneath; nil: net.Dialer. WebSockets use it too.
	Connect func(ctx context.Context, network, addr string) (net.Conn, error)
}

// Handler holds what to call with what arrives; nil: nothing.
type Handler struct {
	Message func(p wire.Placed)
	Receipt func(a wire.Arrived)
	Read    func(r wire.ReadPosition)
	Recall  func(r wire.Recalled)
	Group   func(e wire.GroupEvent)
	Setting func(s wire.Setting) // of the user's own
	News    func(n wire.News)
	Typing  func(t wire.TypingBy)
	Status  func(s wire.UserStatus)
	Kicked  func()               // by a login of another device; the server closes the connection
	Ack     func(a wire.Ack)     // every one, beside what [Client.Start] was given
	Refused func(r wire.Refusal) // of a frame, or of the connection
	Pong    func(p wire.Pong)
	Frame   func(c wire.Command, payload []byte) // every frame, before anything else; payload is valid until it returns
}

// Client is a connection to a server. Its methods may be called from anywhere, [Handler]'s functions included, unless they wait.
type Client struct {
	// Set once.
	cfg  Config
	conn transport
	done chan struct{} // closed by the reader when the connection is over

	writing sync.Mutex
	buffer  []byte // guarded by writing
	payload []byte // of a protobuf client; the same

	mu      sync.Mutex
	welcome chan wire.Welcome    // where the login's answer goes; nil: nobody waits
	pending map[string][]*waiter // by message id, who has waited longest first
	asked   map[question]chan []byte
	err     error // why the connection is over; the first one stands
	pinger  *time.Timer
}

// ErrClosed is why a connection is over that [Client.Close] or [Client.Logout] has ended.
var ErrClosed = errors.New("the client was closed")

// Dial connects. It does not log in.
func Dial(ctx context.Context, cfg Config) (*Client, error) {
	if cfg.Version == 0 {
		cfg.Version = wire.Version3
	}
	if cfg.MaxDown == 0 {
		cfg.MaxDown = 1 << 20
	}
	if cfg.Connect == nil {
		cfg.Connect = (&net.Dialer{}).DialContext
	}
	conn, err := dial(ctx, &cfg)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", cfg.URL, err)
	}
	c := &Client{
		cfg: cfg, conn: conn, done: make(chan struct{}), pending: make(map[string][]*waiter), asked: make(map[question]chan []byte),
	}
	go c.read() // ends with the connection: see Close
	return c, nil
}

// Login logs in. With protocol 3 it waits for the answer; before it a login that is accepted has none, and one that is refused ends the
// connection: see [Client.Err]. A refusal is a [chat.Error].
func (c *Client) Login(ctx context.Context) (wire.Welcome, error) {
	answer := make(chan wire.Welcome, 1)
	c.mu.Lock()
	c.welcome = answer
	c.mu.Unlock()
	body := wire.AppendCredentials(nil, &wire.Credentials{
		User: c.cfg.Device.User, UserSign: c.cfg.UserSign, Resume: c.cfg.Resume, Cursor: c.cfg.Cursor,
	})
	if err := c.Write(wire.Login, body); err != nil {
		return wire.Welcome{}, fmt.Errorf("log in: %w", err)
	}
	if c.cfg.Version < wire.Version3 {
		c.ping(0)
		return wire.Welcome{Code: chat.OK}, nil
	}
	select {
	case w := <-answer:
		if w.Code != chat.OK {
			return w, fmt.Errorf("log in: %w", chat.Error{Code: w.Code, Reason: w.Reason})
		}
		c.ping(time.Duration(w.Heartbeat) * time.Millisecond)
		return w, nil
	case <-c.done:
		return wire.Welcome{}, fmt.Errorf("log in: %w", c.Err())
	case <-ctx.Done():
		return wire.Welcome{}, fmt.Errorf("log in: %w", ctx.Err())
	}
}

// Send sends a message and waits for its ack. A refusal is a [chat.Error]; after any other error nobody knows what became of the
// message: send it again, with the same id.
func (c *Client) Send(ctx context.Context, m wire.Message) (wire.Ack, error) {
	type answer struct {
		ack wire.Ack
		err error
	}
	answers := make(chan answer, 1)
	w := c.start(m, func(a wire.Ack, err error) { answers <- answer{a, err} })
	select {
	case a := <-answers:
		return a.ack, a.err
	case <-ctx.Done():
		c.forget(m.MessageID, w) // or it would take the ack of the next attempt
		return wire.Ack{}, fmt.Errorf("send %s: %w", m.MessageID, ctx.Err())
	}
}

// Start sends a message and calls done with its ack, exactly once: at once if it cannot be written, when the connection is over if there
// was none. Many may be under way; several of one id get their acks in order.
func (c *Client) Start(m wire.Message, done func(wire.Ack, error)) { c.start(m, done) }

// waiter is who waits for an ack.
type waiter struct{ done func(wire.Ack, error) }

func (c *Client) start(m wire.Message, done func(wire.Ack, error)) *waiter {
	w := &waiter{done}
	if err := c.await(m.MessageID, w); err != nil {
		done(wire.Ack{}, fmt.Errorf("send %s: %w", m.MessageID, err))
		return w
	}
	command := wire.Send
	if m.Group != "" {
		command = wire.GroupSend
	}
	err := c.write(command, func(b []byte) []byte { return wire.AppendMessage(b, &m) })
	if _, unspoken := errors.AsType[chat.Error](err); unspoken && c.forget(m.MessageID, w) {
		done(wire.Ack{}, fmt.Errorf("send %s: %w", m.MessageID, err))
	} // any other write that fails ends the connection, which calls done
	return w
}

func (c *Client) await(id string, w *waiter) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return c.err
	}
	c.pending[id] = append(c.pending[id], w)
	return nil
}

// forget takes away somebody who waits no longer, and reports whether he did until now.
func (c *Client) forget(id string, w *waiter) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := len(c.pending[id])
	waiting := slices.DeleteFunc(c.pending[id], func(o *waiter) bool { return o == w })
	if len(waiting) == 0 {
		delete(c.pending, id) // which may be nil: the connection is over
	} else {
		c.pending[id] = waiting
	}
	return len(waiting) < before
}

// Receipt tells the sender of a message that it has arrived.
func (c *Client) Receipt(p wire.Placed) error {
	return c.write(wire.Receive, func(b []byte) []byte {
		return wire.AppendReceipt(b, &wire.Receipt{To: p.From.User, Seq: p.Seq, Place: p.Place, MessageID: p.MessageID})
	})
}

// Write sends a frame with any body; that of a protobuf client must be a payload of the command.
func (c *Client) Write(command wire.Command, body []byte) error {
	return c.write(command, func(b []byte) []byte { return append(b, body...) })
}

func (c *Client) write(command wire.Command, body func([]byte) []byte) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	d := &c.cfg.Device
	up := wire.Up{Command: command, Version: c.cfg.Version, ClientType: d.Client, App: d.App, IMEI: []byte(d.IMEI)}
	if c.cfg.Protobuf {
		up.MessageType = wire.Protobuf
		c.payload = body(c.payload[:0])
		message, err := wire.AppendProtoUp(nil, command, c.payload)
		if err != nil {
			return fmt.Errorf("write %v: %w", command, err)
		}
		body = func(b []byte) []byte { return append(b, message...) }
	}
	c.buffer = wire.AppendUpFunc(c.buffer[:0], &up, body)
	if err := c.conn.write(c.buffer); err != nil {
		c.over(err)
		return fmt.Errorf("write %v: %w", command, err)
	}
	return nil
}

// Logout ends the session, and waits until the server has closed the connection.
func (c *Client) Logout(ctx context.Context) error {
	if err := c.Write(wire.Logout, []byte("{}")); err != nil {
		return err
	}
	select {
	case <-c.done:
	case <-ctx.Done():
	}
	return c.Close()
}

// Close ends the connection and waits for the goroutine that reads; it must not be called from a [Handler].
func (c *Client) Close() error {
	c.over(ErrClosed)
	<-c.done
	return nil
}

// Done is closed when the connection is over; [Client.Err] then tells why.
func (c *Client) Done() <-chan struct{} { return c.done }

// Err tells why the connection is over: [ErrClosed], a [chat.Error] if the server said why, or what went wrong with the socket; nil
// while it is not over.
func (c *Client) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// over ends the connection; the first reason stands.
func (c *Client) over(err error) {
	c.fail(err)
	c.conn.close()
}

// fail remembers why the connection is ending.
func (c *Client) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.err = err
	}
	if c.pinger != nil {
		c.pinger.Stop()
	}
}

// ping begins to ping, as often as the configuration or the server asks for. It needs no goroutine while it waits.
func (c *Client) ping(asked time.Duration) {
	every := c.cfg.Ping
	if every == 0 {
		every = asked
	}
	if every == 0 {
		every = 30 * time.Second
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if every < 0 || c.err != nil {
		return
	}
	c.pinger = time.AfterFunc(every, func() {
		if c.Write(wire.Ping, []byte("{}")) == nil {
			c.again(every)
		}
	})
}

func (c *Client) again(every time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.pinger.Reset(every)
	}
}

// read takes frames until the connection is over.
func (c *Client) read() {
	defer close(c.done)
	for {
		f, err := c.conn.read()
		if err == nil {
			err = c.take(f)
		}
		if err != nil {
			c.over(err)
			c.abandon()
			return
		}
	}
}

// abandon tells those who wait for acks that none will come.
func (c *Client) abandon() {
	c.mu.Lock()
	pending, err := c.pending, c.err
	c.pending = nil
	c.mu.Unlock()
	for id, waiting := range pending {
		for _, w := range waiting {
			w.done(wire.Ack{}, fmt.Errorf("send %s: %w", id, err))
		}
	}
}

// take hands a frame on. An error is the server's fault, and ends the connection.
func (c *Client) take(f wire.Down) error {
	if c.cfg.Protobuf {
		var err error
		if f.Body, err = wire.DownFromProto(f.Command, f.Body); err != nil {
			if e, ok := errors.AsType[chat.Error](err); ok && e.Code == chat.UnknownCommand {
				return nil // of a newer server
			}
			return fmt.Errorf("read %v: %w", f.Command, err)
		}
	}
	h := &c.cfg.Handler
	if h.Frame != nil {
		h.Frame(f.Command, f.Body)
	}
	var err error
	switch f.Command {
	case wire.Send, wire.GroupSend:
		err = c.takeMessage(f.Body)
	case wire.SendAck, wire.GroupSendAck:
		err = c.takeAck(f.Body)
	case wire.Receive:
		err = hand(f.Body, wire.ParseArrived, h.Receipt)
	case wire.LoginAck:
		err = hand(f.Body, wire.ParseWelcome, c.takeWelcome)
	case wire.Refuse:
		err = hand(f.Body, wire.ParseRefusal, c.takeRefusal)
	case wire.Ping:
		err = hand(f.Body, wire.ParsePong, h.Pong)
	default:
		err = c.takeMore(f)
	}
	if err != nil {
		return fmt.Errorf("read %v: %w", f.Command, err)
	}
	return nil
}

// hand parses a payload for somebody, if there is somebody.
func hand[T any](body []byte, parse func([]byte) (T, error), to func(T)) error {
	if to == nil {
		return nil
	}
	x, err := parse(body)
	if err != nil {
		return err
	}
	to(x)
	return nil
}

func (c *Client) takeMessage(body []byte) error {
	if c.cfg.Handler.Message == nil && !c.cfg.Receipts {
		return nil
	}
	p, err := wire.ParsePlaced(body)
	if err != nil {
		return err
	}
	if c.cfg.Handler.Message != nil {
		c.cfg.Handler.Message(p)
	}
	if c.cfg.Receipts && p.Group == "" && p.From.User != c.cfg.Device.User {
		_ = c.Receipt(p) // a write that fails ends the connection
	}
	return nil
}

func (c *Client) takeAck(body []byte) error {
	a, err := wire.ParseAck(body)
	if err != nil {
		return err
	}
	if c.cfg.Handler.Ack != nil {
		c.cfg.Handler.Ack(a)
	}
	done := c.answered(a.MessageID)
	switch {
	case done == nil: // for a message that nobody waits for, sent by Write perhaps
	case a.Code == chat.OK:
		done(a, nil)
	default:
		done(a, chat.Error{Code: a.Code, Reason: a.Reason})
	}
	return nil
}

// answered returns who has waited longest for an ack of a message; nil: nobody.
func (c *Client) answered(id string) func(wire.Ack, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	waiting := c.pending[id]
	switch len(waiting) {
	case 0:
		return nil
	case 1:
		delete(c.pending, id)
	default:
		c.pending[id] = waiting[1:]
	}
	return waiting[0].done
}

func (c *Client) takeWelcome(w wire.Welcome) {
	if w.Code != chat.OK && w.Code != chat.AlreadyLoggedIn {
		c.fail(chat.Error{Code: w.Code, Reason: w.Reason}) // the server closes
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.welcome != nil {
		c.welcome <- w // has room for the one answer
		c.welcome = nil
	}
}

func (c *Client) takeRefusal(r wire.Refusal) {
	if r.Command == 0 {
		c.fail(chat.Error{Code: r.Code, Reason: r.Reason}) // the server closes
	}
	if c.cfg.Handler.Refused != nil {
		c.cfg.Handler.Refused(r)
	}
}
