package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/client"
	"github.com/whaleshark-im/whaleshark/wire"
)

const (
	defaultTCP = "127.0.0.1:9001"
	talkWait   = 10 * time.Second // for a connection, a login, an ack
)

// talkFlags say where a user connects, and who he is.
type talkFlags struct {
	As     string `required:"" placeholder:"USER" help:"Who logs in."`
	Sign   string `help:"The userSign to log in with; see whaleshark sign."`
	Server string `default:"tcp://127.0.0.1:9001" help:"An edge: tcp://host:port or ws://host:port/ws."`
	IMEI   string `name:"imei" default:"cli" help:"The device's imei; a login replaces one of the same device."`
	appFlags
}

// logIn connects and logs in.
func (f talkFlags) logIn(ctx context.Context, device string, h client.Handler) (*client.Client, error) {
	ctx, cancel := context.WithTimeout(ctx, talkWait)
	defer cancel()
	c, err := client.Dial(ctx, client.Config{
		URL:      f.Server,
		Device:   chat.Device{App: f.App, User: chat.UserID(f.As), Client: chat.Web, IMEI: f.IMEI + device},
		UserSign: f.Sign,
		Receipts: h.Message != nil,
		Handler:  h,
	})
	if err != nil {
		return nil, err
	}
	if _, err := c.Login(ctx); err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

type sendCmd struct {
	To   string `arg:"" help:"Who gets it."`
	Text string `arg:"" help:"What is said; - sends each line of the input."`
	ID   string `name:"id" placeholder:"ID" help:"The message id; send again with the same one when it is unknown what became of a message. Without it: a new one."`
	talkFlags
}

func (sendCmd) Help() string {
	return `Logs in as a user, sends a message, and prints the number that it got in its conversation.

Examples:

    whaleshark send --as alice bob 'hello'
    whaleshark send --as alice --sign $(whaleshark sign alice) bob 'hello'
    seq 1000 | whaleshark send --as alice bob -`
}

func (c sendCmd) Run(ctx context.Context, in io.Reader, out io.Writer) error {
	conn, err := c.logIn(ctx, "-send", client.Handler{})
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if c.Text != "-" {
		return c.send(ctx, conn, out, c.Text, c.ID)
	}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if err := c.send(ctx, conn, out, lines.Text(), ""); err != nil {
			return err
		}
	}
	return lines.Err()
}

func (c sendCmd) send(ctx context.Context, conn *client.Client, out io.Writer, text, id string) error {
	m := wire.Message{MessageID: id, To: chat.UserID(c.To), Body: text, MessageTime: time.Now().UnixMilli(), First: id == ""}
	if id == "" {
		m.MessageID = rand.Text()
	}
	ctx, cancel := context.WithTimeout(ctx, talkWait)
	defer cancel()
	ack, err := conn.Send(ctx, m)
	if e, ok := errors.AsType[chat.Error](err); ok {
		return fmt.Errorf("message %s was refused: %w (code %d)", m.MessageID, e, e.Code)
	}
	if err != nil {
		return fmt.Errorf("it is unknown what became of message %s; send it again with --id: %w", m.MessageID, err)
	}
	_, err = fmt.Fprintf(out, "%s #%d\n", chat.PairOf(c.App, chat.UserID(c.As), m.To), ack.Seq)
	return err
}

type listenCmd struct {
	JSON bool `name:"json" help:"Print a JSON object a line."`
	talkFlags
}

func (listenCmd) Help() string {
	return `Logs in as a user, and prints what arrives until it is told to stop. It acknowledges what it has printed.

Examples:

    whaleshark listen --as bob
    whaleshark listen --as bob --server ws://127.0.0.1:19001/ws --json`
}

func (c listenCmd) Run(ctx context.Context, out io.Writer) error {
	p := &printer{out: out, json: c.JSON, app: c.App, self: chat.UserID(c.As)}
	conn, err := c.logIn(ctx, "-listen", client.Handler{Message: p.message, Receipt: p.receipt})
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	select {
	case <-ctx.Done():
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Logout(ctx) // the server finds out by itself, too
		return nil
	case <-conn.Done():
		return conn.Err()
	}
}

// printer prints what arrives.
type printer struct {
	mu   sync.Mutex
	out  io.Writer
	json bool
	app  chat.AppID
	self chat.UserID
}

// heard is what arrived, as a line of JSON.
type heard struct {
	Kind         string      `json:"kind"` // message, receipt
	Conversation string      `json:"conversation"`
	From         chat.UserID `json:"from"`
	MessageID    string      `json:"messageId"`
	Seq          chat.Seq    `json:"seq"`
	Key          chat.Place  `json:"key,omitempty"`
	Body         string      `json:"body,omitempty"`
	Extra        string      `json:"extra,omitempty"`
	ServerSend   bool        `json:"serverSend,omitempty"`
}

func (p *printer) message(m wire.Placed) {
	p.print(heard{
		Kind: "message", Conversation: chat.PairOf(p.app, m.From.User, m.To).String(), From: m.From.User,
		MessageID: m.MessageID, Seq: m.Seq, Key: m.Place, Body: m.Body, Extra: m.Extra,
	})
}

func (p *printer) receipt(a wire.Arrived) {
	p.print(heard{
		Kind: "receipt", Conversation: chat.PairOf(p.app, a.From.User, a.To).String(), From: a.From.User,
		MessageID: a.MessageID, Seq: a.Seq, Key: a.Place, ServerSend: a.ServerSend,
	})
}

func (p *printer) print(h heard) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.json {
		_ = json.NewEncoder(p.out).Encode(h) // to a terminal or a pipe that has gone: nobody is left to tell
		return
	}
	fmt.Fprintln(p.out, h.line())
}

func (h heard) line() string {
	switch {
	case h.Kind == "message":
		// A message of another user must not be able to steer the terminal.
		return fmt.Sprintf("%s #%d %s: %s", h.Conversation, h.Seq, h.From, strings.Map(printable, h.Body))
	case h.ServerSend:
		return fmt.Sprintf("%s #%d nobody is connected; it waits", h.Conversation, h.Seq)
	}
	return fmt.Sprintf("%s #%d %s has it", h.Conversation, h.Seq, h.From)
}

func printable(r rune) rune {
	if r < ' ' || 0x7f <= r && r < 0xa0 {
		return '\ufffd'
	}
	return r
}
