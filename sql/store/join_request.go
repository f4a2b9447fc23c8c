package store

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/store/internal/db"
)

// JoinRequest is a user's request to join a group.
type JoinRequest struct {
	ID        int64 // 0: he needed none, and has joined
	Group     chat.Conversation
	User      chat.UserID
	Wording   string
	Status    int32 // as of friend requests
	HandledBy chat.UserID
	CreatedAt time.Time
	UpdatedAt time.Time
}

func joinRequestOf(row db.GroupJoinRequest) JoinRequest {
	return JoinRequest{
		ID: row.RequestID, Group: chat.GroupOf(chat.AppID(row.AppID), row.GroupID), User: chat.UserID(row.UserID), Wording: row.Wording,
		Status: int32(row.Status), HandledBy: chat.UserID(row.HandledBy), CreatedAt: row.CreatedAt, UpdatedAt: row.UpdatedAt,
	}
}

// Requested is a request to join a group that was made, or decided.
type Requested struct {
	JoinRequest
	Group Group
	Staff []chat.UserID // the owner and the managers, as many as are told
}

// ApplyToGroup lets a user ask to join a group. Where everybody may, he joins at once; where somebody lets him in, he has an open request then,
// whose wording is the newest if there was one. Tell makes the events of it; nil: none.
func (s *Store) ApplyToGroup(
	ctx context.Context, group chat.Conversation, user chat.UserID, wording string, tell func(Requested) []chat.Event,
) (r Requested, err error) {
	err = s.decide(ctx, "apply to", group, user, nil, func(q *db.Queries, d *decision) error {
		if err := d.allowApplying(); err != nil {
			return err
		}
		exist, err := room(ctx, q, group, d, []chat.UserID{user})
		if err != nil {
			return err
		}
		if code := d.fits(user, exist[user], chat.Ordinary); code != chat.OK {
			return chat.Error{Code: code}
		}
		r = Requested{Group: d.group, JoinRequest: JoinRequest{Group: group, User: user, Wording: wording, Status: RequestAgreed}}
		if d.group.Joining == EverybodyJoins {
			d.admit([]chat.UserID{user}, exist, applied(user))
			return tellRequested(ctx, q, &r, tell)
		}
		row, err := q.OpenJoinRequest(ctx, db.OpenJoinRequestParams{
			AppID: int32(group.App), GroupID: group.A, UserID: string(user), Wording: wording,
		})
		if err != nil {
			return err
		}
		r.JoinRequest = joinRequestOf(row)
		return tellRequested(ctx, q, &r, tell)
	})
	return r, err
}

// applied is what is known of one who has asked to come.
func applied(user chat.UserID) map[chat.UserID]MemberInfo {
	return map[chat.UserID]MemberInfo{user: {JoinType: "apply"}}
}

// allowApplying reports why nobody can join the group by himself.
func (d *decision) allowApplying() error {
	_, there := d.members[d.by]
	switch {
	case d.group.Destroyed:
		return chat.Error{Code: chat.GroupIsGone}
	case there:
		return chat.Error{Code: chat.AlreadyMember}
	case d.group.Joining == NobodyJoins:
		return chat.Error{Code: chat.MemberNotAdded}
	}
	return nil
}

// DecideJoinRequest lets a manager or the owner agree to an open request to join, or reject it. Who has become a member meanwhile stays one. There
// is one answer to a request: the group's row is the lock.
func (s *Store) DecideJoinRequest(
	ctx context.Context, app chat.AppID, by chat.UserID, id int64, agree bool, admin bool, tell func(Requested) []chat.Event,
) (r Requested, err error) {
	at, err := s.queries.JoinRequestGroup(ctx, int32(app), id)
	if errors.Is(err, pgx.ErrNoRows) {
		return r, chat.Error{Code: chat.RequestMissing}
	}
	if err != nil {
		return r, explain("read a request to join", err)
	}
	group, user, status := chat.GroupOf(app, at.GroupID), chat.UserID(at.UserID), RequestRejected
	if agree {
		status = RequestAgreed
	}
	err = s.decide(ctx, "decide who joins", group, by, []chat.UserID{user}, func(q *db.Queries, d *decision) error {
		if err := d.allow(chat.Manager); err != nil {
			return err
		}
		row, err := q.CloseJoinRequest(ctx, db.CloseJoinRequestParams{
			AppID: int32(app), RequestID: id, Status: int16(status), HandledBy: string(by), //nolint:gosec // one of three
		})
		if errors.Is(err, pgx.ErrNoRows) {
			return chat.Error{Code: chat.RequestMissing}
		}
		if err != nil {
			return err
		}
		if agree {
			if err := letIn(ctx, q, d, group, user); err != nil {
				return err
			}
		}
		r = Requested{JoinRequest: joinRequestOf(row), Group: d.group}
		return tellRequested(ctx, q, &r, tell)
	}, Acting{Admin: admin})
	return r, err
}

// letIn lets one user join, unless he is there.
func letIn(ctx context.Context, q *db.Queries, d *decision, group chat.Conversation, user chat.UserID) error {
	exist, err := room(ctx, q, group, d, []chat.UserID{user})
	if err != nil {
		return err
	}
	d.admit([]chat.UserID{user}, exist, applied(user))
	switch code := d.added[0].Code; code {
	case chat.OK, chat.AlreadyMember:
		return nil
	case chat.UserMissing:
		return chat.Errorf(chat.RequestMissing, "user %s, who has asked, exists no more", user)
	default:
		return chat.Error{Code: code}
	}
}

// staffTold is how many of a group's managers hear of a request: an event must fit into a message of NATS.
const staffTold = 1000

// tellRequested adds the events of a request.
func tellRequested(ctx context.Context, q *db.Queries, r *Requested, tell func(Requested) []chat.Event) error {
	staff, err := q.Staff(ctx, int32(r.Group.App), r.Group.ID, staffTold)
	if err != nil {
		return err
	}
	for _, u := range staff {
		r.Staff = append(r.Staff, chat.UserID(u))
	}
	if tell == nil {
		return nil
	}
	return addEvents(ctx, q, tell(*r))
}

// JoinRequests returns a group's requests of a status, those that came last first, at most limit of them; before is the id of the last one of
// the page before, 0: there is none. Managers and the owner may see them.
func (s *Store) JoinRequests(
	ctx context.Context, group chat.Conversation, by chat.UserID, admin bool, status int32, before int64, limit int,
) ([]JoinRequest, error) {
	if err := s.mayManage(ctx, group, by, admin); err != nil {
		return nil, err
	}
	if before == 0 {
		before = math.MaxInt64
	}
	rows, err := s.queries.JoinRequests(ctx, db.JoinRequestsParams{
		AppID: int32(group.App), GroupID: group.A, Status: int16(status), Before: before, MaxRows: int32(limit), //nolint:gosec // one of three; a page
	})
	if err != nil {
		return nil, groupError("read the requests to join", group, err)
	}
	requests := make([]JoinRequest, len(rows))
	for i, row := range rows {
		requests[i] = joinRequestOf(row)
	}
	return requests, nil
}

// mayManage reports why a user may not see what is for the managers of a group and its owner.
func (s *Store) mayManage(ctx context.Context, group chat.Conversation, by chat.UserID, admin bool) error {
	view, err := s.Group(ctx, group, by)
	if err != nil || admin {
		return err
	}
	switch {
	case !view.IsMember:
		return chat.Error{Code: chat.NotMember}
	case view.Role == chat.Ordinary:
		return chat.Error{Code: chat.ManagersOnly}
	}
	return nil
}
