package bench

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/client"
	"github.com/whaleshark-im/whaleshark/sql/store"
	"github.com/whaleshark-im/whaleshark/wire"
)

const (
	filledAtOnce = 64 // in so many conversations somebody speaks at a time while they are filled
	turn         = 10 // and says so much before it is the other one's turn; together less than may wait for a client
)

// fill makes sure that the user's conversations hold as many messages as they shall, and returns how many they do, once Postgres has them all.
// They come as they would from apps: both speak by turns, and the user reads what was said. What earlier runs have said counts.
func (w Sync) fill(ctx context.Context, t *Target, user *client.Client, f *faults) (int64, error) {
	if w.History == 0 {
		return 0, nil
	}
	want := make([]store.Range, w.Conversations)
	all := make([]chat.Conversation, w.Conversations)
	for i := range all {
		all[i] = chat.PairOf(t.App, userOf(0), userOf(i+1))
	}
	heads, err := t.Store.HeadsOf(ctx, all)
	if err != nil {
		return 0, err
	}
	each := (w.History + w.Conversations - 1) / w.Conversations
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(filledAtOnce)
	var done atomic.Int64
	for i, c := range all {
		want[i] = store.Range{Conversation: c, First: 1, Last: heads[c]}
		missing := each - int(heads[c])
		if missing <= 0 {
			continue
		}
		g.Go(func() (err error) {
			want[i].Last, err = w.talk(gctx, t, user, userOf(i+1), t.device(i+1), missing)
			t.Progress.step("conversations are filled", int(done.Add(1)), len(all))
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return 0, fmt.Errorf("say %d messages in %d conversations: %w", w.History, w.Conversations, err)
	}
	_, rows, err := t.awaitRows(ctx, want, f.add) // all of it is a row before anybody asks
	return rows, err
}

// talk lets the user and somebody else say n messages by turns, and the user read them. It returns the last one's seq.
func (w Sync) talk(
	ctx context.Context, t *Target, user *client.Client, with chat.UserID, device chat.Device, n int,
) (last chat.Seq, err error) {
	peer, err := t.client(ctx, device)
	if err != nil {
		return 0, err
	}
	defer func() { _ = peer.Close() }()
	text := body(w.Payload)
	for said := 0; said < n; said += turn {
		from, to := user, with
		if said/turn%2 == 0 {
			from, to = peer, userOf(0)
		}
		if last, err = sayAtOnce(ctx, from, wire.Message{To: to, Body: text, First: true}, min(turn, n-said)); err != nil {
			return last, err
		}
	}
	return last, user.MarkRead(wire.ReadUpTo{Where: wire.Where{To: with}, Seq: last})
}

// sayAtOnce lets somebody say a message so many times, and returns the last one's seq when all are acknowledged.
func sayAtOnce(ctx context.Context, from *client.Client, m wire.Message, n int) (last chat.Seq, err error) {
	type answer struct {
		seq chat.Seq
		err error
	}
	answers := make(chan answer, n)
	m.MessageTime = time.Now().UnixMilli()
	for range n {
		m.MessageID = rand.Text()
		from.Start(m, func(a wire.Ack, err error) { answers <- answer{a.Seq, err} })
	}
	for range n {
		select {
		case a := <-answers:
			if last = max(last, a.seq); a.err != nil {
				return last, a.err
			}
		case <-ctx.Done():
			return last, ctx.Err()
		}
	}
	return last, nil
}
