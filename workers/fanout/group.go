package fanout

import (
	"slices"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/wire"
)

// group is what this owner knows of a group.
type group struct {
	roster  chat.Roster
	senders senders
	ended   int // how many stays may have ended since the roster forgot those that had
}

// size is what the group counts for among those that are remembered.
func (g *group) size() int { return 16 + g.roster.Len() + len(g.senders.users) }

// take takes in a record of the group's, which may be in already.
func (g *group) take(r *chat.Record, place chat.Place) {
	switch r.Kind { //nolint:exhaustive // the others change nothing that is remembered
	case chat.MessageRecord:
		g.senders.add(r.Seq, r.Sender.User)
	case chat.GroupRecord:
		g.roster.Fold(place, r.Change)
		if k := r.Change.Kind; k == chat.MemberLeft || k == chat.MemberRemoved {
			g.ended += len(r.Change.Users)
		}
	}
}

// forget drops the stays that ended before a place once they are as many as the members.
func (g *group) forget(before chat.Place) {
	if g.ended > max(64, g.roster.Len()) {
		g.roster.Forget(before)
		g.ended = 0
	}
}

// needsGroup reports whether the record is one that cannot be handed out without its group's members.
func needsGroup(r *chat.Record) bool {
	return r.Conversation.Kind == chat.Group && r.Kind != chat.RefusalRecord && r.Kind != chat.RecallRefusalRecord && r.Kind != chat.SettingRecord
}

// group takes a record of a group in and hands it out, but for the answer to the device that asked. Who gets it is decided by the places:
// a member from after the joining up to before the end.
func (b *batch) group(r *chat.Record, place chat.Place, g *group) {
	g.take(r, place)
	switch r.Kind {
	case chat.MessageRecord:
		b.groupMessage(r, place, g)
	case chat.ReadRecord:
		b.groupRead(r, place, g)
	case chat.RecallRecord:
		command, payload := recallNotify(r, place)
		b.deliverButTo(r.Sender, command, payload, b.audience(r.Conversation, place, g))
		b.absent(r, place, g, command, payload)
	case chat.GroupRecord:
		b.event(r, place, g)
	case chat.RefusalRecord, chat.RecallRefusalRecord, chat.SettingRecord: // they do not need the group
	}
}

// members returns the routes of those who were members at a place.
func (b *batch) members(app chat.AppID, place chat.Place, g *group) (routes []chat.Route) {
	for m := range g.roster.At(place) {
		routes = append(routes, b.devices(app, m.User)...)
	}
	return routes
}

// audience is members, looked up once a batch for as long as the group does not change.
func (b *batch) audience(c chat.Conversation, place chat.Place, g *group) []chat.Route {
	routes, known := b.audiences[c]
	if !known {
		routes = b.members(c.App, place, g)
		b.audiences[c] = routes
	}
	return routes
}

// groupMessage hands a message to the sender's other devices and to all of the members'. In a very large group the members are told once a
// batch that there is something new.
func (b *batch) groupMessage(r *chat.Record, place chat.Place, g *group) {
	if b.recalled[place] {
		return // the recall follows, and tells everybody
	}
	command, payload := placed(r, place)
	if g.roster.Len() > b.limits.notify {
		b.degraded["messages"]++
		b.deliverButTo(r.Sender, command, payload, b.devices(r.Sender.App, r.Sender.User))
		b.note(r, place, g)
		return
	}
	b.deliverButTo(r.Sender, command, payload, b.audience(r.Conversation, place, g))
	b.absent(r, place, g, command, payload)
}

// absent delivers to the other devices of one who asked without being a member.
func (b *batch) absent(r *chat.Record, place chat.Place, g *group, c wire.Command, payload []byte) {
	if !g.roster.Covers(r.Sender.User, place) {
		b.deliverButTo(r.Sender, c, payload, b.devices(r.Sender.App, r.Sender.User))
	}
}

// groupNews is the newest message of a group whose members are told that there is something new.
type groupNews struct {
	seq   chat.Seq
	place chat.Place
	by    chat.UserID // who sent all that is new; empty: several
	group *group

	revision chat.Revision // of its block, as it is handed out
}

func (b *batch) note(r *chat.Record, place chat.Place, g *group) {
	n := b.news[r.Conversation]
	if n == nil {
		n = &groupNews{by: r.Sender.User, group: g}
		b.news[r.Conversation] = n
	}
	if n.by != r.Sender.User {
		n.by = ""
	}
	n.seq, n.place, n.revision = r.Seq, place, b.revision
}

// sayNews tells the members of very large groups that there is something new. Who sent all of it has it.
func (b *batch) sayNews() {
	for c, n := range b.news {
		b.revision = n.revision
		command, payload := news(c, n.seq, n.place)
		for m := range n.group.roster.At(n.place) {
			if m.User != n.by {
				b.deliver(command, payload, b.devices(c.App, m.User)...)
			}
		}
	}
}

// event tells the members of a change, and those who came or went by it. In a large group a change of members is told to those concerned,
// the managers and the owner alone.
func (b *batch) event(r *chat.Record, place chat.Place, g *group) {
	delete(b.audiences, r.Conversation)
	c := r.Change
	wide := len(c.Users) > 0 && g.roster.Len() > b.limits.broadcast
	if wide {
		b.degraded["member events"]++
	}
	var routes []chat.Route
	for m := range g.roster.At(place) {
		if !wide || m.Role != chat.Ordinary || m.User == r.Sender.User || slices.Contains(c.Users, m.User) {
			routes = append(routes, b.devices(r.Conversation.App, m.User)...)
		}
	}
	switch c.Kind {
	case chat.GroupCreated, chat.MembersJoined, chat.MemberLeft, chat.MemberRemoved:
		for i, u := range c.Users {
			if !g.roster.Covers(u, place) && !slices.Contains(c.Users[:i], u) {
				routes = append(routes, b.devices(r.Conversation.App, u)...)
			}
		}
	case chat.RoleSet, chat.MemberMuted, chat.GroupMuted, chat.GroupDestroyed, chat.GroupTransferred, chat.GroupUpdated, chat.MemberUpdated:
		// all were members before
	}
	for _, e := range wire.GroupEventsOf(r, place) {
		b.deliver(e.Command, wire.AppendGroupEvent(nil, &e), routes...)
	}
}

// typing tells a pair's peer, or a group's members, that somebody is typing. It returns why nobody is told.
func (b *batch) typing(s *chat.Signal, g *group, now chat.Place) (dropped string) {
	command, payload := typing(s)
	if peer, isPair := s.Conversation.Peer(s.From.User); isPair {
		if peer != s.From.User {
			b.deliver(command, payload, b.devices(s.From.App, peer)...)
		}
		return ""
	}
	switch {
	case s.Conversation.Kind != chat.Group:
		return "not a member"
	case g == nil:
		return "group not at hand"
	case !g.roster.Covers(s.From.User, now):
		return "not a member"
	case g.roster.Len() > b.limits.broadcast:
		return "large group"
	}
	for m := range g.roster.At(now) {
		if m.User != s.From.User {
			b.deliver(command, payload, b.devices(s.From.App, m.User)...)
		}
	}
	return ""
}
