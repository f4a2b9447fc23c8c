package history

import (
	"cmp"
	"context"
	"slices"

	"github.com/whaleshark-im/whaleshark/chat"
)

// Page is a part of a conversation.
type Page struct {
	Items []chat.Item
	More  bool // the range holds more beyond the page
}

// Records returns what happened in a conversation at from ≤ place ≤ to (0: to the end): messages, recalls, the group's changes and read positions,
// of a pair both users', of a group the user's own. They come in the order of their places, or the newest first if descending, at most
// limit of them. Who never belonged to the conversation gets [chat.NotMember].
func (h *History) Records(
	ctx context.Context, user chat.UserKey, of chat.Conversation, from, to chat.Place, descending bool, limit int,
) (Page, error) {
	var page Page
	err := h.conversation(ctx, user, of, func(c *cut, t *talk) error {
		r := reading{c: c, talks: []*talk{t}, after: from - 1, before: openEnd(to), descending: descending, limit: clamp(limit) + 1, all: true}
		items, err := r.items(ctx)
		page = pageOf(items, clamp(limit))
		return err
	})
	return page, err
}

// Messages returns the messages of a conversation with from ≤ seq ≤ to (0: to the end), like [History.Records].
func (h *History) Messages(
	ctx context.Context, user chat.UserKey, of chat.Conversation, from, to chat.Seq, descending bool, limit int,
) (Page, error) {
	if to == 0 {
		to = chat.Seq(lastPlace)
	}
	var page Page
	err := h.conversation(ctx, user, of, func(c *cut, t *talk) error {
		var err error
		page, err = c.messages(ctx, t, from, to, descending, clamp(limit))
		return err
	})
	return page, err
}

// messages returns a page of a conversation's messages with from ≤ seq ≤ to.
func (c *cut) messages(ctx context.Context, t *talk, from, to chat.Seq, descending bool, limit int) (Page, error) {
	after, before, err := c.placesOf(ctx, t, from, to)
	if err != nil {
		return Page{}, err
	}
	r := reading{c: c, talks: []*talk{t}, after: after, before: before, descending: descending, limit: limit + 1}
	items, err := r.items(ctx)
	return pageOf(items, limit), err
}

// openEnd turns the last place of a range into the one behind it. Clients may name any number as the last one.
func openEnd(to chat.Place) chat.Place {
	if to == 0 || to >= lastPlace {
		return lastPlace
	}
	return to + 1
}

func pageOf(items []chat.Item, limit int) Page {
	return Page{Items: items[:min(len(items), limit)], More: len(items) > limit}
}

// conversation calls f with one conversation of the user's.
func (h *History) conversation(ctx context.Context, user chat.UserKey, of chat.Conversation, f func(*cut, *talk) error) error {
	return h.cut(ctx, user, func(c *cut) error {
		talks, err := c.tail(ctx, []chat.Conversation{of})
		if err != nil {
			return err
		}
		t := talks[of]
		if of.App != user.App || !t.mine() {
			return chat.Error{Code: chat.NotMember}
		}
		return f(c, t)
	})
}

// placesOf returns the places between which the messages with from ≤ seq ≤ to are. Places and seqs have one order within a conversation.
func (c *cut) placesOf(ctx context.Context, t *talk, from, to chat.Seq) (after, before chat.Place, err error) {
	lo, hi := lastPlace, chat.Place(-1)
	hold := func(first, last chat.Place) { lo, hi = min(lo, first), max(hi, last) }
	if t.Number != 0 {
		first, last, err := c.db.PlacesOfSeqs(ctx, t.Number, from, to)
		if err != nil {
			return 0, 0, err
		}
		if first != 0 && first <= last {
			hold(first, last)
		}
	}
	aside, err := c.db.Aside(ctx, []chat.Conversation{t.Conversation}, 0, lastPlace)
	if err != nil {
		return 0, 0, err
	}
	for _, item := range slices.Concat(aside, t.items) {
		if r := &item.Record; r.Kind == chat.MessageRecord && from <= r.Seq && r.Seq <= to {
			hold(item.Place, item.Place)
		}
	}
	return lo - 1, hi + 1, nil
}

// reading is which items of which conversations an answer holds.
type reading struct {
	c             *cut
	talks         []*talk
	after, before chat.Place // both ends are outside
	descending    bool
	limit         int         // of all conversations together
	all           bool        // reads, recalls and changes of groups, beside messages
	not           chat.Device // whose messages are left out; zero: nobody's
}

// items returns the first limit items.
func (r *reading) items(ctx context.Context) ([]chat.Item, error) {
	items, err := r.stored(ctx)
	if err != nil {
		return nil, err
	}
	byConversation := make(map[chat.Conversation]*talk, len(r.talks))
	for _, t := range r.talks {
		byConversation[t.Conversation] = t
		items = append(items, t.items...)
		for _, read := range t.reads {
			items = append(items, read)
		}
	}
	items = slices.DeleteFunc(items, func(i chat.Item) bool { return !r.holds(byConversation[i.Record.Conversation], &i) })
	slices.SortFunc(items, func(a, b chat.Item) int {
		if r.descending {
			a, b = b, a
		}
		return cmp.Compare(a.Place, b.Place)
	})
	items = items[:min(len(items), r.limit)]
	for i := range items {
		byConversation[items[i].Record.Conversation].blank(items[i : i+1])
	}
	return items, nil
}

// holds reports whether an item belongs into the answer.
func (r *reading) holds(t *talk, item *chat.Item) bool {
	if item.Place <= r.after || item.Place >= r.before {
		return false
	}
	switch x := &item.Record; x.Kind {
	case chat.MessageRecord:
		return x.Sender != r.not && t.sees(item)
	case chat.ReadRecord:
		newest, again := t.reads[x.Sender.User]
		return r.all && (!again || newest.Place == item.Place) && item.Place > t.Settings.Cleared
	case chat.RecallRecord, chat.GroupRecord:
		return r.all && t.sees(item)
	default:
		return false
	}
}

// stored returns what Postgres has: at least the first limit items of those that belong into the answer.
func (r *reading) stored(ctx context.Context) ([]chat.Item, error) {
	var messages, records []chat.Span
	var conversations []chat.Conversation
	for _, t := range r.talks {
		if t.Number != 0 {
			spans := t.spans()
			messages = append(messages, within(spans, r.after, r.before)...)
			records = append(records, within(widen(spans), r.after, r.before)...)
		}
		conversations = append(conversations, t.Conversation)
	}
	db := r.c.db
	items, err := db.SpanMessages(ctx, messages, r.not, r.descending, r.limit)
	if err != nil {
		return nil, err
	}
	aside, err := db.Aside(ctx, conversations, r.after, r.before)
	if err != nil {
		return nil, err
	}
	items = append(items, aside...)
	if !r.all {
		return items, nil
	}
	more, err := db.SpanRecords(ctx, records, r.descending, r.limit)
	if err != nil {
		return nil, err
	}
	reads, err := r.storedReads(ctx)
	return slices.Concat(items, more, reads), err
}

// storedReads returns the read positions that are in the range.
func (r *reading) storedReads(ctx context.Context) ([]chat.Item, error) {
	var of []chat.Span
	var readers []chat.UserID
	for _, t := range r.talks {
		if t.Number == 0 {
			continue
		}
		span := chat.Span{Number: t.Number, Conversation: t.Conversation}
		of, readers = append(of, span), append(readers, t.user)
		if peer, ok := t.Conversation.Peer(t.user); ok && peer != t.user {
			of, readers = append(of, span), append(readers, peer)
		}
	}
	return r.c.db.ReadPositions(ctx, of, readers, r.after, r.before)
}
