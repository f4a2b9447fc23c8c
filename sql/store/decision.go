package store

import (
	"slices"

	"github.com/whaleshark-im/whaleshark/chat"
)

// decision is a change of a group under way: what is known of the group, the rules, and what they have come to. It does no I/O.
type decision struct {
	by      chat.UserID
	all     bool                   // whoever asks may do everything
	group   Group                  // as it was, and then as it is to be
	count   int                    // members, as many as there are
	members map[chat.UserID]member // those that the change concerns
	changes []chat.Change          // for the log
	added   []Added                // what became of those who were to join
	joined  []Member               // of all changes
	left    []chat.UserID
	set     map[chat.UserID]struct{} // members that are not as they were
}

type member struct {
	role         chat.MemberRole
	mutedUntil   int64
	alias, extra string
}

// add notes the next change.
func (d *decision) add(c chat.Change) {
	d.group.Version++
	c.Version = d.group.Version
	d.changes = append(d.changes, c)
}

// allow reports why the group may not be changed by whoever asks, if he must at least have a role.
func (d *decision) allow(least chat.MemberRole) error {
	if d.group.Destroyed {
		return chat.Error{Code: chat.GroupIsGone}
	}
	if d.all {
		return nil
	}
	m, ok := d.members[d.by]
	switch {
	case ok && m.role >= least:
		return nil
	case least == chat.Owner:
		return chat.Error{Code: chat.OwnerOnly}
	case !ok:
		return chat.Error{Code: chat.NotMember}
	}
	return chat.Error{Code: chat.ManagersOnly}
}

// allowByType is allow of what any member may do in a private group, and managers and the owner in a public one.
func (d *decision) allowByType() error {
	if d.group.Type == PublicGroup {
		return d.allow(chat.Manager)
	}
	return d.allow(chat.Ordinary)
}

// allowOver reports why a member may not be dealt with by whoever asks: managers deal with ordinary members alone.
func (d *decision) allowOver(user chat.UserID) error {
	if err := d.allow(chat.Manager); err != nil {
		return err
	}
	m, ok := d.members[user]
	if !ok {
		return chat.Error{Code: chat.NotMember}
	}
	if !d.all && m.role != chat.Ordinary && d.members[d.by].role != chat.Owner {
		return chat.Error{Code: chat.OwnerOnly}
	}
	return nil
}

func (d *decision) change(user chat.UserID, m member) {
	d.members[user] = m
	if d.set == nil {
		d.set = make(map[chat.UserID]struct{})
	}
	d.set[user] = struct{}{}
}

// update makes another of what describes the group. Nobody but managers and the owner silences it.
func (d *decision) update(info GroupInfo) error {
	if err := d.allowByType(); err != nil {
		return err
	}
	if info.Muted != nil && bool(*info.Muted) != d.group.Muted {
		if err := d.allow(chat.Manager); err != nil {
			return err
		}
		d.add(chat.Change{Kind: chat.GroupMuted, On: bool(*info.Muted)})
	}
	d.group.take(&info)
	if info != (GroupInfo{}) {
		d.add(chat.Change{Kind: chat.GroupUpdated, Info: infoJSON(&info)})
	}
	return nil
}

func (d *decision) mute(on bool) error {
	if err := d.allow(chat.Manager); err != nil || d.group.Muted == on {
		return err
	}
	d.group.Muted = on
	d.add(chat.Change{Kind: chat.GroupMuted, On: on})
	return nil
}

func (d *decision) transfer(user chat.UserID) error {
	if err := d.allow(chat.Owner); err != nil {
		return err
	}
	m, ok := d.members[user]
	if !ok {
		return chat.Error{Code: chat.NotMember}
	}
	if user == d.group.Owner {
		return nil
	}
	before := d.members[d.group.Owner]
	before.role, m.role = chat.Ordinary, chat.Owner
	d.change(d.group.Owner, before)
	d.change(user, m)
	d.group.Owner = user
	d.add(chat.Change{Kind: chat.GroupTransferred, Users: []chat.UserID{user}})
	return nil
}

func (d *decision) destroy() error {
	least := chat.Owner
	if d.group.Type == PrivateGroup {
		least = chat.Ordinary
	}
	if err := d.allow(least); err != nil {
		return err
	}
	if d.group.Type == PrivateGroup && !d.all {
		return chat.Error{Code: chat.PrivateNotDestroy}
	}
	d.group.Destroyed = true
	d.add(chat.Change{Kind: chat.GroupDestroyed})
	return nil
}

// Added tells what became of a user who was to join a group.
type Added struct {
	User chat.UserID
	Code chat.Code // OK, AlreadyMember, UserMissing, MemberLimit, or BadParameter: he was to come as its owner
}

// admit lets users join, as many as there is room for; as says how each comes.
func (d *decision) admit(users []chat.UserID, exist map[chat.UserID]bool, as map[chat.UserID]MemberInfo) {
	first := len(d.joined)
	for _, u := range users {
		code := d.fits(u, exist[u], as[u].Role)
		if d.added = append(d.added, Added{u, code}); code == chat.OK {
			info := as[u]
			d.count++
			d.members[u] = member{role: info.Role, alias: info.Alias, extra: info.Extra}
			d.joined = append(d.joined, Member{u, info})
		}
	}
	d.addJoined(d.joined[first:], chat.Ordinary)
	d.addJoined(d.joined[first:], chat.Manager)
	for _, j := range d.joined[first:] {
		if j.MutedUntil != 0 {
			d.silence(j.User, j.MutedUntil)
		}
	}
}

// fits returns OK, or why a user cannot join.
func (d *decision) fits(u chat.UserID, exists bool, role chat.MemberRole) chat.Code {
	_, there := d.members[u]
	switch {
	case there:
		return chat.AlreadyMember
	case !exists:
		return chat.UserMissing
	case role > chat.Manager:
		return chat.BadParameter
	case d.count >= d.group.MaxMembers:
		return chat.MemberLimit
	}
	return chat.OK
}

// addJoined notes the changes by which those of a role join.
func (d *decision) addJoined(joined []Member, role chat.MemberRole) {
	var users []chat.UserID
	for _, j := range joined {
		if j.Role == role {
			users = append(users, j.User)
		}
	}
	for chunk := range slices.Chunk(users, chat.MaxChangeUsers) {
		d.add(chat.Change{Kind: chat.MembersJoined, Users: chunk, Role: role})
	}
}
