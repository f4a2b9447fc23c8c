package wire

import (
	"strconv"
	"strings"

	"github.com/whaleshark-im/whaleshark/chat"
)

// Setting is the payload of [ConversationDelete] and [ConversationUpdate]: what User has set of a conversation for himself. Command tells
// which of the two it is.
type Setting struct {
	Command Command
	Where
	User      chat.UserID
	Place     chat.Place // of the setting itself
	Mute, Top chat.Switch
}

// ConversationID returns the original's name of a user's conversation: its kind, the user, and the other user or the group.
func ConversationID(user chat.UserID, w *Where) string {
	return strconv.Itoa(int(w.Kind())) + "_" + string(user) + "_" + w.name()
}

// name returns the other user or the group.
func (w *Where) name() string {
	if w.Group != "" {
		return w.Group
	}
	return string(w.To)
}

// AppendSetting appends the payload of a setting. The command is the frame's, and not written.
func AppendSetting(b []byte, s *Setting) []byte {
	b = appendString(append(b, `{"conversationId":`...), ConversationID(s.User, &s.Where))
	b = s.append(append(b, ','))
	b = s.appendKind(b)
	b = strconv.AppendInt(append(b, `,"messageKey":`...), int64(s.Place), 10)
	if s.Command == ConversationUpdate {
		b = strconv.AppendInt(append(b, `,"sequence":`...), int64(s.Place), 10)
		b = appendSwitch(b, `,"isMute":`, s.Mute)
		b = appendSwitch(b, `,"isTop":`, s.Top)
	}
	return append(b, '}')
}

// appendSwitch appends a switch of which something is said.
func appendSwitch(b []byte, name string, s chat.Switch) []byte {
	switch s {
	case chat.On:
		return append(append(b, name...), '1')
	case chat.Off:
		return append(append(b, name...), '0')
	default:
		return b
	}
}

// ParseSetting reads the payload of a setting whose frame has the command.
func ParseSetting(c Command, body []byte) (Setting, error) {
	s := Setting{Command: c}
	var id string
	o := open(body)
	for o.next() {
		if s.take(o) {
			continue
		}
		switch string(o.name) {
		case "conversationId":
			id = o.string()
		case "messageKey":
			s.Place = chat.Place(o.int())
		case "isMute":
			s.Mute = o.switched()
		case "isTop":
			s.Top = o.switched()
		}
	}
	_, id, _ = strings.Cut(id, "_")
	s.User = chat.UserID(strings.TrimSuffix(id, "_"+s.name()))
	return s, o.close()
}

// switched returns the present value: 0 is off, another number on; of null nothing is said.
func (o *object) switched() chat.Switch {
	switch {
	case o.isNull():
		return chat.Unset
	case o.int() == 0:
		return chat.Off
	}
	return chat.On
}
