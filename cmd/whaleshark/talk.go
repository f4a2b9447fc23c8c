package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
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
	As       string `required:"" placeholder:"USER" help:"Who logs in."`
	Sign     string `help:"The userSign to log in with; see whaleshark sign."`
	Protobuf bool   `help:"Speak protobuf instead of JSON."`
	Server   string `default:"tcp://127.0.0.1:9001" help:"An edge: tcp://host:port or ws://host:port/ws."`
	IMEI     string `name:"imei" default:"cli" help:"The device's imei; a login replaces one of the same device."`
	appFlags
}

// logIn connects and logs in.
//
// With since it asks for what has come after that cursor.
func (f talkFlags) logIn(ctx context.Context, device string, since *chat.Place, h client.Handler) (*client.Client, wire.Welcome, error) {
	ctx, cancel := context.WithTimeout(ctx, talkWait)
	defer cancel()
	cfg := client.Config{
		URL:      f.Server,
		Device:   chat.Device{App: f.App, User: chat.UserID(f.As), Client: chat.Web, IMEI: f.IMEI + device},
		UserSign: f.Sign,
		Protobuf: f.Protobuf,
		Receipts: h.Message != nil,
		Handler:  h,
	}
	if since != nil {
		cfg.Resume, cfg.Cursor = true, *since
	}
	c, err := client.Dial(ctx, cfg)
	if err != nil {
		return nil, wire.Welcome{}, err
	}
	w, err := c.Login(ctx)
	if err != nil {
		_ = c.Close()
		return nil, w, err
	}
	return c, w, nil
}

type sendCmd struct {
	To    string `arg:"" help:"Who gets it: a user, or with --group a group."`
	Text  string `arg:"" help:"What is said; - sends each line of the input."`
	Group bool   `help:"TO is a group."`
	ID    string `name:"id" placeholder:"ID" help:"The message id; send again with the same one when it is unknown what became of a message. Without it: a new one."`
	talkFlags
}

func (sendCmd) Help() string {
	return `Logs in as a user, sends a message, and prints the number that it got in its conversation.

Examples:

    whaleshark send --as alice bob 'hello'
    whaleshark send --as alice --group team 'hello, all'
    whaleshark send --as alice --sign $(whaleshark sign alice) bob 'hello'
    seq 1000 | whaleshark send --as alice bob -`
}

func (c sendCmd) Run(ctx context.Context, in io.Reader, out io.Writer) error {
	conn, _, err := c.logIn(ctx, "-send", nil, client.Handler{})
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
	m := wire.Message{MessageID: id, Body: text, MessageTime: time.Now().UnixMilli(), First: id == ""}
	in := chat.GroupOf(c.App, c.To)
	if c.Group {
		m.Group = c.To
	} else {
		m.To = chat.UserID(c.To)
		in = chat.PairOf(c.App, chat.UserID(c.As), m.To)
	}
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
	_, err = fmt.Fprintf(out, "%s#%d\n", in, ack.Seq)
	return err
}
