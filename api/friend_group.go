package api

import (
	"context"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/store"
	"github.com/whaleshark-im/whaleshark/wire"
)

func (a *API) friendGroupEndpoints() []endpoint {
	return of("friend group",
		define("/v1/friendship/group/add", "Adds a group of a user's friends; the name of a deleted one is free.",
			forUsers, a.addFriendGroup, chat.FriendGroupThere, chat.UserMissing),
		define("/v1/friendship/group/del", "Deletes groups of a user's friends; those that are not there are passed over, unless none is.",
			forUsers, a.deleteFriendGroups, chat.NoFriendGroup),
		define("/v1/friendship/group/member/add", "Puts users into a group; those that do not exist come back under errorId.",
			forUsers, a.addFriendGroupMembers, chat.NoFriendGroup),
		define("/v1/friendship/group/member/del", "Takes users out of a group, and returns who was in it.",
			forUsers, a.deleteFriendGroupMembers, chat.NoFriendGroup),
		define("/v1/friendship/group/sync", "The caller's friend groups that have changed since a sequence.", forUsers, a.syncFriendGroups),
	)
}

type addFriendGroup struct {
	FromID    string   `json:"fromId" is:"required,max=50" about:"Whose group: one's own, unless an administrator asks."`
	GroupName string   `json:"groupName" is:"required,max=50"`
	ToIDs     []string `json:"toIds" is:"max=1000" about:"Who is in it."`
}

type friendGroupMembers struct {
	FromID    string   `json:"fromId" is:"required,max=50" about:"Whose group: one's own, unless an administrator asks."`
	GroupName string   `json:"groupName" is:"required,max=50"`
	ToIDs     []string `json:"toIds" is:"required,max=1000" about:"A group holds at most 1,000."`
}

func (a *API) addFriendGroup(ctx context.Context, c *caller, in *addFriendGroup) (outcome, error) {
	user := c.userOf(in.FromID)
	var g store.Grouped
	_, err := a.changeSide(c, store.Side{From: user.User}, func() (err error) {
		g, err = a.store.AddFriendGroup(ctx, user, in.GroupName, userIDs(in.ToIDs), func(g *store.Grouped) chat.Event {
			e := c.eventOf(user.User, c.frameBeside(wire.FriendGroupAdd, groupChangedOf(user.User, g), user.User))
			if len(g.Members) > 0 {
				e.Frames = append(e.Frames, c.frameBeside(wire.FriendGroupMemberAdd, groupMembersOf(user.User, g), user.User))
			}
			return e
		})
		return err
	})
	if err != nil {
		return outcome{}, err
	}
	return outcomeOf(in.ToIDs, g.Members), nil
}

// userOf names a user of the app.
func (c *caller) userOf(id string) chat.UserKey {
	return chat.UserKey{App: c.app.ID, User: chat.UserID(id)}
}

func groupChangedOf(u chat.UserID, g *store.Grouped) wire.FriendGroupChanged {
	return wire.FriendGroupChanged{FromID: string(u), GroupName: g.Name, Sequence: g.Sequence}
}

func groupMembersOf(u chat.UserID, g *store.Grouped) wire.FriendGroupMembers {
	return wire.FriendGroupMembers{FromID: string(u), GroupName: g.Name, ToIDs: texts(g.Members), Sequence: g.Sequence}
}

func texts(users []chat.UserID) []string {
	ids := make([]string, len(users))
	for i, u := range users {
		ids[i] = string(u)
	}
	return ids
}

type deleteFriendGroups struct {
	FromID    string   `json:"fromId" is:"required,max=50" about:"Whose groups: one's own, unless an administrator asks."`
	GroupName []string `json:"groupName" is:"required,max=1000"`
}

func (a *API) deleteFriendGroups(ctx context.Context, c *caller, in *deleteFriendGroups) (none, error) {
	user := c.userOf(in.FromID)
	return a.changeSide(c, store.Side{From: user.User}, func() error {
		return a.store.DeleteFriendGroups(ctx, user, in.GroupName, func(gone []store.Grouped) chat.Event {
			e := c.eventOf(user.User)
			for i := range gone {
				e.Frames = append(e.Frames, c.frameBeside(wire.FriendGroupDelete, groupChangedOf(user.User, &gone[i]), user.User))
			}
			return e
		})
	})
}

func (a *API) addFriendGroupMembers(ctx context.Context, c *caller, in *friendGroupMembers) (outcome, error) {
	g, err := a.changeFriendGroup(ctx, c, in, wire.FriendGroupMemberAdd, a.store.AddFriendGroupMembers)
	if err != nil {
		return outcome{}, err
	}
	return outcomeOf(in.ToIDs, g.Members), nil
}

func (a *API) deleteFriendGroupMembers(ctx context.Context, c *caller, in *friendGroupMembers) ([]string, error) {
	g, err := a.changeFriendGroup(ctx, c, in, wire.FriendGroupMemberDelete, a.store.DeleteFriendGroupMembers)
	if err != nil {
		return nil, err
	}
	return texts(g.Members), nil
}

// changeFriendGroup lets members come or go, and tells of those who did.
func (a *API) changeFriendGroup(
	ctx context.Context, c *caller, in *friendGroupMembers, command wire.Command,
	change func(context.Context, chat.UserKey, string, []chat.UserID, func(*store.Grouped) chat.Event) (store.Grouped, error),
) (g store.Grouped, err error) {
	user := c.userOf(in.FromID)
	_, err = a.changeSide(c, store.Side{From: user.User}, func() (err error) {
		g, err = change(ctx, user, in.GroupName, userIDs(in.ToIDs), func(g *store.Grouped) chat.Event {
			return c.eventOf(user.User, c.frameBeside(command, groupMembersOf(user.User, g), user.User))
		})
		return err
	})
	return g, err
}

// friendGroup is a user's own sorting of his friends, as a sync tells it.
type friendGroup struct {
	FromID     string   `json:"fromId"`
	GroupName  string   `json:"groupName"`
	ToIDs      []string `json:"toIds"`
	Deleted    bool     `json:"deleted"`
	Sequence   int64    `json:"sequence"`
	CreateTime int64    `json:"createTime" about:"Unix milliseconds."`
	UpdateTime int64    `json:"updateTime" about:"Unix milliseconds."`
}

func (a *API) syncFriendGroups(ctx context.Context, c *caller, in *syncSince) (syncPage[friendGroup], error) {
	rows, err := a.store.FriendGroupsAfter(ctx, c.key(), in.LastSequence, in.limit()+1)
	if err != nil {
		return syncPage[friendGroup]{}, err
	}
	return pageOf(in, rows, func(g *store.FriendGroup) (friendGroup, int64) {
		return friendGroup{
			FromID: string(c.user), GroupName: g.Name, ToIDs: texts(g.Members), Deleted: g.Deleted, Sequence: g.Sequence,
			CreateTime: g.Created.UnixMilli(), UpdateTime: g.Updated.UnixMilli(),
		}, g.Sequence
	}), nil
}
