package client

import (
	"context"
	"crypto/rand"
	"fmt"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/wire"
)

// question is what a client waits for the answer of.
type question struct {
	answer wire.Command
	id     string // as the answer echoes it; empty where it echoes none
}

// MarkRead says that the user has read a conversation up to a seq. Nothing answers it.
func (c *Client) MarkRead(r wire.ReadUpTo) error {
	command := wire.Read
	if r.Group != "" {
		command = wire.GroupRead
	}
	return c.write(command, func(b []byte) []byte { return wire.AppendReadUpTo(b, &r) })
}

// Type tells the others that the user is typing. Nothing answers it.
func (c *Client) Type(in wire.TypingIn) error {
	return c.write(wire.Typing, func(b []byte) []byte { return wire.AppendTypingIn(b, &in) })
}

// SetStatus tells how the user wants to be seen. Nothing answers it.
func (c *Client) SetStatus(s wire.StatusSet) error {
	return c.write(wire.Status, func(b []byte) []byte { return wire.AppendStatusSet(b, &s) })
}

// Recall asks for a message to be recalled, and waits for the answer. A refusal is a [chat.Error].
func (c *Client) Recall(ctx context.Context, r wire.RecallOf) (wire.RecallAnswer, error) {
	if r.MessageID == "" {
		r.MessageID = rand.Text()
	}
	a, err := ask(ctx, c, wire.Recall, question{wire.RecallAck, r.MessageID}, wire.AppendRecallOf(nil, &r), wire.ParseRecallAnswer)
	return a, refusal(err, a.Code, a.Reason)
}

// Changes asks which conversations have changed.
func (c *Client) Changes(ctx context.Context, q wire.ChangesSince) (wire.ChangesPage, error) {
	q.RequestID = rand.Text()
	p, err := ask(ctx, c, wire.Changes, question{wire.Changes, q.RequestID}, wire.AppendChangesSince(nil, &q), wire.ParseChangesPage)
	return p, refusal(err, p.Code, p.Reason)
}

// History asks for a page of a conversation.
func (c *Client) History(ctx context.Context, q wire.HistoryOf) (wire.HistoryPage, error) {
	q.RequestID = rand.Text()
	p, err := ask(ctx, c, wire.History, question{wire.History, q.RequestID}, wire.AppendHistoryOf(nil, &q), wire.ParseHistoryPage)
	return p, refusal(err, p.Code, p.Reason)
}

// Pull asks for the messages of all conversations after a place.
func (c *Client) Pull(ctx context.Context, q wire.PullSince) (wire.PullPage, error) {
	q.RequestID = rand.Text()
	p, err := ask(ctx, c, wire.Pull, question{wire.Pull, q.RequestID}, wire.AppendPullSince(nil, &q), wire.ParsePullPage)
	return p, refusal(err, p.Code, p.Reason)
}

// Watch asks to be told of other users' statuses, and returns the present ones. One may be under way at a time.
func (c *Client) Watch(ctx context.Context, w wire.WatchOf) (wire.Watching, error) {
	a, err := ask(ctx, c, wire.Watch, question{wire.Watch, ""}, wire.AppendWatchOf(nil, &w), wire.ParseWatching)
	return a, refusal(err, a.Code, a.Reason)
}

func refusal(err error, code chat.Code, reason string) error {
	if err == nil && code != chat.OK {
		return chat.Error{Code: code, Reason: reason}
	}
	return err
}

// ask sends a frame and waits for the one that answers it.
func ask[T any](
	ctx context.Context, c *Client, command wire.Command, q question, body []byte, parse func([]byte) (T, error),
) (answer T, err error) {
	heard := make(chan []byte, 1)
	c.mu.Lock()
	c.asked[q] = heard
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		delete(c.asked, q)
		c.mu.Unlock()
	}()
	if err := c.Write(command, body); err != nil {
		return answer, err
	}
	select {
	case payload := <-heard:
		return parse(payload)
	case <-c.done:
		return answer, fmt.Errorf("%v: %w", command, c.Err())
	case <-ctx.Done():
		return answer, fmt.Errorf("%v: %w", command, ctx.Err())
	}
}

// takeMore takes what is neither a message nor about the connection itself.
func (c *Client) takeMore(f wire.Down) error {
	h := &c.cfg.Handler
	switch f.Command { //nolint:exhaustive // a newer server may say what we do not know
	case wire.ReadNotify, wire.ReadReceipt, wire.GroupReadNotify, wire.GroupReadReceipt:
		return hand(f.Body, wire.ParseReadPosition, h.Read)
	case wire.RecallNotify:
		return hand(f.Body, wire.ParseRecalled, h.Recall)
	case wire.AddedMember, wire.CreatedGroup, wire.UpdatedGroup, wire.ExitGroup, wire.UpdatedMember, wire.DeletedMember, wire.DestroyGroup,
		wire.TransferGroup, wire.MuteGroup, wire.SpeakMember:
		return hand(f.Body, func(b []byte) (wire.GroupEvent, error) { return wire.ParseGroupEvent(f.Command, b) }, h.Group)
	case wire.ConversationDelete, wire.ConversationUpdate:
		return hand(f.Body, func(b []byte) (wire.Setting, error) { return wire.ParseSetting(f.Command, b) }, h.Setting)
	case wire.GroupNews:
		return hand(f.Body, wire.ParseNews, h.News)
	case wire.Typing:
		return hand(f.Body, wire.ParseTypingBy, h.Typing)
	case wire.StatusNotify:
		return hand(f.Body, wire.ParseUserStatus, h.Status)
	case wire.Kick:
		if h.Kicked != nil {
			h.Kicked()
		}
	case wire.RecallAck:
		return hand(f.Body, wire.ParseRecallAnswer, func(a wire.RecallAnswer) { c.heard(f, a.MessageID) })
	case wire.Changes:
		return hand(f.Body, wire.ParseChangesPage, func(p wire.ChangesPage) { c.heard(f, p.RequestID) })
	case wire.History:
		return hand(f.Body, wire.ParseHistoryPage, func(p wire.HistoryPage) { c.heard(f, p.RequestID) })
	case wire.Pull:
		return hand(f.Body, wire.ParsePullPage, func(p wire.PullPage) { c.heard(f, p.RequestID) })
	case wire.Watch:
		c.heard(f, "")
	}
	return nil
}

// heard hands an answer to who has asked.
func (c *Client) heard(f wire.Down, id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	q := question{f.Command, id}
	if to := c.asked[q]; to != nil {
		to <- append([]byte(nil), f.Body...) // has room for the one answer
		delete(c.asked, q)
	}
}
