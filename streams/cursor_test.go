package streams_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/streams"
	"github.com/whaleshark-im/whaleshark/streams/streamstest"
)

// TestTheCursorPassesIdlePartitions serves an edge with everything of one partition but the last block, and with all of the other, idle one.
func TestTheCursorPassesIdlePartitions(t *testing.T) {
	c := streamstest.Connect(t, streamstest.Server(t), streams.Layout{Partitions: 2, Base: 5})
	p := &patron{}
	station := c.NewStation("edge-1", nil)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- station.Serve(ctx, p) }() // ends with ctx
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	eventually(t, "the edge is announced", func() error {
		if !station.Announced() {
			return fmt.Errorf("it is not")
		}
		return nil
	})
	idle, err := appendBlock(t, c, 0, "a", 0)
	if err != nil {
		t.Fatal(err)
	}
	first, err := appendBlock(t, c, 1, "b", 0)
	if err != nil {
		t.Fatal(err)
	}
	last, err := appendBlock(t, c, 1, "c", first)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct{ served, want chat.Revision }{{first, first}, {last, last}} {
		p.SetVector(map[chat.Partition]chat.Revision{0: idle, 1: step.served})
		want := chat.PlaceOf(5, step.want+1, 0) - 1
		eventually(t, "the cursor moves", func() error {
			got := station.Cursor()
			if got > want {
				t.Fatalf("served up to revision %d, the cursor is %d; want %d", step.served, got, want)
			}
			if got < want {
				return fmt.Errorf("it is at %d, want %d", got, want)
			}
			return nil
		})
	}
}
