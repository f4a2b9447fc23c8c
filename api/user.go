package api

import (
	"context"

	"github.com/whaleshark-im/whaleshark/chat"
)

func (a *API) userEndpoints() []endpoint {
	return of("user",
		define("/v1/user/getUserSequence", "The numbers of what has changed last for a user: a device syncs what it is behind with.",
			forUsers, a.getUserSequence, chat.UserMissing),
	)
}

type userID struct {
	UserID string `json:"userId" is:"required,max=50" about:"Whom it is about."`
}

func (a *API) getUserSequence(ctx context.Context, c *call, in *userID) (map[string]int64, error) {
	s, err := a.store.Sequences(ctx, chat.UserKey{App: c.app.ID, User: chat.UserID(in.UserID)})
	if err != nil {
		return nil, err
	}
	return a.withPlaces(ctx, chat.UserKey{App: c.app.ID, User: chat.UserID(in.UserID)}, map[string]int64{
		"friendShipSeq": s.Friendship, "friendShipRequestSeq": s.FriendRequest, "friendShipGroupSeq": s.FriendGroup,
	})
}
