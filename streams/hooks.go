package streams

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"

	"github.com/whaleshark-im/whaleshark/chat"
)

// hookWorkers is the queue group of those who call webhooks: each question goes to one of them.
const hookWorkers = "webhook"

// AskHook asks an app's before-hook, through whichever webhook worker is there, and waits as long as ctx lets it. Whatever keeps it from an
// answer is an answer, too: that the hook has failed.
func (c *Conn) AskHook(ctx context.Context, q chat.HookQuestion) chat.HookAnswer {
	failed := func(why error) chat.HookAnswer {
		if errors.Is(why, nats.ErrNoResponders) {
			why = errors.New("no webhook worker is there")
		}
		return chat.HookAnswer{Failed: true, Msg: why.Error()}
	}
	question, err := json.Marshal(q)
	if err != nil {
		return failed(err)
	}
	m, err := c.nc.RequestWithContext(ctx, hookSubject(q.App), question)
	if err != nil {
		return failed(err)
	}
	var a chat.HookAnswer
	if err := json.Unmarshal(m.Data, &a); err != nil {
		return failed(err)
	}
	return a
}

// ServeHooks answers the questions of [Conn.AskHook] until ctx ends, each in a goroutine of its own.
func (c *Conn) ServeHooks(ctx context.Context, answer func(context.Context, chat.HookQuestion) chat.HookAnswer) error {
	sub, err := c.nc.QueueSubscribe(hookSubject(0), hookWorkers, func(m *nats.Msg) {
		go func() { // ends with its answer, which answer bounds
			var q chat.HookQuestion
			if err := json.Unmarshal(m.Data, &q); err != nil {
				return
			}
			b, err := json.Marshal(answer(ctx, q))
			if err == nil {
				err = m.Respond(b)
			}
			if err != nil {
				c.log.DebugContext(ctx, "a hook's answer was not sent", "cause", err)
			}
		}()
	})
	if err != nil {
		return fmt.Errorf("listen to questions for hooks: %w", err)
	}
	context.AfterFunc(ctx, func() { _ = sub.Drain() })
	return nil
}
