package store

import (
	"context"
	"fmt"
	"time"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/store/internal/db"
)

// The states of a friend request, with the original's numbers.
const (
	RequestOpen     int32 = 0
	RequestAgreed   int32 = 1
	RequestRejected int32 = 2
)

// FriendRequest is a request of From's to become a friend of To's.
type FriendRequest struct {
	ID               int64
	From, To         chat.UserID
	Remark           string // what From will call To
	AddSource        string
	Wording          string
	Read             bool // by To
	Status           int32
	Created, Updated time.Time
	FromSequence     int64 // From's, when it changed last
	ToSequence       int64 // To's
}

// SequenceOf is the request's sequence as one of the two sees it.
func (r *FriendRequest) SequenceOf(u chat.UserID) int64 {
	if u == r.To {
		return r.ToSequence
	}
	return r.FromSequence
}

func requestOf(row *db.FriendRequest) FriendRequest {
	return FriendRequest{
		ID: row.RequestID, From: chat.UserID(row.FromID), To: chat.UserID(row.ToID), Remark: row.Remark, AddSource: row.AddSource,
		Wording: row.AddWording, Read: row.Read, Status: int32(row.ApproveStatus), Created: row.CreatedAt, Updated: row.UpdatedAt,
		FromSequence: row.FromSequence, ToSequence: row.ToSequence,
	}
}

// decideRequest writes what became of an open request, into r as well; [chat.RequestMissing] if somebody else was faster.
func decideRequest(
	ctx context.Context, q *db.Queries, app chat.AppID, r *FriendRequest, status int32, now map[chat.UserID]Sequences,
) error {
	row, err := q.DecideFriendRequest(ctx, db.DecideFriendRequestParams{
		AppID: int32(app), RequestID: r.ID, ApproveStatus: int16(status), //nolint:gosec // 1 or 2
		FromSequence: now[r.From].FriendRequest, ToSequence: now[r.To].FriendRequest,
	})
	if err != nil {
		return orCode(err, chat.RequestMissing)
	}
	*r = requestOf(&row)
	return nil
}

// Decision is what somebody has decided of a request.
type Decision struct {
	Request int64
	By      chat.UserID
	ForAll  bool // By may decide requests to others, too
	Agreed  bool
}

// DecideFriendRequest carries out what whoever was asked has decided. That fails with [chat.RequestMissing] if there is no such open request, and
// with [chat.NotYourRequest] if it is another's to decide.
func (s *Store) DecideFriendRequest(
	ctx context.Context, app chat.AppID, d Decision, tell func(*Befriended) []chat.Event,
) (done Befriended, err error) {
	err = s.change(ctx, fmt.Sprintf("decide friend request %d", d.Request), func(q *db.Queries) ([]chat.Event, error) {
		row, err := q.FriendRequestByID(ctx, int32(app), d.Request)
		if err != nil {
			return nil, orCode(err, chat.RequestMissing)
		}
		r := requestOf(&row)
		switch {
		case r.Status != RequestOpen:
			return nil, chat.Error{Code: chat.RequestMissing}
		case r.To != d.By && !d.ForAll:
			return nil, chat.Error{Code: chat.NotYourRequest}
		}
		if err := carryOut(ctx, q, app, d, &r, &done); err != nil {
			return nil, err
		}
		return done.events(tell), nil
	})
	return done, err
}

func carryOut(ctx context.Context, q *db.Queries, app chat.AppID, d Decision, r *FriendRequest, done *Befriended) error {
	moves, status := Sequences{FriendRequest: 1}, RequestRejected
	if d.Agreed {
		moves.Friendship, status = 1, RequestAgreed
		if err := mustExist(ctx, q, app, r.From, r.To); err != nil {
			return err
		}
	}
	now, err := bump(ctx, q, app, map[chat.UserID]Sequences{r.From: moves, r.To: moves})
	if err != nil {
		return err
	}
	if err := decideRequest(ctx, q, app, r, status, now); err != nil {
		return err
	}
	done.Decided = []FriendRequest{*r}
	if !d.Agreed {
		return nil
	}
	return befriend(ctx, q, app, NewFriend{Side: Side{r.From, r.To}, Remark: r.Remark, AddSource: r.AddSource}, now, done)
}

// FriendRequestsTo returns the requests to a user, those that changed last before all others.
func (s *Store) FriendRequestsTo(ctx context.Context, user chat.UserKey, limit int) ([]FriendRequest, error) {
	rows, err := s.queries.FriendRequestsTo(ctx, int32(user.App), string(user.User), int32(limit)) //nolint:gosec // a page
	if err != nil {
		return nil, fmt.Errorf("read the friend requests to %s: %w", user.User, err)
	}
	return requestsOf(rows), nil
}

// FriendRequestsAfter returns a user's requests, to him and by him, that have changed since a sequence, in the order of his own.
func (s *Store) FriendRequestsAfter(ctx context.Context, user chat.UserKey, after int64, limit int) ([]FriendRequest, error) {
	rows, err := s.queries.FriendRequestsAfter(ctx, db.FriendRequestsAfterParams{
		AppID: int32(user.App), UserID: string(user.User), After: after, MaxRows: int32(limit), //nolint:gosec // a page
	})
	if err != nil {
		return nil, fmt.Errorf("read the friend requests of %s after %d: %w", user.User, after, err)
	}
	return requestsOf(rows), nil
}

func requestsOf(rows []db.FriendRequest) []FriendRequest {
	list := make([]FriendRequest, len(rows))
	for i := range rows {
		list[i] = requestOf(&rows[i])
	}
	return list
}

// ReadFriendRequests says that a user has seen all requests to him. Tell gets the sequence of the last, if there was any.
func (s *Store) ReadFriendRequests(ctx context.Context, user chat.UserKey, tell func(sequence int64) chat.Event) error {
	return s.change(ctx, fmt.Sprintf("read the friend requests to %s", user.User), func(q *db.Queries) ([]chat.Event, error) {
		now, err := bump(ctx, q, user.App, map[chat.UserID]Sequences{user.User: {}}) // the lock
		if err != nil {
			return nil, err
		}
		n, err := q.ReadFriendRequests(ctx, now[user.User].FriendRequest, int32(user.App), string(user.User))
		if err != nil || n == 0 {
			return nil, err
		}
		if now, err = bump(ctx, q, user.App, map[chat.UserID]Sequences{user.User: {FriendRequest: n}}); err != nil {
			return nil, err
		}
		return []chat.Event{tell(now[user.User].FriendRequest)}, nil
	})
}
