package webhook

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/streams"
)

func answering(text string) func(int, http.ResponseWriter, *http.Request) {
	return func(_ int, w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(text)) }
}

func TestQuestionsAreAnswered(t *testing.T) {
	h := open(t)
	x := receive(t, nil)
	h.app(app, x.server.URL, chat.HookFriendAdd)
	h.start(func(c *Config) { c.BreakFor = time.Millisecond })
	ask := func(command string) chat.HookAnswer {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		return h.conn.AskHook(ctx, chat.HookQuestion{App: app, Command: command, Body: []byte(`{"toId":"bob"}`)})
	}
	for name, c := range map[string]struct {
		answer func(int, http.ResponseWriter, *http.Request)
		want   chat.HookAnswer
	}{
		"it allows":                  {answering(`{"code":200,"msg":"ok"}`), chat.HookAnswer{Code: chat.OK, Msg: "ok"}},
		"it allows something else":   {answering(`{"code":200,"data":[1]}`), chat.HookAnswer{Code: chat.OK, Data: []byte("[1]")}},
		"it does not":                {answering(`{"code":4711,"msg":"never","data":null}`), chat.HookAnswer{Code: 4711, Msg: "never"}},
		"an empty answer":            {status(http.StatusOK), chat.HookAnswer{Failed: true, Msg: "its answer is no envelope {code, msg, data}: unexpected end of JSON input"}},
		"no JSON":                    {answering(`<p>hello`), chat.HookAnswer{Failed: true, Msg: "its answer is no envelope {code, msg, data}: invalid character '<' looking for beginning of value"}},
		"no envelope":                {answering(`{}`), chat.HookAnswer{Failed: true, Msg: "its answer is no envelope {code, msg, data}: there is no code"}},
		"an error":                   {status(http.StatusBadGateway), chat.HookAnswer{Failed: true, Msg: "it answered 502"}},
		"a redirection is no answer": {status(http.StatusFound), chat.HookAnswer{Failed: true, Msg: "it answered 302"}},
	} {
		t.Run(name, func(t *testing.T) {
			x.become(c.answer)
			if diff := cmp.Diff(c.want, ask(chat.HookFriendAdd)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if c.want.Failed {
				x.become(answering(`{"code":200}`))
				h.eventually("it is well again", func() bool { return !ask(chat.HookFriendAdd).Failed })
			}
		})
	}
	for _, c := range x.all() {
		if c.App != "10001" || c.Command != chat.HookFriendAdd || c.Body != `{"toId":"bob"}` {
			t.Errorf("it was asked %+v", c)
		}
	}
	n := len(x.all())
	if got := ask(chat.HookMemberAdd); got.Code != chat.OK || got.Failed || len(x.all()) != n {
		t.Errorf("a question that it does not want to be asked is answered %+v", got)
	}
}

func TestQuestionsToASlowReceiver(t *testing.T) {
	h := open(t)
	x := receive(t, func(_ int, _ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	h.app(app, x.server.URL, chat.HookFriendAdd)
	w := newWorker(h.config())
	w.lanes.breakFor = time.Hour
	q := chat.HookQuestion{App: app, Command: chat.HookFriendAdd, Body: []byte("{}")}
	for range breakAfter {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		want := chat.HookAnswer{Failed: true, Msg: "it did not answer in time"}
		if diff := cmp.Diff(want, w.answer(ctx, q)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		cancel()
	}
	n, began := len(x.all()), time.Now()
	if got := w.answer(t.Context(), q); !got.Failed || got.Msg != errRests.Error() {
		t.Errorf("with its breaker open it answers %+v", got)
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("that took %v", took)
	}
	if got := len(x.all()); got != n {
		t.Errorf("it was asked %d times more", got-n)
	}
}

func TestMessagesAreJudged(t *testing.T) {
	h := open(t)
	x := receive(t, nil)
	h.app(app, x.server.URL, chat.HookMessageSend)
	h.start(func(c *Config) { c.BreakFor = time.Millisecond })
	m := h.message(app, "hi")
	q := &chat.Request{
		Kind: chat.AskMessage, Conversation: m.Conversation, Sender: m.Sender, MessageID: "m1", Body: "hi", Extra: "e", MessageTime: 7,
	}
	judge := func() chat.HookVerdict {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), streams.BeforePatience)
		defer cancel()
		v, _ := h.conn.AskBefore(ctx, q)
		return v
	}
	x.become(answering(`{"code":200}`))
	h.eventually("it answers", func() bool { return judge().Kind == chat.HookAllowed })
	slow := func(_ int, _ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	for name, c := range map[string]struct {
		answer func(int, http.ResponseWriter, *http.Request)
		want   chat.HookVerdict
	}{
		"it allows":           {answering(`{"code":200,"msg":"ok","data":{}}`), chat.HookVerdict{Kind: chat.HookAllowed}},
		"it has nothing else": {answering(`{"code":200,"data":"fine"}`), chat.HookVerdict{Kind: chat.HookAllowed}},
		"it does not":         {answering(`{"code":4711,"msg":"never"}`), chat.HookVerdict{Kind: chat.HookVetoed}},
		"it replaces both": {
			answering(`{"code":200,"data":{"messageBody":"ho","extra":""}}`), chat.HookVerdict{Kind: chat.HookReplaced, Body: "ho"},
		},
		"it replaces the body": {
			answering(`{"code":200,"data":{"messageBody":"ho"}}`), chat.HookVerdict{Kind: chat.HookReplaced, Body: "ho", Extra: "e"},
		},
		"nonsense": {answering(`{"code":200,"data":{"messageBody":1}}`), chat.HookVerdict{Kind: chat.HookFailed}},
		"an error": {status(http.StatusInternalServerError), chat.HookVerdict{Kind: chat.HookFailed}},
		"too slow": {slow, chat.HookVerdict{Kind: chat.HookFailed}},
	} {
		t.Run(name, func(t *testing.T) {
			x.become(c.answer)
			if diff := cmp.Diff(c.want, judge()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	want := `{"appId":10001,"fromId":"alice","toId":"bob","conversationType":0,"clientType":1,"imei":"i1",` +
		`"messageId":"m1","messageBody":"hi","extra":"e","messageTime":7}`
	events := x.events()
	for _, c := range x.all() {
		if c.Body != want || c.Command != chat.HookMessageSend || len(events) != 1 {
			t.Errorf("it was asked %+v of %d events", c, len(events))
		}
	}
}
