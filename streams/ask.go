package streams

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/whaleshark-im/whaleshark/chat"
)

// answersLimit is how many answers may lie in the client library's hands: they are handed on without waiting for anybody.
const answersLimit = 1 << 16

// answers is where the answers to this process's questions come in: one inbox for all. The client library subscribes anew after a
// reconnect by itself.
type answers struct {
	prefix string

	mu      sync.Mutex
	next    uint64
	waiting map[uint64]chan chat.Answer
}

func newAnswers(nc *nats.Conn) (*answers, error) {
	a := &answers{prefix: nats.NewInbox() + ".", waiting: make(map[uint64]chan chat.Answer)}
	sub, err := nc.Subscribe(a.prefix+"*", a.heard)
	if err != nil {
		return nil, fmt.Errorf("subscribe to answers: %w", err)
	}
	if err := sub.SetPendingLimits(answersLimit, -1); err != nil {
		return nil, fmt.Errorf("limit the answers: %w", err)
	}
	return a, nil
}

// expect returns where an answer is to go, and where it comes out; forget ends it.
func (a *answers) expect() (n uint64, subject string, heard <-chan chat.Answer) {
	ch := make(chan chat.Answer, 1)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.next++
	a.waiting[a.next] = ch
	return a.next, a.prefix + strconv.FormatUint(a.next, 36), ch
}

func (a *answers) forget(n uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.waiting, n)
}

func (a *answers) heard(m *nats.Msg) {
	n, err := strconv.ParseUint(m.Subject[len(a.prefix):], 36, 64)
	if err != nil {
		return
	}
	x, err := chat.DecodeAnswer(m.Data)
	if err != nil {
		return // as if it were lost: it is asked for again
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	select {
	case a.waiting[n] <- x: // nobody waits: nil, which takes nothing
	default: // one was enough
	}
}

// Answer sends an answer to whoever waits for it. It may be lost: who asks again is told once more.
func (c *Conn) Answer(a *chat.Answer) error {
	if err := c.nc.Publish(a.Reply, chat.AppendAnswer(nil, a)); err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	return nil
}

const (
	askAgain  = 1500 * time.Millisecond // when a request that nobody has answered is submitted once more
	askAtOnce = 100 * time.Millisecond  // … and one that certainly did not go in
	askFor    = 10 * time.Second        // how long it is tried, if the context has no deadline
)

// HeedFull watches the members until ctx ends: meanwhile [Conn.Ask] refuses at once what would go into a log that takes no more blocks.
func (c *Conn) HeedFull(ctx context.Context) {
	c.Run(ctx, "members", func(ctx context.Context, _ *Generation) error {
		members, err := c.WatchMembers(ctx)
		if err != nil {
			return err
		}
		c.members.Store(members)
		defer c.members.Store(nil)
		<-ctx.Done()
		return ctx.Err()
	})
}

// Ask submits a request and waits for what becomes of it: an answer, whatever its code, is an outcome. The request's deadline is the
// context's. What nobody has answered after a while is submitted again, which is safe: a message is known by its identity, a read only
// moves forward, and of a recall it is all the same who was the first. But for a deletion: see deletes.
//
// An error is a [chat.Error]. [chat.Busy]: the request is certainly not in, for the ingress or the log is full. [chat.Unavailable]: nobody
// has answered until ctx ended; the outcome is unknown, and the same request may be sent again.
func (c *Conn) Ask(ctx context.Context, q *chat.Request) (chat.Answer, error) {
	if members := c.members.Load(); members != nil && members.Full(q.Conversation.Partition(c.partitions)) {
		return chat.Answer{}, chat.Errorf(chat.Busy, "")
	}
	ctx, cancel := withDeadline(ctx)
	defer cancel()
	n, subject, heard := c.answers.expect()
	defer c.answers.forget(n)
	x := *q
	x.Reply = subject
	x.Deadline, _ = ctx.Deadline()
	for unknown := false; ; x.First = false {
		a, err := c.attempt(ctx, &x, heard, unknown)
		e, certain := errors.AsType[chat.Error](err)
		switch {
		case a != nil:
			if unknown && a.Code == chat.RecalledAlready {
				a.Code = chat.OK
			}
			return *a, nil
		case ctx.Err() != nil:
			return chat.Answer{}, chat.Errorf(chat.Unavailable, "no answer in time: the outcome is unknown; the same messageId may be sent again")
		case certain && e.Code == chat.Busy && !unknown:
			return chat.Answer{}, e
		}
		unknown = unknown || !certain
	}
}

func withDeadline(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, askFor)
}

// attempt submits once, and waits for an answer until it is time to submit again. Without one it tells how the submission ended, as far as
// that is known: a [chat.Error] says that the request is certainly not in. If an earlier one may be, a full ingress is waited for.
func (c *Conn) attempt(ctx context.Context, q *chat.Request, heard <-chan chat.Answer, earlier bool) (*chat.Answer, error) {
	submitted := make(chan error, 1)
	c.Submit(q, func(err error) { submitted <- err })
	again := time.NewTimer(askAgain)
	defer again.Stop()
	var out error
	for notIn := false; ; {
		select {
		case a := <-heard:
			return &a, nil
		case out = <-submitted:
			var e chat.Error
			if e, notIn = errors.AsType[chat.Error](out); notIn {
				if e.Code == chat.Busy && !earlier {
					return nil, out
				}
				again.Reset(askAtOnce)
			}
		case <-again.C:
			if !notIn && deletes(q) {
				continue
			}
			return nil, out
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// deletes reports whether a request deletes a conversation for its sender: up to wherever it is placed. Placed twice it would also take what was said
// in between, so it is not submitted again unless it is certainly not in.
func deletes(q *chat.Request) bool { return q.Kind == chat.AskSetting && q.Setting.Delete }
