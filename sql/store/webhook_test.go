package store_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/store"
	"github.com/whaleshark-im/whaleshark/sql/storetest"
)

// hookCall is a call that fails at first.
func hookCall(app chat.AppID, event string) chat.Attempt {
	return chat.Attempt{
		Call: chat.Call{App: app, Event: event, HookCall: chat.HookCall{Command: chat.HookMessageSent, Body: []byte(`{"x":1}`)}},
	}
}

// hear adds calls to what waits.
func hearCalls(t *testing.T, s *store.Store, calls ...chat.Attempt) {
	t.Helper()
	at, err := s.HookMark(t.Context(), 0, beginAt(0))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Hear(t.Context(), store.Heard{From: at, To: at + 1, Left: calls}); err != nil {
		t.Fatal(err)
	}
}

func takeCalls(t *testing.T, s *store.Store, resting ...chat.AppID) (events []string, calls []chat.Attempt) {
	t.Helper()
	calls, err := s.TakeCalls(t.Context(), resting, 2, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range calls {
		events = append(events, fmt.Sprint(c.Call.App, " ", c.Call.Event))
	}
	slices.Sort(events)
	return events, calls
}

func TestWebhookCallsAreTakenByApp(t *testing.T) {
	s := storetest.New(t)
	for _, app := range []chat.AppID{1, 2, 3} {
		if err := s.SetApp(t.Context(), chat.App{ID: app, Keys: []string{"k"}}); err != nil {
			t.Fatal(err)
		}
	}
	later := hookCall(3, "later")
	later.Wait = time.Hour
	dead := hookCall(3, "dead")
	dead.Dead = true
	hearCalls(t, s, hookCall(1, "a"), hookCall(1, "b"), hookCall(1, "c"), hookCall(2, "d"), later, dead)
	hearCalls(t, s, hookCall(1, "a"), hookCall(2, "d")) // again: nothing is doubled

	if got, _ := takeCalls(t, s, 2); len(got) != 2 {
		t.Errorf("while app 2 rests %v are taken; want two of app 1", got)
	}
	got, calls := takeCalls(t, s)
	if len(got) != 2 || got[1] != "2 d" {
		t.Errorf("then %v are taken; want the third of app 1, and that of app 2", got)
	}
	if got, _ := takeCalls(t, s); len(got) > 0 {
		t.Errorf("then %v are taken; want none while they are somebody's", got)
	}
	calls[0].Attempts, calls[0].Cause = 1, "it answered 500"
	calls[1].Attempts, calls[1].Dead = 2, true
	if err := s.PutOffCalls(t.Context(), calls); err != nil {
		t.Fatal(err)
	}
	again, calls := takeCalls(t, s)
	if len(again) != 1 || calls[0].Attempts != 1 || calls[0].Cause != "it answered 500" || string(calls[0].Call.Body) != `{"x":1}` {
		t.Errorf("what was put off comes as %+v", calls)
	}
	if err := s.DropCalls(t.Context(), []int64{calls[0].ID}); err != nil {
		t.Fatal(err)
	}
	if waiting, dead, err := s.CountCalls(t.Context(), 100); waiting != 3 || dead != 2 || err != nil {
		t.Errorf("%d wait and %d are dead, %v; want 3 and 2", waiting, dead, err)
	}
	if n, err := s.PurgeDeadCalls(t.Context(), time.Hour); n != 0 || err != nil {
		t.Errorf("%d are forgotten, %v; they died just now", n, err)
	}
	if n, err := s.PurgeDeadCalls(t.Context(), -time.Minute); n != 2 || err != nil {
		t.Errorf("%d are forgotten, %v; want both", n, err)
	}
}

func TestWebhookPresenceIsNotedOnce(t *testing.T) {
	s := storetest.New(t)
	user := chat.UserKey{App: 1, User: "u"}
	change := func(online bool, event string) {
		t.Helper()
		call := hookCall(1, event).Call
		if err := s.TellPresence(t.Context(), []chat.Presence{{User: user, Online: online, Call: &call}}); err != nil {
			t.Fatal(err)
		}
	}
	change(false, "gone, and was never there")
	change(true, "came")
	change(true, "came, says another owner")
	want := map[chat.UserKey]bool{user: true}
	if told, err := s.ToldOnline(t.Context()); err != nil || !cmp.Equal(told, want) {
		t.Errorf("noted are %v, %v", told, err)
	}
	change(false, "went")
	change(false, "went, says another owner")
	calls, err := s.WaitingCalls(t.Context(), store.CallFilter{Waiting: true, Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	var events []string
	for _, c := range calls {
		events = append(events, c.Event)
	}
	if diff := cmp.Diff([]string{"came", "went"}, events); diff != "" {
		t.Errorf("told is (-want +got):\n%s", diff)
	}
}

func beginAt(at uint64) func(context.Context) (uint64, error) {
	return func(context.Context) (uint64, error) { return at, nil }
}
