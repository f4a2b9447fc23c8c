package history

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/whaleshark-im/whaleshark/chat"
)

// Log is what history reads of the log.
type Log interface {
	// LogEnd returns the newest revision of all partitions and, no older than that, how many blocks each has.
	LogEnd(ctx context.Context) (chat.Revision, map[chat.Partition]uint64, error)
	// EntriesAfter calls f with a partition's entries after a revision, up to its tail.
	EntriesAfter(ctx context.Context, p chat.Partition, after chat.Revision, f func(chat.Entry) error) error
	Partitions() int
	Base() chat.Revision
}

// Snapshot is what history reads of Postgres, all of it as of one moment.
type Snapshot interface {
	Marks(ctx context.Context) (map[chat.Partition]chat.Mark, error)
	HistoryBeforeJoining(ctx context.Context, app chat.AppID) (bool, error)
	ChangedTalks(ctx context.Context, user chat.UserKey, after chat.Place, except []int64, limit int) ([]chat.Talk, error)
	ChangedGroups(ctx context.Context, user chat.UserKey, after chat.Place, except []int64, limit int) ([]chat.Talk, error)
	NewestPlaces(ctx context.Context, user chat.UserKey) (conversations, groups chat.Place, err error)
	Talks(ctx context.Context, user chat.UserKey, conversations []chat.Conversation) ([]chat.Talk, error)
	Unread(ctx context.Context, user chat.UserID, spans []chat.Span, recalled []chat.Place, limit int) (map[int64]int, error)
	NewestMessages(ctx context.Context, spans []chat.Span) ([]chat.Item, error)
	SpanMessages(ctx context.Context, spans []chat.Span, not chat.Device, descending bool, limit int) ([]chat.Item, error)
	SpanRecords(ctx context.Context, spans []chat.Span, descending bool, limit int) ([]chat.Item, error)
	ReadPositions(ctx context.Context, spans []chat.Span, readers []chat.UserID, after, before chat.Place) ([]chat.Item, error)
	Aside(ctx context.Context, conversations []chat.Conversation, after, before chat.Place) ([]chat.Item, error)
	PlacesOfSeqs(ctx context.Context, number int64, first, last chat.Seq) (lo, hi chat.Place, err error)
}

// Database gives looks at Postgres.
type Database[S Snapshot] interface {
	Look(ctx context.Context, f func(S) error) error
}

// Config tunes history. A zero field has the default that its comment names.
type Config struct {
	PullLimit   int // how many messages a pull goes back; default 1,000
	UnreadLimit int // of how many messages after a read position, the newest, the unread ones are counted; default 10,000
	MaxLog      int // how many bytes of a partition's log Postgres may be behind; more is refused as unavailable; default 64 MiB
}

// PageLimit is how many conversations or records one page may hold.
const PageLimit = 100

// History answers what was said. Its methods may be called at once by many.
type History struct {
	cfg     Config
	log     Log
	look    func(ctx context.Context, f func(Snapshot) error) error
	windows []*window // a partition each
}

// New returns the history of a log and of the database that is folded from it.
func New[S Snapshot](cfg Config, log Log, database Database[S]) *History {
	cfg.PullLimit = cmp.Or(cfg.PullLimit, 1000)
	cfg.UnreadLimit = cmp.Or(cfg.UnreadLimit, 10_000)
	cfg.MaxLog = cmp.Or(cfg.MaxLog, 64<<20)
	h := &History{cfg: cfg, log: log, look: func(ctx context.Context, f func(Snapshot) error) error {
		return database.Look(ctx, func(s S) error { return f(s) })
	}}
	for p := range chat.Partition(log.Partitions()) {
		h.windows = append(h.windows, &window{partition: p, limit: cfg.MaxLog, lock: make(chan struct{}, 1)})
	}
	return h
}

// End returns the newest revision of the log.
func (h *History) End(ctx context.Context) (chat.Revision, error) {
	end, _, err := h.log.LogEnd(ctx)
	return end, unavailable(err)
}

// PlaceAfter returns the last place of a revision's block: a cursor that has all up to it.
func (h *History) PlaceAfter(rev chat.Revision) chat.Place {
	return chat.PlaceOf(h.log.Base(), rev+1, 0) - 1
}

// cut is all conversations at one revision, as one user sees them.
type cut struct {
	h       *History
	db      Snapshot
	user    chat.UserKey
	early   bool          // new members of the app's groups see what was said before
	end     chat.Revision // nothing after it is in the cut
	entries []chat.Entry  // after the marks, in the order of their revisions
}

// cut calls f with a cut at the log's end.
func (h *History) cut(ctx context.Context, user chat.UserKey, f func(*cut) error) error {
	end, blocks, err := h.log.LogEnd(ctx)
	if err != nil {
		return unavailable(err)
	}
	return h.look(ctx, func(db Snapshot) error {
		c := &cut{h: h, db: db, user: user, end: end}
		marks, err := db.Marks(ctx)
		if err != nil {
			return err
		}
		if c.early, err = db.HistoryBeforeJoining(ctx, user.App); err != nil {
			return err
		}
		if newest(marks) > c.end { // Postgres has been told more meanwhile: the cut is there
			if c.end, blocks, err = h.log.LogEnd(ctx); err != nil {
				return unavailable(err)
			}
		}
		for _, w := range h.windows {
			mark := marks[w.partition].Revision
			if mark >= c.end {
				continue
			}
			entries, err := w.read(ctx, h.log, mark, c.end, blocks[w.partition])
			if err != nil {
				return unavailable(err)
			}
			c.entries = append(c.entries, entries...)
		}
		slices.SortFunc(c.entries, func(a, b chat.Entry) int { return cmp.Compare(a.Revision, b.Revision) })
		return f(c)
	})
}

func newest(marks map[chat.Partition]chat.Mark) (rev chat.Revision) {
	for _, m := range marks {
		rev = max(rev, m.Revision)
	}
	return rev
}

// unavailable tells a client of an error of the log's that it may try again.
func unavailable(err error) error {
	if _, told := errors.AsType[chat.Error](err); err == nil || told || errors.Is(err, context.Canceled) {
		return err
	}
	return fmt.Errorf("%w: %w", chat.Error{Code: chat.Unavailable}, err)
}
