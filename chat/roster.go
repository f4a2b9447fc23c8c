package chat

import (
	"iter"
	"slices"
)

// Roster is who is in a group, and who was. It begins with what Postgres has folded ([Roster.Learn]) and goes on with every change of the
// group's log after that ([Roster.Fold]). Each part remembers the place that it is from, so what Postgres had already may be folded
// again. The zero roster is that of a group that is not there yet.
type Roster struct {
	state   GroupState              // without the members
	stays   map[UserID][]Membership // ascending by Joined
	present int
}

// Version returns the newest change's number; 0: there is no such group.
func (r *Roster) Version() int64 { return r.state.Version }

// Muted reports whether only managers and the owner may speak.
func (r *Roster) Muted() bool { return r.state.Muted }

// Destroyed reports whether nobody may speak any more.
func (r *Roster) Destroyed() bool { return r.state.Destroyed }

// Len returns how many members there are.
func (r *Roster) Len() int { return r.present }

// Learn takes in what Postgres has folded.
func (r *Roster) Learn(s GroupState) {
	if s.At > r.state.At {
		r.state = s
		r.state.Members = nil
	}
	for _, m := range s.Members {
		r.learn(m)
	}
}

func (r *Roster) learn(m Membership) {
	stays := r.stays[m.User]
	i, found := slices.BinarySearchFunc(stays, m.Joined, func(s Membership, p Place) int { return int(s.Joined - p) })
	if !found {
		r.set(m.User, slices.Insert(slices.Clone(stays), i, m))
		return
	}
	s := stays[i]
	if m.At > s.At {
		s.Role, s.MutedUntil, s.At = m.Role, m.MutedUntil, m.At
	}
	s.Left = max(s.Left, m.Left) // 0 is what a later change may still turn into an end
	stays = slices.Clone(stays)
	stays[i] = s
	r.set(m.User, stays)
}

func (r *Roster) set(u UserID, stays []Membership) {
	if r.stays == nil {
		r.stays = make(map[UserID][]Membership)
	}
	if isPresent(r.stays[u]) {
		r.present--
	}
	if isPresent(stays) {
		r.present++
	}
	r.stays[u] = stays
}

func isPresent(stays []Membership) bool { return len(stays) > 0 && stays[len(stays)-1].Left == 0 }

// Fold takes in a change of the log.
func (r *Roster) Fold(at Place, c *Change) {
	if at > r.state.At {
		r.state.At, r.state.Version = at, max(r.state.Version, c.Version)
		switch c.Kind { //nolint:exhaustive // the others concern members
		case GroupMuted:
			r.state.Muted = c.On
		case GroupDestroyed:
			r.state.Destroyed = true
		}
	}
	if c.Kind == GroupTransferred {
		r.demote(at, c.Users)
	}
	for _, u := range c.Users {
		r.foldMember(at, u, c)
	}
}

// demote makes the present owner ordinary, unless he is one of those who become it.
func (r *Roster) demote(at Place, owners []UserID) {
	for u, stays := range r.stays {
		if last := stays[len(stays)-1]; last.Role == Owner && last.Covers(at) && !slices.Contains(owners, u) {
			r.change(at, u, func(m *Membership) { m.Role = Ordinary })
		}
	}
}

func (r *Roster) foldMember(at Place, u UserID, c *Change) {
	switch c.Kind {
	case GroupCreated:
		r.learn(Membership{User: u, Joined: at, Role: Owner, At: at})
	case MembersJoined:
		r.learn(Membership{User: u, Joined: at, Role: c.Role, At: at})
	case MemberLeft, MemberRemoved:
		r.change(at, u, func(m *Membership) { m.Left = at })
	case RoleSet:
		r.change(at, u, func(m *Membership) { m.Role = c.Role })
	case GroupTransferred:
		r.change(at, u, func(m *Membership) { m.Role = Owner })
	case MemberMuted:
		r.change(at, u, func(m *Membership) { m.MutedUntil = c.Until })
	case GroupMuted, GroupDestroyed, GroupUpdated: // concern nobody alone
	case MemberUpdated: // says nothing of what he may do
	}
}

// change changes the stay that covers a place, if it has not taken in something newer.
func (r *Roster) change(at Place, u UserID, f func(*Membership)) {
	stays := r.stays[u]
	for i := range stays {
		if s := stays[i]; s.Covers(at) && at > s.At {
			f(&s)
			s.At = at
			stays = slices.Clone(stays)
			stays[i] = s
			r.set(u, stays)
			return
		}
	}
}

// Member returns a member's present stay; false: he is none.
func (r *Roster) Member(u UserID) (Membership, bool) {
	stays := r.stays[u]
	if !isPresent(stays) {
		return Membership{}, false
	}
	return stays[len(stays)-1], true
}

// Stays returns a user's stays, ascending. The slice must not be changed.
func (r *Roster) Stays(u UserID) []Membership { return r.stays[u] }

// Covers reports whether what is at a place is for a user to see.
func (r *Roster) Covers(u UserID, at Place) bool {
	return slices.ContainsFunc(r.stays[u], func(m Membership) bool { return m.Covers(at) })
}

// At yields those who were members at a place, in no order.
func (r *Roster) At(at Place) iter.Seq[Membership] {
	return func(yield func(Membership) bool) {
		for _, stays := range r.stays {
			for i := range stays {
				if stays[i].Covers(at) {
					if !yield(stays[i]) {
						return
					}
					break
				}
			}
		}
	}
}

// Forget drops stays that ended before a place.
func (r *Roster) Forget(before Place) {
	ended := func(m Membership) bool { return m.Left != 0 && m.Left < before }
	for u, stays := range r.stays {
		if !slices.ContainsFunc(stays, ended) {
			continue
		}
		if kept := slices.DeleteFunc(slices.Clone(stays), ended); len(kept) > 0 {
			r.stays[u] = kept
		} else {
			delete(r.stays, u)
		}
	}
}
