package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/client"
	"github.com/whaleshark-im/whaleshark/sql/store"
	"github.com/whaleshark-im/whaleshark/streams"
	"github.com/whaleshark-im/whaleshark/wire"
)

// TestEventsAreToldThroughARestartOfTheBroker starts the broker again while events wait: a client that stayed hears of all of them, though its
// edge must first say anew that it is there.
func TestEventsAreToldThroughARestartOfTheBroker(t *testing.T) {
	h := open(t, streams.Layout{Partitions: 2})
	h.staff(2, 1, 1, 1)
	edge := h.ready(streams.RoleEdge, 2)[0]
	h.ready(streams.RoleFanout, 1)
	h.ready(streams.RoleSequence, 1)
	var heard atomic.Int64
	id := chat.Device{App: store.DemoApp, User: "alice", Client: chat.Android, IMEI: "i"}
	c, err := client.Dial(t.Context(), client.Config{URL: clientURL(edge, "tcp"), Device: id, Ping: time.Second, Handler: client.Handler{
		Frame: func(c wire.Command, _ []byte) {
			if c == wire.FriendAdd {
				heard.Add(1)
			}
		},
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if _, err := c.Login(t.Context()); err != nil {
		t.Fatal(err)
	}
	told := int64(0)
	tell := func() {
		t.Helper()
		told++
		if err := h.store.Tell(t.Context(), chat.Event{App: store.DemoApp, Aggregate: chat.UserAggregate("alice"), Frames: []chat.EventFrame{
			{Command: int32(wire.FriendAdd), Users: []chat.UserID{"alice"}, Payload: json.RawMessage(fmt.Sprintf(`{"n":%d}`, told))},
		}}); err != nil {
			t.Fatal(err)
		}
	}
	hears := func() {
		t.Helper()
		h.eventually(20*time.Second, "everything is told", func() error {
			select {
			case <-c.Done():
				return fmt.Errorf("the client was sent away: %w", c.Err())
			default:
			}
			if n := heard.Load(); n < told {
				return fmt.Errorf("%d of %d", n, told)
			}
			return nil
		})
	}
	tell()
	hears()
	for range 3 {
		h.nats.kill()
		tell()
		h.startNATS()
		h.eventually(20*time.Second, "the broker is there", func() error {
			if !h.conn.Connected() {
				return errors.New("not connected")
			}
			return nil
		})
		for range 30 {
			tell()
			<-time.After(100 * time.Millisecond)
		}
		hears()
	}
}
