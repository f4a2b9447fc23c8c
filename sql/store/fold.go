package store

import (
	"fmt"
	"slices"
	"time"

	"github.com/whaleshark-im/whaleshark/chat"
)

// fold is what the entries of one Apply come to, worked out before anything is written: plain data, in the order of the log.
type fold struct {
	conversations []*conversationRow
	messages      []*messageRow
	recalls       []*placed // of messages that are not among these
	records       []*placed // what history shows beside messages
	reads         []*placed // the newest of each reader in each conversation
	settings      []*settingRow
}

// placed is a record at its place.
type placed struct {
	place        chat.Place
	time         time.Time // of its block
	record       *chat.Record
	conversation *conversationRow
}

type messageRow struct {
	placed
	id       chat.ID
	recalled chat.Place // 0: it stands
}

// settingRow is what a user's settings of a conversation come to.
type settingRow struct {
	*placed  // the newest
	settings chat.Settings
}

type conversationRow struct {
	conversation chat.Conversation
	token        string
	head         chat.Seq
	lastPlace    chat.Place // of the newest message
	changed      chat.Place // of the newest record; settings do not count, nor do reads in groups
	changes      []*placed  // of the group
	readers      map[chat.UserID]*placed
	setters      map[chat.UserID]*settingRow

	// As Postgres has it before these changes.
	id         int64
	groupPlace chat.Place
	wide       bool
	refusal    error
}

func newFold(base chat.Revision, from chat.Mark, entries []chat.Entry) (*fold, error) {
	f := &fold{}
	conversations := make(map[chat.Conversation]*conversationRow)
	prev := from.Revision
	for _, e := range entries {
		if e.Block.Prev != prev {
			return nil, fmt.Errorf("the block of revision %d follows revision %d, not %d", e.Revision, e.Block.Prev, prev)
		}
		prev = e.Revision
		for i := range e.Block.Records {
			r := &e.Block.Records[i]
			if r.Kind == chat.RefusalRecord || r.Kind == chat.RecallRefusalRecord {
				continue
			}
			c := conversations[r.Conversation]
			if c == nil {
				c = &conversationRow{conversation: r.Conversation, token: r.Conversation.String()}
				conversations[r.Conversation] = c
				f.conversations = append(f.conversations, c)
			}
			f.add(placed{place: chat.PlaceOf(base, e.Revision, i), time: e.Block.Time, record: r, conversation: c})
		}
	}
	return f, nil
}

func (f *fold) add(p placed) {
	if p.record.Kind != chat.MessageRecord {
		other := p // a message's stays on the stack
		f.addOther(&other)
		return
	}
	c := p.conversation
	c.head, c.lastPlace, c.changed = max(c.head, p.record.Seq), p.place, p.place
	f.messages = append(f.messages, &messageRow{placed: p, id: p.record.ID()})
}

func (f *fold) addOther(p *placed) {
	c := p.conversation
	switch p.record.Kind { //nolint:exhaustive // refusals leave no trace
	case chat.RecallRecord:
		f.recall(p)
		f.records = append(f.records, p)
	case chat.GroupRecord:
		c.changes = append(c.changes, p)
		f.records = append(f.records, p)
	case chat.ReadRecord:
		f.read(p)
		if c.conversation.Kind == chat.Group {
			return
		}
	case chat.SettingRecord:
		f.set(p)
		return
	}
	c.changed = p.place
}

// recall takes a message back that is among these, or notes that an earlier one is to be taken back.
func (f *fold) recall(p *placed) {
	target := p.record.Recall.Place
	i, found := slices.BinarySearchFunc(f.messages, target, func(m *messageRow, at chat.Place) int { return int(m.place - at) })
	switch {
	case !found:
		f.recalls = append(f.recalls, p)
	case f.messages[i].conversation == p.conversation && f.messages[i].recalled == 0:
		f.messages[i].recalled = p.place
	}
}

func (f *fold) read(p *placed) {
	c, reader := p.conversation, p.record.Sender.User
	if before := c.readers[reader]; before != nil {
		before.place, before.record = p.place, p.record
		return
	}
	if c.readers == nil {
		c.readers = make(map[chat.UserID]*placed)
	}
	c.readers[reader] = p
	f.reads = append(f.reads, p)
}

func (f *fold) set(p *placed) {
	c, user := p.conversation, p.record.Sender.User
	s := c.setters[user]
	if s == nil {
		s = new(settingRow)
		if c.setters == nil {
			c.setters = make(map[chat.UserID]*settingRow)
		}
		c.setters[user] = s
		f.settings = append(f.settings, s)
	}
	s.placed = p
	s.settings.Fold(p.place, p.record.Setting)
}

// groupFold is what the changes of one group come to.
type groupFold struct {
	conversation *conversationRow
	version      int64
	place        chat.Place // of the newest change
	mutes, muted bool
	destroyed    bool
	transfer     chat.Place // of the first one: whoever was the owner before these changes is ordinary from there on

	stays   []*stayRow // that begin in these changes
	changed []*stayRow // that began before them

	present map[chat.UserID]*stayRow // the stay that the next change of the user concerns
}

// stayRow is a stay in a group, or what changes of one that is there already.
type stayRow struct {
	conversation    *conversationRow
	user            chat.UserID
	joined          chat.Place // 0: it is there already
	left            chat.Place // 0: he is there
	first           chat.Place // of the first change
	newest          *placed
	setsRole, mutes bool
	role            chat.MemberRole
	mutedUntil      int64
}

// foldGroup folds the changes that Postgres does not have yet; nil: there are none.
func foldGroup(c *conversationRow) *groupFold {
	g := &groupFold{conversation: c, present: make(map[chat.UserID]*stayRow)}
	for _, p := range c.changes {
		if p.place > c.groupPlace {
			g.add(p)
		}
	}
	if g.place == 0 {
		return nil
	}
	return g
}

func (g *groupFold) add(p *placed) {
	c := p.record.Change
	g.version, g.place = max(g.version, c.Version), p.place
	switch c.Kind {
	case chat.GroupCreated:
		g.join(p, chat.Owner)
	case chat.MembersJoined:
		g.join(p, c.Role)
	case chat.MemberLeft, chat.MemberRemoved:
		g.change(p, func(s *stayRow) { s.left = p.place })
	case chat.RoleSet:
		g.change(p, func(s *stayRow) { s.setsRole, s.role = true, c.Role })
	case chat.MemberMuted:
		g.change(p, func(s *stayRow) { s.mutes, s.mutedUntil = true, c.Until })
	case chat.GroupTransferred:
		g.demote(p)
		g.change(p, func(s *stayRow) { s.setsRole, s.role = true, chat.Owner })
	case chat.GroupMuted:
		g.mutes, g.muted = true, c.On
	case chat.GroupDestroyed:
		g.destroyed = true
	case chat.GroupUpdated, chat.MemberUpdated: // what describes them stands in the record
	}
}

func (g *groupFold) join(p *placed, role chat.MemberRole) {
	for _, u := range p.record.Change.Users {
		if s := g.present[u]; s != nil && s.joined == p.place {
			continue // named twice
		}
		s := &stayRow{
			conversation: p.conversation, user: u, joined: p.place, first: p.place, newest: p, setsRole: true, role: role,
		}
		g.present[u] = s
		g.stays = append(g.stays, s)
	}
}

func (g *groupFold) change(p *placed, f func(*stayRow)) {
	for _, u := range p.record.Change.Users {
		s := g.present[u]
		if s == nil {
			s = &stayRow{conversation: p.conversation, user: u, first: p.place}
			g.present[u] = s
			g.changed = append(g.changed, s)
		}
		if s.left == 0 {
			f(s)
			s.newest = p
		}
	}
}

// demote makes the owner ordinary: one that these changes have made here, any other by [groupFold.transfer].
func (g *groupFold) demote(p *placed) {
	if g.transfer == 0 {
		g.transfer = p.place
	}
	for u, s := range g.present {
		if s.left == 0 && s.setsRole && s.role == chat.Owner && !slices.Contains(p.record.Change.Users, u) {
			s.role, s.newest = chat.Ordinary, p
		}
	}
}
