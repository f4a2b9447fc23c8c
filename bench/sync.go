package bench

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/client"
	"github.com/whaleshark-im/whaleshark/sql/store"
	"github.com/whaleshark-im/whaleshark/wire"
)

// Sync says what a user has missed who asks for it.
type Sync struct {
	Conversations int `json:"conversations"`     // of the user
	History       int `json:"history,omitempty"` // messages in them before, at least; what is there already counts
	Changed       int `json:"changed"`           // of them, since his cursor
	Requests      int `json:"requests"`          // how often he asks
	Parallel      int `json:"parallel"`          // on so many connections at a time
	Payload       int `json:"payload"`
}

// SyncResult is what came of it.
type SyncResult struct {
	Conversations int         `json:"conversations"`     // that the user has, those of earlier runs included
	History       int64       `json:"history,omitempty"` // messages that Postgres had of them before, if there were to be any
	Changed       int         `json:"changed"`
	Requests      int64       `json:"requests"`
	PerS          float64     `json:"requests_per_s"`
	Latency       Percentiles `json:"sync"` // of all pages of an answer
	Pages         int         `json:"pages"`
}

// Run measures how long it takes a user to learn which of his conversations have changed.
func (w Sync) Run(ctx context.Context, t *Target) (*Report, error) {
	if w.Changed > w.Conversations {
		return nil, fmt.Errorf("%d conversations cannot have changed of %d", w.Changed, w.Conversations)
	}
	r, sys, err := t.begin(ctx, "sync", w)
	if err != nil {
		return nil, err
	}
	if err := t.users(ctx, w.Conversations+1); err != nil {
		return nil, err
	}
	if err := t.Store.SeedFriends(ctx, t.App, userOf(0), 2, w.Conversations+1, 1); err != nil {
		return nil, err
	}
	asking, err := w.clients(ctx, t)
	if err != nil {
		return nil, err
	}
	defer func() {
		for _, c := range asking {
			_ = c.Close()
		}
	}()
	var f faults
	history, err := w.fill(ctx, t, asking[0], &f)
	if err != nil {
		return nil, err
	}
	since, want, err := w.prepare(ctx, t, asking[0])
	if err != nil {
		return nil, err
	}
	all, err := changes(ctx, asking[0], 0)
	if err != nil {
		return nil, err
	}
	before, load := sys.look(false), ownCPU()
	if r.Sync, err = w.ask(ctx, t, asking, since, want, &f); err != nil {
		return nil, err
	}
	r.Sync.Conversations, r.Sync.Changed, r.Sync.History = len(all.conversations), len(want), history
	r.Resources = resources(before, sys.look(false), ownCPU()-load, r.Sync.Requests, "answers")
	r.judge(&f, &codes{})
	return r, nil
}

// clients logs the user's devices in.
func (w Sync) clients(ctx context.Context, t *Target) ([]*client.Client, error) {
	var all []*client.Client
	for i := range max(w.Parallel, 1) {
		d := t.device(0)
		d.IMEI = fmt.Sprint("bench", i)
		c, err := t.client(ctx, d)
		if err != nil {
			return nil, errors.Join(err, closeClients(all))
		}
		all = append(all, c)
	}
	return all, nil
}

func closeClients(all []*client.Client) error {
	var errs []error
	for _, c := range all {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

// client logs a device in as an app would: for what is said seldom.
func (t *Target) client(ctx context.Context, d chat.Device) (*client.Client, error) {
	ctx, cancel := context.WithTimeout(ctx, loginPatience)
	defer cancel()
	url := string(t.Transport) + "://" + t.address()
	if t.Transport == WS {
		url += "/ws"
	}
	c, err := client.Dial(ctx, client.Config{URL: url, Device: d, UserSign: t.sign(d.User)})
	if err != nil {
		return nil, err
	}
	if _, err := c.Login(ctx); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// prepare lets the user say something to everybody, and then some of them say something to him. It returns his cursor between the two, and
// what has changed since.
func (w Sync) prepare(
	ctx context.Context, t *Target, user *client.Client,
) (since chat.Place, changed map[chat.UserID]chat.Seq, err error) {
	if _, err := w.each(ctx, t, w.Conversations, func(ctx context.Context, i int, m wire.Message) (wire.Ack, error) {
		m.To = userOf(i + 1)
		return user.Send(ctx, m)
	}); err != nil {
		return 0, nil, err
	}
	page, err := changes(ctx, user, 0)
	if err != nil {
		return 0, nil, err
	}
	changed, err = w.each(ctx, t, w.Changed, func(ctx context.Context, i int, m wire.Message) (wire.Ack, error) {
		peer, err := t.client(ctx, t.device(i+1))
		if err != nil {
			return wire.Ack{}, err
		}
		defer func() { _ = peer.Close() }()
		m.To = userOf(0)
		return peer.Send(ctx, m)
	})
	if err != nil {
		return 0, nil, err
	}
	var want []store.Range
	for peer, seq := range changed {
		want = append(want, store.Range{Conversation: chat.PairOf(t.App, userOf(0), peer), First: seq, Last: seq})
	}
	_, _, err = t.awaitRows(ctx, want, func(*Fault) {}) // what is missing is looked for in the answers
	return page.cursor, changed, err
}

// each lets something be said in n conversations, and returns the seqs by the user's peer.
func (w Sync) each(
	ctx context.Context, t *Target, n int, say func(ctx context.Context, i int, m wire.Message) (wire.Ack, error),
) (map[chat.UserID]chat.Seq, error) {
	const atOnce = 32
	acks := make([]wire.Ack, n)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	text := body(w.Payload)
	for i := range n {
		g.Go(func() (err error) {
			acks[i], err = say(ctx, i, wire.Message{MessageID: rand.Text(), Body: text, First: true, MessageTime: time.Now().UnixMilli()})
			t.Progress.step("messages", i+1, n)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, fmt.Errorf("say something in %d conversations: %w", n, err)
	}
	seqs := make(map[chat.UserID]chat.Seq, n)
	for i, a := range acks {
		seqs[userOf(i+1)] = a.Seq
	}
	return seqs, nil
}

// answer is what all pages of an answer come to.
type answer struct {
	cursor        chat.Place
	pages         int
	conversations []wire.ChangedConversation
}

func changes(ctx context.Context, c *client.Client, since chat.Place) (answer, error) {
	a := answer{cursor: since}
	for {
		p, err := c.Changes(ctx, wire.ChangesSince{Cursor: a.cursor})
		if err != nil {
			return a, fmt.Errorf("ask what has changed since %d: %w", since, err)
		}
		a.pages++
		a.cursor = p.Cursor
		a.conversations = append(a.conversations, p.Conversations...)
		if p.Completed {
			return a, nil
		}
	}
}

// ask asks again and again, and checks each answer.
func (w Sync) ask(
	ctx context.Context, t *Target, asking []*client.Client, since chat.Place, want map[chat.UserID]chat.Seq, f *faults,
) (*SyncResult, error) {
	took, began := newMeter(window{0, longestRun}), time.Now()
	pages := make([]int, len(asking))
	g, ctx := errgroup.WithContext(ctx)
	for k, c := range asking {
		g.Go(func() error {
			for i := k; i < w.Requests; i += len(asking) {
				due := time.Since(began)
				a, err := changes(ctx, c, since)
				if err != nil {
					return err
				}
				took.add(time.Since(began), []time.Duration{due})
				f.add(a.check(want))
				pages[k] = a.pages
				t.Progress.step("answers", i+1, w.Requests)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	r := &SyncResult{Requests: int64(w.Requests), Pages: pages[0], PerS: float64(w.Requests) / time.Since(began).Seconds()}
	_, r.Latency = took.result()
	return r, nil
}

// check looks whether an answer holds what has changed, and nothing else.
func (a *answer) check(want map[chat.UserID]chat.Seq) *Fault {
	found := 0
	for _, c := range a.conversations {
		seq, changed := want[c.To]
		if !changed || c.Head < seq {
			return faultOf(faultAnswer, "the answer tells of the conversation with %s up to seq %d, want up to %d", c.To, c.Head, seq)
		}
		found++
	}
	if found != len(want) {
		return faultOf(faultAnswer, "the answer tells of %d conversations, want %d", found, len(want))
	}
	return nil
}
