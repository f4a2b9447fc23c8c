package fanout

import (
	"slices"

	"github.com/whaleshark-im/whaleshark/chat"
)

// senderLimit is how many of a group's newest messages have their senders remembered.
const senderLimit = 1000

// senders remembers who sent the newest messages of a group.
type senders struct {
	first chat.Seq
	users []chat.UserID // of first, first + 1, …
}

// add takes in a message. One that is in is passed over.
func (s *senders) add(seq chat.Seq, user chat.UserID) {
	next := s.first + chat.Seq(len(s.users))
	switch {
	case len(s.users) == 0 || seq > next:
		s.first, s.users = seq, append(s.users[:0], user)
	case seq == next:
		s.users = append(s.users, user)
	}
	if n := len(s.users); n >= 2*senderLimit {
		s.first += chat.Seq(n - senderLimit)
		s.users = slices.Clone(s.users[n-senderLimit:])
	}
}

// within returns who sent the messages with after < seq ≤ to, each once. Those of the messages up to unknown are
// not remembered; it is after if all are.
func (s *senders) within(after, to chat.Seq) (users []chat.UserID, unknown chat.Seq) {
	if len(s.users) == 0 || to >= s.first+chat.Seq(len(s.users)) {
		return nil, to
	}
	unknown = min(max(after, s.first-1), to)
	seen := make(map[chat.UserID]bool)
	for seq := unknown + 1; seq <= to; seq++ {
		if u := s.users[seq-s.first]; !seen[u] {
			seen[u] = true
			users = append(users, u)
		}
	}
	return users, unknown
}
