package streams_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/streams"
	"github.com/whaleshark-im/whaleshark/streams/streamstest"
)

// TestAppsAreAskedBeforeAMessage: two processes answer, and each question goes to one of them.
func TestAppsAreAskedBeforeAMessage(t *testing.T) {
	s := streamstest.Server(t)
	var mu sync.Mutex
	asked := make(map[string]int)
	for range 2 {
		err := streamstest.Connect(t, s, streams.Layout{}).ServeBefore(t.Context(), func(ctx context.Context, q *chat.Request) chat.HookVerdict {
			mu.Lock()
			asked[q.MessageID]++
			mu.Unlock()
			switch q.MessageID {
			case "slow":
				<-ctx.Done()
			case "other":
				return chat.HookVerdict{Kind: chat.HookReplaced, Body: "not " + q.Body, Extra: "x"}
			}
			return chat.HookVerdict{Kind: chat.HookVetoed}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	c := streamstest.Connect(t, s, streams.Layout{})
	for id, want := range map[string]chat.HookVerdict{
		"veto": {Kind: chat.HookVetoed}, "other": {Kind: chat.HookReplaced, Body: "not x", Extra: "x"}, "slow": {Kind: chat.HookFailed},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		if id == "slow" {
			ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
		}
		q := request(id)
		q.Body = "x"
		eventually(t, id, func() error { // until the subscription has arrived
			got, err := c.AskBefore(ctx, q)
			if err != nil && strings.Contains(err.Error(), "no webhook worker") {
				return err
			}
			if diff := cmp.Diff(want, got); diff != "" || (err != nil) != (id == "slow") {
				t.Errorf("%s: %v, verdict (-want +got):\n%s", id, err, diff)
			}
			return nil
		})
		cancel()
	}
	mu.Lock()
	defer mu.Unlock()
	if want := map[string]int{"veto": 1, "other": 1, "slow": 1}; !cmp.Equal(want, asked) {
		t.Errorf("asked %v, want %v", asked, want)
	}
}

func TestNobodyIsThereToAskAnApp(t *testing.T) {
	c := streamstest.Connect(t, streamstest.Server(t), streams.Layout{})
	started := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	v, err := c.AskBefore(ctx, request("m1"))
	if v.Kind != chat.HookFailed || err == nil || time.Since(started) > 10*time.Second {
		t.Errorf("with nobody there the verdict is %v, %v, after %v; want a failure at once", v, err, time.Since(started))
	}
}
