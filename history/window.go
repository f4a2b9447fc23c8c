package history

import (
	"context"
	"sort"

	"github.com/whaleshark-im/whaleshark/chat"
)

// window remembers the newest blocks of a partition: Postgres is a moment behind, and many ask for the same moment.
type window struct {
	partition chat.Partition
	limit     int // bytes

	lock     chan struct{} // has room for one, who owns what follows: nobody waits for it longer than his question may last
	from, to chat.Revision // it holds all entries with from < revision ≤ to
	blocks   uint64        // the partition had this many when to was its tail, or fewer
	entries  []chat.Entry
	bytes    int
	far      chat.Revision // a mark below it is too far behind
}

// A window that is larger than this forgets what Postgres has.
const easyBytes = 1 << 20

var errFar = chat.Errorf(chat.Unavailable, "the database is too far behind the log; try again later")

// read returns the entries with mark < revision ≤ end; blocks is how many the partition has at the end, or more.
func (w *window) read(ctx context.Context, log Log, mark, end chat.Revision, blocks uint64) ([]chat.Entry, error) {
	select {
	case w.lock <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-w.lock }()
	if mark < w.far {
		return nil, errFar
	}
	if mark < w.from || mark > w.to {
		w.begin(mark)
	}
	if w.bytes > easyBytes {
		w.forget(mark)
	}
	if blocks > w.blocks {
		if err := log.EntriesAfter(ctx, w.partition, w.to, w.add); err != nil {
			return nil, err
		}
		w.blocks = blocks
	}
	return w.entries[w.index(mark):w.index(end)], nil
}

func (w *window) begin(mark chat.Revision) {
	w.from, w.to, w.blocks, w.entries, w.bytes = mark, mark, 0, nil, 0
}

// index returns how many entries are not after a revision.
func (w *window) index(rev chat.Revision) int {
	return sort.Search(len(w.entries), func(i int) bool { return w.entries[i].Revision > rev })
}

// forget drops what is not after the mark. Those who were handed entries keep them.
func (w *window) forget(mark chat.Revision) {
	n := w.index(mark)
	for _, e := range w.entries[:n] {
		w.bytes -= sizeOf(e)
	}
	w.from, w.entries = mark, append([]chat.Entry(nil), w.entries[n:]...)
}

// add takes the next entry in. When there are too many it forgets all, and is not asked again before Postgres has half of them.
func (w *window) add(e chat.Entry) error {
	w.to = e.Revision
	w.entries = append(w.entries, e)
	if w.bytes += sizeOf(e); w.bytes <= w.limit {
		return nil
	}
	w.far = w.entries[len(w.entries)/2].Revision
	w.begin(w.to)
	return errFar
}

func sizeOf(e chat.Entry) int {
	n := 200
	for i := range e.Block.Records {
		r := &e.Block.Records[i]
		if n += 300 + len(r.Body) + len(r.Extra); r.Change != nil {
			n += len(r.Change.Info)
		}
	}
	return n
}
