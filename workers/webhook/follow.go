package webhook

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/store"
	"github.com/whaleshark-im/whaleshark/streams"
)

// source is what is heard in its order, one piece after the other.
type source[T any] struct {
	number int // of its mark
	end    func(ctx context.Context) (uint64, error)
	open   func(ctx context.Context, after uint64) (*streams.Reader[T], error)
	hear   func(T) piece
}

// piece is what a source tells at a position.
type piece struct {
	position uint64
	notices  []notice
	recalled []chat.Call // by name: see recalledBy
	fault    error       // it cannot be read, or some of it cannot
}

// logOf is a partition's log.
func (w *worker) logOf(p chat.Partition) source[streams.RawEntry] {
	c := w.cfg.Conn
	return source[streams.RawEntry]{
		number: int(p),
		end: func(ctx context.Context) (uint64, error) {
			tail, err := c.Tail(ctx, p)
			return uint64(tail), err
		},
		open: func(ctx context.Context, after uint64) (*streams.Reader[streams.RawEntry], error) {
			return c.FollowLog(ctx, p, chat.Revision(after))
		},
		hear: func(e streams.RawEntry) piece { return hearBlock(e, c.Base()) },
	}
}

func hearBlock(e streams.RawEntry, base chat.Revision) piece {
	x := piece{position: uint64(e.Revision)}
	block, err := chat.SkimBlock(e.Data)
	if err != nil {
		x.fault = err
		return x
	}
	for i := range block.Records {
		r, place := &block.Records[i], chat.PlaceOf(base, e.Revision, i)
		if n, ok := noticeOf(r, place); ok {
			x.notices = append(x.notices, n)
		}
		if r.Kind == chat.RecallRecord {
			x.recalled = append(x.recalled, recalledBy(r))
		}
	}
	return x
}

// events is the stream of events.
func (w *worker) events() source[streams.Told] {
	c := w.cfg.Conn
	return source[streams.Told]{
		number: store.HookEvents,
		end:    c.LastEvent,
		open:   c.ReadEvents,
		hear:   hearEvent,
	}
}

func hearEvent(t streams.Told) piece {
	x := piece{position: t.Position}
	switch {
	case t.Event == nil:
		x.fault = errors.New("the event cannot be read")
	case t.Event.Hook != nil:
		hook := *t.Event.Hook
		if len(hook.Body) == 0 || string(hook.Body) == "null" {
			hook.Body = []byte("{}")
		}
		c := chat.Call{App: t.Event.App, Event: "event-" + strconv.FormatInt(t.Event.ID, 10), HookCall: hook}
		x.notices = []notice{{c.App, c.Command, func() chat.Call { return c }}}
	}
	return x
}

const (
	piecesAtOnce = 64
	batchCalls   = 1000                   // a batch has about so many at most
	markEvery    = 500 * time.Millisecond // while there is nothing to tell
	patience     = 30 * time.Second       // a transaction that takes longer has failed
)

// follower hears one source.
type follower[T any] struct {
	*worker
	source source[T]
	post   *streams.Post
	mark   uint64 // as it is in Postgres
	at     uint64 // so far it was heard: behind it nothing is left to do
}

// follow hears a source after its mark until ctx ends.
func follow[T any](ctx context.Context, w *worker, s source[T], post *streams.Post) error {
	f := &follower[T]{worker: w, source: s, post: post}
	if err := f.findMark(ctx); err != nil {
		return err
	}
	in, err := s.open(ctx, f.at)
	if err != nil {
		return err
	}
	defer in.Close()
	tick := time.NewTicker(markEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
			f.post.Beat()
			err = f.settle(ctx, store.Heard{})
		case <-in.Ready():
			err = f.take(ctx, in.Take(piecesAtOnce))
		}
		if err != nil {
			return err
		}
	}
}

// findMark asks Postgres where to go on, for as long as it does not answer.
func (f *follower[T]) findMark(ctx context.Context) error {
	err := f.insist(ctx, func(ctx context.Context) (err error) {
		f.mark, err = f.cfg.Store.HookMark(ctx, f.source.number, f.source.end)
		return err
	})
	if err != nil {
		return err
	}
	end, err := f.source.end(ctx)
	if err != nil {
		return err
	}
	if f.at = f.mark; f.mark > end {
		f.log.ErrorContext(ctx, "the webhooks have heard more than there is: it is not what they had heard; going on at its end",
			"source", f.source.number, "mark", f.mark, "end", end)
		f.at = end
	}
	f.post.Report(f.at)
	return nil
}

// insist does what needs Postgres, again and again while it does not answer. It goes on beating: an owner that waits for Postgres does not hang.
func (f *follower[T]) insist(ctx context.Context, do func(context.Context) error) error {
	stop := make(chan struct{})
	defer close(stop)
	go f.beatUntil(stop) // ends with this call
	for {
		limited, cancel := context.WithTimeout(ctx, patience)
		err := do(limited)
		cancel()
		if err == nil || errors.Is(err, store.ErrMarkMoved) {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		f.postgresFails(ctx, err)
		if err := rest(ctx, markEvery); err != nil {
			return err
		}
	}
}

func (f *follower[T]) beatUntil(stop <-chan struct{}) {
	tick := time.NewTicker(markEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			f.post.Beat()
		case <-stop:
			return
		}
	}
}

// take hears some pieces, as many at a time as make a batch.
func (f *follower[T]) take(ctx context.Context, items []T) error {
	for len(items) > 0 {
		var h store.Heard
		var notices []notice
		n, to := 0, f.at
		for n < len(items) && len(notices) < batchCalls {
			x := f.source.hear(items[n])
			n++
			if x.fault != nil {
				f.metrics.unreadable.Inc()
				f.log.ErrorContext(ctx, "what cannot be read is told to nobody",
					"source", f.source.number, "position", x.position, "cause", x.fault)
			}
			notices, h.Recalled, to = append(notices, x.notices...), append(h.Recalled, x.recalled...), x.position
		}
		if err := f.tell(ctx, notices, h, to); err != nil {
			return err
		}
		f.post.Beat()
		items = items[n:]
	}
	return nil
}

// tell makes first attempts at a batch, and then the mark moves past it.
func (f *follower[T]) tell(ctx context.Context, notices []notice, h store.Heard, to uint64) error {
	said, err := f.attempt(ctx, notices, &h)
	if err != nil {
		return err
	}
	f.at = to
	if !said && len(h.Recalled) == 0 {
		return nil // the mark follows in a moment
	}
	return f.settle(ctx, h)
}

// attempt makes first attempts, and reports whether there was anything to tell.
func (f *follower[T]) attempt(ctx context.Context, notices []notice, h *store.Heard) (bool, error) {
	var batches []*batch
	err := f.insist(ctx, func(ctx context.Context) (err error) {
		batches, err = f.wanted(ctx, notices)
		return err
	})
	if err != nil || len(batches) == 0 {
		return false, err
	}
	h.Left = f.deliver(ctx, batches)
	return true, nil
}

// settle moves the mark to where the source was heard, if it is not there, and keeps the calls that are left. It does so even when ctx has
// just ended, or what was delivered would be delivered again.
func (f *follower[T]) settle(ctx context.Context, h store.Heard) error {
	if f.at == f.mark {
		return nil
	}
	h.Source, h.From, h.To, h.Erase = f.source.number, f.mark, f.at, eraseMessage
	var err error
	if ctx.Err() != nil {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), savingFor)
		defer cancel()
		err = f.cfg.Store.Hear(last, h)
	} else {
		err = f.insist(ctx, func(ctx context.Context) error { return f.cfg.Store.Hear(ctx, h) })
	}
	if err != nil {
		return err
	}
	f.mark = f.at
	f.post.Report(f.mark)
	if len(h.Left) > 0 {
		f.hurry()
	}
	return nil
}
