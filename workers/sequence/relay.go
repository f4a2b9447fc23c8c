package sequence

import (
	"context"
	"log/slog"
	"maps"
	"time"

	"github.com/whaleshark-im/whaleshark/chat"
)

// Outbox is where Postgres keeps the changes of groups until they are in the log and its rows say so.
type Outbox interface {
	Outgoing(ctx context.Context, after int64, limit int) ([]chat.Outgoing, error) // the oldest first
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
//
// It walks through the whole outbox, a page at a time, and begins again at its end: what is due there goes once more. While the outbox has
// more than a page, it also reads what is new, so that nobody waits for rows that stay.
type relay struct {
	outbox     Outbox
	patience   time.Duration // of a question to Postgres
	submit     func(q *chat.Request, done func(error))
	log        *slog.Logger
	unreadable func()          // counts a row that cannot be read
	nudges     <-chan struct{} // something new may be there; nil: nobody says so

	back   int64                           // the walk has come so far …
	began  time.Time                       // … since then …
	round  int                             // … after so many others
	again  map[chat.Conversation]time.Time // when it sent an earlier change of the group: later ones must follow it
	front  int64                           // what is after it is new
	sent   map[int64]sighting              // by the change's id in the outbox
	broken map[chat.Conversation]stop      // groups with a row that cannot be read
}

// sighting tells when a row was sent, and in which walk it was seen last.
type sighting struct {
	at    time.Time
	round int
}

// stop is the first row of a group that cannot be read: what is behind it waits.
type stop struct {
	id    int64
	round int // in which it was seen last
}

// run relays until ctx ends.
func (r *relay) run(ctx context.Context) {
	r.again, r.sent, r.broken = make(map[chat.Conversation]time.Time), make(map[int64]sighting), make(map[chat.Conversation]stop)
	failing := false
	for wait := relayEvery; ctx.Err() == nil; r.rest(ctx, wait) {
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

// rest waits for the next turn.
func (r *relay) rest(ctx context.Context, d time.Duration) {
	select {
	case <-r.nudges:
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// poll goes on with the walk by a page, and sends a page of what is new.
func (r *relay) poll(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, r.patience)
	defer cancel()
	if r.back == 0 {
		r.began = time.Now()
	}
	rows, err := r.outbox.Outgoing(limited, r.back, relayAtOnce)
	if err != nil {
		return err
	}
	for i := range rows {
		r.walk(ctx, &rows[i])
	}
	if n := len(rows); n > 0 {
		r.back = rows[n-1].ID
	}
	if len(rows) < relayAtOnce {
		r.beginAgain()
		return nil
	}
	r.front = max(r.front, r.back)
	if rows, err = r.outbox.Outgoing(limited, r.front, relayAtOnce); err != nil {
		return err
	}
	for i := range rows {
		if _, known := r.sent[rows[i].ID]; !known && !r.stopped(ctx, &rows[i]) {
			r.send(ctx, &rows[i])
		}
		r.front = rows[i].ID
	}
	return nil
}

// beginAgain lets the walk, which has come to the outbox's end, begin at its start. What it has not seen is no longer there.
func (r *relay) beginAgain() {
	maps.DeleteFunc(r.sent, func(_ int64, s sighting) bool { return s.round < r.round })
	maps.DeleteFunc(r.broken, func(_ chat.Conversation, s stop) bool { return s.round < r.round })
	clear(r.again)
	r.front, r.back = r.back, 0
	r.round++
}

// walk sends a row that was not sent yet, that has been in the outbox for too long since it was, or that must follow another.
func (r *relay) walk(ctx context.Context, row *chat.Outgoing) {
	if r.stopped(ctx, row) {
		return
	}
	before, known := r.sent[row.ID]
	if known && r.began.Sub(before.at) < relayAgain && !before.at.Before(r.again[row.Conversation]) {
		r.sent[row.ID] = sighting{before.at, r.round}
		return
	}
	r.again[row.Conversation] = r.send(ctx, row)
}

// stopped reports whether a row cannot be read, or is behind one of its group that cannot. Every other group goes on.
func (r *relay) stopped(ctx context.Context, row *chat.Outgoing) bool {
	first, known := r.broken[row.Conversation]
	switch {
	case known && row.ID > first.id:
		return true
	case row.Fault != nil:
		if !known || row.ID != first.id {
			r.log.ErrorContext(ctx, "a change cannot be read; its group does not change any more", "row", row.ID,
				"conversation", row.Conversation, "cause", row.Fault)
			r.unreadable()
		}
		r.broken[row.Conversation] = stop{row.ID, r.round}
		return true
	case known && row.ID == first.id:
		delete(r.broken, row.Conversation) // it was mended
	}
	return false
}

func (r *relay) send(ctx context.Context, row *chat.Outgoing) time.Time {
	now := time.Now()
	r.sent[row.ID] = sighting{now, r.round}
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
	return now
}
