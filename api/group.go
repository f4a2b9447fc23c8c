package api

import (
	"context"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/store"
)

func (a *API) groupEndpoints() []endpoint {
	return of("group",
		define("/v1/group/importGroup", "Adds a group as it was elsewhere; a groupId that is given stays, and so does the time of its creation.",
			forAdmins, a.importGroup, chat.GroupExists, chat.PublicWithoutOwner, chat.UserMissing),
		define("/v1/group/createGroup", "Creates a group, whose owner is who asks, and returns it.",
			forUsers, a.createGroup, chat.GroupExists, chat.UserMissing, chat.MemberLimit),
		define("/v1/group/getGroupInfo", "A group, how many members it has, and the first 1000 of them: the owner, the managers, the others.",
			forUsers, a.getGroupInfo, chat.GroupMissing),
		define("/v1/group/update", "Changes what is given of a group: a private one's members do it, a public one's managers and owner.",
			forUsers, a.updateGroup, chat.GroupMissing, chat.GroupIsGone, chat.NotMember, chat.ManagersOnly),
		define("/v1/group/getJoinedGroup", "A page of the groups that a user is in.", forUsers, a.getJoinedGroup),
		define("/v1/group/destroyGroup", "Ends a group for good: a public one's owner does it, a private one an administrator of the app.",
			forUsers, a.destroyGroup, chat.GroupMissing, chat.GroupIsGone, chat.OwnerOnly, chat.PrivateNotDestroy),
		define("/v1/group/transferGroup", "Gives a group to another member; its owner before becomes ordinary.",
			forUsers, a.transferGroup, chat.GroupMissing, chat.GroupIsGone, chat.OwnerOnly, chat.NotMember),
		define("/v1/group/forbidSendMessage", "Lets only managers and the owner speak, or everybody again.",
			forUsers, a.forbidSendMessage, chat.GroupMissing, chat.GroupIsGone, chat.NotMember, chat.ManagersOnly),
	)
}

// groupRow is a group as the original answered with it.
type groupRow struct {
	GroupID        string `json:"groupId"`
	AppID          int32  `json:"appId"`
	OwnerID        string `json:"ownerId"`
	GroupType      int32  `json:"groupType" about:"1 private, 2 public."`
	GroupName      string `json:"groupName"`
	Mute           int32  `json:"mute" about:"1: only managers and the owner may speak."`
	ApplyJoinType  int32  `json:"applyJoinType" about:"Who joins by himself: 0 nobody, 1 whom a manager lets in, 2 anybody."`
	Introduction   string `json:"introduction"`
	Notification   string `json:"notification"`
	Photo          string `json:"photo"`
	MaxMemberCount int32  `json:"maxMemberCount"`
	Status         int32  `json:"status" about:"1 normal, 2 destroyed."`
	Sequence       int64  `json:"sequence" about:"The number of the group's newest change."`
	CreateTime     int64  `json:"createTime" about:"Unix milliseconds."`
	UpdateTime     int64  `json:"updateTime" about:"Unix milliseconds."`
	Extra          string `json:"extra"`
}

func groupRowOf(g *store.Group) groupRow {
	status := int32(store.GroupNormal)
	if g.Destroyed {
		status = store.GroupDestroyed
	}
	return groupRow{
		GroupID: g.ID, AppID: int32(g.App), OwnerID: string(g.Owner), GroupType: int32(g.Type), GroupName: g.Name, Mute: flag(g.Muted),
		ApplyJoinType: int32(g.Joining), Introduction: g.Introduction, Notification: g.Notification, Photo: g.Photo,
		MaxMemberCount: int32(g.MaxMembers), Status: status, Sequence: g.Version, //nolint:gosec // people
		CreateTime: g.CreatedAt.UnixMilli(), UpdateTime: g.UpdatedAt.UnixMilli(), Extra: g.Extra,
	}
}

// The original's groups take anybody whom a manager lets in, unless they say otherwise.
const joiningByDefault = int32(store.ApprovedJoin)

// newGroup is what a group is created of.
type newGroup struct {
	GroupID        string `json:"groupId" is:"max=50" about:"Absent: one is made."`
	GroupType      int32  `json:"groupType" is:"enum=1|2" about:"1 (the default) private: its members let others in; 2 public: its managers do."`
	GroupName      string `json:"groupName" is:"required,max=100"`
	Mute           int32  `json:"mute" is:"enum=0|1" about:"1: only managers and the owner may speak."`
	ApplyJoinType  *int32 `json:"applyJoinType" is:"enum=0|1|2" about:"Who joins by himself: 0 nobody, 1 (the default) by approval, 2 anybody."`
	Introduction   string `json:"introduction" is:"max=100"`
	Notification   string `json:"notification" is:"max=1000"`
	Photo          string `json:"photo" is:"max=300" about:"A URL."`
	MaxMemberCount int32  `json:"maxMemberCount" is:"min=1,max=1000000" about:"10000 by default."`
	Extra          string `json:"extra" is:"max=1000"`
}

// group is the group that is to be.
func (in *newGroup) group(app chat.AppID, owner chat.UserID) store.NewGroup {
	joining := joiningByDefault
	if in.ApplyJoinType != nil {
		joining = *in.ApplyJoinType
	}
	return store.NewGroup{
		App: app, ID: in.GroupID, Owner: owner, Type: store.GroupType(in.GroupType), Joining: store.JoinPolicy(joining), //nolint:gosec // checked
		Name: in.GroupName, Introduction: in.Introduction, Notification: in.Notification, Photo: in.Photo, Extra: in.Extra,
		Muted: in.Mute == 1, MaxMembers: int(in.MaxMemberCount),
	}
}

type importGroup struct {
	newGroup
	OwnerID    string `json:"ownerId" is:"max=50" about:"Of a private group that has none, who asks is the owner until he transfers it."`
	CreateTime int64  `json:"createTime" is:"max=253402300799000" about:"Unix milliseconds; absent: now."`
}

func (a *API) importGroup(ctx context.Context, c *caller, in *importGroup) (groupRow, error) {
	owner := chat.UserID(in.OwnerID)
	if owner == "" {
		if store.GroupType(in.GroupType) == store.PublicGroup { //nolint:gosec // checked
			return groupRow{}, chat.Error{Code: chat.PublicWithoutOwner}
		}
		owner = c.user
	}
	g := in.group(c.app.ID, owner)
	g.By, g.CreatedAt = c.user, in.CreateTime
	made, err := a.store.CreateGroup(ctx, g)
	if err != nil {
		return groupRow{}, err
	}
	a.conn.Nudge()
	return groupRowOf(&made), nil
}

type createGroup struct {
	newGroup
	Member []memberInfo `json:"member" is:"required" about:"Who is in it from the beginning, beside who asks."`
}

func (a *API) createGroup(ctx context.Context, c *caller, in *createGroup) (groupRow, error) {
	g := in.group(c.app.ID, c.user)
	g.Members = usersOf(in.Member)
	acting := c.acting(func(x store.Changed) any { return groupRowOf(&x.Group) }, chat.HookGroupCreated)
	acting.As = knownOf(in.Member)
	for u, info := range acting.As {
		if info.Role > chat.Manager {
			info.Role = chat.Ordinary // there is one owner
			acting.As[u] = info
		}
	}
	made, err := a.store.CreateGroup(ctx, g, acting)
	if err != nil {
		return groupRow{}, err
	}
	a.conn.Nudge()
	return groupRowOf(&made), nil
}

// acting is how the caller changes a group; the app's webhook is told by a command and its body, once something has changed.
func (c *caller) acting(body func(store.Changed) any, command string) store.Acting {
	acting := store.Acting{Admin: c.admin}
	if c.app.Hooks.On(command) {
		acting.Tell = func(x store.Changed) []chat.Event { return c.groupHook(x.Group.ID, command, body(x)) }
	}
	return acting
}

// groupHook is the event that tells the app's webhook of what concerns a group.
func (c *caller) groupHook(group, command string, body any) []chat.Event {
	hook := c.hook(command, body)
	if hook == nil {
		return nil
	}
	return []chat.Event{{App: c.app.ID, Aggregate: chat.GroupAggregate(group), Hook: hook}}
}

type groupID struct {
	GroupID string `json:"groupId" is:"required,max=50" about:"The group."`
}

func (in *groupID) of(c *caller) chat.Conversation { return chat.GroupOf(c.app.ID, in.GroupID) }

type groupInfo struct {
	groupRow
	MemberCount int         `json:"memberCount"`
	MemberList  []memberRow `json:"memberList"`
}

// firstMembers is how many members a group is shown with.
const firstMembers = 1000

func (a *API) getGroupInfo(ctx context.Context, c *caller, in *groupID) (groupInfo, error) {
	view, err := a.store.Group(ctx, in.of(c), c.user)
	if err != nil {
		return groupInfo{}, err
	}
	info := groupInfo{groupRow: groupRowOf(&view.Group), MemberCount: view.Members, MemberList: []memberRow{}}
	if !a.maySeeMembers(c, &view) {
		return info, nil
	}
	members, err := a.store.FirstMembers(ctx, in.of(c), firstMembers)
	info.MemberList = memberRowsOf(members)
	return info, err
}

// maySeeMembers reports whether the caller may know who is in a group: a private one's members are told to themselves, once callers prove who
// they are.
func (a *API) maySeeMembers(c *caller, g *store.GroupView) bool {
	return g.Type == store.PublicGroup || g.IsMember || a.mayAdminister(c)
}

type updateGroup struct {
	GroupID        string  `json:"groupId" is:"required,max=50" about:"The group."`
	GroupName      *string `json:"groupName" is:"max=100" about:"Absent or empty: it stays. Of all that follows, what is absent stays."`
	Mute           *int32  `json:"mute" is:"enum=0|1" about:"1: only managers and the owner may speak; theirs alone to say."`
	ApplyJoinType  *int32  `json:"applyJoinType" is:"enum=0|1|2" about:"Who joins by himself: 0 nobody, 1 whom a manager lets in, 2 anybody."`
	Introduction   *string `json:"introduction" is:"max=100"`
	Notification   *string `json:"notification" is:"max=1000"`
	Photo          *string `json:"photo" is:"max=300" about:"A URL."`
	MaxMemberCount *int32  `json:"maxMemberCount" is:"min=1,max=1000000" about:"Nobody has to go, if there are more."`
	Extra          *string `json:"extra" is:"max=1000"`
}

func (in *updateGroup) info() store.GroupInfo {
	info := store.GroupInfo{
		Name: in.GroupName, Introduction: in.Introduction, Notification: in.Notification, Photo: in.Photo, Extra: in.Extra,
	}
	if in.GroupName != nil && *in.GroupName == "" {
		info.Name = nil
	}
	if in.Mute != nil {
		muted := store.Switch(*in.Mute == 1)
		info.Muted = &muted
	}
	if in.ApplyJoinType != nil {
		joining := store.JoinPolicy(*in.ApplyJoinType) //nolint:gosec // checked
		info.Joining = &joining
	}
	if in.MaxMemberCount != nil {
		most := int(*in.MaxMemberCount)
		info.MaxMembers = &most
	}
	return info
}

func (a *API) updateGroup(ctx context.Context, c *caller, in *updateGroup) (none, error) {
	acting := c.acting(func(x store.Changed) any { return groupRowOf(&x.Group) }, chat.HookGroupUpdated)
	err := a.store.UpdateGroup(ctx, chat.GroupOf(c.app.ID, in.GroupID), c.user, in.info(), acting)
	return a.done(err)
}

// done is the answer to a change that has nothing to say but that it was made.
func (a *API) done(err error) (none, error) {
	if err == nil {
		a.conn.Nudge()
	}
	return none{}, err
}

type joinedGroupsOf struct {
	MemberID  string  `json:"memberId" is:"required,max=50" about:"Whose groups: one's own, unless an administrator asks."`
	GroupType []int32 `json:"groupType" is:"max=10" about:"Only groups of these types; none: all."`
	Limit     int32   `json:"limit" is:"min=1,max=1000" about:"How many to a page; 1000 by default."`
	Offset    int32   `json:"offset" is:"max=1000000" about:"The page, from 1 on; 0 is the first one as well."`
}

type groupPage struct {
	TotalCount int        `json:"totalCount"`
	GroupList  []groupRow `json:"groupList"`
}

func (a *API) getJoinedGroup(ctx context.Context, c *caller, in *joinedGroupsOf) (groupPage, error) {
	user := chat.UserKey{App: c.app.ID, User: chat.UserID(in.MemberID)}
	if err := a.mayActFor(c, user.User); err != nil {
		return groupPage{}, err
	}
	types := make([]store.GroupType, len(in.GroupType))
	for i, t := range in.GroupType {
		types[i] = store.GroupType(min(max(t, 0), 9)) // others than 1 and 2 there are none
	}
	size := int(in.Limit)
	if size == 0 {
		size = maxList
	}
	groups, total, err := a.store.JoinedGroups(ctx, user, types, max(int(in.Offset), 1)-1, size)
	if err != nil {
		return groupPage{}, err
	}
	page := groupPage{TotalCount: total, GroupList: make([]groupRow, len(groups))}
	for i := range groups {
		page.GroupList[i] = groupRowOf(&groups[i])
	}
	return page, nil
}

func (a *API) destroyGroup(ctx context.Context, c *caller, in *groupID) (none, error) {
	acting := c.acting(func(store.Changed) any { return in }, chat.HookGroupDestroyed)
	return a.done(a.store.DestroyGroup(ctx, in.of(c), c.user, acting))
}

type transferGroup struct {
	GroupID string `json:"groupId" is:"required,max=50" about:"The group."`
	OwnerID string `json:"ownerId" is:"required,max=50" about:"The member to whom it goes."`
}

func (a *API) transferGroup(ctx context.Context, c *caller, in *transferGroup) (none, error) {
	acting := c.acting(func(store.Changed) any { return in }, chat.HookGroupTransfer)
	return a.done(a.store.TransferGroup(ctx, chat.GroupOf(c.app.ID, in.GroupID), c.user, chat.UserID(in.OwnerID), acting))
}

type forbidSendMessage struct {
	GroupID string `json:"groupId" is:"required,max=50" about:"The group."`
	Mute    *int32 `json:"mute" is:"required,enum=0|1" about:"1: only managers and the owner may speak; 0: everybody."`
}

func (a *API) forbidSendMessage(ctx context.Context, c *caller, in *forbidSendMessage) (none, error) {
	return a.done(a.store.MuteGroup(ctx, chat.GroupOf(c.app.ID, in.GroupID), c.user, *in.Mute == 1, store.Acting{Admin: c.admin}))
}
