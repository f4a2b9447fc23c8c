package chat

import "time"

// Switch is what may be on or off, and of which may be said nothing. The numbers are part of the log's format.
type Switch uint8

// The states of a switch.
const (
	Unset Switch = 0 // nothing is said of it: it stays as it was
	Off   Switch = 1
	On    Switch = 2
)

// Setting is what a user sets of a conversation for himself alone. What it does not set stays as it was.
type Setting struct {
	Mute   Switch // his devices make no noise
	Top    Switch // it stands above the others
	Delete bool   // what was before is no longer his to see
	Silent bool   // of a deletion: his other devices find out when they sync
}

// isEmpty reports whether it sets nothing.
func (s *Setting) isEmpty() bool { return s.Mute == Unset && s.Top == Unset && !s.Delete }

// Settings is what a user's settings of a conversation have come to.
type Settings struct {
	Mute, Top Switch
	Cleared   Place // of the newest deletion: what is his to see is after it; 0: he has deleted nothing
	At        Place // of the newest setting; 0: he has set nothing
}

// Fold takes in the next setting of the log.
func (s *Settings) Fold(at Place, x *Setting) {
	if x.Mute != Unset {
		s.Mute = x.Mute
	}
	if x.Top != Unset {
		s.Top = x.Top
	}
	if x.Delete {
		s.Cleared = at
	}
	s.At = at
}

func (w *writer) setting(s *Setting) {
	w.byte(byte(s.Mute))
	w.byte(byte(s.Top))
	switch {
	case !s.Delete:
		w.byte(0)
	case s.Silent:
		w.byte(2)
	default:
		w.byte(1)
	}
}

func (r *reader) setting() *Setting {
	s := &Setting{Mute: Switch(r.byte()), Top: Switch(r.byte())}
	deletes := r.byte()
	s.Delete, s.Silent = deletes != 0, deletes == 2
	if s.Mute > On || s.Top > On || deletes > 2 {
		r.fail()
	}
	return s
}

// judgeSetting lets everybody set what is his: who belongs to a pair, whatever became of the friendship, and who is a group's member, or was
// one as far as the roster knows.
func (b *blockBuilder) judgeSetting(p *pending, now time.Time) verdict {
	s, c := b.s, p.q.Conversation
	if p.q.Setting.isEmpty() {
		return passOver(BadParameter, 0)
	}
	if s.lacks(p, now) {
		if s.know.failing {
			return passOver(Unavailable, 0)
		}
		return verdict{kind: hold}
	}
	if c.Kind == Group {
		switch roster := &s.groups[c].roster; {
		case roster.Version() == 0:
			return passOver(GroupMissing, 0)
		case len(roster.Stays(p.q.Sender.User)) == 0:
			return passOver(NotMember, 0)
		}
	}
	return verdict{kind: place}
}

func (b *blockBuilder) placeSetting(p *pending) {
	b.add(p, Record{Kind: SettingRecord, Conversation: p.q.Conversation, Sender: p.q.Sender, Setting: p.q.Setting})
}
