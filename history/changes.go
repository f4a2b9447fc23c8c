package history

import (
	"cmp"
	"context"
	"slices"

	"github.com/whaleshark-im/whaleshark/chat"
)

// Summary is what has become of one of a user's conversations.
type Summary struct {
	Conversation chat.Conversation
	Place        chat.Place // of the newest record that is news to the user
	Head         chat.Seq   // the newest message's; of a group that he has left: of the newest message that is his to see
	Read         chat.Seq   // his read position
	PeerRead     chat.Seq   // of a pair, the other user's
	Unread       int        // messages of others after his read position; at most the newest Config.UnreadLimit are looked at, and what the log has beyond Postgres
	Newest       *chat.Item // the newest message that is his to see; nil: there is none
	Left         bool       // he is no longer in the group
	Muted, Top   bool       // as he has set it
	Deleted      bool       // he has deleted it, and nothing was said since that is his to see
}

// Summaries is a page of what has changed.
type Summaries struct {
	Summaries []Summary  // in the order of their places
	Cursor    chat.Place // where the next page begins: all up to it is in this one and those before it
	Completed bool       // there is no next page
}

// Changes returns the user's conversations with a record after a place, at most limit of them.
func (h *History) Changes(ctx context.Context, user chat.UserKey, after chat.Place, limit int) (Summaries, error) {
	limit = clamp(limit)
	var page Summaries
	err := h.cut(ctx, user, func(c *cut) error {
		talks, err := c.changed(ctx, after, limit+1)
		if err != nil {
			return err
		}
		page.Completed = len(talks) <= limit
		talks = talks[:min(len(talks), limit)]
		page.Cursor = max(after, h.PlaceAfter(c.end))
		if !page.Completed {
			page.Cursor = talks[limit-1].Changed
		}
		page.Summaries, err = c.summarize(ctx, talks)
		return err
	})
	return page, err
}

// clamp keeps a page's limit within bounds.
func clamp(limit int) int {
	if limit < 1 {
		return PageLimit
	}
	return min(limit, PageLimit)
}

// everything is a limit for what has none.
const everything = 1<<31 - 1

// changed returns the user's conversations with news after a place, in the order of their newest record, at most limit of them.
func (c *cut) changed(ctx context.Context, after chat.Place, limit int) ([]*talk, error) {
	tail, err := c.tail(ctx, nil)
	if err != nil {
		return nil, err
	}
	var talks []*talk
	var numbers []int64
	for _, t := range tail {
		news := t.news()
		if news == 0 {
			continue // Postgres tells when it has changed
		}
		if t.Number != 0 {
			numbers = append(numbers, t.Number)
		}
		if t.Changed = news; news > after {
			talks = append(talks, t)
		}
	}
	stored, err := c.db.ChangedTalks(ctx, c.user, after, numbers, limit)
	if err != nil {
		return nil, err
	}
	for _, s := range stored {
		t := tail[s.Conversation]
		if t == nil {
			t = c.empty(s.Conversation)
		}
		t.Talk = s
		talks = append(talks, t)
	}
	slices.SortFunc(talks, func(a, b *talk) int { return cmp.Compare(a.Changed, b.Changed) })
	return talks[:min(len(talks), limit)], nil
}

// summarize looks at what is unread and newest in each of the conversations.
func (c *cut) summarize(ctx context.Context, talks []*talk) ([]Summary, error) {
	spans := unreadSpans(talks)
	unread, err := c.unread(ctx, talks, spans)
	if err != nil {
		return nil, err
	}
	messages, err := c.db.NewestMessages(ctx, spans)
	if err != nil {
		return nil, err
	}
	newest := make(map[chat.Conversation]*chat.Item, len(messages))
	for i := range messages {
		m := &messages[i]
		if old := newest[m.Record.Conversation]; old == nil || old.Place < m.Place {
			newest[m.Record.Conversation] = m
		}
	}
	summaries := make([]Summary, len(talks))
	for i, t := range talks {
		summaries[i] = t.summary(unread[t.Number], newest[t.Conversation], c.h.cfg.UnreadLimit)
	}
	return summaries, nil
}

// unreadSpans returns what of the conversations is in Postgres and the user's to see, with how far he has read.
func unreadSpans(talks []*talk) (spans []chat.Span) {
	for _, t := range talks {
		if t.Number == 0 {
			continue
		}
		for _, s := range t.spans() {
			s.Seq = t.Read
			spans = append(spans, s)
		}
	}
	return spans
}

// unread counts what is unread in Postgres, by the conversations' numbers.
func (c *cut) unread(ctx context.Context, talks []*talk, spans []chat.Span) (map[int64]int, error) {
	var recalled []chat.Place
	for _, t := range talks {
		for p := range t.recalled {
			recalled = append(recalled, p)
		}
	}
	return c.db.Unread(ctx, c.user.User, spans, recalled, c.h.cfg.UnreadLimit)
}

// unread adds what is unread in the log.
func (t *talk) unread(stored, limit int) int {
	for i := range t.items {
		item := &t.items[i]
		if r := &item.Record; r.Kind == chat.MessageRecord && r.Sender.User != t.user && r.Seq > t.Read && !item.Recalled {
			stored++
		}
	}
	return min(stored, limit)
}

// summary adds what the log has to what is unread and newest in Postgres.
func (t *talk) summary(unread int, newest *chat.Item, limit int) Summary {
	for i := range t.items {
		if item := &t.items[i]; item.Record.Kind == chat.MessageRecord {
			newest = item
		}
	}
	s := Summary{
		Conversation: t.Conversation, Place: t.Changed, Head: t.Head, Read: t.Read, PeerRead: t.PeerRead,
		Unread: t.unread(unread, limit), Left: t.left(), Muted: t.Settings.Mute == chat.On, Top: t.Settings.Top == chat.On,
	}
	if newest != nil {
		item := []chat.Item{*newest}
		t.blank(item)
		s.Newest = &item[0]
	}
	s.Deleted = t.Settings.Cleared != 0 && s.Newest == nil
	if s.Left {
		s.Head = 0
		if s.Newest != nil {
			s.Head = s.Newest.Record.Seq
		}
	}
	return s
}
