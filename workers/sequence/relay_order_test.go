package sequence

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/whaleshark-im/whaleshark/chat"
)

type rows []chat.Outgoing

func (r *rows) Outgoing(context.Context, int) ([]chat.Outgoing, error) { return *r, nil }

// TestARelayKeepsTheOrderOfAGroup holds what a relay sends against time: a row that stays goes again after a while, and those behind it follow it.
func TestARelayKeepsTheOrderOfAGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var box rows
		add := func(id int64, group string, version int64) {
			box = append(box, chat.Outgoing{ID: id, Conversation: chat.GroupOf(1, group), Change: chat.Change{Version: version}})
		}
		var sent []string
		want := func(when string, list ...string) {
			t.Helper()
			synctest.Wait()
			if !slices.Equal(sent, list) {
				t.Errorf("%s: %v was sent, want %v", when, sent, list)
			}
			sent = nil
		}
		r := relay{outbox: &box, patience: time.Second, log: slog.New(slog.DiscardHandler), submit: func(q *chat.Request, done func(error)) {
			sent = append(sent, fmt.Sprint(q.Conversation.A, q.Change.Version))
			done(nil)
		}}
		add(1, "g", 1)
		add(2, "h", 1)
		go r.run(ctx) // ends with ctx, and the bubble waits for it
		want("at once", "g1", "h1")

		time.Sleep(time.Second) //nolint:forbidigo // the bubble's time
		want("nothing new")
		add(3, "g", 2)
		time.Sleep(200 * time.Millisecond) //nolint:forbidigo // the bubble's time
		want("what is new goes alone", "g2")

		time.Sleep(time.Second) //nolint:forbidigo // the bubble's time
		want("what stays goes again, and what is behind it", "g1", "h1", "g2")
		box = box[2:]
		time.Sleep(3 * time.Second) //nolint:forbidigo // the bubble's time
		want("what is gone goes no more", "g2")
		if len(r.sent) != 1 {
			t.Errorf("the relay remembers %d rows, want the one that is there", len(r.sent))
		}
		cancel()
	})
}
