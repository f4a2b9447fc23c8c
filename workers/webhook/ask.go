package webhook

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/whaleshark-im/whaleshark/chat"
)

// questionPatience is how long a receiver may take over a question of the API.
const questionPatience = 3 * time.Second

// serveQuestions answers questions until ctx ends.
func (w *worker) serveQuestions(ctx context.Context) error {
	err := w.cfg.Conn.ServeHooks(ctx, func(ctx context.Context, q chat.HookQuestion) chat.HookAnswer {
		ctx, cancel := context.WithTimeout(ctx, questionPatience)
		defer cancel()
		return w.answer(ctx, q)
	})
	if err != nil {
		return err
	}
	if err := w.cfg.Conn.ServeBefore(ctx, w.judge); err != nil {
		return err
	}
	<-ctx.Done()
	return ctx.Err()
}

// answer asks an app's receiver a question, and returns what it says, or that it has failed.
func (w *worker) answer(ctx context.Context, q chat.HookQuestion) chat.HookAnswer {
	return w.answerAs(ctx, "ask-"+rand.Text(), q)
}

func (w *worker) answerAs(ctx context.Context, event string, q chat.HookQuestion) (a chat.HookAnswer) {
	hooks, err := w.hooks(ctx, q.App)
	switch {
	case err != nil:
		return chat.HookAnswer{Failed: true, Msg: "what the app wants to be asked is not known now"}
	case !hooks.On(q.Command):
		return chat.HookAnswer{Code: chat.OK}
	}
	err = w.guard(func() (err error) {
		a, err = w.ask(ctx, hooks, &chat.Call{App: q.App, Event: event, HookCall: chat.HookCall{Command: q.Command, Body: q.Body}})
		return err
	})
	if err != nil {
		return chat.HookAnswer{Failed: true, Msg: causeOf(err)}
	}
	return a
}

var errCrowded = errors.New("too many other questions wait for the receiver")

// ask puts a question to the receiver.
func (w *worker) ask(ctx context.Context, h *chat.Hooks, c *chat.Call) (a chat.HookAnswer, err error) {
	l := w.lanes.get(c.App)
	select {
	case l.questions <- struct{}{}:
		defer func() { <-l.questions }()
	case <-ctx.Done():
		w.metrics.attempt(c.Command, refused, 0)
		return a, errCrowded
	}
	began := time.Now()
	if !l.allow(&l.asks, began) {
		w.metrics.attempt(c.Command, refused, 0)
		return a, errRests
	}
	outcome := failed
	defer func() { // a panic, too, is a failure
		w.report(ctx, l, &l.asks, c, outcome, began)
	}()
	body, err := w.poster.ask(ctx, h, c)
	if err != nil {
		if errors.Is(ctx.Err(), context.Canceled) {
			outcome = givenUp
		}
		return a, err
	}
	if a, err = parseAnswer(body); err == nil {
		outcome = delivered
	}
	return a, err
}

// parseAnswer reads a receiver's answer: the original's envelope, whose code says whether it allows what it was asked.
func parseAnswer(body []byte) (chat.HookAnswer, error) {
	var e struct {
		Code *chat.Code      `json:"code"`
		Msg  string          `json:"msg"`
		Data json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(body, &e); err != nil {
		return chat.HookAnswer{}, fmt.Errorf("its answer is no envelope {code, msg, data}: %w", err)
	}
	if e.Code == nil {
		return chat.HookAnswer{}, errors.New("its answer is no envelope {code, msg, data}: there is no code")
	}
	if string(e.Data) == "null" {
		e.Data = nil
	}
	return chat.HookAnswer{Code: *e.Code, Msg: e.Msg, Data: e.Data}, nil
}

// judge asks an app whether a message may be placed. What becomes of the message when it does not answer, the sequencer decides.
func (w *worker) judge(ctx context.Context, q *chat.Request) chat.HookVerdict {
	a := w.answerAs(ctx, "ask-"+q.ID().String(), chat.HookQuestion{
		App: q.Conversation.App, Command: chat.HookMessageSend, Body: encode(aboutMessage(q)),
	})
	switch {
	case a.Failed:
		return chat.HookVerdict{Kind: chat.HookFailed}
	case a.Code != chat.OK:
		return chat.HookVerdict{Kind: chat.HookVetoed}
	}
	return verdictOf(a.Data, q)
}

// verdictOf returns the verdict of an answer that allows the message: as it is, or with another body, another extra, or both.
func verdictOf(data json.RawMessage, q *chat.Request) chat.HookVerdict {
	allowed := chat.HookVerdict{Kind: chat.HookAllowed}
	if len(data) == 0 || data[0] != '{' {
		return allowed
	}
	var r struct {
		Body  *string `json:"messageBody"`
		Extra *string `json:"extra"`
	}
	if err := json.Unmarshal(data, &r); err != nil {
		return chat.HookVerdict{Kind: chat.HookFailed}
	}
	if r.Body == nil && r.Extra == nil {
		return allowed
	}
	v := chat.HookVerdict{Kind: chat.HookReplaced, Body: q.Body, Extra: q.Extra}
	if r.Body != nil {
		v.Body = *r.Body
	}
	if r.Extra != nil {
		v.Extra = *r.Extra
	}
	return v
}
