package store

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
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
	App          chat.AppID
	ID           string // empty: one is made
	Owner        chat.UserID
	By           chat.UserID // who creates it; empty: the owner
	Type         GroupType   // 0: private
	Joining      JoinPolicy
	Name         string
	Introduction string
	Notification string
	Photo        string
	Extra        string
	Muted        bool
	MaxMembers   int           // 0: DefaultMaxMembers
	CreatedAt    int64         // Unix milliseconds; 0: now
	Members      []chat.UserID // beside the owner
}

// Acting is how somebody changes a group. There is at most one; none is the zero one.
type Acting struct {
	Admin bool                       // he may do everything: an administrator of the app
	As    map[chat.UserID]MemberInfo // what is to be known of those who join by it, beside their ids
	Tell  func(Changed) []chat.Event // what is told beside the log once something has changed; nil: nothing
}

// Changed is what has become of a group.
type Changed struct {
	Group Group
	Added []Added // of those who were to join
}

func only(how []Acting) Acting {
	if len(how) == 0 {
		return Acting{}
	}
	return how[0]
}

// CreateGroup creates a group. Its owner and all of its members must exist.
func (s *Store) CreateGroup(ctx context.Context, g NewGroup, how ...Acting) (group Group, err error) {
	if g.ID == "" {
		id := make([]byte, 16)
		_, _ = rand.Read(id) // it never fails
		g.ID = hex.EncodeToString(id)
	}
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		group, err = createGroup(ctx, db.New(tx), g, only(how))
		return err
	})
	if err != nil {
		return Group{}, groupError("create", chat.GroupOf(g.App, g.ID), err)
	}
	return group, nil
}

func createGroup(ctx context.Context, q *db.Queries, g NewGroup, acting Acting) (Group, error) {
	if strings.TrimSpace(g.ID) == "" || !utf8.ValidString(g.ID) || strings.ContainsRune(g.ID, 0) || utf8.RuneCountInString(g.ID) > chat.MaxUserID {
		return Group{}, chat.Errorf(chat.BadParameter, "a group's id has 1 to %d characters", chat.MaxUserID)
	}
	exist, err := existing(ctx, q, g.App, append([]chat.UserID{g.Owner}, g.Members...))
	if err != nil {
		return Group{}, err
	}
	if !exist[g.Owner] {
		return Group{}, chat.Errorf(chat.UserMissing, "user %s does not exist", g.Owner)
	}
	d, err := newDecision(ctx, q, g)
	if err != nil {
		return Group{}, err
	}
	group := chat.GroupOf(g.App, g.ID)
	if err := upToDate(ctx, q, group, 0); err != nil {
		return Group{}, err
	}
	d.add(chat.Change{Kind: chat.GroupCreated, Users: []chat.UserID{g.Owner}, Info: d.group.info()})
	d.admit(slices.DeleteFunc(slices.Clone(g.Members), func(u chat.UserID) bool { return u == g.Owner }), exist, acting.As)
	for _, a := range d.added {
		if a.Code != chat.OK && a.Code != chat.AlreadyMember {
			return Group{}, chat.Errorf(a.Code, "user %s: %s", a.User, a.Code.Info().Meaning)
		}
	}
	if g.Muted {
		d.add(chat.Change{Kind: chat.GroupMuted, On: true})
	}
	owner := Member{g.Owner, MemberInfo{Role: chat.Owner, Alias: acting.As[g.Owner].Alias}}
	if err := addMembers(ctx, q, group, []Member{owner}); err != nil {
		return Group{}, err
	}
	err = save(ctx, q, group, d, acting)
	return d.group, err
}

// newDecision is the decision that a group is founded, with its row.
func newDecision(ctx context.Context, q *db.Queries, g NewGroup) (*decision, error) {
	group := Group{
		App: g.App, ID: g.ID, Owner: g.Owner, Type: cmp.Or(g.Type, PrivateGroup), Joining: g.Joining, Name: g.Name,
		Introduction: g.Introduction, Notification: g.Notification, Photo: g.Photo, Extra: g.Extra, Muted: g.Muted,
		MaxMembers: cmp.Or(g.MaxMembers, DefaultMaxMembers),
	}
	at, err := q.AddGroup(ctx, db.AddGroupParams{
		AppID: int32(g.App), GroupID: g.ID, OwnerID: string(g.Owner), CreatedMs: g.CreatedAt,
		MaxMembers: int32(group.MaxMembers), //nolint:gosec // people
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, chat.Error{Code: chat.GroupExists}
	}
	group.CreatedAt = at
	return &decision{
		by: cmp.Or(g.By, g.Owner), all: true, group: group, count: 1, members: map[chat.UserID]member{g.Owner: {role: chat.Owner}},
	}, err
}

// UpdateGroup makes another of what describes a group. In a private group any member may do it, in a public one managers and the owner. The app
// itself, which by empty stands for, may do everything, as in all that follows.
func (s *Store) UpdateGroup(ctx context.Context, group chat.Conversation, by chat.UserID, info GroupInfo, how ...Acting) error {
	return s.decide(ctx, "update", group, by, nil, func(_ *db.Queries, d *decision) error { return d.update(info) }, how...)
}

// AddMembers lets users join a group, and tells of each what became of it. In a private group any member may do it, in a public one managers and
// the owner.
func (s *Store) AddMembers(
	ctx context.Context, group chat.Conversation, by chat.UserID, users []chat.UserID, how ...Acting,
) (added []Added, err error) {
	err = s.decide(ctx, "add members to", group, by, users, func(q *db.Queries, d *decision) error {
		if err := d.allowByType(); err != nil {
			return err
		}
		exist, err := room(ctx, q, group, d, users)
		if err != nil {
			return err
		}
		d.admit(users, exist, only(how).As)
		added = d.added
		return nil
	}, how...)
	return added, err
}

// room looks up how many members a group has, and which users exist.
func room(ctx context.Context, q *db.Queries, group chat.Conversation, d *decision, users []chat.UserID) (exist map[chat.UserID]bool, err error) {
	n, err := q.CountMembers(ctx, int32(group.App), group.A)
	if err != nil {
		return nil, err
	}
	d.count = int(n)
	return existing(ctx, q, group.App, users)
}

// RemoveMember removes a member: managers may remove ordinary ones, the owner everybody but himself.
func (s *Store) RemoveMember(ctx context.Context, group chat.Conversation, by, user chat.UserID, how ...Acting) error {
	return s.decide(ctx, "remove a member of", group, by, []chat.UserID{user}, func(_ *db.Queries, d *decision) error {
		return d.remove(user)
	}, how...)
}

// LeaveGroup lets a member go. The owner transfers the group first.
func (s *Store) LeaveGroup(ctx context.Context, group chat.Conversation, user chat.UserID, how ...Acting) error {
	return s.decide(ctx, "leave", group, user, nil, func(_ *db.Queries, d *decision) error { return d.leave() }, how...)
}

// SetRole makes a member a manager, or ordinary. Only the owner may do it, and in a private group only the app.
func (s *Store) SetRole(ctx context.Context, group chat.Conversation, by, user chat.UserID, role chat.MemberRole, how ...Acting) error {
	return s.decide(ctx, "set a role in", group, by, []chat.UserID{user}, func(_ *db.Queries, d *decision) error {
		return d.setRole(user, role)
	}, how...)
}

// UpdateMember makes another of what a member is, or of what describes him: that is his own matter, and of managers and the owner.
func (s *Store) UpdateMember(ctx context.Context, group chat.Conversation, by, user chat.UserID, u MemberUpdate, how ...Acting) error {
	return s.decide(ctx, "update a member of", group, by, []chat.UserID{user}, func(_ *db.Queries, d *decision) error {
		return d.updateMember(user, u)
	}, how...)
}

// MuteMember keeps a member from speaking until a time; the zero time, or one that has passed: he may speak. Managers may do it to
// ordinary members, the owner to all others.
func (s *Store) MuteMember(ctx context.Context, group chat.Conversation, by, user chat.UserID, until time.Time, how ...Acting) error {
	var ms int64
	if !until.IsZero() {
		ms = until.UnixMilli()
	}
	return s.decide(ctx, "mute a member of", group, by, []chat.UserID{user}, func(_ *db.Queries, d *decision) error {
		return d.muteMember(user, ms)
	}, how...)
}

// MuteGroup lets only managers and the owner speak, or everybody again. Managers and the owner may do it.
func (s *Store) MuteGroup(ctx context.Context, group chat.Conversation, by chat.UserID, on bool, how ...Acting) error {
	return s.decide(ctx, "mute", group, by, nil, func(_ *db.Queries, d *decision) error { return d.mute(on) }, how...)
}

// TransferGroup makes a member the owner; the one before becomes ordinary. Only the owner may do it.
func (s *Store) TransferGroup(ctx context.Context, group chat.Conversation, by, user chat.UserID, how ...Acting) error {
	return s.decide(ctx, "transfer", group, by, []chat.UserID{user}, func(_ *db.Queries, d *decision) error { return d.transfer(user) }, how...)
}

// DestroyGroup ends a group: nobody may speak in it any more, or change it. Only the owner may do it, and in a private group only the app.
func (s *Store) DestroyGroup(ctx context.Context, group chat.Conversation, by chat.UserID, how ...Acting) error {
	return s.decide(ctx, "destroy", group, by, nil, func(_ *db.Queries, d *decision) error { return d.destroy() }, how...)
}
