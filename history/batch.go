package history

import (
	"context"
	"slices"

	"github.com/whaleshark-im/whaleshark/chat"
)

// Newest returns the user's conversations with the newest records, the newest first, at most limit of them, and whether there are more.
func (h *History) Newest(ctx context.Context, user chat.UserKey, limit int) (conversations []chat.Conversation, more bool, err error) {
	limit = clamp(limit)
	err = h.cut(ctx, user, func(c *cut) error {
		talks, err := c.changed(ctx, 0, everything)
		slices.Reverse(talks)
		more = len(talks) > limit
		for _, t := range talks[:min(len(talks), limit)] {
			conversations = append(conversations, t.Conversation)
		}
		return err
	})
	return conversations, more, err
}

// NewestPlaces returns where the newest change of any of the user's conversations stands, and the newest of any of his groups: who has been told
// all up to there has nothing to ask for. 0: there is none.
func (h *History) NewestPlaces(ctx context.Context, user chat.UserKey) (conversations, groups chat.Place, err error) {
	err = h.cut(ctx, user, func(c *cut) error {
		tail, err := c.tail(ctx, nil)
		if err != nil {
			return err
		}
		if conversations, groups, err = c.db.NewestPlaces(ctx, user); err != nil {
			return err
		}
		for _, t := range tail {
			if conversations = max(conversations, t.news()); !t.isPair() {
				groups = max(groups, t.groupPlace())
			}
		}
		return nil
	})
	return conversations, groups, err
}

// Wanted is a conversation, and the newest message of it that somebody has.
type Wanted struct {
	Conversation chat.Conversation
	After        chat.Seq // 0: he has none
}

// Batch returns a page for each of the conversations: the messages that the asker has not yet, the oldest first, at most limit of them, all as
// of one moment. Together the pages hold about as many bytes as there is room for: from then on they are empty, and there is more of them.
// Who never belonged to one of the conversations gets [chat.NotMember].
func (h *History) Batch(ctx context.Context, user chat.UserKey, wanted []Wanted, limit, room int) ([]Page, error) {
	limit = clamp(limit)
	pages := make([]Page, len(wanted))
	conversations := make([]chat.Conversation, len(wanted))
	for i, w := range wanted {
		conversations[i] = w.Conversation
	}
	err := h.cut(ctx, user, func(c *cut) error {
		talks, err := c.tail(ctx, conversations)
		if err != nil {
			return err
		}
		for i, w := range wanted {
			t := talks[w.Conversation]
			switch {
			case w.Conversation.App != user.App || !t.mine():
				return chat.Error{Code: chat.NotMember}
			case t.Head <= w.After:
			case room <= 0:
				pages[i].More = true
			default:
				if pages[i], err = c.messages(ctx, t, w.After+1, chat.Seq(lastPlace), false, limit); err != nil {
					return err
				}
				room -= bytesOf(pages[i].Items)
			}
		}
		return nil
	})
	return pages, err
}

// itemCost is what a message costs beside its text, in bytes.
const itemCost = 500

func bytesOf(items []chat.Item) int {
	n := itemCost * len(items)
	for i := range items {
		n += len(items[i].Record.Body) + len(items[i].Record.Extra)
	}
	return n
}
