package wire

import (
	"strconv"

	"github.com/whaleshark-im/whaleshark/chat"
)

// RecallOf is the payload of [Recall]: a message is to be taken back. Its place or its seq says which.
type RecallOf struct {
	Where
	Place     chat.Place // 0: not given
	Seq       chat.Seq   // 0: not given
	MessageID string     // comes back in the answer; empty: not given
}

// AppendRecallOf appends the payload of a recall up.
func AppendRecallOf(b []byte, r *RecallOf) []byte {
	b = r.append(append(b, '{'))
	return append(appendRecalledMessage(b, r.Place, r.Seq, r.MessageID), '}')
}

// ParseRecallOf reads the payload of a recall up.
func ParseRecallOf(body []byte) (RecallOf, error) {
	var r RecallOf
	o := open(body)
	for o.next() {
		if !r.take(o) {
			takeRecalledMessage(o, &r.Place, &r.Seq, &r.MessageID)
		}
	}
	return r, o.close()
}

// RecallAnswer is the payload of [RecallAck]: the message is recalled, or not and why.
type RecallAnswer struct {
	Code      chat.Code
	Reason    string     // more than the code's meaning; empty: the code's meaning
	Place     chat.Place // of the message; 0: not known
	Seq       chat.Seq   // of the message; 0: not known
	MessageID string     // as it was asked; empty: not given
}

// AppendRecallAnswer appends the payload of a recall's answer.
func AppendRecallAnswer(b []byte, r *RecallAnswer) []byte {
	b = appendCode(b, r.Code, r.Reason)
	b = strconv.AppendBool(append(b, `,"ok":`...), r.Code == chat.OK)
	b = append(b, `,"data":{`...)
	return append(appendRecalledMessage(b, r.Place, r.Seq, r.MessageID), "}}"...)
}

// ParseRecallAnswer reads the payload of a recall's answer.
func ParseRecallAnswer(body []byte) (RecallAnswer, error) {
	var r RecallAnswer
	err := parseAnswer(body, &r.Code, &r.Reason, func(o *object) {
		takeRecalledMessage(o, &r.Place, &r.Seq, &r.MessageID)
	})
	return r, err
}

// Recalled is the payload of [RecallNotify]: By has recalled a message.
type Recalled struct {
	Where
	By        chat.UserID
	Place     chat.Place // of the message
	Seq       chat.Seq   // of the message
	MessageID string     // of the message
	RecallAt  chat.Place // of the recall itself
}

// AppendRecalled appends the payload of a recall down.
func AppendRecalled(b []byte, r *Recalled) []byte {
	b = appendString(append(b, `{"fromId":`...), string(r.By))
	b = r.append(append(b, ','))
	b = appendRecalledMessage(b, r.Place, r.Seq, r.MessageID)
	b = strconv.AppendInt(append(b, `,"recallKey":`...), int64(r.RecallAt), 10)
	return append(r.appendKind(b), '}')
}

// ParseRecalled reads the payload of a recall down.
func ParseRecalled(body []byte) (Recalled, error) {
	var r Recalled
	o := open(body)
	for o.next() {
		r.take(o)
	}
	return r, o.close()
}

func (r *Recalled) take(o *object) {
	if r.Where.take(o) {
		return
	}
	switch string(o.name) {
	case "fromId":
		r.By = chat.UserID(o.string())
	case "recallKey":
		r.RecallAt = chat.Place(o.int())
	default:
		takeRecalledMessage(o, &r.Place, &r.Seq, &r.MessageID)
	}
}

// appendRecalledMessage appends what is known of the message that a recall is about.
func appendRecalledMessage(b []byte, p chat.Place, s chat.Seq, id string) []byte {
	if p != 0 {
		b = strconv.AppendInt(append(comma(b), `"messageKey":`...), int64(p), 10)
	}
	if s != 0 {
		b = strconv.AppendInt(append(comma(b), `"messageSequence":`...), int64(s), 10)
	}
	if id != "" {
		b = appendString(append(comma(b), `"messageId":`...), id)
	}
	return b
}

// takeRecalledMessage reads the present member if it is one of the message that a recall is about.
func takeRecalledMessage(o *object, p *chat.Place, s *chat.Seq, id *string) {
	switch string(o.name) {
	case "messageKey":
		*p = chat.Place(o.int())
	case "messageSequence":
		*s = chat.Seq(o.int())
	case "messageId":
		*id = o.string()
	}
}
