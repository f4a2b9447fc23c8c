package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/store/internal/db"
)

// foldGroups writes what the changes of groups come to. Postgres may have some of them; those are left out ([foldGroup]), so that each
// change counts once.
func (b *batch) foldGroups(ctx context.Context, tx pgx.Tx) error {
	var groups []*groupFold
	var stays, changed []*stayRow
	for _, c := range b.conversations {
		if c.refusal != nil {
			continue
		}
		if g := foldGroup(c); g != nil {
			groups, stays, changed = append(groups, g), append(stays, g.stays...), append(changed, g.changed...)
		}
	}
	if len(groups) == 0 {
		return nil
	}
	q := db.New(tx)
	if err := saveGroups(ctx, q, groups); err != nil {
		return err
	}
	if err := demoteOwners(ctx, q, groups); err != nil { // before they are changed: it looks for those of before
		return err
	}
	blame := func(s *stayRow, cause error) { b.reject(s.newest, cause) }
	if err := put(ctx, tx, changed, changeStays, blame); err != nil {
		return err
	}
	if err := put(ctx, tx, stays, addStays, blame); err != nil {
		return err
	}
	return b.widen(ctx, q, groups)
}

// saveGroups writes the groups' own state, and forgets what has thereby left the outbox.
func saveGroups(ctx context.Context, q *db.Queries, groups []*groupFold) error {
	var arg db.FoldGroupsParams
	var apps []int32
	var ids []string
	for _, g := range groups {
		arg.ConversationIds = append(arg.ConversationIds, g.conversation.id)
		arg.Versions = append(arg.Versions, g.version)
		arg.Places = append(arg.Places, int64(g.place))
		arg.Mutes = append(arg.Mutes, g.mutes)
		arg.Muted = append(arg.Muted, g.muted)
		arg.Destroyed = append(arg.Destroyed, g.destroyed)
		apps = append(apps, int32(g.conversation.conversation.App))
		ids = append(ids, g.conversation.conversation.A)
	}
	if err := q.FoldGroups(ctx, arg); err != nil {
		return err
	}
	return q.ForgetOutgoing(ctx, apps, ids, arg.Versions)
}

func addStays(ctx context.Context, q *db.Queries, stays []*stayRow) error {
	var arg db.AddStaysParams
	for _, s := range stays {
		arg.ConversationIds = append(arg.ConversationIds, s.conversation.id)
		arg.AppIds = append(arg.AppIds, int32(s.conversation.conversation.App))
		arg.UserIds = append(arg.UserIds, string(s.user))
		arg.Joined = append(arg.Joined, int64(s.joined))
		arg.LeftPlaces = append(arg.LeftPlaces, int64(s.left))
		arg.MutedUntils = append(arg.MutedUntils, s.mutedUntil)
		arg.Places = append(arg.Places, int64(s.newest.place))
		arg.Roles = append(arg.Roles, int16(s.role))
		arg.Wide = append(arg.Wide, s.conversation.wide)
	}
	return q.AddStays(ctx, arg)
}

func changeStays(ctx context.Context, q *db.Queries, stays []*stayRow) error {
	var arg db.ChangeStaysParams
	for _, s := range stays {
		arg.ConversationIds = append(arg.ConversationIds, s.conversation.id)
		arg.UserIds = append(arg.UserIds, string(s.user))
		arg.FirstPlaces = append(arg.FirstPlaces, int64(s.first))
		arg.LeftPlaces = append(arg.LeftPlaces, int64(s.left))
		arg.Places = append(arg.Places, int64(s.newest.place))
		arg.SetsRoles = append(arg.SetsRoles, s.setsRole)
		arg.Roles = append(arg.Roles, int16(s.role))
		arg.Mutes = append(arg.Mutes, s.mutes)
		arg.MutedUntils = append(arg.MutedUntils, s.mutedUntil)
	}
	return q.ChangeStays(ctx, arg)
}

func demoteOwners(ctx context.Context, q *db.Queries, groups []*groupFold) error {
	var ids, places []int64
	for _, g := range groups {
		if g.transfer != 0 {
			ids, places = append(ids, g.conversation.id), append(places, int64(g.transfer))
		}
	}
	if len(ids) == 0 {
		return nil
	}
	return q.DemoteOwners(ctx, ids, places)
}

// widen makes those groups wide that have too many members now. Once wide, a group stays so.
func (b *batch) widen(ctx context.Context, q *db.Queries, groups []*groupFold) error {
	var grown []int64
	for _, g := range groups {
		if len(g.stays) > 0 && !g.conversation.wide {
			grown = append(grown, g.conversation.id)
		}
	}
	if len(grown) == 0 {
		return nil
	}
	wide, err := q.WidenConversations(ctx, grown, int64(b.wide))
	if err != nil || len(wide) == 0 {
		return err
	}
	return q.WidenMemberships(ctx, wide)
}

// touchMembers tells the members of groups that something has changed.
func (b *batch) touchMembers(ctx context.Context, tx pgx.Tx) error {
	var ids, changed []int64
	for _, c := range b.conversations {
		if c.conversation.Kind == chat.Group && c.refusal == nil && c.changed != 0 && !c.wide {
			ids, changed = append(ids, c.id), append(changed, int64(c.changed))
		}
	}
	if len(ids) == 0 {
		return nil
	}
	return db.New(tx).TouchMembers(ctx, ids, changed)
}

func chatStay(user string, joined, left int64, role int16, mutedUntil, place int64) chat.Membership {
	return chat.Membership{
		User: chat.UserID(user), Joined: chat.Place(joined), Left: chat.Place(left),
		Role: chat.MemberRole(role), MutedUntil: mutedUntil, At: chat.Place(place), //nolint:gosec // a role is 0 to 2
	}
}

// Stay is a user's stay in a group, as the rows have it.
type Stay struct {
	Group chat.Conversation
	chat.Membership
}

// StayKey is where a page of stays ended. The zero key is before the first.
type StayKey struct {
	group  int64
	user   chat.UserID
	joined chat.Place
}

// Memberships returns all stays after a key, at most limit of them, and the key for those that follow.
func (s *Store) Memberships(ctx context.Context, after StayKey, limit int) ([]Stay, StayKey, error) {
	rows, err := s.queries.Memberships(ctx, db.MembershipsParams{
		ConversationID: after.group, UserID: string(after.user), Joined: int64(after.joined), MaxRows: int32(limit), //nolint:gosec // a page
	})
	if err != nil {
		return nil, after, fmt.Errorf("read memberships: %w", err)
	}
	stays := make([]Stay, len(rows))
	for i, row := range rows {
		c, err := chat.ParseConversation(row.Token)
		if err != nil {
			return nil, after, fmt.Errorf("read memberships: %w", err)
		}
		stays[i] = Stay{Group: c, Membership: chatStay(row.UserID, row.Joined, row.LeftPlace, row.Role, row.MutedUntil, row.Place)}
		after = StayKey{group: row.ConversationID, user: chat.UserID(row.UserID), joined: chat.Place(row.Joined)}
	}
	return stays, after, nil
}
