package streams_test

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/streams"
	"github.com/whaleshark-im/whaleshark/streams/streamstest"
)

// TestAnEventThatIsLostOnItsWayIsTakenAgain lets an event be sent to where nobody is, as after a time without a connection. What says that the
// next is handled would say so of the lost one as well.
func TestAnEventThatIsLostOnItsWayIsTakenAgain(t *testing.T) {
	s := streamstest.Server(t)
	c := streamstest.Connect(t, s, streams.Layout{})
	publish := func(id int64) {
		t.Helper()
		if err := c.PublishEvent(t.Context(), &chat.Event{ID: id, App: 1, Aggregate: chat.UserAggregate("ann")}); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var heard []int64
	first, lost, done := make(chan struct{}), make(chan struct{}), make(chan struct{})
	hear := func(e *chat.Event) {
		switch heard = append(heard, e.ID); e.ID {
		case 1:
			close(first)
			<-lost
		case 3:
			cancel()
		}
	}
	go func() { // ends with ctx
		defer close(done)
		for ctx.Err() == nil {
			_ = c.ConsumeEvents(ctx, "test", func(_ context.Context, events []chat.Event) error {
				for i := range events {
					hear(&events[i])
				}
				return nil
			})
		}
	}()
	consumer(t, s, func(info *jetstream.ConsumerInfo) bool { return info.NumWaiting > 0 })
	publish(1)
	<-first
	thief := consumer(t, s, func(info *jetstream.ConsumerInfo) bool { return info.NumWaiting == 0 })
	publish(2)
	if _, err := thief.Next(); err != nil {
		t.Error(err)
	}
	publish(3)
	close(lost)
	<-done
	if diff := cmp.Diff([]int64{1, 2, 3}, heard); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

// TestTheBrokerTakesTheLargestEvent also holds the room that is left for what is added to it.
func TestTheBrokerTakesTheLargestEvent(t *testing.T) {
	c := streamstest.Connect(t, streamstest.Server(t), streams.Layout{})
	e := chat.Event{App: 1, Aggregate: chat.UserAggregate("ann"), Time: math.MaxInt64, Frames: []chat.EventFrame{{}}}
	bare, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	const member = `"payload":"",`
	e.Frames[0].Payload = json.RawMessage(`"` + strings.Repeat("x", chat.MaxEvent-len(bare)-len(member)) + `"`)
	if full, err := json.Marshal(e); err != nil || len(full) != chat.MaxEvent {
		t.Fatalf("the event has %d bytes, %v; want %d", len(full), err, chat.MaxEvent)
	}
	e.ID = math.MaxInt64
	if err := c.PublishEvent(t.Context(), &e); err != nil {
		t.Error(err)
	}
}

// consumer returns the one consumer of events, once it is as is says.
func consumer(t *testing.T, s *server.Server, is func(*jetstream.ConsumerInfo) bool) jetstream.Consumer {
	t.Helper()
	nc, err := nats.Connect("", nats.InProcessServer(s))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), "EVENTS")
	if err != nil {
		t.Fatal(err)
	}
	var found jetstream.Consumer
	eventually(t, "wait for the consumer", func() error {
		for info := range stream.ListConsumers(t.Context()).Info() {
			if is(info) {
				found, err = stream.Consumer(t.Context(), info.Name)
				return err
			}
		}
		return errors.New("it is not as it should be")
	})
	return found
}
