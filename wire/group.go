package wire

import (
	"strconv"

	"github.com/whaleshark-im/whaleshark/chat"
)

// GroupEvent is the payload of what happens to a group, from [AddedMember] to [SpeakMember]: Command tells what, and which of the last
// fields mean something.
type GroupEvent struct {
	Command Command
	Group   string
	Place   chat.Place  // of the event itself
	By      chat.UserID // who did it; empty: the app itself

	Owner     chat.UserID   // CreatedGroup; TransferGroup: the new one
	Members   []chat.UserID // CreatedGroup, AddedMember
	Member    chat.UserID   // ExitGroup, UpdatedMember, DeletedMember, SpeakMember
	Role      int32         // UpdatedMember; a [chat.MemberRole]
	Mute      bool          // MuteGroup: only managers and the owner may speak
	SpeakDate int64         // SpeakMember: muted until then in Unix milliseconds; 0: may speak
}

// AppendGroupEvent appends the payload of an event. The command is the frame's, and not written.
func AppendGroupEvent(b []byte, e *GroupEvent) []byte {
	b = appendString(append(b, `{"groupId":`...), e.Group)
	b = strconv.AppendInt(append(b, `,"messageKey":`...), int64(e.Place), 10)
	if e.By != "" {
		b = appendString(append(b, `,"fromId":`...), string(e.By))
	}
	return append(e.appendWhat(b), '}')
}

// appendWhat appends what the event's kind has beside the others.
func (e *GroupEvent) appendWhat(b []byte) []byte {
	switch e.Command {
	case CreatedGroup:
		b = appendString(append(b, `,"ownerId":`...), string(e.Owner))
		b = appendUsers(append(b, `,"members":`...), e.Members)
	case AddedMember:
		b = appendUsers(append(b, `,"members":`...), e.Members)
	case ExitGroup:
		b = appendString(append(b, `,"memberId":`...), string(e.Member))
	case UpdatedMember:
		b = appendString(append(b, `,"memberId":`...), string(e.Member))
		b = strconv.AppendInt(append(b, `,"role":`...), int64(e.Role), 10)
	case DeletedMember:
		b = appendString(append(b, `,"member":`...), string(e.Member))
	case TransferGroup:
		b = appendString(append(b, `,"ownerId":`...), string(e.Owner))
	case MuteGroup:
		b = append(b, `,"mute":`...)
		if e.Mute {
			return append(b, '1')
		}
		b = append(b, '0')
	case SpeakMember:
		b = appendString(append(b, `,"memberId":`...), string(e.Member))
		b = strconv.AppendInt(append(b, `,"speakDate":`...), e.SpeakDate, 10)
	default: // nothing more
	}
	return b
}

// ParseGroupEvent reads the payload of an event whose frame has the command.
func ParseGroupEvent(c Command, body []byte) (GroupEvent, error) {
	e := GroupEvent{Command: c}
	o := open(body)
	for o.next() {
		e.take(o)
	}
	return e, o.close()
}

func (e *GroupEvent) take(o *object) {
	switch string(o.name) {
	case "groupId":
		e.Group = o.string()
	case "messageKey":
		e.Place = chat.Place(o.int())
	case "fromId":
		e.By = chat.UserID(o.string())
	case "ownerId":
		e.Owner = chat.UserID(o.string())
	case "members":
		e.Members = o.users()
	case "memberId", "member":
		e.Member = chat.UserID(o.string())
	case "role":
		e.Role = o.int32()
	case "mute":
		e.Mute = o.int() != 0
	case "speakDate":
		e.SpeakDate = o.int()
	}
}

// News is the payload of [GroupNews]: the group has something new, up to there.
type News struct {
	Group string
	Seq   chat.Seq
	Place chat.Place
}

// AppendNews appends the payload of a group's news.
func AppendNews(b []byte, n *News) []byte {
	b = appendString(append(b, `{"groupId":`...), n.Group)
	b = strconv.AppendInt(append(b, `,"messageSequence":`...), int64(n.Seq), 10)
	b = strconv.AppendInt(append(b, `,"messageKey":`...), int64(n.Place), 10)
	return append(b, '}')
}

// ParseNews reads the payload of a group's news.
func ParseNews(body []byte) (News, error) {
	var n News
	o := open(body)
	for o.next() {
		switch string(o.name) {
		case "groupId":
			n.Group = o.string()
		case "messageSequence":
			n.Seq = chat.Seq(o.int())
		case "messageKey":
			n.Place = chat.Place(o.int())
		}
	}
	return n, o.close()
}
