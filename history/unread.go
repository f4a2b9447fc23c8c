package history

import (
	"context"
	"slices"

	"github.com/whaleshark-im/whaleshark/chat"
)

// Unread is how many messages a user has not read, each conversation counted as in a [Summary].
type Unread struct {
	Total int // of all his conversations
	Muted int // of those among them that he has muted
}

// TotalUnread counts what a user has not read, in all of his conversations.
func (h *History) TotalUnread(ctx context.Context, user chat.UserKey) (Unread, error) {
	var total Unread
	err := h.cut(ctx, user, func(c *cut) error {
		talks, err := c.changed(ctx, 0, everything)
		if err != nil {
			return err
		}
		talks = slices.DeleteFunc(talks, func(t *talk) bool { return t.Head <= t.Read })
		stored, err := c.unread(ctx, talks, unreadSpans(talks))
		if err != nil {
			return err
		}
		for _, t := range talks {
			n := t.unread(stored[t.Number], h.cfg.UnreadLimit)
			total.Total += n
			if t.Settings.Mute == chat.On {
				total.Muted += n
			}
		}
		return nil
	})
	return total, err
}
