package audit

import (
	"context"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/store"
)

// rules is what the walk remembers of reads, recalls, groups and settings.
type rules struct {
	reads   map[chat.ReadKey]chat.Seq
	recalls map[chat.Place]expected   // by the place of the message
	claimed map[chat.Place]chat.Place // what the rows say: the message's place, and the recall's
	groups  map[chat.Conversation]*group
	partial map[chat.Conversation]bool // a change of the group was put aside: its rows lack something

	settings map[chat.ReadKey]chat.Settings // up to Postgres's mark
	unset    map[chat.ReadKey]bool          // a setting was put aside: the user's row lacks something
}

// group is a group's fold: of all of the log, and of what Postgres's mark covers.
type group struct {
	roster chat.Roster
	marked chat.Roster
	ended  map[stayKey]chat.Membership // the stays that ended up to the mark
}

type stayKey struct {
	user   chat.UserID
	joined chat.Place
}

func newRules() *rules {
	return &rules{
		reads:   make(map[chat.ReadKey]chat.Seq),
		recalls: make(map[chat.Place]expected),
		claimed: make(map[chat.Place]chat.Place),
		groups:  make(map[chat.Conversation]*group),
		partial: make(map[chat.Conversation]bool),

		settings: make(map[chat.ReadKey]chat.Settings),
		unset:    make(map[chat.ReadKey]bool),
	}
}

func (r *rules) group(c chat.Conversation) *group {
	g := r.groups[c]
	if g == nil {
		g = &group{ended: make(map[stayKey]chat.Membership)}
		r.groups[c] = g
	}
	return g
}

// claim notes what a row says of its message.
func (r *rules) claim(place, recalled chat.Place) {
	if recalled != 0 {
		r.claimed[place] = recalled
	}
}

// aside notes what a record says that was put aside.
func (r *rules) aside(x *store.Rejected) {
	switch x.Record.Kind { //nolint:exhaustive // of the others nothing is looked for
	case chat.MessageRecord:
		r.claim(x.Place, x.Recalled)
	case chat.GroupRecord:
		r.partial[x.Record.Conversation] = true
	case chat.SettingRecord:
		r.unset[settingKey(&x.Record)] = true
	}
}

func (v *verifier) read(e *expected) error {
	r := &e.record
	key := chat.ReadKey{Conversation: r.Conversation, User: r.Sender.User}
	before, head := v.rules.reads[key], v.heads[r.Conversation]
	switch {
	case r.Seq <= before:
		return e.fault("%s reads up to seq %d, and had read up to %d", r.Sender.User, r.Seq, before)
	case r.Seq > head:
		return e.fault("%s reads up to seq %d, and the head is %d", r.Sender.User, r.Seq, head)
	case r.Read.From != before:
		return e.fault("%s reads from seq %d on, and had read up to %d", r.Sender.User, r.Read.From, before)
	}
	v.rules.reads[key] = r.Seq
	return nil
}

func (v *verifier) recall(e *expected) error {
	r := &e.record
	target := r.Recall.Place
	if v.ids[r.ID()] != (said{target, r.Seq}) {
		return e.fault("the message that is recalled, %s's %s with seq %d, does not stand at place %d", r.Recall.Sender, r.Recall.MessageID, r.Seq, target)
	}
	if first, ok := v.rules.recalls[target]; ok {
		return e.fault("the message was recalled at place %d already", first.place)
	}
	v.rules.recalls[target] = *e
	return nil
}

func (v *verifier) change(e *expected) error {
	c, g := e.record.Change, v.rules.group(e.record.Conversation)
	if want := g.roster.Version() + 1; c.Version != want {
		return e.fault("the group's change has version %d, want %d", c.Version, want)
	}
	g.roster.Fold(e.place, c)
	if e.revision > v.marks[e.partition].Revision {
		return nil
	}
	if c.Kind == chat.MemberLeft || c.Kind == chat.MemberRemoved {
		for _, u := range c.Users {
			if m, ok := g.marked.Member(u); ok {
				m.Left, m.At = e.place, e.place
				g.ended[stayKey{u, m.Joined}] = m
			}
		}
	}
	g.marked.Fold(e.place, c)
	return nil
}

// compareRecalls holds what the rows say of recalls against those of the log.
func (v *verifier) compareRecalls() error {
	end := chat.PlaceOf(v.base, v.last+1, 0)
	for target, e := range v.rules.recalls {
		claimed, ok := v.rules.claimed[target]
		delete(v.rules.claimed, target)
		switch {
		case ok && claimed != e.place:
			return e.fault("postgres has the message recalled at place %d", claimed)
		case !ok && e.revision <= v.marks[e.partition].Revision:
			return e.fault("postgres does not have the message at place %d recalled", target)
		}
	}
	for target, claimed := range v.rules.claimed {
		if claimed < end { // otherwise the log has gone on meanwhile
			return &Fault{
				Partition: -1, Revision: target.Revision(v.base), Place: target,
				What: "postgres has the message recalled, and the log does not",
			}
		}
	}
	return nil
}

// compareStays holds the rows of stays against the log up to the mark. A row may be ahead of it: Postgres goes on meanwhile.
func (v *verifier) compareStays(ctx context.Context) error {
	wanted := v.stays()
	const page = 5000
	for after := (store.StayKey{}); ; {
		rows, next, err := v.rows.Memberships(ctx, after, page)
		if err != nil {
			return err
		}
		for i := range rows {
			if err := v.compareStay(wanted, &rows[i]); err != nil {
				return err
			}
		}
		if after = next; len(rows) < page {
			break
		}
	}
	for c, stays := range wanted {
		for _, m := range stays {
			return v.rowFault(c, m.Joined, "postgres does not have %s's stay", m.User)
		}
	}
	return nil
}

// stays returns every stay up to the marks, but for groups of which something was put aside.
func (v *verifier) stays() map[chat.Conversation]map[stayKey]chat.Membership {
	wanted := make(map[chat.Conversation]map[stayKey]chat.Membership, len(v.rules.groups))
	for c, g := range v.rules.groups {
		if v.rules.partial[c] {
			continue
		}
		stays := g.ended
		for m := range g.marked.At(chat.PlaceOf(v.base, v.last+1, 0)) {
			stays[stayKey{m.User, m.Joined}] = m
		}
		wanted[c] = stays
	}
	return wanted
}

func (v *verifier) compareStay(wanted map[chat.Conversation]map[stayKey]chat.Membership, row *store.Stay) error {
	if v.rules.partial[row.Group] {
		return nil
	}
	mark := v.marks[row.Group.Partition(v.partitions)].Revision
	ahead := func(p chat.Place) bool { return p.Revision(v.base) > mark }
	key := stayKey{row.User, row.Joined}
	want, ok := wanted[row.Group][key]
	delete(wanted[row.Group], key)
	switch {
	case ahead(row.At): // what it was at the mark is no longer to be seen
	case !ok:
		return v.rowFault(row.Group, row.Joined, "postgres has a stay of %s that the log does not", row.User)
	case want != row.Membership:
		return v.rowFault(row.Group, row.At, "postgres has %s's stay as %+v, want %+v", row.User, row.Membership, want)
	}
	v.report.Stays++
	return nil
}

func (v *verifier) rowFault(c chat.Conversation, place chat.Place, format string, args ...any) error {
	e := expected{c.Partition(v.partitions), place.Revision(v.base), place, chat.Record{Conversation: c}}
	return e.fault(format, args...)
}
