package streams

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/whaleshark-im/whaleshark/chat"
)

// BeforePatience is how long a message may wait for its app's verdict: who asks gives up then, and who answers need not go on.
const BeforePatience = 500 * time.Millisecond

// beforeAtOnce is how many questions about messages one process answers at a time. What is too much fails at once.
const beforeAtOnce = 1024

// AskBefore asks an app about a message before it is placed, through whichever webhook worker is there, and waits as long as ctx lets it. If
// nobody answers, the verdict is [chat.HookFailed], and the error says why.
func (c *Conn) AskBefore(ctx context.Context, q *chat.Request) (chat.HookVerdict, error) {
	failed := chat.HookVerdict{Kind: chat.HookFailed}
	m, err := c.nc.RequestWithContext(ctx, beforeSubject(q.Conversation.App), chat.AppendRequest(nil, q))
	if errors.Is(err, nats.ErrNoResponders) {
		err = errors.New("no webhook worker is there")
	}
	if err != nil {
		return failed, fmt.Errorf("ask app %s about a message: %w", q.Conversation.App, err)
	}
	v, err := chat.DecodeHookVerdict(m.Data)
	if err != nil {
		return failed, err
	}
	return v, nil
}

// ServeBefore answers the questions of [Conn.AskBefore] until ctx ends, each in a goroutine of its own, whose context ends with the patience
// of who asks.
func (c *Conn) ServeBefore(ctx context.Context, answer func(context.Context, *chat.Request) chat.HookVerdict) error {
	free := make(chan struct{}, beforeAtOnce)
	sub, err := c.nc.QueueSubscribe(beforeSubject(0), hookWorkers, func(m *nats.Msg) {
		q, err := chat.DecodeRequest(m.Data)
		if err != nil {
			c.sayBefore(ctx, m, chat.HookVerdict{Kind: chat.HookFailed})
			return
		}
		select {
		case free <- struct{}{}:
		default:
			c.sayBefore(ctx, m, chat.HookVerdict{Kind: chat.HookFailed})
			return
		}
		go func() { // ends with its answer, which answer bounds
			defer func() { <-free }()
			ctx, cancel := context.WithTimeout(ctx, BeforePatience)
			defer cancel()
			c.sayBefore(ctx, m, answer(ctx, q))
		}()
	})
	if err != nil {
		return fmt.Errorf("listen to questions about messages: %w", err)
	}
	context.AfterFunc(ctx, func() { _ = sub.Drain() })
	return nil
}

func (c *Conn) sayBefore(ctx context.Context, m *nats.Msg, v chat.HookVerdict) {
	if err := m.Respond(chat.AppendHookVerdict(nil, &v)); err != nil {
		c.log.DebugContext(ctx, "a verdict on a message was not sent", "cause", err)
	}
}
