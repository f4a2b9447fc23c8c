package wire

import (
	"strconv"

	"github.com/whaleshark-im/whaleshark/chat"
)

// Where tells a conversation: a pair by the other user, a group by its id. Reads of a group may name a user as well: who sent the message.
type Where struct {
	To    chat.UserID
	Group string // empty: a pair
}

// Kind returns whether it is a pair or a group.
func (w *Where) Kind() chat.Kind {
	if w.Group != "" {
		return chat.Group
	}
	return chat.Pair
}

// append appends the members that tell the conversation, without a comma before them.
func (w *Where) append(b []byte) []byte {
	if w.Group == "" {
		return appendString(append(b, `"toId":`...), string(w.To))
	}
	b = appendString(append(b, `"groupId":`...), w.Group)
	if w.To != "" {
		b = appendString(append(b, `,"toId":`...), string(w.To))
	}
	return b
}

func (w *Where) appendKind(b []byte) []byte {
	return strconv.AppendInt(append(b, `,"conversationType":`...), int64(w.Kind()), 10)
}

// take reads the present member if it tells the conversation, and reports whether it does.
func (w *Where) take(o *object) bool {
	switch string(o.name) {
	case "toId":
		w.To = chat.UserID(o.string())
	case "groupId":
		w.Group = o.string()
	default:
		return false
	}
	return true
}

// TypingIn is the payload of a [Typing] up: the user is typing there.
type TypingIn struct{ Where }

// AppendTypingIn appends the payload of a typing up.
func AppendTypingIn(b []byte, t *TypingIn) []byte { return append(t.append(append(b, '{')), '}') }

// ParseTypingIn reads the payload of a typing up.
func ParseTypingIn(body []byte) (TypingIn, error) {
	var t TypingIn
	o := open(body)
	for o.next() {
		t.take(o)
	}
	return t, o.close()
}

// TypingBy is the payload of a [Typing] down: From is typing there. In a pair Where names whom it is for.
type TypingBy struct {
	Where
	From chat.Device
}

// AppendTypingBy appends the payload of a typing down.
func AppendTypingBy(b []byte, t *TypingBy) []byte {
	b = t.append(append(b, '{'))
	b = appendString(append(b, `,"fromId":`...), string(t.From.User))
	return append(appendDevice(b, &t.From), '}')
}

// ParseTypingBy reads the payload of a typing down.
func ParseTypingBy(body []byte) (TypingBy, error) {
	var t TypingBy
	o := open(body)
	for o.next() {
		if !t.take(o) {
			takeDevice(o, &t.From)
		}
	}
	return t, o.close()
}
