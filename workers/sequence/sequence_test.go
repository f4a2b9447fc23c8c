package sequence_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/storetest"
	"github.com/whaleshark-im/whaleshark/streams"
	"github.com/whaleshark-im/whaleshark/streams/streamstest"
	"github.com/whaleshark-im/whaleshark/workers/sequence"
)

// start runs a sequencer until the test ends.
func start(t *testing.T, cfg sequence.Config) {
	t.Helper()
	cfg.Node, cfg.Log = streams.NewNode(), slog.New(slog.DiscardHandler)
	cfg.Metrics = sequence.NewMetrics(prometheus.NewRegistry())
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { sequence.Run(ctx, cfg) })
	t.Cleanup(func() { cancel(); wg.Wait() })
}

func message(from, to chat.UserID, id, body string) *chat.Request {
	return &chat.Request{
		Kind:         chat.AskMessage,
		Conversation: chat.PairOf(10001, from, to),
		Sender:       chat.Device{App: 10001, User: from, Client: chat.Web, IMEI: "w"},
		MessageID:    id,
		Body:         body,
		Deadline:     time.Now().Add(30 * time.Second),
	}
}

// submit puts requests into the ingress and fails the test if one is not taken.
func submit(t *testing.T, c *streams.Conn, requests ...*chat.Request) {
	t.Helper()
	errs := make(chan error, len(requests))
	for _, q := range requests {
		c.Submit(q, func(err error) { errs <- err })
	}
	for range requests {
		if err := <-errs; err != nil {
			t.Fatalf("submit: %v", err)
		}
	}
}

// records reads n records of the log.
func records(t *testing.T, c *streams.Conn, n int) []chat.Record {
	t.Helper()
	var all []chat.Record
	for _, x := range placed(t, c, n) {
		all = append(all, x.Record)
	}
	return all
}

type placedRecord struct {
	chat.Record
	place chat.Place
}

// placed reads n records of the log, and their places.
func placed(t *testing.T, c *streams.Conn, n int) []placedRecord {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	r, err := c.FollowWholeLog(ctx, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var all []placedRecord
	for len(all) < n {
		select {
		case <-r.Ready():
		case <-ctx.Done():
			t.Fatalf("the log has %d records after 20 s, want %d: %v", len(all), n, all)
		}
		for _, e := range r.Take(1000) {
			b, err := chat.DecodeBlock(e.Data)
			if err != nil {
				t.Fatal(err)
			}
			for i := range b.Records {
				all = append(all, placedRecord{b.Records[i], chat.PlaceOf(c.Base(), e.Revision, i)})
			}
		}
	}
	return all
}

func TestMessagesGetTheirSeqs(t *testing.T) {
	db := storetest.New(t)
	if err := db.Seed(t.Context()); err != nil {
		t.Fatal(err)
	}
	c := streamstest.Connect(t, streamstest.Server(t), streams.Layout{})
	start(t, sequence.Config{Conn: c, Database: db})
	submit(t, c,
		message("alice", "bob", "m1", "hi"), message("bob", "alice", "m2", "ho"),
		message("alice", "nobody", "m3", "hello?"), message("alice", "bob", "m4", "there"))
	got := make(map[string]string)
	for _, r := range records(t, c, 4) {
		got[r.MessageID] = fmt.Sprint(r.Conversation, r.Seq, r.Code)
	}
	want := map[string]string{
		"m1": "10001/p/alice/bob 1 code(0)", "m2": "10001/p/alice/bob 2 code(0)",
		"m4": "10001/p/alice/bob 3 code(0)", "m3": "10001/p/alice/nobody 0 user_missing",
	}
	for id := range want {
		if got[id] != want[id] {
			t.Errorf("%s became %q, want %q", id, got[id], want[id])
		}
	}
}
