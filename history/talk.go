package history

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/whaleshark-im/whaleshark/chat"
)

// talk is one of the user's conversations at the cut: what Postgres has of it, and what the log has after that.
type talk struct {
	chat.Talk
	user     chat.UserID
	early    bool                      // what was before his joining is his to see
	items    []chat.Item               // of the log, in the order of their places; no reads
	reads    map[chat.UserID]chat.Item // of the log, the newest of each reader
	recalled map[chat.Place]bool       // messages that the log recalls, Postgres's too
	setAt    chat.Place                // where the log has the newest setting of the user's; 0: nowhere
}

// lastPlace is above every place.
const lastPlace chat.Place = 1 << 53

// isPair tells a pair from a group.
func (t *talk) isPair() bool { return t.Conversation.Kind == chat.Pair }

// mine reports whether the user belongs to the conversation, or ever did.
func (t *talk) mine() bool {
	if t.isPair() {
		_, ok := t.Conversation.Peer(t.user)
		return ok
	}
	return len(t.Stays) > 0
}

// left reports whether the user is no longer in the group.
func (t *talk) left() bool {
	return !t.isPair() && len(t.Stays) > 0 && t.Stays[len(t.Stays)-1].Left != 0
}

// spans returns the places between which messages are the user's to see: what he has deleted is not.
func (t *talk) spans() []chat.Span {
	cleared := t.Settings.Cleared
	all := chat.Span{Number: t.Number, Conversation: t.Conversation, After: cleared, Before: lastPlace}
	if t.isPair() {
		return []chat.Span{all}
	}
	var spans []chat.Span
	for _, s := range t.Stays {
		all.After, all.Before = max(s.Joined, cleared), cmp.Or(s.Left, lastPlace)
		if all.After < all.Before {
			spans = append(spans, all)
		}
	}
	if t.early && len(spans) > 0 {
		all.After = cleared
		return []chat.Span{all}
	}
	return spans
}

// within cuts spans off at two places: both ends are outside.
func within(spans []chat.Span, after, before chat.Place) []chat.Span {
	var cut []chat.Span
	for _, s := range spans {
		s.After, s.Before = max(s.After, after), min(s.Before, before)
		if s.After+1 < s.Before {
			cut = append(cut, s)
		}
	}
	return cut
}

// widen lets spans include their ends: a member sees the changes of the group that are his joining and his leaving.
func widen(spans []chat.Span) []chat.Span {
	wide := slices.Clone(spans)
	for i := range wide {
		wide[i].After, wide[i].Before = max(wide[i].After-1, 0), min(wide[i].Before+1, lastPlace)
	}
	return wide
}

// sees reports whether an item is the user's to see.
func (t *talk) sees(item *chat.Item) bool {
	spans := t.spans()
	if item.Record.Kind == chat.GroupRecord {
		spans = widen(spans)
	}
	return slices.ContainsFunc(spans, func(s chat.Span) bool { return s.After < item.Place && item.Place < s.Before })
}

// news returns the place of the newest record of the log that is news to the user; 0: none is.
func (t *talk) news() (place chat.Place) {
	if n := len(t.items); n > 0 {
		place = t.items[n-1].Place
	}
	for _, r := range t.reads {
		place = max(place, r.Place)
	}
	return max(place, t.setAt)
}

// add takes in a record of the log. What is not his to see goes in the end: a later record may let him see what was before.
func (t *talk) add(item chat.Item) {
	r := &item.Record
	switch r.Kind {
	case chat.MessageRecord:
		t.Head = max(t.Head, r.Seq)
	case chat.RecallRecord:
		t.recalled[r.Recall.Place] = true
	case chat.GroupRecord:
		t.change(item.Place, r.Change)
	case chat.ReadRecord:
		t.read(item)
		return
	case chat.SettingRecord:
		if r.Sender.User == t.user {
			t.Settings.Fold(item.Place, r.Setting)
			t.setAt = item.Place
		}
		return
	default: // a refusal is its sender's alone
		return
	}
	t.items = append(t.items, item)
}

// change takes in a change of the group: of its members, as far as it concerns the user.
func (t *talk) change(at chat.Place, c *chat.Change) {
	t.Version, t.VersionAt = c.Version, at
	t.Destroyed = t.Destroyed || c.Kind == chat.GroupDestroyed
	if !slices.Contains(c.Users, t.user) {
		return
	}
	var r chat.Roster
	r.Learn(chat.GroupState{Members: t.Stays})
	r.Fold(at, c)
	t.Stays = r.Stays(t.user)
}

// read takes in a read: of a pair both users', of a group the user's own.
func (t *talk) read(item chat.Item) {
	r := item.Record
	switch peer, _ := t.Conversation.Peer(t.user); r.Sender.User {
	case t.user:
		t.Read = max(t.Read, r.Seq)
	case peer:
		t.PeerRead = max(t.PeerRead, r.Seq)
	default:
		return
	}
	item.Record.Sender = chat.Device{App: r.Conversation.App, User: r.Sender.User}
	item.Record.Read, item.Time = &chat.Read{}, time.Time{}
	t.reads[r.Sender.User] = item
}

// settings returns the user's settings as records after a place: a deletion where it stands, if that is before another place, and how the rest
// is now where the newest of them stands, wherever that is. Of that nothing is lost by it, for the newest may set only one thing.
func (t *talk) settings(after, before chat.Place) []chat.Item {
	s := &t.Settings
	if s.At <= after {
		return nil
	}
	item := func(at chat.Place, x chat.Setting) chat.Item {
		return chat.Item{Place: at, Record: chat.Record{
			Kind: chat.SettingRecord, Conversation: t.Conversation, Sender: chat.Device{App: t.Conversation.App, User: t.user}, Setting: &x,
		}}
	}
	deleted := after < s.Cleared && s.Cleared < before
	now := chat.Setting{Mute: s.Mute, Top: s.Top, Delete: deleted && s.Cleared == s.At}
	var items []chat.Item
	if deleted && !now.Delete {
		items = append(items, item(s.Cleared, chat.Setting{Delete: true}))
	}
	if now != (chat.Setting{}) {
		items = append(items, item(s.At, now))
	}
	return items
}

// finish drops what is not the user's to see, and takes the bodies of what was recalled away.
func (t *talk) finish() {
	t.items = slices.DeleteFunc(t.items, func(i chat.Item) bool { return !t.sees(&i) })
	t.blank(t.items)
}

func (t *talk) blank(items []chat.Item) {
	for i := range items {
		if x := &items[i]; x.Record.Kind == chat.MessageRecord && (x.Recalled || t.recalled[x.Place]) {
			x.Recalled, x.Record.Body, x.Record.Extra, x.Record.Erased = true, "", "", true
		}
	}
}

// tail returns the user's conversations that the log has records of after the marks; or, if some are given, those alone, be they his or not.
// Not all of them have news: a recall blanks messages also for those who have left.
func (c *cut) tail(ctx context.Context, only []chat.Conversation) (map[chat.Conversation]*talk, error) {
	talks := make(map[chat.Conversation]*talk)
	for _, of := range only {
		talks[of] = c.empty(of)
	}
	for _, e := range c.entries {
		for i := range e.Block.Records {
			if of := e.Block.Records[i].Conversation; only == nil && c.mayBeMine(of) {
				talks[of] = c.empty(of)
			}
		}
	}
	if err := c.addStored(ctx, talks); err != nil {
		return nil, err
	}
	for _, e := range c.entries {
		for i := range e.Block.Records {
			if t := talks[e.Block.Records[i].Conversation]; t != nil {
				t.add(chat.Item{Place: chat.PlaceOf(c.h.log.Base(), e.Revision, i), Time: e.Block.Time, Record: e.Block.Records[i]})
			}
		}
	}
	for of, t := range talks {
		if t.finish(); only == nil && !t.mine() {
			delete(talks, of)
		}
	}
	return talks, nil
}

func (c *cut) mayBeMine(of chat.Conversation) bool {
	if of.App != c.user.App {
		return false
	}
	_, ok := of.Peer(c.user.User)
	return ok || of.Kind == chat.Group
}

// addStored adds what Postgres has of the conversations.
func (c *cut) addStored(ctx context.Context, talks map[chat.Conversation]*talk) error {
	conversations := make([]chat.Conversation, 0, len(talks))
	for of := range talks {
		conversations = append(conversations, of)
	}
	stored, err := c.db.Talks(ctx, c.user, conversations)
	if err != nil {
		return err
	}
	for _, s := range stored {
		talks[s.Conversation].Talk = s
	}
	return nil
}

// empty returns a conversation of which nothing is known yet.
func (c *cut) empty(of chat.Conversation) *talk {
	return &talk{
		Talk: chat.Talk{Conversation: of}, user: c.user.User, early: c.early,
		reads: make(map[chat.UserID]chat.Item), recalled: make(map[chat.Place]bool),
	}
}
