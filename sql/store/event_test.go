package store_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/storetest"
)

func TestEventsWaitInTheirOrder(t *testing.T) {
	s := storetest.New(t)
	told := []chat.Event{
		{App: 1, Aggregate: "user/a", Time: 7, Frames: []chat.EventFrame{{Command: 3000, Users: []chat.UserID{"a"}, Payload: json.RawMessage(`{}`)}}},
		{App: 1, Aggregate: "user/b", Time: 8, Hook: &chat.HookCall{Command: chat.HookFriendAdded, Body: json.RawMessage(`{"x":1}`)}},
		{App: 2, Aggregate: chat.AppAggregate, Time: 9, Stale: chat.Stale{App: true, Relations: [][2]chat.UserID{{"a", "b"}}}},
	}
	if err := s.Tell(t.Context(), told...); err != nil {
		t.Fatal(err)
	}
	first, err := s.Events(t.Context(), 2)
	if err != nil || len(first) != 2 {
		t.Fatalf("%d events, %v; want the first two", len(first), err)
	}
	if err := s.ForgetEvents(t.Context(), []int64{first[0].ID}); err != nil {
		t.Fatal(err)
	}
	rest, err := s.Events(t.Context(), 10)
	if err != nil {
		t.Fatal(err)
	}
	got := slices.Concat(first[:1], rest)
	for i := range got {
		told[i].ID = got[i].ID
	}
	if diff := cmp.Diff(told, got); diff != "" {
		t.Errorf("events (-told +read):\n%s", diff)
	}
}

// TestWhatCannotBeToldDoesNotHappen decides something of which the broker would not take the event.
func TestWhatCannotBeToldDoesNotHappen(t *testing.T) {
	s := storetest.New(t)
	large := chat.Event{App: 1, Aggregate: "user/a", Frames: []chat.EventFrame{{Payload: json.RawMessage(`"` + strings.Repeat("x", chat.MaxEvent) + `"`)}}}
	err := s.Tell(t.Context(), chat.Event{App: 1, Aggregate: "user/a"}, large)
	if e, ok := errors.AsType[chat.Error](err); !ok || e.Code != chat.TooLarge {
		t.Errorf("it ends in %v; want %s", err, chat.TooLarge)
	}
	if events, err := s.Events(t.Context(), 10); err != nil || len(events) != 0 {
		t.Errorf("%d events wait, %v; want none", len(events), err)
	}
}

func TestAnAppsChangeIsTold(t *testing.T) {
	s := storetest.New(t)
	if _, err := s.ChangeApp(t.Context(), 5, func(*chat.App) error { return nil }); err == nil {
		t.Error("an app that is not there was changed")
	}
	if err := s.SetApp(t.Context(), chat.App{ID: 5, Keys: []string{"k"}}); err != nil {
		t.Fatal(err)
	}
	app, err := s.ChangeApp(t.Context(), 5, func(a *chat.App) error {
		a.Hooks = chat.Hooks{URL: "https://example.org/hook", Commands: []string{chat.HookMessageSent}, Secrets: []string{"s"}}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	read, err := s.App(t.Context(), 5)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(app, read); diff != "" {
		t.Errorf("the app (-changed +read):\n%s", diff)
	}
	if _, err := s.ChangeApp(t.Context(), 5, func(a *chat.App) error { a.Hooks.Commands = []string{"no.such.hook"}; return nil }); err == nil {
		t.Error("a hook that there is not was taken")
	}
	events, err := s.Events(t.Context(), 10)
	if err != nil || len(events) != 2 || !events[1].Stale.App {
		t.Errorf("events %+v, %v; want one for each change, which says that the app is stale", events, err)
	}
}
