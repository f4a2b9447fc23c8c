package sequence

import (
	"context"
	"log/slog"
	"time"

	"github.com/whaleshark-im/whaleshark/chat"
)

// Outbox is where Postgres keeps the changes of groups until they are in the log and its rows say so.
type Outbox interface {
	Outgoing(ctx context.Context, limit int) ([]chat.Outgoing, error) // the oldest first
}

const (
	relayEvery    = 100 * time.Millisecond
	relayAgain    = 2 * time.Second // when a change that is still in the outbox is sent once more
	relayAtOnce   = 1000
	relayPatience = 30 * time.Second // for which a change may wait in the ingress
	relayBackOff  = time.Second
)

// relay puts what waits in the outbox into the ingress, each group's changes in their order. It may send a change twice, and two relays may run
// for a moment: a change is numbered, and the rule takes each number once.
type relay struct {
	outbox   Outbox
	patience time.Duration // of a question to Postgres
	submit   func(q *chat.Request, done func(error))
	log      *slog.Logger

	sent map[int64]time.Time // by the change's id in the outbox
}

// run relays until ctx ends.
func (r *relay) run(ctx context.Context) {
	r.sent = make(map[int64]time.Time)
	failing := false
	for wait := relayEvery; ctx.Err() == nil; pause(ctx, wait) {
		err := r.poll(ctx)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			wait, failing = relayEvery, false
			continue
		}
		if !failing {
			r.log.WarnContext(ctx, "the outbox cannot be read; changes of groups wait", "cause", err)
		}
		wait, failing = min(2*wait, relayBackOff), true
	}
}

// poll sends what is new in the outbox, and what has been in it for too long since it was sent.
func (r *relay) poll(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, r.patience)
	defer cancel()
	rows, err := r.outbox.Outgoing(limited, relayAtOnce)
	if err != nil {
		return err
	}
	now := time.Now()
	sent := make(map[int64]time.Time, len(rows))
	again := make(map[chat.Conversation]bool) // an earlier change of the group goes once more, so the later ones must follow it
	for i := range rows {
		row := &rows[i]
		at, before := r.sent[row.ID]
		due := !before || now.Sub(at) >= relayAgain
		if !due && !again[row.Conversation] {
			sent[row.ID] = at
			continue
		}
		again[row.Conversation] = true
		sent[row.ID] = now
		r.send(ctx, row, now)
	}
	r.sent = sent
	return nil
}

func (r *relay) send(ctx context.Context, row *chat.Outgoing, now time.Time) {
	q := &chat.Request{
		Kind:         chat.AskChange,
		Conversation: row.Conversation,
		Sender:       chat.Device{App: row.Conversation.App, User: row.By},
		Change:       &row.Change,
		Deadline:     now.Add(relayPatience),
	}
	r.submit(q, func(err error) {
		if err != nil {
			r.log.DebugContext(ctx, "a change is sent again in a while", "conversation", row.Conversation, "version", row.Change.Version, "cause", err)
		}
	})
}
