package sequence_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/storetest"
	"github.com/whaleshark-im/whaleshark/streams"
	"github.com/whaleshark-im/whaleshark/streams/streamstest"
	"github.com/whaleshark-im/whaleshark/workers/sequence"
)

// TestAFullIngressIsEmptiedThoughAPartitionIsIdle fills the ingress with requests of one partition, to the last byte: not even a tick has room.
// The other partitions never hear of anything, and must not keep what was folded in.
func TestAFullIngressIsEmptiedThoughAPartitionIsIdle(t *testing.T) {
	s := storetest.New(t)
	if err := s.Seed(t.Context()); err != nil {
		t.Fatal(err)
	}
	c := streamstest.Connect(t, streamstest.Server(t), streams.Layout{IngressBytes: 64 << 10})
	put := func(id string, size int) error {
		done := make(chan error, 1)
		c.Submit(message("alice", "bob", id, strings.Repeat("x", size)), func(err error) { done <- err })
		return <-done
	}
	full := chat.Error{Code: chat.Busy}
	for size := 1 << 10; size >= 1; size /= 2 {
		for n := 0; ; n++ {
			if err := put(fmt.Sprint(size, "-", n), size); errors.Is(err, full) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
		}
	}
	busy := message("alice", "bob", "", "").Conversation.Partition(c.Partitions())
	for range 20 { // what room is left, ticks of the busy partition take
		if err := c.Tick(busy, "x"); err != nil {
			t.Fatal(err)
		}
	}
	start(t, sequence.Config{Conn: c, Database: s})
	limit := time.After(20 * time.Second)
	for put("after", 1<<10) != nil {
		select {
		case <-limit:
			t.Fatal("after 20 s there is no room yet")
		case <-time.After(50 * time.Millisecond):
		}
	}
}
