package sequence_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/storetest"
	"github.com/whaleshark-im/whaleshark/streams"
	"github.com/whaleshark-im/whaleshark/streams/streamstest"
	"github.com/whaleshark-im/whaleshark/workers/sequence"
)

// outbox keeps its rows until the test takes them out, as Postgres does until persist has them.
type outbox struct {
	mu    sync.Mutex
	rows  []chat.Outgoing
	fails int
	asked chan struct{} // closed and made anew with each question
}

func newOutbox() *outbox { return &outbox{asked: make(chan struct{})} }

func (o *outbox) Outgoing(_ context.Context, after int64, limit int) ([]chat.Outgoing, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.asked)
	o.asked = make(chan struct{})
	if o.fails > 0 {
		o.fails--
		return nil, errors.New("not now")
	}
	rows := slices.DeleteFunc(slices.Clone(o.rows), func(r chat.Outgoing) bool { return r.ID <= after })
	return rows[:min(limit, len(rows))], nil
}

func (o *outbox) add(group string, changes ...chat.Change) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, c := range changes {
		o.rows = append(o.rows, chat.Outgoing{
			ID: int64(len(o.rows) + 1), Conversation: chat.GroupOf(10001, group), By: "alice", Change: c,
		})
	}
}

// polled waits until the relay has asked n times.
func (o *outbox) polled(t *testing.T, n int) {
	t.Helper()
	for range n {
		o.mu.Lock()
		asked := o.asked
		o.mu.Unlock()
		select {
		case <-asked:
		case <-time.After(20 * time.Second):
			t.Fatal("nobody reads the outbox")
		}
	}
}

// TestTheOutboxReachesTheLog lets a relay carry changes into the log, each once and in its group's order, however often they are sent.
func TestTheOutboxReachesTheLog(t *testing.T) {
	db := storetest.New(t)
	if err := db.Seed(t.Context()); err != nil {
		t.Fatal(err)
	}
	c := streamstest.Connect(t, streamstest.Server(t), streams.Layout{})
	box := newOutbox()
	box.fails = 2
	box.add("team",
		chat.Change{Kind: chat.GroupCreated, Version: 1, Users: []chat.UserID{"alice"}},
		chat.Change{Kind: chat.MembersJoined, Version: 2, Users: []chat.UserID{"bob"}})
	box.add("others", chat.Change{Kind: chat.GroupCreated, Version: 1, Users: []chat.UserID{"carol"}})
	start(t, sequence.Config{Conn: c, Database: db, Outbox: box})
	records(t, c, 3)
	box.add("team", chat.Change{Kind: chat.MemberRemoved, Version: 3, Users: []chat.UserID{"bob"}})
	records(t, c, 4)
	box.polled(t, 25) // the rows are still there, so they have gone again by now

	say := func(from chat.UserID, id string) *chat.Request {
		q := message(from, from, id, "hi")
		q.Conversation = chat.GroupOf(10001, "team")
		return q
	}
	submit(t, c, say("alice", "m1"), say("bob", "m2"))
	got := make(map[string][]string)
	for _, r := range records(t, c, 6) {
		group := r.Conversation.A
		switch r.Kind { //nolint:exhaustive // the others are not asked for
		case chat.GroupRecord:
			got[group] = append(got[group], fmt.Sprint(r.Change.Version, r.Change.Users, " by ", r.Sender.User))
		case chat.MessageRecord:
			got[group] = append(got[group], fmt.Sprintf("%s #%d", r.MessageID, r.Seq))
		case chat.RefusalRecord:
			got[group] = append(got[group], fmt.Sprintf("%s %s", r.MessageID, r.Code))
		}
	}
	want := map[string][]string{
		"team":   {"1 [alice] by alice", "2 [bob] by alice", "3 [bob] by alice", "m1 #1", "m2 not_member"},
		"others": {"1 [carol] by alice"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the log has (-want +got):\n%s", diff)
	}
}
