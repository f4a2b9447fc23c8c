package wire

import (
	"strconv"

	"github.com/whaleshark-im/whaleshark/chat"
)

// ReadUpTo is the payload of [Read] and [GroupRead]: the user has read everything up to there.
type ReadUpTo struct {
	Where
	Seq chat.Seq
}

// AppendReadUpTo appends the payload of a read up.
func AppendReadUpTo(b []byte, r *ReadUpTo) []byte {
	b = r.append(append(b, '{'))
	return append(strconv.AppendInt(append(b, `,"messageSequence":`...), int64(r.Seq), 10), '}')
}

// ParseReadUpTo reads the payload of a read up.
func ParseReadUpTo(body []byte) (ReadUpTo, error) {
	var r ReadUpTo
	o := open(body)
	for o.next() {
		if !r.take(o) && string(o.name) == "messageSequence" {
			r.Seq = chat.Seq(o.int())
		}
	}
	return r, o.close()
}

// ReadPosition is the payload of [ReadNotify], [ReadReceipt] and their likes of groups: Reader has read everything up to Seq.
type ReadPosition struct {
	Where  // To: who sent the message, or in a pair the other user
	Reader chat.UserID
	Seq    chat.Seq
	Place  chat.Place // of the read itself; 0: not given
}

// AppendReadPosition appends the payload of a read down.
func AppendReadPosition(b []byte, r *ReadPosition) []byte {
	b = appendString(append(b, `{"fromId":`...), string(r.Reader))
	b = r.append(append(b, ','))
	b = strconv.AppendInt(append(b, `,"messageSequence":`...), int64(r.Seq), 10)
	b = r.appendKind(b)
	if r.Place != 0 {
		b = strconv.AppendInt(append(b, `,"messageKey":`...), int64(r.Place), 10)
	}
	return append(b, '}')
}

// ParseReadPosition reads the payload of a read down.
func ParseReadPosition(body []byte) (ReadPosition, error) {
	var r ReadPosition
	o := open(body)
	for o.next() {
		r.take(o)
	}
	return r, o.close()
}

func (r *ReadPosition) take(o *object) {
	if r.Where.take(o) {
		return
	}
	switch string(o.name) {
	case "fromId":
		r.Reader = chat.UserID(o.string())
	case "messageSequence":
		r.Seq = chat.Seq(o.int())
	case "messageKey":
		r.Place = chat.Place(o.int())
	}
}
