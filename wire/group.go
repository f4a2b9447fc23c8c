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
	Version int64       // its number in the group: 1, 2, 3, …
	By      chat.UserID // who did it; empty: the app itself

	App       chat.AppID    // CreatedGroup
	Owner     chat.UserID   // CreatedGroup; TransferGroup: the new one
	Members   []chat.UserID // CreatedGroup, AddedMember
	Member    chat.UserID   // ExitGroup, UpdatedMember, DeletedMember, SpeakMember
	Role      int32         // UpdatedMember without info; a [chat.MemberRole]
	Mute      bool          // MuteGroup: only managers and the owner may speak
	SpeakDate int64         // SpeakMember: muted until then in Unix milliseconds; 0: may speak
	Info      string        // CreatedGroup, UpdatedGroup, UpdatedMember: a JSON object, whose members stand beside the others; empty: none
}

// AppendGroupEvent appends the payload of an event. The command is the frame's, and not written.
func AppendGroupEvent(b []byte, e *GroupEvent) []byte {
	b = appendString(append(b, `{"groupId":`...), e.Group)
	b = strconv.AppendInt(append(b, `,"messageKey":`...), int64(e.Place), 10)
	b = strconv.AppendInt(append(b, `,"sequence":`...), e.Version, 10)
	if e.By != "" {
		b = appendString(append(b, `,"fromId":`...), string(e.By))
	}
	return append(e.appendInfo(e.appendWhat(b)), '}')
}

// hasInfo reports whether events of the kind may hold what describes the group or a member.
func (e *GroupEvent) hasInfo() bool {
	return e.Command == CreatedGroup || e.Command == UpdatedGroup || e.Command == UpdatedMember
}

// appendInfo appends the members of the info but for those that the event has itself. An info that is no object has none.
func (e *GroupEvent) appendInfo(b []byte) []byte {
	if e.Info == "" || !e.hasInfo() {
		return b
	}
	whole := len(b)
	o := open([]byte(e.Info))
	for o.next() {
		if !e.isOwn(o.name) {
			b = append(append(appendString(append(b, ','), string(o.name)), ':'), o.value...)
		}
	}
	if o.close() != nil {
		return b[:whole]
	}
	return b
}

// isOwn reports whether a member of the payload is one of the event itself.
func (e *GroupEvent) isOwn(name []byte) bool {
	switch string(name) {
	case "groupId", "messageKey", "sequence", "fromId", "ownerId", "members", "memberId", "member":
		return true
	case "appId":
		return e.Command == CreatedGroup
	case "role":
		return e.Command == UpdatedMember
	case "kind", "time", "command": // what history adds
		return true
	}
	return false
}

// appendWhat appends what the event's kind has beside the others.
func (e *GroupEvent) appendWhat(b []byte) []byte {
	switch e.Command {
	case CreatedGroup:
		b = appendString(append(b, `,"ownerId":`...), string(e.Owner))
		b = appendUsers(append(b, `,"members":`...), e.Members)
		b = strconv.AppendInt(append(b, `,"appId":`...), int64(e.App), 10)
	case AddedMember:
		b = appendUsers(append(b, `,"members":`...), e.Members)
	case ExitGroup:
		b = appendString(append(b, `,"memberId":`...), string(e.Member))
	case UpdatedMember:
		b = appendString(append(b, `,"memberId":`...), string(e.Member))
		if e.Info == "" {
			b = strconv.AppendInt(append(b, `,"role":`...), int64(e.Role), 10)
		}
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
	if e.hasInfo() && !e.isOwn(o.name) {
		e.takeInfo(o)
		return
	}
	switch string(o.name) {
	case "groupId":
		e.Group = o.string()
	case "messageKey":
		e.Place = chat.Place(o.int())
	case "sequence":
		e.Version = o.int()
	case "appId":
		e.App = chat.AppID(o.int32())
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

// takeInfo adds the present member to the info.
func (e *GroupEvent) takeInfo(o *object) {
	b := []byte(e.Info)
	if len(b) == 0 {
		b = append(b, "{}"...)
	}
	b = appendString(comma(b[:len(b)-1]), string(o.name))
	e.Info = string(append(append(append(b, ':'), o.value...), '}'))
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
