package store_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

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

// TestWebhookQueriesUseIndexes has one app whose calls wait in very many rows, and looks at how others' are found among them.
func TestWebhookQueriesUseIndexes(t *testing.T) {
	url := storetest.URL(t)
	s := storetest.Open(t, url)
	for app := range chat.AppID(10) {
		if err := s.SetApp(t.Context(), chat.App{ID: app, Keys: []string{"k"}}); err != nil {
			t.Fatal(err)
		}
	}
	run(t, url, `INSERT INTO webhook_call (next_at, app_id, dead, event_id, command, body)
		SELECT now() - interval '1 second', 1, n % 100 = 0, 'log-' || n, 'message.send.after', '{}' FROM generate_series(1, 200000) AS n`)
	run(t, url, `INSERT INTO webhook_online (app_id, user_id) SELECT 1, 'u' || n FROM generate_series(1, 100000) AS n`)
	run(t, url, `ANALYZE`)
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	for _, q := range []struct {
		name, sql string
		args      []any
	}{
		{"due", store.TakeWebhookCalls, []any{30.0, int32(16), []int32{1, 2}}},
		{"put off", store.PutOffWebhookCalls, []any{[]int64{1, 2}, []float64{1, 1}, []int16{1, 1}, []bool{false, true}, []string{"", ""}}},
		{"done", store.DropWebhookCalls, []any{[]int64{1, 2}}},
		{"recalled", store.WebhookCallsOfEvents, []any{[]int32{1, 1}, []string{"log-1", "log-2"}}},
		{"list", store.WebhookCalls, []any{int64(5), true, false, int32(0), int32(100)}},
		{"gone", store.DropWebhookOnline, []any{[]int32{1, 1}, []string{"u1", "u2"}}},
	} {
		t.Run(q.name, func(t *testing.T) {
			for _, table := range scanned(t, conn, q.sql, q.args) {
				if table != "app" { // a few rows: no plan needs an index
					t.Errorf("reads all of %s:\n%s", table, q.sql)
				}
			}
		})
	}
	began := time.Now()
	if got, _ := takeCalls(t, s); len(got) != 2 {
		t.Errorf("%v are taken; want two", got)
	}
	if waiting, dead, err := s.CountCalls(t.Context(), 1000); waiting != 1000 || dead != 1000 || err != nil {
		t.Errorf("%d wait, %d are dead, %v; want as many as are counted", waiting, dead, err)
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("that took %v", took)
	}
}
