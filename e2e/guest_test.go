package e2e

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/client"
	"github.com/whaleshark-im/whaleshark/sql/store"
	"github.com/whaleshark-im/whaleshark/streams"
	"github.com/whaleshark-im/whaleshark/wire"
)

// scene is a part of a test's story: its own test, in the house that all parts share. Told by a scene, a failure names the part's line.
type scene struct {
	t     *testing.T
	h     *house
	edges []streams.Member
}

// guest is a device at an edge that is chosen, and what it has heard: a line a frame, in order.
type guest struct {
	t       *testing.T
	h       *house
	id      chat.Device
	c       *client.Client
	welcome wire.Welcome

	mu     sync.Mutex
	heard  []string // what nobody has asked for yet
	cursor chat.Place
}

// guest logs a device in; with a cursor it resumes. The connection ends with the test.
func (h *house) guest(t *testing.T, edge streams.Member, user chat.UserID, kind chat.ClientType, cursor ...chat.Place) *guest {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	g := &guest{t: t, h: h, id: chat.Device{App: store.DemoApp, User: user, Client: kind, IMEI: fmt.Sprint("imei-", kind)}}
	transport := "tcp"
	if kind == chat.Web {
		transport = "ws"
	}
	cfg := client.Config{
		URL: clientURL(edge, transport), Device: g.id, Ping: 100 * time.Millisecond,
		Handler: client.Handler{Frame: g.frame, Pong: func(p wire.Pong) {
			g.mu.Lock()
			defer g.mu.Unlock()
			g.cursor = p.Cursor
		}},
	}
	if len(cursor) > 0 {
		cfg.Resume, cfg.Cursor = true, cursor[0]
	}
	var err error
	if g.c, err = client.Dial(ctx, cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = g.c.Close() })
	if g.welcome, err = g.c.Login(ctx); err != nil {
		t.Fatalf("%s: %v", g.id, err)
	}
	return g
}

func (g *guest) frame(c wire.Command, payload []byte) {
	text, err := tell(c, payload)
	if err != nil {
		text = err.Error()
	}
	if text == "" {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.heard = append(g.heard, fmt.Sprint(int(c), text))
}

// tell puts a frame that tells something of others into words: who, where, and what.
func tell(c wire.Command, payload []byte) (string, error) {
	at := func(from chat.UserID, w wire.Where, n chat.Seq) string {
		s := fmt.Sprintf(" %s>%s", from, w.Group+string(w.To))
		if w.Group != "" && w.To != "" {
			s = fmt.Sprintf(" %s>%s of %s", from, w.Group, w.To)
		}
		if n > 0 {
			s += fmt.Sprintf("#%d", n)
		}
		return s
	}
	switch c { //nolint:exhaustive // answers are waited for where they are asked for
	case wire.Send, wire.GroupSend:
		p, err := wire.ParsePlaced(payload)
		if p.Recalled {
			p.Body += "(recalled)"
		}
		return at(p.From.User, wire.Where{To: p.To, Group: p.Group}, p.Seq) + " " + p.Body, err
	case wire.ReadNotify, wire.ReadReceipt, wire.GroupReadNotify, wire.GroupReadReceipt:
		p, err := wire.ParseReadPosition(payload)
		return at(p.Reader, p.Where, p.Seq), err
	case wire.RecallNotify:
		p, err := wire.ParseRecalled(payload)
		return at(p.By, p.Where, p.Seq), err
	case wire.AddedMember, wire.CreatedGroup, wire.UpdatedGroup, wire.ExitGroup, wire.UpdatedMember, wire.DeletedMember,
		wire.DestroyGroup, wire.TransferGroup, wire.MuteGroup, wire.SpeakMember:
		p, err := wire.ParseGroupEvent(c, payload)
		who := p.Members
		if p.Member != "" {
			who = []chat.UserID{p.Member}
		}
		return fmt.Sprintf("%s %v", at(p.By, wire.Where{Group: p.Group}, 0), who), err
	case wire.ConversationDelete, wire.ConversationUpdate:
		p, err := wire.ParseSetting(c, payload)
		s := at(p.User, p.Where, 0)
		for _, x := range []struct {
			name string
			is   chat.Switch
		}{{"mute", p.Mute}, {"top", p.Top}} {
			if x.is != chat.Unset {
				s += fmt.Sprintf(" %s %t", x.name, x.is == chat.On)
			}
		}
		return s, err
	case wire.Typing:
		p, err := wire.ParseTypingBy(payload)
		return at(p.From.User, p.Where, 0), err
	case wire.StatusNotify:
		p, err := wire.ParseUserStatus(payload)
		return fmt.Sprintf(" %s %d %s", p.User, p.Status, p.Custom), err
	case wire.StatusSync:
		p, err := wire.ParseDeviceStatus(payload)
		return fmt.Sprintf(" %s %d %s", p.Device, p.Status, p.Custom), err
	case wire.Kick:
		return " kicked", nil
	}
	return "", nil
}

// hears waits until the guest has heard so many lines, and wants them to be these, in this order.
func (g *guest) hears(why string, want ...string) {
	g.t.Helper()
	var got []string
	within(g.t, 10*time.Second, fmt.Sprintf("%s: %s hears %q", why, g.id, want), func() error {
		g.mu.Lock()
		defer g.mu.Unlock()
		if len(g.heard) < len(want) {
			return fmt.Errorf("it has heard %q", g.heard)
		}
		got, g.heard = g.heard[:len(want)], g.heard[len(want):]
		return nil
	})
	if !slices.Equal(got, want) {
		g.t.Fatalf("%s: %s hears %q, want %q", why, g.id, got, want)
	}
}

// all lets every guest hear the same.
func all(why string, guests []*guest, want ...string) {
	for _, g := range guests {
		g.t.Helper()
		g.hears(why, want...)
	}
}

// nothingMore waits until everything that is in the log has been told to the guests, and wants nothing of it to be for them.
func nothingMore(why string, guests ...*guest) {
	for _, g := range guests {
		g.t.Helper()
		end := g.h.end(g.t)
		within(g.t, 10*time.Second, why+": "+g.id.String()+" is told that there is nothing more", func() error {
			g.mu.Lock()
			defer g.mu.Unlock()
			if g.cursor < end {
				return fmt.Errorf("its cursor is at %d of %d", g.cursor, end)
			}
			return nil
		})
		g.hears(why)
		g.mu.Lock()
		if len(g.heard) > 0 {
			g.t.Errorf("%s: %s hears %q as well", why, g.id, g.heard)
		}
		g.mu.Unlock()
	}
}

// end returns the place of the newest block of the log.
func (h *house) end(t *testing.T) chat.Place {
	t.Helper()
	var end chat.Revision
	for p := range chat.Partition(h.conn.Partitions()) {
		tail, err := h.conn.Tail(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		end = max(end, tail)
	}
	return chat.PlaceOf(h.conn.Base(), end, 0)
}

// say sends a message, and wants it to be numbered.
func (g *guest) say(where wire.Where, id string, want chat.Seq) {
	g.t.Helper()
	if got, err := g.send(where, id); err != nil || got != want {
		g.t.Fatalf("%s says %s to %v: it is numbered %d, %v; want %d", g.id, id, where, got, err, want)
	}
}

// send sends a message, whose id is its body.
func (g *guest) send(where wire.Where, id string) (chat.Seq, error) {
	ctx, cancel := context.WithTimeout(g.t.Context(), 10*time.Second)
	defer cancel()
	a, err := g.c.Send(ctx, wire.Message{MessageID: id, To: where.To, Group: where.Group, Body: id, First: true})
	return a.Seq, err
}

func (g *guest) refused(where wire.Where, id string, want chat.Code) {
	g.t.Helper()
	_, err := g.send(where, id)
	wantCode(g.t, fmt.Sprintf("%s says %s to %v", g.id, id, where), err, want)
}

func (g *guest) recall(where wire.Where, n chat.Seq) error {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(g.t.Context(), 10*time.Second)
	defer cancel()
	_, err := g.c.Recall(ctx, wire.RecallOf{Where: where, Seq: n})
	return err
}

func (g *guest) read(where wire.Where, n chat.Seq) {
	g.t.Helper()
	must(g.t, g.c.MarkRead(wire.ReadUpTo{Where: where, Seq: n}))
}

// messages asks for a conversation's history, and returns its messages as the guest would have heard them.
func (g *guest) messages(where wire.Where) (lines []string) {
	g.t.Helper()
	for after := chat.Seq(0); ; {
		page, err := g.c.History(g.t.Context(), wire.HistoryOf{Where: where, FromSeq: after + 1})
		must(g.t, err)
		for _, r := range page.Records {
			if m := r.Message; m != nil {
				lines, after = append(lines, says(g.t, *m)), m.Seq
			}
		}
		if page.Completed || len(page.Records) == 0 {
			return lines
		}
	}
}

// says is what a guest hears of a message.
func says(t *testing.T, m wire.Placed) string {
	t.Helper()
	c := wire.Send
	if m.Group != "" {
		c = wire.GroupSend
	}
	text, err := tell(c, wire.AppendPlaced(nil, &m))
	must(t, err)
	return fmt.Sprint(int(c), text)
}

// unread returns how many messages of a conversation the guest has not read.
func (g *guest) unread(where wire.Where) int64 {
	g.t.Helper()
	page, err := g.c.Changes(g.t.Context(), wire.ChangesSince{})
	must(g.t, err)
	for _, c := range page.Conversations {
		if c.Where == where {
			return c.Unread
		}
	}
	g.t.Fatalf("%s has no conversation %v: %v", g.id, where, page.Conversations)
	return 0
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantCode(t *testing.T, what string, err error, want chat.Code) {
	t.Helper()
	if e, ok := errors.AsType[chat.Error](err); !ok || e.Code != want {
		t.Errorf("%s: %v; want %d: %s", what, err, want, want.Info().Meaning)
	}
}

func wantLines(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

func with(user chat.UserID) wire.Where { return wire.Where{To: user} }
func in(group string) wire.Where       { return wire.Where{Group: group} }
