package main

import (
	"context"
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

type listenCmd struct {
	JSON  bool          `name:"json" help:"Print a JSON object a line."`
	Since *chat.Place   `placeholder:"CURSOR" help:"First print what has come since this cursor; 0: everything. Who has missed more than a login is sent gets the messages alone, the newest 1,000 of them."`
	Watch []chat.UserID `placeholder:"USER" help:"Also tell when these users come and go."`
	talkFlags
}

func (listenCmd) Help() string {
	return `Logs in as a user, and prints what arrives until it is told to stop. It acknowledges what it has printed.

Examples:

    whaleshark listen --as bob
    whaleshark listen --as bob --since 0
    whaleshark listen --as bob --watch alice,lld
    whaleshark listen --as bob --server ws://127.0.0.1:19001/ws --json`
}

func (c listenCmd) Run(ctx context.Context, out io.Writer) error {
	p := &printer{out: out, json: c.JSON, app: c.App, self: chat.UserID(c.As)}
	conn, welcome, err := c.logIn(ctx, "-listen", c.Since, client.Handler{
		Message: p.message, Receipt: p.receipt, Read: p.read, Recall: p.recall, Group: p.group, Typing: p.typing, Status: p.status,
		News: p.news, Setting: p.setting, Kicked: p.kicked,
	})
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if welcome.Truncated {
		if err := p.pull(ctx, conn, *c.Since); err != nil {
			return fmt.Errorf("pull what was missed: %w", err)
		}
	}
	if len(c.Watch) > 0 {
		w, err := conn.Watch(ctx, wire.WatchOf{Users: c.Watch})
		if err != nil {
			return fmt.Errorf("watch: %w", err)
		}
		for _, s := range w.Users {
			p.status(s)
		}
	}
	select {
	case <-ctx.Done():
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Logout(ctx) // the server finds out by itself, too
		return nil
	case <-conn.Done():
		if _, told := errors.AsType[chat.Error](conn.Err()); told {
			return conn.Err()
		}
		return fmt.Errorf("the connection was lost: %w", conn.Err())
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

// pull prints the messages that were too many to be sent with the login.
func (p *printer) pull(ctx context.Context, conn *client.Client, last chat.Place) error {
	for {
		page, err := conn.Pull(ctx, wire.PullSince{Last: last})
		if err != nil {
			return err
		}
		if page.Truncated {
			p.print(heard{Kind: "truncated", What: "older messages are left out"})
		}
		for _, m := range page.Messages {
			p.message(m)
		}
		if last = page.Max; page.Completed {
			return nil
		}
	}
}

// heard is what arrived, as a line of JSON.
type heard struct {
	Kind         string      `json:"kind"` // message, receipt, read, recall, group, setting, news, typing, status, kick, truncated
	Conversation string      `json:"conversation,omitempty"`
	From         chat.UserID `json:"from,omitempty"`
	MessageID    string      `json:"messageId,omitempty"`
	Seq          chat.Seq    `json:"seq,omitempty"`
	Key          chat.Place  `json:"key,omitempty"`
	Body         string      `json:"body,omitempty"`
	Extra        string      `json:"extra,omitempty"`
	ServerSend   bool        `json:"serverSend,omitempty"`
	What         string      `json:"what,omitempty"` // of a group's change, a setting or a status: in words
	Status       int32       `json:"status,omitempty"`
}

// in returns the conversation that a frame from a user is in, as seen from here.
func (p *printer) in(w wire.Where, from chat.UserID) string {
	if w.Group != "" {
		return chat.GroupOf(p.app, w.Group).String()
	}
	return chat.PairOf(p.app, from, w.To).String()
}

func (p *printer) message(m wire.Placed) {
	p.print(heard{
		Kind: "message", Conversation: p.in(wire.Where{To: m.To, Group: m.Group}, m.From.User), From: m.From.User,
		MessageID: m.MessageID, Seq: m.Seq, Key: m.Place, Body: m.Body, Extra: m.Extra,
	})
}

func (p *printer) receipt(a wire.Arrived) {
	p.print(heard{
		Kind: "receipt", Conversation: chat.PairOf(p.app, a.From.User, a.To).String(), From: a.From.User,
		MessageID: a.MessageID, Seq: a.Seq, Key: a.Place, ServerSend: a.ServerSend,
	})
}

func (p *printer) read(r wire.ReadPosition) {
	p.print(heard{Kind: "read", Conversation: p.in(r.Where, r.Reader), From: r.Reader, Seq: r.Seq, Key: r.Place})
}

func (p *printer) recall(r wire.Recalled) {
	p.print(heard{Kind: "recall", Conversation: p.in(r.Where, r.By), From: r.By, MessageID: r.MessageID, Seq: r.Seq, Key: r.RecallAt})
}

func (p *printer) group(e wire.GroupEvent) {
	what := e.Command.String()
	switch {
	case len(e.Members) > 0:
		what += fmt.Sprint(" ", e.Members)
	case e.Member != "":
		what += " " + string(e.Member)
	}
	p.print(heard{Kind: "group", Conversation: chat.GroupOf(p.app, e.Group).String(), From: e.By, Key: e.Place, What: what})
}

func (p *printer) setting(s wire.Setting) {
	what := "deleted up to here"
	if s.Command == wire.ConversationUpdate {
		words := map[chat.Switch][2]string{chat.Unset: {}, chat.Off: {"not muted", "not at the top"}, chat.On: {"muted", "at the top"}}
		what = strings.TrimSpace(words[s.Mute][0] + " " + words[s.Top][1])
	}
	p.print(heard{Kind: "setting", Conversation: p.in(s.Where, s.User), From: s.User, Key: s.Place, What: what})
}

func (p *printer) news(n wire.News) {
	p.print(heard{Kind: "news", Conversation: chat.GroupOf(p.app, n.Group).String(), Seq: n.Seq, Key: n.Place})
}

func (p *printer) typing(t wire.TypingBy) {
	p.print(heard{Kind: "typing", Conversation: p.in(t.Where, t.From.User), From: t.From.User})
}

func (p *printer) status(s wire.UserStatus) {
	p.print(heard{Kind: "status", From: s.User, Status: s.Status, What: s.Custom})
}

func (p *printer) kicked() {
	p.print(heard{Kind: "kick", What: "another login has ended this session"})
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

// line is what was heard, for people. What another user has written must not be able to steer the terminal.
func (h heard) line() string {
	switch h.Kind {
	case "message":
		return fmt.Sprintf("%s#%d %s: %s", h.Conversation, h.Seq, h.From, strings.Map(printable, h.Body))
	case "receipt":
		if h.ServerSend {
			return fmt.Sprintf("%s#%d nobody is connected; it waits", h.Conversation, h.Seq)
		}
		return fmt.Sprintf("%s#%d %s has it", h.Conversation, h.Seq, h.From)
	case "read":
		return fmt.Sprintf("%s#%d %s has read up to here", h.Conversation, h.Seq, h.From)
	case "recall":
		return fmt.Sprintf("%s#%d %s has recalled it", h.Conversation, h.Seq, h.From)
	case "group":
		return fmt.Sprintf("%s %s: %s", h.Conversation, h.From, strings.Map(printable, h.What))
	case "setting":
		return fmt.Sprintf("%s %s", h.Conversation, h.What)
	case "news":
		return fmt.Sprintf("%s#%d something new", h.Conversation, h.Seq)
	case "typing":
		return fmt.Sprintf("%s %s is typing", h.Conversation, h.From)
	case "status":
		return h.status()
	}
	return h.What
}

func (h heard) status() string {
	line := fmt.Sprintf("%s is online", h.From)
	switch h.Status {
	case wire.Offline:
		return fmt.Sprintf("%s is offline", h.From)
	case wire.Online:
	default:
		line += fmt.Sprintf(", with status %d", h.Status)
	}
	if h.What != "" {
		line += ": " + strings.Map(printable, h.What)
	}
	return line
}

func printable(r rune) rune {
	if r < ' ' || 0x7f <= r && r < 0xa0 {
		return '\ufffd'
	}
	return r
}
