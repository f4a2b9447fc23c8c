package store

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/store/internal/db"
)

// GroupType tells who lets others into a group. The numbers are the original's.
type GroupType int16

// The types of groups.
const (
	PrivateGroup GroupType = 1 // any member does; only an administrator of the app gives roles, and destroys it
	PublicGroup  GroupType = 2 // managers and the owner do
)

// JoinPolicy tells who may join a group by himself. The numbers are the original's.
type JoinPolicy int16

// The policies of joining.
const (
	NobodyJoins    JoinPolicy = 0
	ApprovedJoin   JoinPolicy = 1 // whom a manager or the owner lets in
	EverybodyJoins JoinPolicy = 2
)

// Group is a group's row.
type Group struct {
	App          chat.AppID
	ID           string
	Version      int64 // of the newest change
	Owner        chat.UserID
	Type         GroupType
	Joining      JoinPolicy
	Name         string
	Introduction string
	Notification string
	Photo        string
	Extra        string
	Muted        bool
	Destroyed    bool
	MaxMembers   int
	CreatedAt    time.Time
	UpdatedAt    time.Time
}

func groupOf(row db.ChatGroup) Group {
	return Group{
		App: chat.AppID(row.AppID), ID: row.GroupID, Version: row.Version, Owner: chat.UserID(row.OwnerID),
		Type: GroupType(row.GroupType), Joining: JoinPolicy(row.ApplyJoinType),
		Name: row.Name, Introduction: row.Introduction, Notification: row.Notification, Photo: row.Photo, Extra: row.Extra,
		Muted: row.Muted, Destroyed: row.DestroyedAt.Valid, MaxMembers: int(row.MaxMembers), CreatedAt: row.CreatedAt, UpdatedAt: row.UpdatedAt,
	}
}

// GroupInfo is what describes a group, or what is to be another of it: a nil field stays as it is. Its JSON is what the log has, and what
// clients get as it is.
type GroupInfo struct {
	Type         *GroupType  `json:"groupType,omitempty"` // once and for all
	Name         *string     `json:"groupName,omitempty"`
	Muted        *Switch     `json:"mute,omitempty"`
	Joining      *JoinPolicy `json:"applyJoinType,omitempty"`
	Introduction *string     `json:"introduction,omitempty"`
	Notification *string     `json:"notification,omitempty"`
	Photo        *string     `json:"photo,omitempty"`
	MaxMembers   *int        `json:"maxMemberCount,omitempty"`
	Extra        *string     `json:"extra,omitempty"`
	Status       int         `json:"status,omitempty"`     // of a new group
	CreatedAt    int64       `json:"createTime,omitempty"` // of a new group
}

// Switch is a truth that JSON has as 0 or 1.
type Switch bool

// MarshalJSON returns 0 or 1.
func (s Switch) MarshalJSON() ([]byte, error) {
	if s {
		return []byte("1"), nil
	}
	return []byte("0"), nil
}

// The statuses of groups, with the original's numbers.
const (
	GroupNormal    = 1
	GroupDestroyed = 2
)

// info is what the log has of a new group; what is empty is left out.
func (g *Group) info() string {
	muted := Switch(g.Muted)
	full := GroupInfo{
		Type: &g.Type, Muted: &muted, Joining: &g.Joining, MaxMembers: &g.MaxMembers, Status: GroupNormal, CreatedAt: g.CreatedAt.UnixMilli(),
		Name: filled(&g.Name), Introduction: filled(&g.Introduction), Notification: filled(&g.Notification), Photo: filled(&g.Photo),
		Extra: filled(&g.Extra),
	}
	return infoJSON(&full)
}

func filled(s *string) *string {
	if *s == "" {
		return nil
	}
	return s
}

// take makes the group what the info says, and takes out of the info what was so already.
func (g *Group) take(info *GroupInfo) {
	info.Type, info.Status, info.CreatedAt = nil, 0, 0
	renew(&g.Name, &info.Name)
	muted := Switch(g.Muted)
	renew(&muted, &info.Muted)
	g.Muted = bool(muted)
	renew(&g.Joining, &info.Joining)
	renew(&g.Introduction, &info.Introduction)
	renew(&g.Notification, &info.Notification)
	renew(&g.Photo, &info.Photo)
	renew(&g.MaxMembers, &info.MaxMembers)
	renew(&g.Extra, &info.Extra)
}

// renew gives a field the value that is wished for, and forgets a wish for what is there.
func renew[T comparable](field *T, wish **T) {
	switch {
	case *wish == nil:
	case **wish == *field:
		*wish = nil
	default:
		*field = **wish
	}
}

// infoJSON encodes one of our own types; that cannot fail.
func infoJSON(x any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(x); err != nil {
		panic(fmt.Sprintf("store: encode a %T: %v", x, err))
	}
	return string(bytes.TrimSpace(b.Bytes()))
}

// MemberInfo is what is known of a member beside his id.
type MemberInfo struct {
	Role       chat.MemberRole
	MutedUntil int64 // Unix milliseconds
	Alias      string
	Extra      string
	JoinType   string // how he came, in the app's words
	JoinedAt   int64  // Unix milliseconds; 0: now
}

// Member is a member's row.
type Member struct {
	User chat.UserID
	MemberInfo
}

func memberOf(row db.GroupMember) Member {
	return Member{User: chat.UserID(row.UserID), MemberInfo: MemberInfo{
		Role: chat.MemberRole(row.Role), MutedUntil: row.MutedUntil, Alias: row.Alias, Extra: row.Extra, //nolint:gosec // a role is 0 to 2
		JoinType: row.JoinType, JoinedAt: row.JoinedAt.UnixMilli(),
	}}
}
