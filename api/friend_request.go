package api

import (
	"context"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/store"
	"github.com/whaleshark-im/whaleshark/wire"
)

func (a *API) friendRequestEndpoints() []endpoint {
	decide := func(path string) endpoint {
		return define(path, "Agrees to a friend request (status 1), with which both are friends, or rejects it (status 2).",
			forUsers, a.decideFriendRequest, chat.RequestMissing, chat.NotYourRequest, chat.UserMissing)
	}
	list := func(path string) endpoint {
		return define(path, "The friend requests to a user: the 1,000 that changed last.", forUsers, a.getFriendRequests)
	}
	rows := of("friend request",
		decide("/v1/friendshipRequest/approveFriendRequest"),
		decide("/v1/friendship/approveFriendRequest"),
		list("/v1/friendshipRequest/getFriendRequest"),
		list("/v1/friendship/getFriendshipRequests"),
		define("/v1/friendshipRequest/readFriendShipRequestReq", "Says that a user has seen all friend requests to him.",
			forUsers, a.readFriendRequests),
		define("/v1/friendshipRequest/sync", "The friend requests to the caller and by him that have changed since a sequence.",
			forUsers, a.syncFriendRequests),
	)
	for i := range rows {
		rows[i] = rows[i].by(onlyPost)
	}
	return rows
}

// friendRequest is one as its devices know it.
type friendRequest = wire.FriendRequested

// requestOf is a request as one of the two sees it: with the sequence that is his.
func requestOf(app chat.AppID, r *store.FriendRequest, seenBy chat.UserID) friendRequest {
	return friendRequest{
		ID: r.ID, AppID: int32(app), FromID: string(r.From), ToID: string(r.To), Remark: r.Remark, ReadStatus: flag(r.Read),
		AddSource: r.AddSource, AddWording: r.Wording, ApproveStatus: r.Status, CreateTime: r.Created.UnixMilli(),
		UpdateTime: r.Updated.UnixMilli(), Sequence: r.SequenceOf(seenBy),
	}
}

type decideFriendRequest struct {
	ID     int64 `json:"id" is:"required" about:"The request."`
	Status int32 `json:"status" is:"required,enum=1|2" about:"1 agree, 2 reject."`
}

func (a *API) decideFriendRequest(ctx context.Context, c *caller, in *decideFriendRequest) (none, error) {
	d := store.Decision{Request: in.ID, By: c.user, ForAll: c.admin, Agreed: in.Status == store.RequestAgreed}
	_, err := a.store.DecideFriendRequest(ctx, c.app.ID, d, func(b *store.Befriended) []chat.Event { return c.befriended(b, in.ID) })
	if err != nil {
		return none{}, err
	}
	a.conn.Nudge()
	return none{}, nil
}

// requestsAtOnce bounds the list of requests, which has no pages. Who wants more syncs.
const requestsAtOnce = 1000

func (a *API) getFriendRequests(ctx context.Context, c *caller, in *friendsOf) ([]friendRequest, error) {
	to := chat.UserID(in.FromID) // the original calls him so
	if err := a.mayActFor(c, to); err != nil {
		return nil, err
	}
	rows, err := a.store.FriendRequestsTo(ctx, chat.UserKey{App: c.app.ID, User: to}, requestsAtOnce)
	if err != nil {
		return nil, err
	}
	list := make([]friendRequest, len(rows))
	for i := range rows {
		list[i] = requestOf(c.app.ID, &rows[i], to)
	}
	return list, nil
}

func (a *API) readFriendRequests(ctx context.Context, c *caller, in *friendsOf) (none, error) {
	user := chat.UserKey{App: c.app.ID, User: chat.UserID(in.FromID)}
	return a.changeSide(c, store.Side{From: user.User}, func() error {
		return a.store.ReadFriendRequests(ctx, user, func(sequence int64) chat.Event {
			payload := wire.FriendsChanged{FromID: in.FromID, Sequence: sequence}
			return c.eventOf(user.User, c.frameBeside(wire.FriendRequestRead, payload, user.User))
		})
	})
}

func (a *API) syncFriendRequests(ctx context.Context, c *caller, in *syncSince) (syncPage[friendRequest], error) {
	rows, err := a.store.FriendRequestsAfter(ctx, c.key(), in.LastSequence, in.limit()+1)
	if err != nil {
		return syncPage[friendRequest]{}, err
	}
	return pageOf(in, rows, func(r *store.FriendRequest) (friendRequest, int64) {
		return requestOf(c.app.ID, r, c.user), r.SequenceOf(c.user)
	}), nil
}
