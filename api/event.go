package api

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/wire"
)

// frameTo is a frame of an event: its payload, which is encoded as JSON, for all devices of users.
func frameTo(c wire.Command, payload any, users ...chat.UserID) chat.EventFrame {
	return chat.EventFrame{Command: int32(c), Users: users, Payload: encode(payload)}
}

// frameBeside is a frame for a user's own other devices.
func (c *caller) frameBeside(command wire.Command, payload any, user chat.UserID) chat.EventFrame {
	f := frameTo(command, payload, user)
	if user == c.user {
		f.Except = c.except()
	}
	return f
}

// hook is what the app's webhook is told; nil: the app does not want to know.
func (c *caller) hook(command string, body any) *chat.HookCall {
	if !c.app.Hooks.On(command) {
		return nil
	}
	return &chat.HookCall{Command: command, Body: encode(body)}
}

// encode encodes one of our own types; that cannot fail.
func encode(x any) json.RawMessage {
	b, err := json.Marshal(x)
	if err != nil {
		panic(fmt.Sprintf("api: encode a %T: %v", x, err))
	}
	return b
}

// hookPatience is how long a before-hook may take over a request to the API.
const hookPatience = 3 * time.Second

// questionRoom is how many bytes a before-hook may be asked: a question must fit into a message of NATS.
const questionRoom = 1000 << 10

// askHook asks the app's before-hook, if it wants to be asked. What it answers with instead of the request's own data comes back; nil: nothing.
// It may refuse, with a code and words of its own; whether it also refuses by not answering, the app has settled. What is too large to ask is
// refused in any case: else whoever fears the answer would make it so.
func (a *API) askHook(ctx context.Context, c *caller, command string, body any) (json.RawMessage, error) {
	if !c.app.Hooks.On(command) {
		return nil, nil
	}
	question := encode(body)
	if len(question) > questionRoom {
		return nil, chat.Errorf(chat.TooLarge, "the app's webhook must be asked with %d bytes; at most %d may be", len(question), questionRoom)
	}
	ctx, cancel := context.WithTimeout(ctx, hookPatience)
	defer cancel()
	answer := a.conn.AskHook(ctx, chat.HookQuestion{App: c.app.ID, Command: command, Body: question})
	switch {
	case answer.Failed && c.app.Hooks.FailClosed:
		return nil, chat.Errorf(chat.Unavailable, "the app's webhook does not answer: %s", answer.Msg)
	case answer.Failed:
		a.cfg.Log.WarnContext(ctx, "a before-hook has failed, and is passed over", "app", c.app.ID, "command", command, "cause", answer.Msg)
		return nil, nil
	case answer.Code != chat.OK:
		if answer.Msg == "" {
			answer.Msg = "the app does not allow this"
		}
		return nil, chat.Error{Code: answer.Code, Reason: answer.Msg}
	}
	return answer.Data, nil
}
