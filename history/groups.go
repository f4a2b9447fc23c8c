package history

import (
	"cmp"
	"context"
	"slices"

	"github.com/whaleshark-im/whaleshark/chat"
)

// GroupSummary is what has become of a group that the user is in, or was.
type GroupSummary struct {
	Group     chat.Conversation
	Place     chat.Place // of the group's newest change; of one that he has left, of his leaving
	Version   int64      // of that change; 0: he has left
	Left      bool
	Destroyed bool // while he was there
}

// GroupSummaries is a page of groups that have changed.
type GroupSummaries struct {
	Groups    []GroupSummary // in the order of their places
	Cursor    chat.Place     // where the next page begins: all up to it is in this one and those before it
	Completed bool           // there is no next page
}

// Groups returns the user's groups that have changed after a place, themselves or in who is there, and those that he has left after it; at
// most limit of them.
func (h *History) Groups(ctx context.Context, user chat.UserKey, after chat.Place, limit int) (GroupSummaries, error) {
	limit = clamp(limit)
	var page GroupSummaries
	err := h.cut(ctx, user, func(c *cut) error {
		talks, err := c.changedGroups(ctx, after, limit+1)
		if err != nil {
			return err
		}
		page.Completed = len(talks) <= limit
		page.Cursor = max(after, h.PlaceAfter(c.end))
		for _, t := range talks[:min(len(talks), limit)] {
			page.Groups = append(page.Groups, t.groupSummary())
		}
		if !page.Completed {
			page.Cursor = page.Groups[limit-1].Place
		}
		return nil
	})
	return page, err
}

// changedGroups returns the user's groups that have changed after a place, in the order of their newest changes, at most limit of them.
func (c *cut) changedGroups(ctx context.Context, after chat.Place, limit int) ([]*talk, error) {
	tail, err := c.tail(ctx, nil)
	if err != nil {
		return nil, err
	}
	var talks []*talk
	var numbers []int64
	for _, t := range tail {
		if t.isPair() {
			continue
		}
		if t.Number != 0 {
			numbers = append(numbers, t.Number)
		}
		if t.groupPlace() > after {
			talks = append(talks, t)
		}
	}
	stored, err := c.db.ChangedGroups(ctx, c.user, after, numbers, limit)
	if err != nil {
		return nil, err
	}
	for _, s := range stored {
		t := c.empty(s.Conversation)
		t.Talk = s
		talks = append(talks, t)
	}
	slices.SortFunc(talks, func(a, b *talk) int { return cmp.Compare(a.groupPlace(), b.groupPlace()) })
	return talks[:min(len(talks), limit)], nil
}

// groupPlace returns where the group's newest change stands that is the user's to know.
func (t *talk) groupPlace() chat.Place {
	if t.left() {
		return t.Stays[len(t.Stays)-1].Left
	}
	return t.VersionAt
}

func (t *talk) groupSummary() GroupSummary {
	s := GroupSummary{Group: t.Conversation, Place: t.groupPlace(), Left: t.left()}
	if !s.Left {
		s.Version, s.Destroyed = t.Version, t.Destroyed
	}
	return s
}
