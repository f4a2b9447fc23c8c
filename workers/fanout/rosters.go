package fanout

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/streams"
)

// rosterLimit is how many members and senders of groups are remembered, about.
const rosterLimit = 2_000_000

// rosters holds the groups that are warm: each is as its log is, up to the record at hand. What was not used for long is forgotten.
type rosters struct {
	young, old map[chat.Conversation]*group
	size       int // of the young
	limit      int
}

func newRosters(limit int) *rosters {
	return &rosters{young: make(map[chat.Conversation]*group), limit: limit}
}

// get returns a warm group; nil: it is cold.
func (r *rosters) get(c chat.Conversation) *group {
	if g := r.young[c]; g != nil {
		return g
	}
	g := r.old[c]
	if g != nil {
		delete(r.old, c)
		r.put(c, g)
	}
	return g
}

func (r *rosters) put(c chat.Conversation, g *group) {
	r.young[c] = g
	r.size += g.size()
}

// turn forgets what was not used since the last turn, once there is much. It reports whether anything was.
func (r *rosters) turn() (forgotten bool) {
	if r.size < r.limit/2 {
		return false
	}
	forgotten = len(r.old) > 0
	r.old, r.young, r.size = r.young, make(map[chat.Conversation]*group), 0
	return forgotten
}

// question asks for groups as they are at the end of a revision.
type question struct {
	groups []chat.Conversation
	at     chat.Revision
	ended  chat.Place    // stays that ended before it do not matter
	since  chat.Revision // none of the groups has a change after it, up to at, that is not parked

	rewinds int // how often the log had been read again
}

// patience is how long the loop waits for an answer of Postgres.
const patience = time.Second

var errEnough = errors.New("enough of the log is read")

// look finds groups: as Postgres has folded them, and what the log has of them after that.
func (o *owner) look(ctx context.Context, q question) (map[chat.Conversation]*group, error) {
	facts, err := o.cfg.Database.LookUp(ctx, chat.Needs{Groups: q.groups, Partition: o.partition, EndedBefore: q.ended})
	if err != nil {
		return nil, err
	}
	found := make(map[chat.Conversation]*group, len(q.groups))
	mark := chat.Revision(math.MaxUint64)
	for _, c := range q.groups {
		state := facts.Groups[c]
		mark = min(mark, state.Mark)
		g := new(group)
		g.roster.Learn(state)
		found[c] = g
	}
	if mark >= q.since {
		return found, nil
	}
	_, err = o.cfg.Conn.ReadLog(ctx, o.partition, mark, func(e streams.RawEntry) error {
		if e.Revision > q.at {
			return errEnough
		}
		return o.takeBlock(e, found)
	})
	if err != nil && !errors.Is(err, errEnough) {
		return nil, err
	}
	return found, nil
}

// takeBlock takes in what a block has of the groups.
func (o *owner) takeBlock(e streams.RawEntry, groups map[chat.Conversation]*group) error {
	block, err := chat.DecodeBlock(e.Data)
	if err != nil {
		return fmt.Errorf("revision %d: %w", e.Revision, err)
	}
	for i := range block.Records {
		r := &block.Records[i]
		if g := groups[r.Conversation]; g != nil {
			g.take(r, chat.PlaceOf(o.cfg.Conn.Base(), e.Revision, i))
		}
	}
	return nil
}

// warm looks up the groups of the records at hand that are cold. Those that it cannot find stay cold, and their records are parked.
func (o *owner) warm(ctx context.Context, items []item) {
	var cold []chat.Conversation
	met := make(map[chat.Conversation]bool)
	for i := range items {
		r := items[i].record
		c := r.Conversation
		if !needsGroup(r) || met[c] {
			continue
		}
		met[c] = true
		switch {
		case o.parked.has(c) || o.rosters.get(c) != nil:
		case r.Kind == chat.GroupRecord && r.Change.Kind == chat.GroupCreated:
			o.rosters.put(c, new(group)) // nothing was before it
		default:
			cold = append(cold, c)
		}
	}
	for some := range slices.Chunk(cold, groupsAtOnce) {
		if o.parked.away {
			return
		}
		o.warmSome(ctx, some)
	}
}

func (o *owner) warmSome(ctx context.Context, cold []chat.Conversation) {
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	o.post.Beat() // many groups are many questions
	found, err := o.look(limited, question{
		groups: cold, at: o.revision, ended: chat.PlaceOf(o.cfg.Conn.Base(), o.revision, 0), since: o.since,
	})
	if err != nil {
		o.parked.away = true
		o.cfg.Metrics.lookUpFailures.Inc()
		o.log.WarnContext(ctx, "groups cannot be looked up; their records wait", "groups", len(cold), "cause", err)
		return
	}
	for c, g := range found {
		o.rosters.put(c, g)
	}
}
