package store

import "github.com/whaleshark-im/whaleshark/chat"

// What is decided of single members.

func (d *decision) remove(user chat.UserID) error {
	if err := d.allow(chat.Manager); err != nil {
		return err
	}
	if user == d.group.Owner {
		return chat.Error{Code: chat.OwnerNotRemove}
	}
	if err := d.allowOver(user); err != nil {
		return err
	}
	d.left = append(d.left, user)
	d.add(chat.Change{Kind: chat.MemberRemoved, Users: []chat.UserID{user}})
	return nil
}

// leave lets whoever asks go.
func (d *decision) leave() error {
	if d.group.Destroyed {
		return chat.Error{Code: chat.GroupIsGone}
	}
	m, ok := d.members[d.by]
	switch {
	case !ok:
		return chat.Error{Code: chat.NotMember}
	case m.role == chat.Owner:
		return chat.Error{Code: chat.OwnerNotRemove}
	}
	d.left = append(d.left, d.by)
	d.add(chat.Change{Kind: chat.MemberLeft, Users: []chat.UserID{d.by}})
	return nil
}

// MemberUpdate is what is to be another of a member; nil: it stays.
type MemberUpdate struct {
	Role  *chat.MemberRole `json:"-"` // a change of its own
	Alias *string          `json:"alias,omitempty"`
	Extra *string          `json:"extra,omitempty"`
}

// updateMember makes another of what a member is, or of what describes him.
func (d *decision) updateMember(user chat.UserID, u MemberUpdate) error {
	if err := d.allow(chat.Ordinary); err != nil {
		return err
	}
	if _, ok := d.members[user]; !ok {
		return chat.Error{Code: chat.NotMember}
	}
	if u.Role != nil {
		if err := d.setRole(user, *u.Role); err != nil {
			return err
		}
	}
	return d.describe(user, u)
}

// describe makes another of what describes a member: his own matter, and that of managers and the owner.
func (d *decision) describe(user chat.UserID, u MemberUpdate) error {
	u.Role = nil
	if u == (MemberUpdate{}) {
		return nil
	}
	if user != d.by && d.allow(chat.Manager) != nil {
		return chat.Error{Code: chat.SelfOnly}
	}
	m := d.members[user]
	renew(&m.alias, &u.Alias)
	renew(&m.extra, &u.Extra)
	if u != (MemberUpdate{}) {
		d.change(user, m)
		d.add(chat.Change{Kind: chat.MemberUpdated, Users: []chat.UserID{user}, Info: infoJSON(&u)})
	}
	return nil
}

// setRole makes a member ordinary, or a manager. In a private group the app alone does it.
func (d *decision) setRole(user chat.UserID, role chat.MemberRole) error {
	if err := d.allow(chat.Manager); err != nil {
		return err
	}
	m, ok := d.members[user]
	switch {
	case !ok:
		return chat.Error{Code: chat.NotMember}
	case m.role == role:
		return nil
	case role != chat.Ordinary && role != chat.Manager:
		return chat.Errorf(chat.BadParameter, "a member is made ordinary or a manager; a group is transferred to its next owner")
	case m.role == chat.Owner:
		return chat.Errorf(chat.BadParameter, "the owner stays it until the group is transferred")
	case d.group.Type == PrivateGroup && !d.all:
		return chat.Error{Code: chat.AdminOnly}
	}
	if err := d.allow(chat.Owner); err != nil {
		return err
	}
	m.role = role
	d.change(user, m)
	d.add(chat.Change{Kind: chat.RoleSet, Users: []chat.UserID{user}, Role: role})
	return nil
}

// muteMember keeps a member from speaking until a time. Nobody but the app silences an owner.
func (d *decision) muteMember(user chat.UserID, until int64) error {
	if err := d.allow(chat.Manager); err != nil {
		return err
	}
	if user == d.group.Owner && !d.all {
		return chat.Error{Code: chat.AdminOnly}
	}
	if err := d.allowOver(user); err != nil {
		return err
	}
	d.silence(user, until)
	return nil
}

func (d *decision) silence(user chat.UserID, until int64) {
	m := d.members[user]
	if m.mutedUntil == until {
		return
	}
	m.mutedUntil = until
	d.change(user, m)
	d.add(chat.Change{Kind: chat.MemberMuted, Users: []chat.UserID{user}, Until: until})
}
