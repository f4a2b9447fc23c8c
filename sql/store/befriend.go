package store

import (
	"context"
	"fmt"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/store/internal/db"
)

// NewFriend is a friendship that From wants.
type NewFriend struct {
	Side

	Remark, AddSource, Extra string
	Wording                  string // what To reads if he is asked first
}

// Befriended is what became of a wish for friendship.
type Befriended struct {
	From, To Friendship      // both sides, if they are friends now
	Asked    *FriendRequest  // To is asked first, and they are no friends yet
	Decided  []FriendRequest // requests that were open between them and are no longer
}

// AddFriend makes two users friends, or asks the one that wants to be asked first. That fails with [chat.UserMissing], [chat.FriendNotAdded] if
// To takes no requests, or [chat.AlreadyFriends] if both hold each other for friends. Tell makes the events of it; what it makes stale is
// seen to.
func (s *Store) AddFriend(
	ctx context.Context, app chat.AppID, f NewFriend, tell func(*Befriended) []chat.Event,
) (done Befriended, err error) {
	err = s.change(ctx, fmt.Sprintf("make %s a friend of %s", f.To, f.From), func(q *db.Queries) ([]chat.Event, error) {
		asks, err := wantsToBeAsked(ctx, q, app, f.Side)
		if err != nil {
			return nil, err
		}
		moves := Sequences{Friendship: 1}
		if asks {
			moves = Sequences{FriendRequest: 1}
		}
		now, err := bump(ctx, q, app, map[chat.UserID]Sequences{f.From: moves, f.To: moves})
		if err != nil {
			return nil, err
		}
		there, err := between(ctx, q, app, []Side{f.Side, f.Other()})
		switch {
		case err != nil:
			return nil, err
		case there[f.Side].Friends() && there[f.Other()].Friends():
			return nil, chat.Error{Code: chat.AlreadyFriends}
		case asks:
			done.Asked, err = askFriendship(ctx, q, app, f, now)
		default:
			err = befriend(ctx, q, app, f, now, &done)
		}
		if err != nil {
			return nil, err
		}
		return done.events(tell), nil
	})
	return done, err
}

// events are those that tell makes, the first of which says what is stale, too.
func (b *Befriended) events(tell func(*Befriended) []chat.Event) []chat.Event {
	events := tell(b)
	if b.From.To != "" {
		stale := &events[0].Stale
		stale.Relations = append(stale.Relations, [2]chat.UserID{b.From.From, b.From.To}, [2]chat.UserID{b.To.From, b.To.To})
	}
	return events
}

func wantsToBeAsked(ctx context.Context, q *db.Queries, app chat.AppID, side Side) (bool, error) {
	rows, err := q.Profiles(ctx, int32(app), []string{string(side.From), string(side.To)})
	if err != nil {
		return false, err
	}
	exist := make(map[string]*db.ProfilesRow)
	for i := range rows {
		exist[rows[i].UserID] = &rows[i]
	}
	for _, u := range [...]chat.UserID{side.From, side.To} {
		if exist[string(u)] == nil {
			return false, chat.Errorf(chat.UserMissing, "user %s does not exist", u)
		}
	}
	to := exist[string(side.To)]
	if to.DisableAddFriend {
		return false, chat.Error{Code: chat.FriendNotAdded}
	}
	return to.FriendAllowType == asksFirst, nil
}

func askFriendship(
	ctx context.Context, q *db.Queries, app chat.AppID, f NewFriend, now map[chat.UserID]Sequences,
) (*FriendRequest, error) {
	row, err := q.AskFriendship(ctx, db.AskFriendshipParams{
		AppID: int32(app), FromID: string(f.From), ToID: string(f.To), Remark: f.Remark, AddSource: f.AddSource, AddWording: f.Wording,
		FromSequence: now[f.From].FriendRequest, ToSequence: now[f.To].FriendRequest,
	})
	if err != nil {
		return nil, err
	}
	r := requestOf(&row)
	return &r, nil
}

// befriend writes both sides. With that, requests between the two that are still open are agreed to.
func befriend(
	ctx context.Context, q *db.Queries, app chat.AppID, f NewFriend, now map[chat.UserID]Sequences, done *Befriended,
) error {
	rows, err := q.Befriend(ctx, db.BefriendParams{
		AppID: int32(app), FromIds: []string{string(f.From), string(f.To)}, ToIds: []string{string(f.To), string(f.From)},
		Remarks: []string{f.Remark, ""}, AddSources: []string{f.AddSource, f.AddSource}, Extras: []string{f.Extra, ""},
		Sequences: []int64{now[f.From].Friendship, now[f.To].Friendship},
	})
	if err != nil {
		return err
	}
	for i := range rows {
		if side := friendshipOf(&rows[i]); side.From == f.From {
			done.From = side
		} else {
			done.To = side
		}
	}
	open, err := q.OpenFriendRequests(ctx, string(f.From), string(f.To), int32(app))
	if err != nil {
		return err
	}
	for i := range open {
		one := Sequences{FriendRequest: 1}
		now, err := bump(ctx, q, app, map[chat.UserID]Sequences{f.From: one, f.To: one}) // both are locked already
		if err != nil {
			return err
		}
		r := requestOf(&open[i])
		if err := decideRequest(ctx, q, app, &r, RequestAgreed, now); err != nil {
			return err
		}
		done.Decided = append(done.Decided, r)
	}
	return nil
}
