package chat

import (
	"bytes"
	"encoding/json"
)

// MemberRole is what a member may do in a group. The numbers are the wire's.
type MemberRole uint8

// The roles of members.
const (
	Ordinary MemberRole = 0
	Manager  MemberRole = 1
	Owner    MemberRole = 2
)

// ChangeKind tells what has changed in a group. The numbers are part of the log's format.
type ChangeKind uint8

// The kinds of change.
const (
	GroupCreated     ChangeKind = 1  // by its owner, who is the one user and the first member
	MembersJoined    ChangeKind = 2  // the users are members from here on, with the role
	MemberLeft       ChangeKind = 3  // the user went by himself
	MemberRemoved    ChangeKind = 4  // the user was removed
	RoleSet          ChangeKind = 5  // the user has the role
	MemberMuted      ChangeKind = 6  // the user may not speak until a time
	GroupMuted       ChangeKind = 7  // only managers and the owner may speak, or everybody again
	GroupDestroyed   ChangeKind = 8  // nobody may speak any more
	GroupTransferred ChangeKind = 9  // the user is the owner, the one before is ordinary
	GroupUpdated     ChangeKind = 10 // what describes the group is another: the info has what has changed
	MemberUpdated    ChangeKind = 11 // what describes the user as a member is another: the info has what has changed
)

// Limits of a change.
const (
	MaxChangeUsers = 100     // how many users it may concern
	MaxInfo        = 8 << 10 // how many bytes its info may have
)

// Change is a change of a group. Postgres decides it and numbers it; it holds from its record's place on.
type Change struct {
	Kind    ChangeKind
	Version int64 // of the group, 1, 2, 3, …: each change has the next one
	Users   []UserID
	Role    MemberRole // of MembersJoined and RoleSet
	Until   int64      // of MemberMuted: Unix milliseconds; in the past: the user may speak again
	On      bool       // of GroupMuted
	Info    string     // of GroupCreated, GroupUpdated and MemberUpdated: a JSON object with what describes the group, or the member; it is handed on as it is
}

// Check returns a [BadParameter] if the change has no info where it needs one, or has one that cannot be handed on.
func (c *Change) Check() error {
	updates := c.Kind == GroupUpdated || c.Kind == MemberUpdated
	switch {
	case c.Info == "" && updates:
		return Errorf(BadParameter, "nothing is updated")
	case c.Kind == GroupUpdated && len(c.Users) != 0, c.Kind == MemberUpdated && len(c.Users) != 1:
		return Errorf(BadParameter, "an update is of the group, or of one member")
	case c.Info == "":
		return nil
	case !updates && c.Kind != GroupCreated:
		return Errorf(BadParameter, "a change of kind %d has no info", c.Kind)
	case len(c.Info) > MaxInfo:
		return Errorf(BadParameter, "what describes a group or a member has %d bytes; %d is the most", len(c.Info), MaxInfo)
	case !json.Valid([]byte(c.Info)) || !bytes.HasPrefix(bytes.TrimLeft([]byte(c.Info), " \t\r\n"), []byte("{")):
		return Errorf(BadParameter, "what describes a group or a member is no JSON object")
	}
	return nil
}

// GroupOf returns the conversation of a group.
func GroupOf(app AppID, group string) Conversation {
	return Conversation{App: app, Kind: Group, A: group}
}

// Membership is one stay of a user in a group: a record at a place p is his to see if Joined < p < Left.
type Membership struct {
	User       UserID
	Joined     Place
	Left       Place // 0: he is there
	Role       MemberRole
	MutedUntil int64 // Unix milliseconds
	At         Place // of the newest change of role or mute, or of the joining
}

// Covers reports whether what is at a place is within the stay.
func (m *Membership) Covers(p Place) bool { return m.Joined < p && (m.Left == 0 || p < m.Left) }

// GroupState is what Postgres has folded of a group's log.
type GroupState struct {
	Version   int64 // of the newest change; 0: there is no such group
	Muted     bool
	Destroyed bool
	At        Place // of the newest change
	Members   []Membership
	Mark      Revision // how far Postgres had the partition: what the log has after it is not in here
}

// Outgoing is a change that waits in Postgres's outbox until it is in the log.
type Outgoing struct {
	ID           int64
	Conversation Conversation
	By           UserID // who made it; empty: the app itself
	Change       Change
	Fault        error // it cannot be read: there is no change, and what is behind it in the group waits
}
