package history_test

import (
	"cmp"
	"slices"
	"time"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/history"
)

// naive is the whole log in memory, and answers everything by going through it from the start. It takes nothing from the real thing.
type naive struct {
	items []chat.Item // in the order of the log
	early map[chat.AppID]bool
}

// of returns the records of a conversation, with the bodies of what was recalled taken away.
func (n *naive) of(c chat.Conversation) []chat.Item {
	recalled := make(map[chat.Place]bool)
	var items []chat.Item
	for _, i := range n.items {
		if i.Record.Conversation != c {
			continue
		}
		if i.Record.Kind == chat.RecallRecord {
			recalled[i.Record.Recall.Place] = true
		}
		items = append(items, i)
	}
	for x := range items {
		if i := &items[x]; recalled[i.Place] {
			i.Recalled, i.Record.Body, i.Record.Extra, i.Record.Erased = true, "", "", true
		}
	}
	return items
}

func (n *naive) conversations(u chat.UserKey) []chat.Conversation {
	var all []chat.Conversation
	for _, i := range n.items {
		if c := i.Record.Conversation; c.App == u.App && !slices.Contains(all, c) && n.mine(c, u) {
			all = append(all, c)
		}
	}
	return all
}

func (n *naive) mine(c chat.Conversation, u chat.UserKey) bool {
	if c.Kind == chat.Pair {
		return c.A == string(u.User) || c.B == string(u.User)
	}
	return len(n.stays(c, u.User)) > 0
}

// stays returns the joining and the leaving of each stay.
func (n *naive) stays(c chat.Conversation, u chat.UserID) (stays [][2]chat.Place) {
	for _, i := range n.items {
		if i.Record.Conversation != c || i.Record.Kind != chat.GroupRecord || !slices.Contains(i.Record.Change.Users, u) {
			continue
		}
		switch i.Record.Change.Kind { //nolint:exhaustive // the others let nobody in or out
		case chat.GroupCreated, chat.MembersJoined:
			stays = append(stays, [2]chat.Place{i.Place, 1 << 60})
		case chat.MemberLeft, chat.MemberRemoved:
			stays[len(stays)-1][1] = i.Place
		}
	}
	return stays
}

// settings returns what a user's settings of a conversation come to, and where the newest one stands.
func (n *naive) settings(c chat.Conversation, u chat.UserID) (s chat.Setting, cleared, at chat.Place) {
	for _, i := range n.items {
		r := i.Record
		if r.Conversation != c || r.Kind != chat.SettingRecord || r.Sender.User != u {
			continue
		}
		if at = i.Place; r.Setting.Delete {
			cleared = i.Place
		}
		if r.Setting.Mute != 0 {
			s.Mute = r.Setting.Mute
		}
		if r.Setting.Top != 0 {
			s.Top = r.Setting.Top
		}
	}
	return s, cleared, at
}

// visible returns the records of a conversation that a user may see: of reads only the newest of each reader.
func (n *naive) visible(c chat.Conversation, u chat.UserKey) []chat.Item {
	all := n.of(c)
	newest := make(map[chat.UserID]chat.Place)
	for _, i := range all {
		if i.Record.Kind == chat.ReadRecord {
			newest[i.Record.Sender.User] = i.Place
		}
	}
	stays := n.stays(c, u.User)
	_, cleared, _ := n.settings(c, u.User)
	all = slices.DeleteFunc(all, func(i chat.Item) bool { return i.Place <= cleared })
	sees := func(p chat.Place, ends chat.Place) bool {
		if c.Kind == chat.Pair {
			return true
		}
		if n.early[c.App] {
			return p < stays[len(stays)-1][1]+ends
		}
		return slices.ContainsFunc(stays, func(s [2]chat.Place) bool { return s[0]-ends < p && p < s[1]+ends })
	}
	var items []chat.Item
	for _, i := range all {
		switch r := &i.Record; r.Kind {
		case chat.MessageRecord, chat.RecallRecord:
			if sees(i.Place, 0) {
				items = append(items, i)
			}
		case chat.GroupRecord:
			if sees(i.Place, 1) {
				items = append(items, i)
			}
		case chat.ReadRecord:
			if newest[r.Sender.User] == i.Place && (c.Kind == chat.Pair || r.Sender.User == u.User) {
				r.Sender = chat.Device{App: c.App, User: r.Sender.User}
				r.Read = &chat.Read{}
				i.Time = time.Time{}
				items = append(items, i)
			}
		default:
		}
	}
	return items
}

// changes leaves out what is unread.
func (n *naive) changes(u chat.UserKey, after chat.Place) []history.Summary {
	var summaries []history.Summary
	for _, c := range n.conversations(u) {
		s := history.Summary{Conversation: c}
		visible := n.visible(c, u)
		set, cleared, at := n.settings(c, u.User)
		if s.Place = at; len(visible) > 0 {
			s.Place = max(at, visible[len(visible)-1].Place)
		}
		if s.Place <= after {
			continue
		}
		s.Muted, s.Top = set.Mute == chat.On, set.Top == chat.On
		peer, _ := c.Peer(u.User)
		for _, i := range n.of(c) {
			switch r := i.Record; {
			case r.Kind == chat.MessageRecord:
				s.Head = r.Seq
			case r.Kind == chat.ReadRecord && r.Sender.User == u.User:
				s.Read = r.Seq
			case r.Kind == chat.ReadRecord && r.Sender.User == peer:
				s.PeerRead = r.Seq
			}
		}
		for _, i := range visible {
			if r := i.Record; r.Kind == chat.MessageRecord {
				s.Newest = &i
			}
		}
		s.Deleted = cleared != 0 && s.Newest == nil
		if stays := n.stays(c, u.User); len(stays) > 0 && stays[len(stays)-1][1] != 1<<60 {
			s.Left, s.Head = true, 0
			if s.Newest != nil {
				s.Head = s.Newest.Record.Seq
			}
		}
		summaries = append(summaries, s)
	}
	slices.SortFunc(summaries, func(a, b history.Summary) int { return cmp.Compare(a.Place, b.Place) })
	return summaries
}

// unread returns how many messages of others are unread after a seq: at least among the newest so many, and at most of all, which is one
// number if there are no more after it.
func (n *naive) unread(u chat.UserKey, c chat.Conversation, read chat.Seq, limit int) (least, most int) {
	looked := 0
	for _, i := range slices.Backward(n.visible(c, u)) {
		r := i.Record
		if r.Kind != chat.MessageRecord || r.Seq <= read {
			continue
		}
		looked++
		if r.Sender.User == u.User || i.Recalled {
			continue
		}
		if most++; looked <= limit {
			least++
		}
	}
	return least, min(most, limit)
}

func (n *naive) records(u chat.UserKey, c chat.Conversation, from, to chat.Place, descending bool) []chat.Item {
	var items []chat.Item
	for _, i := range n.visible(c, u) {
		if from <= i.Place && (to == 0 || i.Place <= to) {
			items = append(items, i)
		}
	}
	if descending {
		slices.Reverse(items)
	}
	return items
}

func (n *naive) messages(u chat.UserKey, c chat.Conversation, from, to chat.Seq, descending bool) []chat.Item {
	return slices.DeleteFunc(n.records(u, c, 0, 0, descending), func(i chat.Item) bool {
		return i.Record.Kind != chat.MessageRecord || i.Record.Seq < from || to != 0 && i.Record.Seq > to
	})
}

// all returns all that a user may see after a place.
func (n *naive) all(u chat.UserKey, after chat.Place) []chat.Item {
	var items []chat.Item
	for _, c := range n.conversations(u) {
		items = append(items, n.records(u, c, after+1, 0, false)...)
	}
	slices.SortFunc(items, func(a, b chat.Item) int { return cmp.Compare(a.Place, b.Place) })
	return items
}

func (n *naive) pull(u chat.UserKey, last chat.Place, back int) (items []chat.Item, truncated bool) {
	items = slices.DeleteFunc(n.all(u, last), func(i chat.Item) bool { return i.Record.Kind != chat.MessageRecord })
	return items[max(0, len(items)-back):], len(items) > back
}

func (n *naive) missed(d chat.Device, after, upTo chat.Place) []chat.Item {
	user := chat.UserKey{App: d.App, User: d.User}
	items := slices.DeleteFunc(n.all(user, after), func(i chat.Item) bool {
		return i.Place > upTo || i.Record.Kind == chat.MessageRecord && i.Record.Sender == d
	})
	for _, c := range n.conversations(user) {
		items = append(items, n.missedSettings(c, d.User, after, upTo)...)
	}
	slices.SortFunc(items, func(a, b chat.Item) int { return cmp.Compare(a.Place, b.Place) })
	return items
}

// missedSettings returns a deletion where it stands, and how the rest is where the newest setting stands, even if that came later.
func (n *naive) missedSettings(c chat.Conversation, u chat.UserID, after, upTo chat.Place) (items []chat.Item) {
	now, cleared, at := n.settings(c, u)
	add := func(p chat.Place, s chat.Setting) {
		items = append(items, chat.Item{Place: p, Record: chat.Record{
			Kind: chat.SettingRecord, Conversation: c, Sender: chat.Device{App: c.App, User: u}, Setting: &s,
		}})
	}
	deleted := cleared > after && cleared <= upTo
	switch {
	case deleted && cleared == at:
		now.Delete = true
	case deleted:
		add(cleared, chat.Setting{Delete: true})
	}
	if at > after && now != (chat.Setting{}) {
		add(at, now)
	}
	return items
}

// total counts what is unread in all conversations, at least and at most.
func (n *naive) total(u chat.UserKey, limit int) (least, most history.Unread) {
	for _, c := range n.conversations(u) {
		read := chat.Seq(0)
		for _, i := range n.of(c) {
			if i.Record.Kind == chat.ReadRecord && i.Record.Sender.User == u.User {
				read = i.Record.Seq
			}
		}
		low, high := n.unread(u, c, read, limit)
		least.Total, most.Total = least.Total+low, most.Total+high
		if set, _, _ := n.settings(c, u.User); set.Mute == chat.On {
			least.Muted, most.Muted = least.Muted+low, most.Muted+high
		}
	}
	return least, most
}

// groups returns the groups that have changed after a place.
func (n *naive) groups(u chat.UserKey, after chat.Place) []history.GroupSummary {
	var groups []history.GroupSummary
	for _, c := range n.conversations(u) {
		if c.Kind == chat.Pair {
			continue
		}
		s := history.GroupSummary{Group: c}
		for _, i := range n.of(c) {
			if i.Record.Kind == chat.GroupRecord {
				s.Place, s.Version = i.Place, i.Record.Change.Version
				s.Destroyed = s.Destroyed || i.Record.Change.Kind == chat.GroupDestroyed
			}
		}
		stays := n.stays(c, u.User)
		if end := stays[len(stays)-1][1]; end != 1<<60 {
			s = history.GroupSummary{Group: c, Place: end, Left: true}
		}
		if s.Place > after {
			groups = append(groups, s)
		}
	}
	slices.SortFunc(groups, func(a, b history.GroupSummary) int { return cmp.Compare(a.Place, b.Place) })
	return groups
}
