package sequence

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/whaleshark-im/whaleshark/chat"
)

// post is both ends of a relay: the rows that wait, and what was sent.
type post struct {
	mu   sync.Mutex
	rows []chat.Outgoing
	sent []string

	unreadable int
}

func (p *post) Outgoing(_ context.Context, after int64, limit int) ([]chat.Outgoing, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	rows := slices.DeleteFunc(slices.Clone(p.rows), func(o chat.Outgoing) bool { return o.ID <= after })
	return rows[:min(limit, len(rows))], nil
}

func (p *post) submit(q *chat.Request, done func(error)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent = append(p.sent, fmt.Sprint(q.Conversation.A, q.Change.Version))
	done(nil)
}

func (p *post) relay() *relay {
	return &relay{
		outbox: p, patience: time.Second, log: slog.New(slog.DiscardHandler), submit: p.submit, unreadable: func() { p.unreadable++ },
	}
}

func (p *post) add(id int64, group string, version int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rows = append(p.rows, chat.Outgoing{ID: id, Conversation: chat.GroupOf(1, group), Change: chat.Change{Version: version}})
}

// drop takes the n oldest rows out.
func (p *post) drop(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rows = p.rows[n:]
}

func (p *post) want(t *testing.T, when string, list ...string) {
	t.Helper()
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	if !slices.Equal(p.sent, list) {
		t.Errorf("%s: %v was sent, want %v", when, p.sent, list)
	}
	p.sent = nil
}

// TestARelayKeepsTheOrderOfAGroup holds what a relay sends against time: a row that stays goes again after a while, and those behind it follow it.
func TestARelayKeepsTheOrderOfAGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var p post
		r := p.relay()
		p.add(1, "g", 1)
		p.add(2, "h", 1)
		go r.run(ctx) // ends with ctx, and the bubble waits for it
		p.want(t, "at once", "g1", "h1")

		time.Sleep(time.Second) //nolint:forbidigo // the bubble's time
		p.want(t, "nothing new")
		p.add(3, "g", 2)
		time.Sleep(200 * time.Millisecond) //nolint:forbidigo // the bubble's time
		p.want(t, "what is new goes alone", "g2")

		time.Sleep(time.Second) //nolint:forbidigo // the bubble's time
		p.want(t, "what stays goes again, and what is behind it", "g1", "h1", "g2")
		p.drop(2)
		time.Sleep(3 * time.Second) //nolint:forbidigo // the bubble's time
		p.want(t, "what is gone goes no more", "g2")
		cancel()
		synctest.Wait()
		if len(r.sent) != 1 {
			t.Errorf("the relay remembers %d rows, want the one that is there", len(r.sent))
		}
	})
}

// TestNobodyWaitsForRowsThatStay has more rows in the outbox than the relay reads at once: what is new goes at once all the same, and what
// stays goes again, each group's in its order.
func TestNobodyWaitsForRowsThatStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var p post
		stay := make([]string, 0, 5*relayAtOnce/2)
		for i := range int64(cap(stay)) {
			p.add(i+1, "g", i+1)
			stay = append(stay, fmt.Sprint("g", i+1))
		}
		go p.relay().run(ctx)
		time.Sleep(relayAgain / 4) //nolint:forbidigo // the bubble's time
		p.want(t, "all that waits", stay...)

		p.add(10_000, "h", 1)
		time.Sleep(relayEvery) //nolint:forbidigo // the bubble's time
		p.want(t, "what is new", "h1")

		time.Sleep(relayAgain - relayEvery) //nolint:forbidigo // the bubble's time
		p.want(t, "what stays", stay...)
	})
}

// TestOneRowThatCannotBeRead stops its group and no other, and is told once.
func TestOneRowThatCannotBeRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var p post
		p.add(1, "g", 1)
		p.add(2, "g", 2)
		p.add(3, "g", 3)
		p.add(4, "h", 1)
		p.rows[1].Fault = errors.New("garbage")
		go p.relay().run(ctx)
		p.want(t, "at once", "g1", "h1")
		time.Sleep(relayAgain + relayEvery) //nolint:forbidigo // the bubble's time
		p.want(t, "again", "g1", "h1")
		if p.unreadable != 1 {
			t.Errorf("%d rows were counted, want 1", p.unreadable)
		}

		p.mu.Lock()
		p.rows[1].Fault = nil
		p.mu.Unlock()
		time.Sleep(relayEvery) //nolint:forbidigo // the bubble's time
		p.want(t, "mended", "g2", "g3")
	})
}
