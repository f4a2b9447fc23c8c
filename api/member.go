package api

import (
	"context"
	"reflect"
	"slices"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/store"
)

func (a *API) memberEndpoints() []endpoint {
	missing := []chat.Code{chat.GroupMissing, chat.GroupIsGone, chat.NotMember}
	with := func(codes ...chat.Code) []chat.Code { return append(codes, missing...) }
	return of("member",
		define("/v1/group/member/importGroupMember", "Adds members as they were elsewhere, and tells what became of each.",
			forAdmins, a.importMembers, chat.GroupMissing, chat.GroupIsGone),
		define("/v1/group/member/add", "Lets users into a group, and tells what became of each: a private one's members do it, a public one's managers.",
			forUsers, a.addMembers, with(chat.ManagersOnly)...),
		define("/v1/group/member/remove", "Removes a member: managers remove ordinary ones, the owner all others.",
			forUsers, a.removeMember, with(chat.ManagersOnly, chat.OwnerOnly, chat.OwnerNotRemove)...),
		define("/v1/group/member/update", "Changes what a member is called and what is said of him: he and managers do it; and his role: the owner does.",
			forUsers, a.updateMember, with(chat.ManagersOnly, chat.OwnerOnly, chat.SelfOnly, chat.AdminOnly)...),
		define("/v1/group/member/updateRole", "Makes a member a manager, or ordinary: the owner does it, in a private group an administrator of the app.",
			forUsers, a.updateRole, with(chat.ManagersOnly, chat.OwnerOnly, chat.AdminOnly)...),
		define("/v1/group/member/speak", "Keeps a member from speaking for a while, or lets him speak again.",
			forUsers, a.speak, with(chat.ManagersOnly, chat.OwnerOnly, chat.AdminOnly)...),
		define("/v1/group/member/quit", "Leaves a group; its owner transfers it first.",
			forUsers, a.quit, with(chat.OwnerNotRemove)...),
		define("/v1/group/member/list", "A page of a group's members, in the order of their ids.",
			forUsers, a.listMembers, chat.GroupMissing, chat.NotMember),
	)
}

// memberInfo is somebody who is to be a member: the original's GroupMemberDto.
type memberInfo struct {
	MemberID  string `json:"memberId" is:"required,max=50"`
	Alias     string `json:"alias,omitempty" is:"max=100" about:"What he is called here."`
	Role      int32  `json:"role,omitempty" is:"enum=0|1|2|3" about:"0 ordinary, 1 manager: where whoever asks may make managers."`
	SpeakDate int64  `json:"speakDate,omitempty" about:"He may not speak until then, in Unix milliseconds; of an import alone."`
	JoinType  string `json:"joinType,omitempty" is:"max=50" about:"How he came, in the app's own words."`
	JoinTime  int64  `json:"joinTime,omitempty" is:"max=253402300799000" about:"Unix milliseconds; of an import alone, absent: now."`
	Extra     string `json:"extra,omitempty" is:"max=1000"`
}

func usersOf(members []memberInfo) []chat.UserID {
	users := make([]chat.UserID, len(members))
	for i := range members {
		users[i] = chat.UserID(members[i].MemberID)
	}
	return users
}

// knownOf is what is to be known of members beside their ids; of one who is named twice, what was said first.
func knownOf(members []memberInfo) map[chat.UserID]store.MemberInfo {
	known := make(map[chat.UserID]store.MemberInfo, len(members))
	for i := range members {
		m := &members[i]
		if _, twice := known[chat.UserID(m.MemberID)]; !twice {
			known[chat.UserID(m.MemberID)] = store.MemberInfo{
				Role: chat.MemberRole(m.Role), Alias: m.Alias, JoinType: m.JoinType, Extra: m.Extra, //nolint:gosec // checked
			}
		}
	}
	return known
}

// memberRow is a member as the original answered with him.
type memberRow struct {
	MemberID  string `json:"memberId"`
	Alias     string `json:"alias"`
	Role      int32  `json:"role" about:"0 ordinary, 1 manager, 2 owner."`
	SpeakDate int64  `json:"speakDate" about:"He may not speak until then, in Unix milliseconds; 0: he may."`
	JoinType  string `json:"joinType"`
	JoinTime  int64  `json:"joinTime" about:"Unix milliseconds."`
	Extra     string `json:"extra"`
}

func memberRowsOf(members []store.Member) []memberRow {
	rows := make([]memberRow, len(members))
	for i, m := range members {
		rows[i] = memberRow{
			MemberID: string(m.User), Alias: m.Alias, Role: int32(m.Role), SpeakDate: m.MutedUntil, JoinType: m.JoinType, JoinTime: m.JoinedAt,
			Extra: m.Extra,
		}
	}
	return rows
}

type manyMembers struct {
	GroupID string       `json:"groupId" is:"required,max=50" about:"The group."`
	Members []memberInfo `json:"members" is:"required"`
}

// memberResult is what became of one who was to join.
type memberResult struct {
	MemberID      string `json:"memberId"`
	Result        int32  `json:"result" about:"0 he has joined, 1 he has not, 2 he was there already."`
	ResultMessage string `json:"resultMessage"`
}

func resultsOf(added []store.Added) []memberResult {
	results := make([]memberResult, len(added))
	for i, x := range added {
		r := memberResult{MemberID: string(x.User), ResultMessage: x.Code.Info().Meaning}
		switch x.Code {
		case chat.OK:
		case chat.AlreadyMember:
			r.Result = 2
		case chat.BadParameter:
			r.Result, r.ResultMessage = 1, "nobody comes as the owner, or as one who has left"
		default:
			r.Result = 1
		}
		results[i] = r
	}
	return results
}

func (a *API) importMembers(ctx context.Context, c *caller, in *manyMembers) ([]memberResult, error) {
	known := knownOf(in.Members)
	for _, m := range slices.Backward(in.Members) { // of one who is named twice, what was said first
		x := known[chat.UserID(m.MemberID)]
		x.JoinedAt = max(m.JoinTime, 0)
		if m.SpeakDate > time.Now().UnixMilli() {
			x.MutedUntil = m.SpeakDate
		}
		known[chat.UserID(m.MemberID)] = x
	}
	acting := store.Acting{Admin: true, As: known}
	added, err := a.store.AddMembers(ctx, chat.GroupOf(c.app.ID, in.GroupID), c.user, usersOf(in.Members), acting)
	if err != nil {
		return nil, err
	}
	a.conn.Nudge()
	return resultsOf(added), nil
}

// membersAdded is what the app's webhook is told of those who were added.
type membersAdded struct {
	GroupID   string         `json:"groupId"`
	GroupType int32          `json:"groupType"`
	Operater  string         `json:"operater"`
	MemberID  []memberResult `json:"memberId"`
}

func (c *caller) membersAdded(g *store.Group, added []store.Added) membersAdded {
	return membersAdded{GroupID: g.ID, GroupType: int32(g.Type), Operater: string(c.user), MemberID: resultsOf(added)}
}

func (a *API) addMembers(ctx context.Context, c *caller, in *manyMembers) ([]memberResult, error) {
	members, err := a.askMembers(ctx, c, in)
	if err != nil {
		return nil, err
	}
	acting := c.acting(func(x store.Changed) any { return c.membersAdded(&x.Group, x.Added) }, chat.HookMemberAdded)
	acting.As = knownOf(members)
	for u, info := range acting.As {
		info.Role = chat.Ordinary // a role is given by update
		acting.As[u] = info
	}
	added, err := a.store.AddMembers(ctx, chat.GroupOf(c.app.ID, in.GroupID), c.user, usersOf(members), acting)
	if err != nil {
		return nil, err
	}
	a.conn.Nudge()
	return resultsOf(added), nil
}

// asker is what a request says of its sender, for the app's webhook.
type asker struct {
	AppID      int32  `json:"appId"`
	Operater   string `json:"operater"`
	ClientType int32  `json:"clientType"`
	IMEI       string `json:"imei,omitempty"`
}

func (c *caller) asker() asker {
	return asker{AppID: int32(c.app.ID), Operater: string(c.user), ClientType: int32(c.device.Client), IMEI: c.device.IMEI}
}

type addMembersAsked struct {
	asker
	*manyMembers
}

var manyMembersShape = shapeOf(reflect.TypeFor[manyMembers]())

// askMembers lets the app's webhook say who is to be added instead of those who were asked for.
func (a *API) askMembers(ctx context.Context, c *caller, in *manyMembers) ([]memberInfo, error) {
	data, err := a.askHook(ctx, c, chat.HookMemberAdd, addMembersAsked{c.asker(), in})
	if err != nil || len(data) == 0 || string(data) == "null" {
		return in.Members, err
	}
	instead := &manyMembers{GroupID: in.GroupID}
	err = json.Unmarshal(data, &instead.Members, lenient)
	if err == nil && len(instead.Members) > 0 {
		err = manyMembersShape.read(encode(instead), instead)
	}
	switch {
	case err == nil:
		return instead.Members, nil
	case c.app.Hooks.FailClosed:
		return nil, chat.Errorf(chat.Unavailable, "the app's webhook answers with what is no list of members: %s", err)
	}
	a.cfg.Log.WarnContext(ctx, "a before-hook has failed, and is passed over", "app", c.app.ID, "command", chat.HookMemberAdd, "cause", err)
	return in.Members, nil
}

type memberID struct {
	GroupID  string `json:"groupId" is:"required,max=50" about:"The group."`
	MemberID string `json:"memberId" is:"required,max=50"`
}

type removeMemberAsked struct {
	asker
	*memberID
}

func (a *API) removeMember(ctx context.Context, c *caller, in *memberID) (none, error) {
	acting := c.acting(func(store.Changed) any { return removeMemberAsked{c.asker(), in} }, chat.HookMemberDeleted)
	return a.done(a.store.RemoveMember(ctx, chat.GroupOf(c.app.ID, in.GroupID), c.user, chat.UserID(in.MemberID), acting))
}

type updateMember struct {
	GroupID  string  `json:"groupId" is:"required,max=50" about:"The group."`
	MemberID string  `json:"memberId" is:"required,max=50"`
	Alias    *string `json:"alias" is:"max=100" about:"What he is called here. Absent: it stays, as all that follows."`
	Role     *int32  `json:"role" is:"enum=0|1|2" about:"0 ordinary, 1 manager; an owner is made by transferGroup."`
	Extra    *string `json:"extra" is:"max=1000"`
}

func (a *API) updateMember(ctx context.Context, c *caller, in *updateMember) (none, error) {
	u := store.MemberUpdate{Alias: in.Alias, Extra: in.Extra}
	if in.Role != nil {
		role := chat.MemberRole(*in.Role) //nolint:gosec // checked
		u.Role = &role
	}
	group, user := chat.GroupOf(c.app.ID, in.GroupID), chat.UserID(in.MemberID)
	return a.done(a.store.UpdateMember(ctx, group, c.user, user, u, store.Acting{Admin: c.admin}))
}

type updateRole struct {
	GroupID  string `json:"groupId" is:"required,max=50" about:"The group."`
	MemberID string `json:"memberId" is:"required,max=50"`
	Role     *int32 `json:"role" is:"required,enum=0|1" about:"0 ordinary, 1 manager."`
}

func (a *API) updateRole(ctx context.Context, c *caller, in *updateRole) (none, error) {
	return a.updateMember(ctx, c, &updateMember{GroupID: in.GroupID, MemberID: in.MemberID, Role: in.Role})
}

type speak struct {
	GroupID   string `json:"groupId" is:"required,max=50" about:"The group."`
	MemberID  string `json:"memberId" is:"required,max=50"`
	SpeakDate *int64 `json:"speakDate" is:"required,max=315360000000" about:"For how long he may not speak, in milliseconds from now; 0: he may."`
}

func (a *API) speak(ctx context.Context, c *caller, in *speak) (none, error) {
	var until time.Time
	if *in.SpeakDate > 0 {
		until = time.Now().Add(time.Duration(*in.SpeakDate) * time.Millisecond)
	}
	group, user := chat.GroupOf(c.app.ID, in.GroupID), chat.UserID(in.MemberID)
	return a.done(a.store.MuteMember(ctx, group, c.user, user, until, store.Acting{Admin: c.admin}))
}

// quit tells the app's webhook of a member who is gone as if he had been removed: it knows no other word for it.
func (a *API) quit(ctx context.Context, c *caller, in *groupID) (none, error) {
	gone := &memberID{GroupID: in.GroupID, MemberID: string(c.user)}
	acting := c.acting(func(store.Changed) any { return removeMemberAsked{c.asker(), gone} }, chat.HookMemberDeleted)
	return a.done(a.store.LeaveGroup(ctx, in.of(c), c.user, acting))
}

type memberPage struct {
	GroupID string `json:"groupId" is:"required,max=50" about:"The group."`
	Limit   int32  `json:"limit" is:"min=1,max=100" about:"100 by default."`
	After   string `json:"after" is:"max=50" about:"The memberId of the last one of the page before."`
}

type memberList struct {
	MemberList []memberRow `json:"memberList"`
	TotalCount int         `json:"totalCount"`
	Completed  bool        `json:"completed" about:"There is no next page."`
}

// pageSize is how many come to a page for which nobody has said it.
const pageSize = 100

func orPageSize(limit int32) int {
	if limit == 0 {
		return pageSize
	}
	return int(limit)
}

func (a *API) listMembers(ctx context.Context, c *caller, in *memberPage) (memberList, error) {
	group, limit := chat.GroupOf(c.app.ID, in.GroupID), orPageSize(in.Limit)
	view, err := a.store.Group(ctx, group, c.user)
	if err != nil {
		return memberList{}, err
	}
	if !a.maySeeMembers(c, &view) {
		return memberList{}, chat.Error{Code: chat.NotMember}
	}
	members, err := a.store.MembersAfter(ctx, group, chat.UserID(in.After), limit+1)
	if err != nil {
		return memberList{}, err
	}
	page := memberRowsOf(members[:min(len(members), limit)])
	return memberList{MemberList: page, TotalCount: view.Members, Completed: len(members) <= limit}, nil
}
