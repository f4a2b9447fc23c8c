package streams

import (
	"context"
	"time"

	"github.com/whaleshark-im/whaleshark/chat"
)

// cursorEvery is how often an edge looks at where the log ends.
const cursorEvery = time.Second

// Cursor returns the place up to which everything that was committed was delivered at this edge; 0: nobody knows yet.
func (s *Station) Cursor() chat.Place { return chat.Place(s.cursor.Load()) }

// followEnd moves the cursor on once a second, until ctx ends.
func (s *Station) followEnd(ctx context.Context, vector func() map[chat.Partition]chat.Revision) {
	tails := make(map[chat.Partition]tail)
	tick := time.NewTicker(cursorEvery)
	defer tick.Stop()
	for {
		if err := s.moveCursor(ctx, tails, vector); err != nil {
			s.c.log.DebugContext(ctx, "the cursor stays", "cause", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// tail is a partition's newest revision when it had so many blocks, or more.
type tail struct {
	revision chat.Revision
	blocks   uint64
}

// moveCursor reads the log's end first and then the tails, of those partitions that have moved. One whose tail the edge was served with has
// nothing more up to the end, however long it has been idle.
func (s *Station) moveCursor(ctx context.Context, tails map[chat.Partition]tail, vector func() map[chat.Partition]chat.Revision) error {
	end, blocks, err := s.c.LogEnd(ctx)
	if err != nil {
		return err
	}
	for p, n := range blocks {
		if tails[p].blocks == n {
			continue
		}
		rev, err := s.c.Tail(ctx, p)
		if err != nil {
			return err
		}
		tails[p] = tail{rev, n}
	}
	served, to := vector(), end
	for p := range chat.Partition(s.c.partitions) {
		if served[p] < tails[p].revision {
			to = min(to, served[p])
		}
	}
	place := int64(chat.PlaceOf(s.c.base, to+1, 0) - 1)
	s.cursor.Store(max(place, s.cursor.Load())) // only this goroutine writes it
	return nil
}
