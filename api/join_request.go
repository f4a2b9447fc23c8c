package api

import (
	"context"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/store"
	"github.com/whaleshark-im/whaleshark/wire"
)

func (a *API) joinRequestEndpoints() []endpoint {
	return of("join request",
		define("/v1/group/apply", "Asks to join a group: at once, where anybody may; else its managers decide. Asking again renews the wording.",
			forUsers, a.applyToGroup,
			chat.GroupMissing, chat.GroupIsGone, chat.AlreadyMember, chat.MemberNotAdded, chat.MemberLimit, chat.UserMissing),
		define("/v1/group/join/approve", "Agrees to an open request to join, or rejects it.", forUsers, a.approveJoin,
			chat.RequestMissing, chat.GroupIsGone, chat.NotMember, chat.ManagersOnly, chat.MemberLimit),
		define("/v1/group/join/list", "A page of the requests to join a group, those that came last first; for its managers and owner.",
			forUsers, a.listJoinRequests, chat.GroupMissing, chat.NotMember, chat.ManagersOnly),
	)
}

// joinRequest is somebody's request to join a group.
type joinRequest struct {
	ID         int64  `json:"id" about:"0: he needed none, and has joined."`
	GroupID    string `json:"groupId"`
	FromID     string `json:"fromId" about:"Who asks."`
	Wording    string `json:"wording"`
	Status     int32  `json:"status" about:"0 open, 1 agreed, 2 rejected."`
	HandledBy  string `json:"handledBy" about:"Who has agreed or rejected."`
	CreateTime int64  `json:"createTime" about:"Unix milliseconds."`
	UpdateTime int64  `json:"updateTime" about:"Unix milliseconds."`
}

func joinRequestOf(r *store.JoinRequest) joinRequest {
	return joinRequest{
		ID: r.ID, GroupID: r.Group.A, FromID: string(r.User), Wording: r.Wording, Status: r.Status, HandledBy: string(r.HandledBy),
		CreateTime: r.CreatedAt.UnixMilli(), UpdateTime: r.UpdatedAt.UnixMilli(),
	}
}

type applyToGroup struct {
	GroupID string `json:"groupId" is:"required,max=50" about:"The group."`
	Wording string `json:"wording" is:"max=200" about:"What the managers and the owner are to read."`
}

// applyToGroup asks the app's webhook first, as of one who is to be added: it may refuse, but there is nobody to take instead.
func (a *API) applyToGroup(ctx context.Context, c *caller, in *applyToGroup) (joinRequest, error) {
	asked := addMembersAsked{c.asker(), &manyMembers{GroupID: in.GroupID, Members: []memberInfo{{MemberID: string(c.user), JoinType: "apply"}}}}
	if _, err := a.askHook(ctx, c, chat.HookMemberAdd, asked); err != nil {
		return joinRequest{}, err
	}
	r, err := a.store.ApplyToGroup(ctx, chat.GroupOf(c.app.ID, in.GroupID), c.user, in.Wording, c.tellRequested)
	if err != nil {
		return joinRequest{}, err
	}
	a.conn.Nudge()
	return joinRequestOf(&r.JoinRequest), nil
}

// tellRequested tells the managers and the owner of a request, and who has asked of what has become of it. The webhook hears of who has joined.
func (c *caller) tellRequested(r store.Requested) []chat.Event {
	var events []chat.Event
	if r.Status == store.RequestAgreed {
		joined := c.membersAdded(&r.Group, []store.Added{{User: r.User, Code: chat.OK}})
		events = c.groupHook(r.Group.ID, chat.HookMemberAdded, joined)
	}
	if r.ID == 0 {
		return events
	}
	to := r.Staff
	if r.Status != store.RequestOpen {
		to = append(to, r.User)
	}
	frame := frameTo(wire.JoinGroup, wire.JoinRequest{
		GroupID: r.Group.ID, RequestID: r.ID, FromID: string(r.User), Wording: r.Wording, Status: r.Status, HandledBy: string(r.HandledBy),
		CreateTime: r.CreatedAt.UnixMilli(), UpdateTime: r.UpdatedAt.UnixMilli(),
	}, to...)
	frame.Except = c.except()
	return append(events, chat.Event{App: c.app.ID, Aggregate: chat.GroupAggregate(r.Group.ID), Frames: []chat.EventFrame{frame}})
}

type approveJoin struct {
	ID     int64  `json:"id" is:"required,min=1" about:"The request's, as join/list and command 2000 have it."`
	Status *int32 `json:"status" is:"required,enum=1|2" about:"1 agreed, 2 rejected."`
}

func (a *API) approveJoin(ctx context.Context, c *caller, in *approveJoin) (joinRequest, error) {
	agree := *in.Status == store.RequestAgreed
	r, err := a.store.DecideJoinRequest(ctx, c.app.ID, c.user, in.ID, agree, c.admin, c.tellRequested)
	if err != nil {
		return joinRequest{}, err
	}
	a.conn.Nudge()
	return joinRequestOf(&r.JoinRequest), nil
}

type joinRequestPage struct {
	GroupID string `json:"groupId" is:"required,max=50" about:"The group."`
	Status  int32  `json:"status" is:"enum=0|1|2" about:"0 (the default) open, 1 agreed, 2 rejected."`
	Limit   int32  `json:"limit" is:"min=1,max=100" about:"100 by default."`
	After   int64  `json:"after" about:"The id of the last one of the page before."`
}

type joinRequests struct {
	RequestList []joinRequest `json:"requestList"`
	Completed   bool          `json:"completed" about:"There is no next page."`
}

func (a *API) listJoinRequests(ctx context.Context, c *caller, in *joinRequestPage) (joinRequests, error) {
	group, limit := chat.GroupOf(c.app.ID, in.GroupID), orPageSize(in.Limit)
	requests, err := a.store.JoinRequests(ctx, group, c.user, c.admin, in.Status, max(in.After, 0), limit+1)
	if err != nil {
		return joinRequests{}, err
	}
	page := joinRequests{RequestList: make([]joinRequest, min(len(requests), limit)), Completed: len(requests) <= limit}
	for i := range page.RequestList {
		page.RequestList[i] = joinRequestOf(&requests[i])
	}
	return page, nil
}
