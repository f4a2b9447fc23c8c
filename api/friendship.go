package api

import (
	"context"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/store"
	"github.com/whaleshark-im/whaleshark/wire"
)

func (a *API) friendshipEndpoints() []endpoint {
	rows := of("friendship",
		define("/v1/friendship/importFriendShip", "Takes over up to 100 of a user's friendships as they are, from his side alone.",
			forUsers, a.importFriends, chat.TooManyFriends, chat.UserMissing),
		define("/v1/friendship/addFriend", "Makes two users friends, or asks the other one first if he wants that.",
			forUsers, a.addFriend, chat.UserMissing, chat.FriendNotAdded, chat.AlreadyFriends),
		define("/v1/friendship/updateFriend", "Changes what a user holds of a friend: what is absent stays.",
			forUsers, a.updateFriend, chat.RelationMissing),
		define("/v1/friendship/deleteFriend", "Deletes a user's friend; the other side stays.",
			forUsers, a.deleteFriend, chat.NotFriends, chat.FriendDeleted),
		define("/v1/friendship/deleteAllFriend", "Deletes all of a user's friends; the other sides stay.", forUsers, a.deleteAllFriends),
		define("/v1/friendship/getAllFriendShip", "A user's friendships, deleted ones included: the first 10,000 by the others' ids.",
			forUsers, a.getAllFriends),
		define("/v1/friendship/getRelation", "What a user holds of another.", forUsers, a.getRelation, chat.RelationMissing),
		define("/v1/friendship/checkFriend", "Whether users are a user's friends (checkType 1: 1 yes, 0 no), or each other's "+
			"(checkType 2: 1 both ways, 2 from him alone, 3 from the other alone, 4 neither, 0 they never were).", forUsers, a.checkFriends),
		define("/v1/friendship/checkBlck", "Whether a user has not blocked users (checkType 1: 1 he has not, 0 he has), nor they him "+
			"(checkType 2: 1 neither, 2 the other has, 3 he has, 4 both).", forUsers, a.checkBlocks),
		define("/v1/friendship/addBlack", "Blocks a user, who may be a stranger.", forUsers, a.addBlack, chat.UserMissing, chat.FriendBlocked),
		define("/v1/friendship/deleteBlack", "Takes a block back.", forUsers, a.deleteBlack, chat.NotBlocked),
		define("/v1/friendship/syncFriendShipList", "The caller's friendships that have changed since a sequence.", forUsers, a.syncFriends),
	)
	for i := range rows {
		rows[i] = rows[i].by(onlyPost)
	}
	return rows
}

// friendship is one side of one: what fromId holds of toId.
type friendship struct {
	AppID          chat.AppID `json:"appId"`
	FromID         string     `json:"fromId"`
	ToID           string     `json:"toId"`
	Remark         string     `json:"remark"`
	Status         int        `json:"status" about:"1 a friend, 2 deleted, 0 a stranger."`
	Black          int        `json:"black" about:"1 not blocked, 2 blocked."`
	CreateTime     int64      `json:"createTime" about:"Unix milliseconds."`
	FriendSequence int64      `json:"friendSequence" about:"Of fromId's sequence, when this changed last."`
	BlackSequence  int64      `json:"blackSequence" about:"And when its block did."`
	AddSource      string     `json:"addSource"`
	Extra          string     `json:"extra"`
}

// The states of a friendship and of a block, with the original's numbers.
const (
	statusStranger = 0
	statusFriend   = 1
	statusDeleted  = 2

	blackNot = 1
	blackYes = 2
)

func friendshipOf(app chat.AppID, f *store.Friendship) friendship {
	x := friendship{
		AppID: app, FromID: string(f.From), ToID: string(f.To), Remark: f.Remark, Status: statusFriend, Black: blackNot,
		CreateTime: f.Created.UnixMilli(), FriendSequence: f.Sequence, BlackSequence: f.BlackSequence, AddSource: f.AddSource, Extra: f.Extra,
	}
	switch {
	case f.Stranger:
		x.Status = statusStranger
	case f.Deleted:
		x.Status = statusDeleted
	}
	if f.Blocked {
		x.Black = blackYes
	}
	return x
}

// friendOf names one side: whose, and of whom.
type friendOf struct {
	FromID string `json:"fromId" is:"required,max=50" about:"Who does it: oneself, unless an administrator asks."`
	ToID   string `json:"toId" is:"required,max=50" about:"To whom."`
}

func (in *friendOf) side() store.Side {
	return store.Side{From: chat.UserID(in.FromID), To: chat.UserID(in.ToID)}
}

type friendsOf struct {
	FromID string `json:"fromId" is:"required,max=50" about:"Whose: one's own, unless an administrator asks."`
}

type friendItem struct {
	ToID       string `json:"toId" is:"required,max=50" about:"The friend."`
	Remark     string `json:"remark" is:"max=50" about:"What fromId calls him."`
	AddSource  string `json:"addSource" is:"max=20"`
	Extra      string `json:"extra" is:"max=1000"`
	AddWording string `json:"addWording" is:"max=255" about:"What he reads if he is asked first."`
}

type addFriend struct {
	FromID string     `json:"fromId" is:"required,max=50" about:"Who wants a friend: oneself, unless an administrator asks."`
	ToItem friendItem `json:"toItem" is:"required"`
}

// addedFriend is what became of it: one or the other.
type addedFriend struct {
	Friendship *friendship    `json:"friendship,omitzero" about:"They are friends now."`
	Request    *friendRequest `json:"request,omitzero" about:"The other one is asked first."`
}

func (a *API) addFriend(ctx context.Context, c *caller, in *addFriend) (addedFriend, error) {
	side := store.Side{From: chat.UserID(in.FromID), To: chat.UserID(in.ToItem.ToID)}
	if err := a.mayActFor(c, side.From); err != nil {
		return addedFriend{}, err
	}
	if side.From == side.To {
		return addedFriend{}, chat.Errorf(chat.BadParameter, "toItem.toId must be somebody else")
	}
	if _, err := a.askHook(ctx, c, chat.HookFriendAdd, in); err != nil {
		return addedFriend{}, err
	}
	f := store.NewFriend{
		Side: side, Remark: in.ToItem.Remark, AddSource: in.ToItem.AddSource, Extra: in.ToItem.Extra, Wording: in.ToItem.AddWording,
	}
	done, err := a.store.AddFriend(ctx, c.app.ID, f, func(b *store.Befriended) []chat.Event { return c.befriended(b, 0) })
	if err != nil {
		return addedFriend{}, err
	}
	a.conn.Nudge()
	if done.Asked != nil {
		r := requestOf(c.app.ID, done.Asked, side.From)
		return addedFriend{Request: &r}, nil
	}
	x := friendshipOf(c.app.ID, &done.From)
	return addedFriend{Friendship: &x}, nil
}

// friendChange is what changes of a friend; nil: nothing.
type friendChange struct {
	ToID      string  `json:"toId" is:"required,max=50"`
	Remark    *string `json:"remark,omitempty" is:"max=50"`
	AddSource *string `json:"addSource,omitempty" is:"max=20"`
	Extra     *string `json:"extra,omitempty" is:"max=1000"`
}

type updateFriend struct {
	FromID string       `json:"fromId" is:"required,max=50" about:"Whose friend: one's own, unless an administrator asks."`
	ToItem friendChange `json:"toItem" is:"required" about:"An empty string clears; what is absent stays."`
}

func (a *API) updateFriend(ctx context.Context, c *caller, in *updateFriend) (none, error) {
	side := store.Side{From: chat.UserID(in.FromID), To: chat.UserID(in.ToItem.ToID)}
	change := store.FriendChange{Remark: in.ToItem.Remark, AddSource: in.ToItem.AddSource, Extra: in.ToItem.Extra}
	return a.changeSide(c, side, func() error {
		if _, err := a.askHook(ctx, c, chat.HookFriendUpdate, in); err != nil {
			return err
		}
		return a.store.UpdateFriend(ctx, c.app.ID, side, change, func(f store.Friendship) chat.Event {
			return c.sideChanged(side, wire.FriendUpdate, wire.FriendUpdated{
				FromID: string(f.From), ToID: string(f.To), Remark: f.Remark, AddSource: f.AddSource, Extra: f.Extra, Sequence: f.Sequence,
			}, c.hook(chat.HookFriendUpdated, in))
		})
	})
}

func (a *API) deleteFriend(ctx context.Context, c *caller, in *friendOf) (none, error) {
	return a.changeSide(c, in.side(), func() error {
		return a.store.DeleteFriend(ctx, c.app.ID, in.side(), c.tellSide(wire.FriendDelete, chat.HookFriendDeleted, in))
	})
}

func (a *API) addBlack(ctx context.Context, c *caller, in *friendOf) (none, error) {
	if in.FromID == in.ToID {
		return none{}, chat.Errorf(chat.BadParameter, "toId must be somebody else")
	}
	return a.changeSide(c, in.side(), func() error {
		return a.store.Block(ctx, c.app.ID, in.side(), c.tellSide(wire.FriendBlackAdd, chat.HookBlackAdded, in))
	})
}

func (a *API) deleteBlack(ctx context.Context, c *caller, in *friendOf) (none, error) {
	return a.changeSide(c, in.side(), func() error {
		return a.store.Unblock(ctx, c.app.ID, in.side(), c.tellSide(wire.FriendBlackDelete, chat.HookBlackDeleted, in))
	})
}

// changeSide lets a change of one side be made by whom it may.
func (a *API) changeSide(c *caller, side store.Side, change func() error) (none, error) {
	if err := a.mayActFor(c, side.From); err != nil {
		return none{}, err
	}
	if err := change(); err != nil {
		return none{}, err
	}
	a.conn.Nudge()
	return none{}, nil
}

// tellSide makes the event of a change of one side, of which there is nothing more to tell than that.
func (c *caller) tellSide(command wire.Command, hook string, in *friendOf) func(store.Friendship) chat.Event {
	return func(f store.Friendship) chat.Event {
		payload := wire.FriendChanged{FromID: in.FromID, ToID: in.ToID, Sequence: f.Sequence}
		return c.sideChanged(in.side(), command, payload, c.hook(hook, in))
	}
}

func (c *caller) sideChanged(side store.Side, command wire.Command, payload any, hook *chat.HookCall) chat.Event {
	return chat.Event{
		App: c.app.ID, Aggregate: chat.UserAggregate(side.From), Hook: hook,
		Frames: []chat.EventFrame{c.frameBeside(command, payload, side.From)},
	}
}

func (a *API) deleteAllFriends(ctx context.Context, c *caller, in *friendsOf) (none, error) {
	from := chat.UserID(in.FromID)
	return a.changeSide(c, store.Side{From: from}, func() error {
		return a.store.DeleteFriends(ctx, c.app.ID, from, func(sequence int64) chat.Event {
			payload := wire.FriendsChanged{FromID: in.FromID, Sequence: sequence}
			return c.sideChanged(store.Side{From: from}, wire.FriendAllDelete, payload, nil)
		})
	})
}
