package api

import (
	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/store"
	"github.com/whaleshark-im/whaleshark/wire"
)

// befriended makes the events of what became of a wish for friendship: one for each of the two, so that each hears of his own changes in their
// order. Own is the request that the caller himself has decided, if he has.
func (c *caller) befriended(b *store.Befriended, own int64) []chat.Event {
	if b.Asked != nil {
		payload := requestOf(c.app.ID, b.Asked, b.Asked.To)
		return []chat.Event{c.eventOf(b.Asked.To, frameTo(wire.FriendRequest, payload, b.Asked.To))}
	}
	frames := make(map[chat.UserID][]chat.EventFrame)
	tell := func(u chat.UserID, f chat.EventFrame) { frames[u] = append(frames[u], f) }
	for i := range b.Decided {
		r := &b.Decided[i]
		for _, u := range [...]chat.UserID{r.From, r.To} {
			payload := decidedOf(r, u)
			if r.ID == own {
				tell(u, c.frameBeside(wire.FriendRequestApprove, payload, u))
			} else {
				tell(u, frameTo(wire.FriendRequestApprove, payload, u))
			}
		}
	}
	if b.From.To == "" {
		r := &b.Decided[0]
		return []chat.Event{c.eventOf(r.From, frames[r.From]...), c.eventOf(r.To, frames[r.To]...)}
	}
	from, to := b.From.From, b.To.From
	tell(from, c.frameBeside(wire.FriendAdd, addedOf(&b.From), from))
	tell(to, frameTo(wire.FriendAdd, addedOf(&b.To), to))
	events := []chat.Event{c.eventOf(from, frames[from]...), c.eventOf(to, frames[to]...)}
	events[0].Hook = c.hook(chat.HookFriendAdded, addFriend{
		FromID: string(from),
		ToItem: friendItem{ToID: string(to), Remark: b.From.Remark, AddSource: b.From.AddSource, Extra: b.From.Extra},
	})
	return events
}

func (c *caller) eventOf(u chat.UserID, frames ...chat.EventFrame) chat.Event {
	return chat.Event{App: c.app.ID, Aggregate: chat.UserAggregate(u), Frames: frames}
}

func addedOf(f *store.Friendship) wire.FriendAdded {
	return wire.FriendAdded{FromID: string(f.From), ToID: string(f.To), Remark: f.Remark, AddSource: f.AddSource, Sequence: f.Sequence}
}

func decidedOf(r *store.FriendRequest, seenBy chat.UserID) wire.FriendRequestDecided {
	return wire.FriendRequestDecided{
		ID: r.ID, FromID: string(r.From), ToID: string(r.To), Status: r.Status, Sequence: r.SequenceOf(seenBy),
	}
}
