package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/store/internal/db"
)

// decide locks the group, lets f decide, and writes what it has decided together with what goes to the log: one transaction.
func (s *Store) decide(
	ctx context.Context, what string, group chat.Conversation, by chat.UserID, users []chat.UserID, f func(*db.Queries, *decision) error,
	how ...Acting,
) error {
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error { return decide(ctx, db.New(tx), group, by, users, f, how...) })
	return groupError(what, group, err)
}

func decide(
	ctx context.Context, q *db.Queries, group chat.Conversation, by chat.UserID, users []chat.UserID, f func(*db.Queries, *decision) error,
	how ...Acting,
) error {
	row, err := q.GroupForChange(ctx, int32(group.App), group.A)
	if errors.Is(err, pgx.ErrNoRows) || group.Kind != chat.Group {
		return chat.Error{Code: chat.GroupMissing}
	}
	if err != nil {
		return err
	}
	if err := upToDate(ctx, q, group, row.Version); err != nil {
		return err
	}
	d := &decision{by: by, all: by == "" || only(how).Admin, group: groupOf(row), members: make(map[chat.UserID]member)}
	concerned := append([]string{string(by), row.OwnerID}, texts(users)...)
	members, err := q.MembersByID(ctx, int32(group.App), group.A, concerned)
	if err != nil {
		return err
	}
	for _, m := range members {
		d.members[chat.UserID(m.UserID)] = member{
			role: chat.MemberRole(m.Role), mutedUntil: m.MutedUntil, alias: m.Alias, extra: m.Extra, //nolint:gosec // a role is 0 to 2
		}
	}
	if err := f(q, d); err != nil || len(d.changes) == 0 {
		return err
	}
	return save(ctx, q, group, d, only(how))
}

// upToDate refuses to go on from a version of a group, whose row is locked, that is older than the group's log. The next versions are in
// the log already: the sequencer would take what is decided under them for repeats, and nobody would hear of it.
func upToDate(ctx context.Context, q *db.Queries, group chat.Conversation, version int64) error {
	folded, err := q.FoldedVersion(ctx, group.String())
	if err != nil || folded <= version {
		return err
	}
	return chat.Errorf(chat.Unavailable, "the group's rows are at change %d, its log is at %d: the database was restored to an older state, "+
		"or the group was deleted by hand; it cannot be changed until its rows are as new as its log", version, folded)
}

// save writes a decision, and what is told of it beside the log.
func save(ctx context.Context, q *db.Queries, group chat.Conversation, d *decision, acting Acting) error {
	if err := saveGroup(ctx, q, d); err != nil {
		return err
	}
	if err := saveMembers(ctx, q, group, d); err != nil {
		return err
	}
	for _, c := range d.changes {
		if err := c.Check(); err != nil {
			return err
		}
		if err := addOutgoing(ctx, q, group, d.by, c); err != nil {
			return err
		}
	}
	if acting.Tell == nil {
		return nil
	}
	return addEvents(ctx, q, acting.Tell(Changed{Group: d.group, Added: d.added}))
}

func saveGroup(ctx context.Context, q *db.Queries, d *decision) (err error) {
	g := &d.group
	g.UpdatedAt, err = q.UpdateGroup(ctx, db.UpdateGroupParams{
		AppID: int32(g.App), GroupID: g.ID, Version: g.Version, OwnerID: string(g.Owner), Muted: g.Muted, Destroyed: g.Destroyed,
		Name: g.Name, Introduction: g.Introduction, Notification: g.Notification, Photo: g.Photo, Extra: g.Extra,
		MaxMembers: int32(g.MaxMembers), GroupType: int16(g.Type), ApplyJoinType: int16(g.Joining), //nolint:gosec // people
	})
	return err
}

// saveMembers writes who has come and gone, and who is not what he was. The request of one who has come in is settled.
func saveMembers(ctx context.Context, q *db.Queries, group chat.Conversation, d *decision) error {
	if err := addMembers(ctx, q, group, d.joined); err != nil {
		return err
	}
	if len(d.joined) > 0 {
		users := make([]string, len(d.joined))
		for i, j := range d.joined {
			users[i] = string(j.User)
		}
		if err := q.CloseJoinRequestsOf(ctx, db.CloseJoinRequestsOfParams{
			AppID: int32(group.App), GroupID: group.A, UserIds: users, HandledBy: string(d.by),
		}); err != nil {
			return err
		}
	}
	for _, u := range d.left {
		if err := q.RemoveMember(ctx, int32(group.App), group.A, string(u)); err != nil {
			return err
		}
	}
	for u := range d.set {
		m := d.members[u]
		if err := q.SetMember(ctx, db.SetMemberParams{
			AppID: int32(group.App), GroupID: group.A, UserID: string(u), Role: int16(m.role), MutedUntil: m.mutedUntil,
			Alias: m.alias, Extra: m.extra,
		}); err != nil {
			return err
		}
	}
	return nil
}

func addMembers(ctx context.Context, q *db.Queries, group chat.Conversation, members []Member) error {
	if len(members) == 0 {
		return nil
	}
	arg := db.AddMembersParams{AppID: int32(group.App), GroupID: group.A}
	for _, m := range members {
		arg.UserIds = append(arg.UserIds, string(m.User))
		arg.Roles = append(arg.Roles, int16(m.Role))
		arg.JoinTypes = append(arg.JoinTypes, m.JoinType)
		arg.Aliases = append(arg.Aliases, m.Alias)
		arg.Extras = append(arg.Extras, m.Extra)
		arg.JoinedMs = append(arg.JoinedMs, m.JoinedAt)
	}
	return q.AddMembers(ctx, arg)
}

// existing returns those of the users who exist.
func existing(ctx context.Context, q *db.Queries, app chat.AppID, users []chat.UserID) (map[chat.UserID]bool, error) {
	ids, err := q.ExistingUsers(ctx, int32(app), texts(users))
	exist := make(map[chat.UserID]bool, len(ids))
	for _, id := range ids {
		exist[chat.UserID(id)] = true
	}
	return exist, err
}

func texts(users []chat.UserID) []string {
	s := make([]string, len(users))
	for i, u := range users {
		s[i] = string(u)
	}
	return s
}

// groupError says what was being done, unless the error is for a client.
func groupError(what string, group chat.Conversation, err error) error {
	if _, ok := errors.AsType[chat.Error](err); ok || err == nil {
		return err
	}
	return fmt.Errorf("%s group %s: %w", what, group, err)
}
