package chat_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/whaleshark-im/whaleshark/chat"
)

// app plays the app that is asked before a message is placed:
//
//	app before=(off | open | closed)   says what Postgres knows of app 1
//	hooks [limit=N]                    takes what the app is to be asked
//	verdicts                           reads lines of ID (allow | veto | fail | replace BODY)
func (x *script) app(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	switch d.Cmd {
	case "app":
		var before string
		d.ScanArgs(t, "before", &before)
		mode := map[string]chat.BeforeSend{"open": chat.FailOpen, "closed": chat.FailClosed}[before]
		x.facts.Apps[1] = appThat(mode)
	case "hooks":
		limit := 1000
		d.MaybeScanArgs(t, "limit", &limit)
		var b strings.Builder
		for _, h := range x.s.Hooks(limit) {
			x.hooks[h.Request.MessageID] = h.Key
			fmt.Fprintf(&b, "may %s say %q in %s (%s)?\n", h.Request.Sender.User, h.Request.Body, h.Request.Conversation, h.Request.MessageID)
		}
		return b.String()
	case "verdicts":
		for line := range strings.Lines(d.Input) {
			f := strings.Fields(line)
			v := chat.HookVerdict{Kind: map[string]chat.HookVerdictKind{
				"allow": chat.HookAllowed, "veto": chat.HookVetoed, "fail": chat.HookFailed, "replace": chat.HookReplaced,
			}[f[1]]}
			if len(f) > 2 {
				v.Body = f[2]
			}
			x.s.HookAnswered(x.hooks[f[0]], v)
		}
	}
	return ""
}

// appThat is app 1, asked before a message or not.
func appThat(mode chat.BeforeSend) chat.App {
	a := chat.App{ID: 1}
	if mode != 0 {
		a.Hooks = chat.Hooks{URL: "there", Commands: []string{chat.HookMessageSend}, FailClosed: mode == chat.FailClosed}
	}
	return a
}

// TestTooManyWaitForTheApp: one conversation's flood is refused in its turn, and disturbs no other.
func TestTooManyWaitForTheApp(t *testing.T) {
	w := newWorld()
	w.before = chat.FailOpen
	s := chat.NewSequencer(chat.SequencerConfig{Life: life})
	s.Vouch()
	send := func(from, to chat.UserID, id string) {
		w.ingress = append(w.ingress, &chat.Request{
			Kind: chat.AskMessage, Conversation: chat.PairOf(1, from, to), Sender: chat.Device{App: 1, User: from}, MessageID: id, Body: "x",
			Deadline: w.now.Add(time.Minute),
		})
		s.Offer(chat.Position(len(w.ingress)), w.ingress[len(w.ingress)-1], w.now)
	}
	var refused, order []string
	step := func() {
		for range 4 {
			st := s.Step(w.now)
			if n, ok := s.Needs(); ok {
				s.Learn(n, w.lookUp(n), w.now, w.now)
			}
			if st.Block == nil {
				continue
			}
			rev, _ := w.update(entry{st.Block.Prev, st.Data})
			if _, err := s.Committed(rev, w.now); err != nil {
				t.Fatal(err)
			}
			for _, r := range st.Block.Records {
				order = append(order, r.MessageID)
				if r.Code == chat.Busy {
					refused = append(refused, r.MessageID)
				}
			}
		}
	}
	for i := range 130 {
		send("a", "b", fmt.Sprint("m", i))
	}
	step()
	hooks := s.Hooks(1000)
	if len(hooks) != 128 || len(order) != 0 {
		t.Fatalf("the app is asked %d times, and %v was placed; want 128 and nothing", len(hooks), order)
	}
	send("a", "c", "other")
	step()
	for _, h := range s.Hooks(1000) {
		s.HookAnswered(h.Key, chat.HookVerdict{Kind: chat.HookAllowed})
	}
	step()
	if len(order) != 1 || order[0] != "other" {
		t.Fatalf("%v was placed, want the other conversation's alone", order)
	}
	for i := range hooks { // the first one last
		s.HookAnswered(hooks[len(hooks)-1-i].Key, chat.HookVerdict{Kind: chat.HookAllowed})
		if i == len(hooks)-2 {
			step()
			if len(order) != 1 {
				t.Fatalf("%v was placed before m0", order[1:])
			}
		}
	}
	send("a", "b", "m130")
	step()
	if got := strings.Join(refused, " "); got != "m128 m129" {
		t.Errorf("refused as too many: %q, want m128 and m129", got)
	}
	for i, id := range order[1:] {
		if id != fmt.Sprint("m", i) {
			t.Fatalf("%s is judged after %d others", id, i)
		}
	}
	if hooks := s.Hooks(1000); len(hooks) != 1 || hooks[0].Request.MessageID != "m130" {
		t.Errorf("then the app is asked %v, want m130 alone", hooks)
	}
}
