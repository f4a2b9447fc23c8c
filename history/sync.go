package history

import (
	"cmp"
	"context"
	"slices"

	"github.com/whaleshark-im/whaleshark/chat"
)

// Pulled is a page of the messages of all of a user's conversations.
type Pulled struct {
	Messages  []chat.Item // in the order of their places
	MaxKey    chat.Place  // where the next page begins: the last message's place; without messages where this one began
	Completed bool        // there is no message above it
	Truncated bool        // there were more messages than Config.PullLimit: the oldest are left out
}

// Pull returns the messages of all the user's conversations at places above last, at most limit of them.
func (h *History) Pull(ctx context.Context, user chat.UserKey, last chat.Place, limit int) (Pulled, error) {
	return h.pull(ctx, user, last, limit, func(*talk) bool { return true })
}

// PullPairs is [History.Pull] of pairs alone.
func (h *History) PullPairs(ctx context.Context, user chat.UserKey, last chat.Place, limit int) (Pulled, error) {
	return h.pull(ctx, user, last, limit, (*talk).isPair)
}

func (h *History) pull(ctx context.Context, user chat.UserKey, last chat.Place, limit int, of func(*talk) bool) (Pulled, error) {
	limit = clamp(limit)
	pulled := Pulled{MaxKey: last, Completed: true}
	err := h.cut(ctx, user, func(c *cut) error {
		talks, err := c.changed(ctx, last, everything)
		if err != nil {
			return err
		}
		talks = slices.DeleteFunc(talks, func(t *talk) bool { return !of(t) })
		r := reading{c: c, talks: talks, after: last, before: lastPlace, descending: true, limit: h.cfg.PullLimit + 1}
		items, err := r.items(ctx)
		if err != nil || len(items) == 0 {
			return err
		}
		if len(items) > h.cfg.PullLimit {
			items, pulled.Truncated = items[:h.cfg.PullLimit], true
		}
		slices.Reverse(items)
		pulled.Completed = len(items) <= limit
		pulled.Messages = items[:min(len(items), limit)]
		pulled.MaxKey = pulled.Messages[len(pulled.Messages)-1].Place
		return nil
	})
	return pulled, err
}

// Missed returns what happened for a device after a place and up to a revision, in order: the messages of its user's conversations that it has
// not sent itself, recalls, changes of his groups, of reads his own positions and those of the other users of pairs, and his settings: as they are
// now, though that came later. If that is more than limit, it returns nothing but that.
func (h *History) Missed(
	ctx context.Context, device chat.Device, after chat.Place, upTo chat.Revision, limit int,
) (missed []chat.Item, truncated bool, err error) {
	user := chat.UserKey{App: device.App, User: device.User}
	err = h.cut(ctx, user, func(c *cut) error {
		talks, err := c.changed(ctx, after, everything)
		if err != nil {
			return err
		}
		r := reading{c: c, talks: talks, after: after, before: h.PlaceAfter(upTo) + 1, limit: limit + 1, all: true, not: device}
		missed, err = r.items(ctx)
		for _, t := range talks {
			missed = append(missed, t.settings(r.after, r.before)...)
		}
		slices.SortFunc(missed, func(a, b chat.Item) int { return cmp.Compare(a.Place, b.Place) })
		return err
	})
	if len(missed) > limit {
		return nil, true, err
	}
	return missed, false, err
}
