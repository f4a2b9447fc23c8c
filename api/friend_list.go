package api

import (
	"context"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/store"
)

// importedFriend is a friendship that is taken over from elsewhere. An id that cannot be one is an error of its own, not of the whole request.
type importedFriend struct {
	ToID      string `json:"toId"`
	Remark    string `json:"remark" is:"max=50"`
	AddSource string `json:"addSource" is:"max=20"`
	Status    int32  `json:"status" is:"enum=0|1|2" about:"1 a friend, 2 deleted, 0 a stranger."`
	Black     int32  `json:"black" is:"enum=0|1|2" about:"1 (the default) not blocked, 2 blocked."`
}

type importFriends struct {
	FromID     string           `json:"fromId" is:"required,max=50" about:"Whose: one's own, unless an administrator asks."`
	FriendItem []importedFriend `json:"friendItem" is:"required,max=100000" about:"At most 100."`
}

func (a *API) importFriends(ctx context.Context, c *caller, in *importFriends) (outcome, error) {
	if err := a.mayActFor(c, chat.UserID(in.FromID)); err != nil {
		return outcome{}, err
	}
	if n := len(in.FriendItem); n > importedAtOnce {
		return outcome{}, chat.Errorf(chat.TooManyFriends, "friendItem has %d friends; at most %d may be", n, importedAtOnce)
	}
	ids, seen := make([]string, len(in.FriendItem)), map[string]bool{in.FromID: true}
	var friends []store.ImportedFriend
	for i := range in.FriendItem {
		x := &in.FriendItem[i]
		if ids[i] = x.ToID; seen[x.ToID] {
			continue
		}
		seen[x.ToID] = true
		friends = append(friends, store.ImportedFriend{
			To: chat.UserID(x.ToID), Remark: x.Remark, AddSource: x.AddSource, Deleted: x.Status == statusDeleted,
			// The original's importers leave the status out, and its friends may speak: only a block of nobody's friend is a row of its own.
			Stranger: x.Status == statusStranger && x.Black == blackYes, Blocked: x.Black == blackYes,
		})
	}
	added, err := a.store.ImportFriends(ctx, c.app.ID, chat.UserID(in.FromID), friends)
	if err != nil {
		return outcome{}, err
	}
	a.conn.Nudge()
	return outcomeOf(ids, added), nil
}

// friendsAtOnce bounds the list of all friends, which has no pages. Who has more syncs.
const friendsAtOnce = 10_000

func (a *API) getAllFriends(ctx context.Context, c *caller, in *friendsOf) ([]friendship, error) {
	if err := a.mayActFor(c, chat.UserID(in.FromID)); err != nil {
		return nil, err
	}
	rows, err := a.store.Friendships(ctx, c.app.ID, chat.UserID(in.FromID), friendsAtOnce)
	if err != nil {
		return nil, err
	}
	list := make([]friendship, len(rows))
	for i := range rows {
		list[i] = friendshipOf(c.app.ID, &rows[i])
	}
	return list, nil
}

func (a *API) getRelation(ctx context.Context, c *caller, in *friendOf) (friendship, error) {
	if err := a.mayActFor(c, chat.UserID(in.FromID)); err != nil {
		return friendship{}, err
	}
	there, err := a.store.FriendshipsBetween(ctx, c.app.ID, []store.Side{in.side()})
	switch f := there[in.side()]; {
	case err != nil:
		return friendship{}, err
	case f == nil:
		return friendship{}, chat.Error{Code: chat.RelationMissing}
	default:
		return friendshipOf(c.app.ID, f), nil
	}
}

// checkFriends asks how a user stands with others.
type checkFriends struct {
	FromID    string   `json:"fromId" is:"required,max=50" about:"Who: oneself, unless an administrator asks."`
	ToIDs     []string `json:"toIds" is:"required,max=1000" about:"With whom."`
	CheckType int32    `json:"checkType" is:"required,enum=1|2" about:"1: from his side alone; 2: from both."`
}

type checkedFriend struct {
	FromID string `json:"fromId"`
	ToID   string `json:"toId"`
	Status int32  `json:"status"`
}

const fromBothSides = 2

func (a *API) checkFriends(ctx context.Context, c *caller, in *checkFriends) ([]checkedFriend, error) {
	return a.checkRelations(ctx, c, in, func(his, theirs *store.Friendship) int32 {
		switch there := known(his) || known(theirs); {
		case in.CheckType != fromBothSides:
			return flag(his.Friends())
		case !there:
			return 0
		default:
			return ofBoth(his.Friends(), theirs.Friends())
		}
	})
}

// known reports whether there is, or was, a friendship.
func known(f *store.Friendship) bool { return f != nil && !f.Stranger }

func (a *API) checkBlocks(ctx context.Context, c *caller, in *checkFriends) ([]checkedFriend, error) {
	return a.checkRelations(ctx, c, in, func(his, theirs *store.Friendship) int32 {
		if in.CheckType != fromBothSides {
			return flag(!blocks(his))
		}
		return ofBoth(!blocks(his), !blocks(theirs))
	})
}

func blocks(f *store.Friendship) bool { return f != nil && f.Blocked }

// ofBoth is the original's number for how both sides stand.
func ofBoth(his, theirs bool) int32 {
	switch {
	case his && theirs:
		return 1
	case his:
		return 2
	case theirs:
		return 3
	}
	return 4
}

// checkRelations looks at the user's side with each of the others, and at theirs if that is asked for. A side that is not there is nil.
func (a *API) checkRelations(
	ctx context.Context, c *caller, in *checkFriends, status func(his, theirs *store.Friendship) int32,
) ([]checkedFriend, error) {
	if err := a.mayActFor(c, chat.UserID(in.FromID)); err != nil {
		return nil, err
	}
	var sides []store.Side
	for _, to := range in.ToIDs {
		side := store.Side{From: chat.UserID(in.FromID), To: chat.UserID(to)}
		if sides = append(sides, side); in.CheckType == fromBothSides {
			sides = append(sides, side.Other())
		}
	}
	there, err := a.store.FriendshipsBetween(ctx, c.app.ID, sides)
	if err != nil {
		return nil, err
	}
	list := make([]checkedFriend, len(in.ToIDs))
	for i, to := range in.ToIDs {
		side := store.Side{From: chat.UserID(in.FromID), To: chat.UserID(to)}
		list[i] = checkedFriend{FromID: in.FromID, ToID: to, Status: status(there[side], there[side.Other()])}
	}
	return list, nil
}

func (a *API) syncFriends(ctx context.Context, c *caller, in *syncSince) (syncPage[friendship], error) {
	rows, err := a.store.FriendshipsAfter(ctx, c.key(), in.LastSequence, in.limit()+1)
	if err != nil {
		return syncPage[friendship]{}, err
	}
	return pageOf(in, rows, func(f *store.Friendship) (friendship, int64) { return friendshipOf(c.app.ID, f), f.Sequence }), nil
}
