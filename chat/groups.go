package chat

import "time"

// groups are the rosters that a sequencer holds.
type groups map[Conversation]*group

// group is what a sequencer knows of a group. A group is cold until Postgres has told what it has folded; what the log says of it
// meanwhile is remembered, and folded in then.
type group struct {
	roster  Roster
	whole   bool // the roster lacks nothing; otherwise the group is cold
	changes []placedChange
	rev     Revision  // of the newest change of the log; 0: none since Postgres told
	tidied  Revision  // the rev at which ended stays were dropped
	at      time.Time // when it was looked at last
}

type placedChange struct {
	at     Place
	change *Change
}

// fold takes in a change of the log.
func (g groups) fold(c Conversation, at Place, change *Change, rev Revision, now time.Time) {
	x, ok := g[c]
	if !ok {
		x = &group{whole: change.Version == 1} // the first change has the whole group in it
		g[c] = x
	}
	x.rev, x.at = rev, now
	if x.whole {
		x.roster.Fold(at, change)
	} else {
		x.changes = append(x.changes, placedChange{at, change})
	}
}

// learn takes in what Postgres has folded, and then what the log has said since.
func (g groups) learn(c Conversation, state GroupState, now time.Time) {
	x, ok := g[c]
	if !ok {
		x = &group{}
		g[c] = x
	}
	x.at = now
	if x.whole {
		return
	}
	x.roster.Learn(state)
	for _, p := range x.changes {
		x.roster.Fold(p.at, p.change)
	}
	x.whole, x.changes = true, nil
}

// roster returns a group's roster; false: the group is cold.
func (g groups) roster(c Conversation, now time.Time) (*Roster, bool) {
	x, ok := g[c]
	if !ok || !x.whole {
		return nil, false
	}
	x.at = now
	return &x.roster, true
}

// rosterCost is what a roster costs beside its members, in members.
const rosterCost = 16

// cost returns how much the rosters hold, in members.
func (g groups) cost() int {
	n := rosterCost * len(g)
	for _, x := range g {
		n += x.roster.Len()
	}
	return n
}

// forget drops what Postgres has: of cold groups what every answer that still counts knows (settled); of the others, if there are too many or
// if they are too large, those that were not looked at lately. Stays that have ended are for nobody here to see.
func (g groups) forget(mark, settled Revision, base Revision, moments time.Time, limit, members int) {
	over := len(g) > limit || g.cost() > members
	for c, x := range g {
		switch {
		case !x.whole && x.rev <= settled, over && x.whole && x.rev <= mark && x.at.Before(moments):
			delete(g, c)
		case x.whole && x.rev <= mark && x.tidied < x.rev:
			x.tidied = x.rev
			x.roster.Forget(PlaceOf(base, mark+1, 0))
		}
	}
}

// judgeMember returns OK, or the code with which the original refuses a message in a group, after the sender's own checks.
func judgeMember(r *Roster, from UserID, now time.Time) Code {
	m, ok := r.Member(from)
	switch {
	case r.Version() == 0:
		return GroupMissing
	case r.Destroyed():
		return GroupIsGone
	case !ok:
		return NotMember
	case r.Muted() && m.Role == Ordinary:
		return GroupIsMuted
	case m.MutedUntil > now.UnixMilli():
		return MemberIsMuted
	}
	return OK
}

// judgePresent returns OK if a user is a member of a group, which may have been destroyed.
func judgePresent(r *Roster, u UserID) Code {
	if r.Version() == 0 {
		return GroupMissing
	}
	if _, ok := r.Member(u); !ok {
		return NotMember
	}
	return OK
}
