package store

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/store/internal/db"
)

// DefaultMaxMembers is how many members a group may have for which nobody has said it.
const DefaultMaxMembers = 10_000

// NewGroup is a group that is to be.
type NewGroup struct {
	App        chat.AppID
	ID         string // empty: one is made
	Owner      chat.UserID
	Name       string
	Members    []chat.UserID // beside the owner
	MaxMembers int           // 0: DefaultMaxMembers
}

// CreateGroup creates a group and returns its id. Its owner and all of its members must exist.
func (s *Store) CreateGroup(ctx context.Context, g NewGroup) (string, error) {
	if g.ID == "" {
		id := make([]byte, 16)
		_, _ = rand.Read(id) // it never fails
		g.ID = hex.EncodeToString(id)
	}
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error { return createGroup(ctx, db.New(tx), g) })
	if err != nil {
		return "", groupError("create", chat.GroupOf(g.App, g.ID), err)
	}
	return g.ID, nil
}

func createGroup(ctx context.Context, q *db.Queries, g NewGroup) error {
	if !utf8.ValidString(g.ID) || strings.ContainsRune(g.ID, 0) || utf8.RuneCountInString(g.ID) > chat.MaxUserID {
		return chat.Errorf(chat.BadParameter, "a group's id has 1 to %d characters", chat.MaxUserID)
	}
	if g.MaxMembers == 0 {
		g.MaxMembers = DefaultMaxMembers
	}
	group := chat.GroupOf(g.App, g.ID)
	exist, err := existing(ctx, q, g.App, append([]chat.UserID{g.Owner}, g.Members...))
	if err != nil {
		return err
	}
	if !exist[g.Owner] {
		return chat.Errorf(chat.UserMissing, "user %s does not exist", g.Owner)
	}
	n, err := q.AddGroup(ctx, db.AddGroupParams{
		AppID: int32(g.App), GroupID: g.ID, OwnerID: string(g.Owner), Name: g.Name, MaxMembers: int32(g.MaxMembers), //nolint:gosec // people
	})
	if err != nil {
		return err
	}
	if n == 0 {
		return chat.Error{Code: chat.GroupExists}
	}
	if err := upToDate(ctx, q, group, 0); err != nil {
		return err
	}
	d := &decision{owner: g.Owner, count: 1, max: g.MaxMembers, members: map[chat.UserID]member{g.Owner: {role: chat.Owner}}}
	d.add(chat.Change{Kind: chat.GroupCreated, Users: []chat.UserID{g.Owner}})
	added, err := d.join(slices.DeleteFunc(slices.Clone(g.Members), func(u chat.UserID) bool { return u == g.Owner }), exist)
	if err != nil {
		return err
	}
	for _, a := range added {
		if a.Code != chat.OK && a.Code != chat.AlreadyMember {
			return chat.Errorf(a.Code, "user %s: %s", a.User, a.Code.Info().Meaning)
		}
	}
	if err := addMembers(ctx, q, group, chat.Owner, []chat.UserID{g.Owner}); err != nil {
		return err
	}
	return save(ctx, q, group, g.Owner, d)
}

// AddMembers lets users join a group, and tells of each what became of it. Managers and the owner may do it, or, with by empty, the
// app itself, as in all that follows.
func (s *Store) AddMembers(ctx context.Context, group chat.Conversation, by chat.UserID, users []chat.UserID) (added []Added, err error) {
	err = s.decide(ctx, "add members to", group, by, users, func(q *db.Queries, d *decision) error {
		exist, err := existing(ctx, q, group.App, users)
		if err != nil {
			return err
		}
		n, err := q.CountMembers(ctx, int32(group.App), group.A)
		if err != nil {
			return err
		}
		d.count = int(n)
		added, err = d.join(users, exist)
		return err
	})
	return added, err
}

// RemoveMember removes a member: managers may remove ordinary ones, the owner everybody but himself.
func (s *Store) RemoveMember(ctx context.Context, group chat.Conversation, by, user chat.UserID) error {
	return s.decide(ctx, "remove a member of", group, by, []chat.UserID{user}, func(_ *db.Queries, d *decision) error { return d.remove(user) })
}

// LeaveGroup lets a member go. The owner transfers the group first.
func (s *Store) LeaveGroup(ctx context.Context, group chat.Conversation, user chat.UserID) error {
	return s.decide(ctx, "leave", group, user, nil, func(_ *db.Queries, d *decision) error { return d.leave() })
}

// SetRole makes a member a manager, or ordinary. Only the owner may do it.
func (s *Store) SetRole(ctx context.Context, group chat.Conversation, by, user chat.UserID, role chat.MemberRole) error {
	return s.decide(ctx, "set a role in", group, by, []chat.UserID{user}, func(_ *db.Queries, d *decision) error { return d.setRole(user, role) })
}

// MuteMember keeps a member from speaking until a time; the zero time, or one that has passed: he may speak. Managers may do it to
// ordinary members, the owner to all.
func (s *Store) MuteMember(ctx context.Context, group chat.Conversation, by, user chat.UserID, until time.Time) error {
	var ms int64
	if !until.IsZero() {
		ms = until.UnixMilli()
	}
	return s.decide(ctx, "mute a member of", group, by, []chat.UserID{user}, func(_ *db.Queries, d *decision) error {
		return d.muteMember(user, ms)
	})
}

// MuteGroup lets only managers and the owner speak, or everybody again. Managers and the owner may do it.
func (s *Store) MuteGroup(ctx context.Context, group chat.Conversation, by chat.UserID, on bool) error {
	return s.decide(ctx, "mute", group, by, nil, func(_ *db.Queries, d *decision) error { return d.mute(on) })
}

// TransferGroup makes a member the owner; the one before becomes ordinary. Only the owner may do it.
func (s *Store) TransferGroup(ctx context.Context, group chat.Conversation, by, user chat.UserID) error {
	return s.decide(ctx, "transfer", group, by, []chat.UserID{user}, func(_ *db.Queries, d *decision) error { return d.transfer(user) })
}

// DestroyGroup ends a group: nobody may speak in it any more, or change it. Only the owner may do it.
func (s *Store) DestroyGroup(ctx context.Context, group chat.Conversation, by chat.UserID) error {
	return s.decide(ctx, "destroy", group, by, nil, func(_ *db.Queries, d *decision) error { return d.destroy() })
}

// decide locks the group, lets f decide, and writes what it has decided together with what goes to the log: one transaction.
func (s *Store) decide(
	ctx context.Context, what string, group chat.Conversation, by chat.UserID, users []chat.UserID, f func(*db.Queries, *decision) error,
) error {
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error { return decide(ctx, db.New(tx), group, by, users, f) })
	return groupError(what, group, err)
}

func decide(
	ctx context.Context, q *db.Queries, group chat.Conversation, by chat.UserID, users []chat.UserID, f func(*db.Queries, *decision) error,
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
	d := &decision{
		by: by, version: row.Version, owner: chat.UserID(row.OwnerID), muted: row.Muted, destroyed: row.Destroyed, max: int(row.MaxMembers),
		members: make(map[chat.UserID]member),
	}
	concerned := append([]string{string(by), row.OwnerID}, texts(users)...)
	members, err := q.MembersByID(ctx, int32(group.App), group.A, concerned)
	if err != nil {
		return err
	}
	for _, m := range members {
		d.members[chat.UserID(m.UserID)] = member{role: chat.MemberRole(m.Role), mutedUntil: m.MutedUntil} //nolint:gosec // a role is 0 to 2
	}
	if err := f(q, d); err != nil || len(d.changes) == 0 {
		return err
	}
	return save(ctx, q, group, by, d)
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

// save writes a decision.
func save(ctx context.Context, q *db.Queries, group chat.Conversation, by chat.UserID, d *decision) error {
	if err := q.UpdateGroup(ctx, db.UpdateGroupParams{
		Version: d.version, OwnerID: string(d.owner), Muted: d.muted, Destroyed: d.destroyed, AppID: int32(group.App), GroupID: group.A,
	}); err != nil {
		return err
	}
	if err := addMembers(ctx, q, group, chat.Ordinary, d.joined); err != nil {
		return err
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
		}); err != nil {
			return err
		}
	}
	for _, c := range d.changes {
		if err := c.Check(); err != nil {
			return err
		}
		if err := addOutgoing(ctx, q, group, by, c); err != nil {
			return err
		}
	}
	return nil
}

func addMembers(ctx context.Context, q *db.Queries, group chat.Conversation, role chat.MemberRole, users []chat.UserID) error {
	if len(users) == 0 {
		return nil
	}
	return q.AddMembers(ctx, db.AddMembersParams{AppID: int32(group.App), GroupID: group.A, UserIds: texts(users), Role: int16(role)})
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
