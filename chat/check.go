package chat

import "time"

// Whether somebody may say something is also asked by whoever does not send anything: an app's server, before it does.

// NeedsToSay lists what [Facts.MaySay] must know, beside the group's state, for which the speaker's own membership is enough.
func NeedsToSay(c Conversation, from UserID) Needs {
	needs := Needs{Apps: []AppID{c.App}, Users: []UserKey{{c.App, from}}}
	if peer, ok := c.Peer(from); ok && peer != from {
		needs.Users = append(needs.Users, UserKey{c.App, peer})
		needs.Relations = []RelationKey{{c.App, from, peer}, {c.App, peer, from}}
	}
	return needs
}

// MaySay returns OK, or the code with which a message of a user in a conversation would be refused, as far as the facts go.
func (f *Facts) MaySay(c Conversation, from UserID, now time.Time) Code {
	var k knowledge
	k.learn(NeedsToSay(c, from), *f, now)
	if c.Kind == Pair {
		peer, _ := c.Peer(from)
		return k.judgePair(c.App, from, peer)
	}
	if code := k.judgeSender(c.App, from); code != OK {
		return code
	}
	var r Roster
	r.Learn(f.Groups[c])
	return judgeMember(&r, from, now)
}
