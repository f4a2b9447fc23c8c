package streams_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/streams"
	"github.com/whaleshark-im/whaleshark/streams/streamstest"
)

// TestRequestsTravelTogether submits many at once: they come out in their order, in fewer entries than they are, and a reader that begins
// amid an entry gets the rest of it.
func TestRequestsTravelTogether(t *testing.T) {
	const requests = 3000
	c := streamstest.Connect(t, streamstest.Server(t), streams.Layout{Partitions: 1})
	var done sync.WaitGroup
	done.Add(requests)
	for i := range requests {
		q := request(fmt.Sprint(i))
		q.Conversation = chat.PairOf(1, "alice", chat.UserID(fmt.Sprint("bob", i%3)))
		q.Reply = fmt.Sprint("to.", i)
		c.Submit(q, func(err error) {
			if err != nil {
				t.Errorf("request %d: %v", i, err)
			}
			done.Done()
		})
	}
	done.Wait()
	all := readOffered(t, c, 0, requests)
	for i, o := range all {
		if o.Fault != nil || o.Request.MessageID != fmt.Sprint(i) || o.Request.Reply != fmt.Sprint("to.", i) {
			t.Fatalf("request %d comes out as %+v, %v", i, o.Request, o.Fault)
		}
		if i > 0 && o.Position <= all[i-1].Position {
			t.Fatalf("position %d follows %d", o.Position, all[i-1].Position)
		}
	}
	entries := all[requests-1].Position.Next() - all[0].Position.Next()
	if entries > requests/3 {
		t.Errorf("%d requests took %d entries", requests, entries)
	}
	middle := requests / 2
	for i, o := range readOffered(t, c, all[middle].Position, requests-middle-1) {
		if want := fmt.Sprint(middle + 1 + i); o.Request.MessageID != want {
			t.Fatalf("after position %d comes %s, want %s", all[middle].Position, o.Request.MessageID, want)
		}
	}
}

// readOffered reads so many requests of partition 0 after a position.
func readOffered(t *testing.T, c *streams.Conn, after chat.Position, n int) []streams.Offered {
	t.Helper()
	r, err := c.ReadIngress(t.Context(), c.Generation(), 0, after)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	patience := time.After(10 * time.Second)
	var read []streams.Offered
	for len(read) < n {
		select {
		case <-r.Ready():
			read = append(read, r.Take(1000)...)
		case <-patience:
			t.Fatalf("%d of %d requests have come", len(read), n)
		}
	}
	return read
}

// TestALoneRequestIsUnderItsConversation checks where a request lies that did not have to wait.
func TestALoneRequestIsUnderItsConversation(t *testing.T) {
	c := streamstest.Connect(t, streamstest.Server(t), streams.Layout{Partitions: 1})
	if err := submit(c, "a"); err != nil {
		t.Fatal(err)
	}
	js, err := jetstream.New(c.NATS())
	if err != nil {
		t.Fatal(err)
	}
	s, err := js.Stream(t.Context(), "INGRESS")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.GetLastMsgForSubject(t.Context(), "in.0."+request("").Conversation.String()); err != nil {
		t.Error(err)
	}
}

// TestWhatWaitsBehindAnUnknownOutcomeIsRefused closes the connection while requests are under way: the first is unknown, or was in, and what
// waited behind it is told that it was not sent.
func TestWhatWaitsBehindAnUnknownOutcomeIsRefused(t *testing.T) {
	const requests = 200
	c := streamstest.Connect(t, streamstest.Server(t), streams.Layout{Partitions: 1})
	var mu sync.Mutex
	told := make(map[string]int)
	for i := range requests {
		c.Submit(request(fmt.Sprint(i)), func(err error) {
			mu.Lock()
			defer mu.Unlock()
			e, definite := errors.AsType[chat.Error](err)
			switch {
			case err == nil:
				told["in"]++
			case definite && e.Code == chat.Unavailable:
				told["refused"]++
			case errors.Is(err, streams.ErrUnknown):
				told["unknown"]++
			default:
				t.Errorf("request %d: %v", i, err)
			}
		})
		if i == requests/2 {
			c.NATS().Close()
		}
	}
	eventually(t, "everybody is told", func() error {
		mu.Lock()
		defer mu.Unlock()
		if n := told["in"] + told["refused"] + told["unknown"]; n != requests {
			return fmt.Errorf("%d of %d are told: %v", n, requests, told)
		}
		return nil
	})
	if told["refused"] < requests/2-1 {
		t.Errorf("of %d requests %v", requests, told)
	}
}

// TestSignalsOfABusyProcessAllArrive sends many at once, far within the pause.
func TestSignalsOfABusyProcessAllArrive(t *testing.T) {
	const signals = 5000
	c := streamstest.Connect(t, streamstest.Server(t), streams.Layout{Partitions: 1})
	in, err := c.ReadSignals(0, func() { t.Error("a signal was dropped") })
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if err := c.NATS().FlushTimeout(5 * time.Second); err != nil { // the subscription is there
		t.Fatal(err)
	}
	for i := range signals {
		if err := c.Signal(&chat.Signal{Kind: chat.Received, Conversation: chat.PairOf(1, "a", "b"), Seq: chat.Seq(i + 1)}); err != nil {
			t.Fatal(err)
		}
	}
	next := chat.Seq(1)
	eventually(t, "all signals", func() error {
		for _, s := range in.Take(signals) {
			if s.Seq != next {
				t.Fatalf("signal %d comes after %d", s.Seq, next-1)
			}
			next++
		}
		if next <= signals {
			return fmt.Errorf("%d of %d have come", next-1, signals)
		}
		return nil
	})
}

// TestAPurgeUpToALowPositionTakesNothing purges up to positions that are before every entry.
func TestAPurgeUpToALowPositionTakesNothing(t *testing.T) {
	c := streamstest.Connect(t, streamstest.Server(t), streams.Layout{Partitions: 1})
	if err := submit(c, "a"); err != nil {
		t.Fatal(err)
	}
	for _, low := range []chat.Position{0, 1, 500} {
		if err := c.PurgeIngress(t.Context(), c.Generation().Ingress, low); err != nil {
			t.Fatal(err)
		}
	}
	if all := readOffered(t, c, 0, 1); all[0].Request.MessageID != "a" {
		t.Errorf("%+v is left", all[0].Request)
	}
}
