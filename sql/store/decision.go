package store

import (
	"slices"

	"github.com/whaleshark-im/whaleshark/chat"
)

// decision is a change of a group under way: what is known of the group, the rules, and what they have come to. It does no I/O.
type decision struct {
	by         chat.UserID // empty: the app itself, which may do everything
	version    int64
	owner      chat.UserID
	muted      bool
	destroyed  bool
	count, max int                    // members, as many as there are and as there may be
	members    map[chat.UserID]member // those that the change concerns
	changes    []chat.Change          // for the log
	joined     []chat.UserID          // of all changes
	left       []chat.UserID
	set        map[chat.UserID]struct{} // members that are not as they were
}

type member struct {
	role       chat.MemberRole
	mutedUntil int64
}

// add notes the next change.
func (d *decision) add(c chat.Change) {
	d.version++
	c.Version = d.version
	d.changes = append(d.changes, c)
}

// allow reports why the group may not be changed by whoever asks, if he must at least have a role.
func (d *decision) allow(least chat.MemberRole) error {
	if d.destroyed {
		return chat.Error{Code: chat.GroupIsGone}
	}
	if d.by == "" {
		return nil
	}
	m, ok := d.members[d.by]
	switch {
	case !ok:
		return chat.Error{Code: chat.NotMember}
	case m.role >= least:
		return nil
	case least == chat.Owner:
		return chat.Error{Code: chat.OwnerOnly}
	}
	return chat.Error{Code: chat.ManagersOnly}
}

// allowOver reports why a member may not be dealt with by whoever asks: managers deal with ordinary members alone.
func (d *decision) allowOver(user chat.UserID) (member, error) {
	if err := d.allow(chat.Manager); err != nil {
		return member{}, err
	}
	m, ok := d.members[user]
	if !ok {
		return member{}, chat.Error{Code: chat.NotMember}
	}
	if d.by != "" && m.role != chat.Ordinary && d.members[d.by].role != chat.Owner {
		return member{}, chat.Error{Code: chat.OwnerOnly}
	}
	return m, nil
}

func (d *decision) change(user chat.UserID, m member) {
	d.members[user] = m
	if d.set == nil {
		d.set = make(map[chat.UserID]struct{})
	}
	d.set[user] = struct{}{}
}

// Added tells what became of a user who was to join a group.
type Added struct {
	User chat.UserID
	Code chat.Code // OK, AlreadyMember, UserMissing or MemberLimit
}

// join lets users join, as many as there is room for.
func (d *decision) join(users []chat.UserID, exist map[chat.UserID]bool) ([]Added, error) {
	if err := d.allow(chat.Manager); err != nil {
		return nil, err
	}
	added := make([]Added, len(users))
	for i, u := range users {
		code := chat.OK
		if _, there := d.members[u]; there {
			code = chat.AlreadyMember
		} else if !exist[u] {
			code = chat.UserMissing
		} else if d.count >= d.max {
			code = chat.MemberLimit
		}
		if added[i] = (Added{u, code}); code == chat.OK {
			d.count++
			d.members[u] = member{}
			d.joined = append(d.joined, u)
		}
	}
	for chunk := range slices.Chunk(d.joined, chat.MaxChangeUsers) {
		d.add(chat.Change{Kind: chat.MembersJoined, Users: chunk})
	}
	return added, nil
}

func (d *decision) remove(user chat.UserID) error {
	if err := d.allow(chat.Manager); err != nil {
		return err
	}
	if user == d.owner {
		return chat.Error{Code: chat.OwnerNotRemove}
	}
	if _, err := d.allowOver(user); err != nil {
		return err
	}
	d.left = append(d.left, user)
	d.add(chat.Change{Kind: chat.MemberRemoved, Users: []chat.UserID{user}})
	return nil
}

// leave lets whoever asks go.
func (d *decision) leave() error {
	if err := d.allow(chat.Ordinary); err != nil {
		return err
	}
	if d.members[d.by].role == chat.Owner {
		return chat.Error{Code: chat.OwnerNotRemove}
	}
	d.left = append(d.left, d.by)
	d.add(chat.Change{Kind: chat.MemberLeft, Users: []chat.UserID{d.by}})
	return nil
}

func (d *decision) setRole(user chat.UserID, role chat.MemberRole) error {
	if err := d.allow(chat.Owner); err != nil {
		return err
	}
	m, ok := d.members[user]
	switch {
	case !ok:
		return chat.Error{Code: chat.NotMember}
	case role != chat.Ordinary && role != chat.Manager:
		return chat.Errorf(chat.BadParameter, "a member is made ordinary or a manager; a group is transferred to its next owner")
	case m.role == chat.Owner:
		return chat.Errorf(chat.BadParameter, "the owner stays it until the group is transferred")
	case m.role == role:
		return nil
	}
	m.role = role
	d.change(user, m)
	d.add(chat.Change{Kind: chat.RoleSet, Users: []chat.UserID{user}, Role: role})
	return nil
}

func (d *decision) muteMember(user chat.UserID, until int64) error {
	m, err := d.allowOver(user)
	if err != nil || m.mutedUntil == until {
		return err
	}
	m.mutedUntil = until
	d.change(user, m)
	d.add(chat.Change{Kind: chat.MemberMuted, Users: []chat.UserID{user}, Until: until})
	return nil
}

func (d *decision) mute(on bool) error {
	if err := d.allow(chat.Manager); err != nil || d.muted == on {
		return err
	}
	d.muted = on
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
	if user == d.owner {
		return nil
	}
	before := d.members[d.owner]
	before.role, m.role = chat.Ordinary, chat.Owner
	d.change(d.owner, before)
	d.change(user, m)
	d.owner = user
	d.add(chat.Change{Kind: chat.GroupTransferred, Users: []chat.UserID{user}})
	return nil
}

func (d *decision) destroy() error {
	if err := d.allow(chat.Owner); err != nil {
		return err
	}
	d.destroyed = true
	d.add(chat.Change{Kind: chat.GroupDestroyed})
	return nil
}
