package streams_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/streams"
	"github.com/whaleshark-im/whaleshark/streams/streamstest"
)

func TestEntriesAfterARevision(t *testing.T) {
	c := streamstest.Connect(t, streamstest.Server(t), streams.Layout{Partitions: 2})
	tails := make(map[chat.Partition]chat.Revision)
	revisions := make(map[chat.Partition][]chat.Revision)
	for i := range 100 {
		p := chat.Partition(i % 2)
		block := &chat.Block{Partition: p, Prev: tails[p]}
		rev, err := appendBlock(t, c, p, string(chat.AppendBlock(nil, block, chat.Hash{})), tails[p])
		if err != nil {
			t.Fatal(err)
		}
		tails[p] = rev
		revisions[p] = append(revisions[p], rev)
	}
	end, blocks, err := c.LogEnd(t.Context())
	if err != nil || end != max(tails[0], tails[1]) || blocks[0] != 50 || blocks[1] != 50 {
		t.Errorf("the log's end: revision %d with %v blocks, %v; want revision %d with 50 each", end, blocks, err, max(tails[0], tails[1]))
	}
	for _, skip := range []int{0, 1, 33, 34, 35, 49, 50} { // on both sides of what is read one by one
		t.Run(fmt.Sprint(skip), func(t *testing.T) {
			after := chat.Revision(0)
			if skip > 0 {
				after = revisions[1][skip-1]
			}
			var got []chat.Revision
			if err := c.EntriesAfter(t.Context(), 1, after, func(e chat.Entry) error {
				got = append(got, e.Revision)
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			if want := revisions[1][skip:]; !slices.Equal(got, want) {
				t.Errorf("got the revisions %v, want %v", got, want)
			}
		})
	}
}

// TestReadingTheLogEndsWithTheConnection loses the connection after the first of so many entries that most were not there yet.
func TestReadingTheLogEndsWithTheConnection(t *testing.T) {
	c := streamstest.Connect(t, streamstest.Server(t), streams.Layout{})
	var tail chat.Revision
	for range 1000 {
		var err error
		if tail, err = appendBlock(t, c, 0, "x", tail); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	read := 0
	_, err := c.ReadLog(ctx, 0, 0, func(streams.RawEntry) error {
		if read++; read > 1 {
			return nil
		}
		before := c.Generation()
		if err := c.NATS().ForceReconnect(); err != nil {
			return err
		}
		eventually(t, "a new generation", func() error {
			if c.Generation() == before {
				return errors.New("the same")
			}
			return nil
		})
		return nil
	})
	if err == nil || ctx.Err() != nil {
		t.Errorf("after %d entries: %v, and the time is over: %v", read, err, ctx.Err() != nil)
	}
}
