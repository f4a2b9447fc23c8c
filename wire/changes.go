package wire

import (
	"strconv"

	"github.com/whaleshark-im/whaleshark/chat"
)

// ChangesSince is the payload of a [Changes] up: which conversations have changed since.
type ChangesSince struct {
	RequestID string     // comes back in the answer; empty: none
	Cursor    chat.Place // 0: the beginning
	Limit     int32      // conversations; 0: as the server likes
}

// AppendChangesSince appends the payload of a question for changes.
func AppendChangesSince(b []byte, c *ChangesSince) []byte {
	b = strconv.AppendInt(append(b, `{"cursor":`...), int64(c.Cursor), 10)
	return append(appendAsking(b, c.RequestID, c.Limit), '}')
}

// ParseChangesSince reads the payload of a question for changes.
func ParseChangesSince(body []byte) (ChangesSince, error) {
	var c ChangesSince
	o := open(body)
	for o.next() {
		if !takeAsking(o, &c.RequestID, &c.Limit) && string(o.name) == "cursor" {
			c.Cursor = chat.Place(o.int())
		}
	}
	return c, o.close()
}

// ChangesPage is the payload of a [Changes] down.
type ChangesPage struct {
	Code      chat.Code
	Reason    string // more than the code's meaning; empty: the code's meaning
	RequestID string // as it was asked; empty: none

	// Of an answered question.
	Cursor        chat.Place // the page tells every change up to here
	Completed     bool       // there are no more; else ask again from Cursor
	Conversations []ChangedConversation
}

// AppendChangesPage appends the payload of an answer with changes.
func AppendChangesPage(b []byte, p *ChangesPage) []byte {
	b = append(appendCode(b, p.Code, p.Reason), `,"data":{`...)
	if p.Code == chat.OK {
		b = strconv.AppendInt(append(b, `"cursor":`...), int64(p.Cursor), 10)
		b = strconv.AppendBool(append(b, `,"completed":`...), p.Completed)
		b = appendList(append(b, `,"conversations":`...), p.Conversations, appendChangedConversation)
	}
	return closeAnswer(b, p.RequestID)
}

// ParseChangesPage reads the payload of an answer with changes.
func ParseChangesPage(body []byte) (ChangesPage, error) {
	var p ChangesPage
	err := parseAnswer(body, &p.Code, &p.Reason, func(o *object) {
		switch string(o.name) {
		case "requestId":
			p.RequestID = o.string()
		case "cursor":
			p.Cursor = chat.Place(o.int())
		case "completed":
			p.Completed = o.bool()
		case "conversations":
			p.Conversations = list(o, (*ChangedConversation).take)
		}
	})
	return p, err
}

// ChangedConversation is how a conversation stands for a user.
type ChangedConversation struct {
	Where
	Head     chat.Seq   // of the newest message
	ChangeAt chat.Place // of the newest change
	Read     chat.Seq   // up to where the user has read
	PeerRead chat.Seq   // up to where the other user of a pair has read; 0: not given
	Unread   int64
	Left     bool    // the user is no member any more
	Mute     bool    // the user has muted it for himself
	Top      bool    // the user has put it to the top
	Deleted  bool    // the user has deleted it, and nothing was said since
	Last     *Placed // the newest message that the user may see; nil: there is none
}

func appendChangedConversation(b []byte, c *ChangedConversation) []byte {
	b = c.append(append(b, '{'))
	b = c.appendKind(b)
	b = strconv.AppendInt(append(b, `,"messageSequence":`...), int64(c.Head), 10)
	b = strconv.AppendInt(append(b, `,"changeKey":`...), int64(c.ChangeAt), 10)
	b = strconv.AppendInt(append(b, `,"readSequence":`...), int64(c.Read), 10)
	if c.PeerRead != 0 {
		b = strconv.AppendInt(append(b, `,"peerReadSequence":`...), int64(c.PeerRead), 10)
	}
	b = strconv.AppendInt(append(b, `,"unread":`...), c.Unread, 10)
	if c.Left {
		b = append(b, `,"left":true`...)
	}
	if c.Mute {
		b = append(b, `,"isMute":1`...)
	}
	if c.Top {
		b = append(b, `,"isTop":1`...)
	}
	if c.Deleted {
		b = append(b, `,"deleted":true`...)
	}
	if c.Last != nil {
		b = AppendPlaced(append(b, `,"last":`...), c.Last)
	}
	return append(b, '}')
}

func (c *ChangedConversation) take(o *object) {
	if c.Where.take(o) {
		return
	}
	switch string(o.name) {
	case "messageSequence":
		c.Head = chat.Seq(o.int())
	case "changeKey":
		c.ChangeAt = chat.Place(o.int())
	case "readSequence":
		c.Read = chat.Seq(o.int())
	case "peerReadSequence":
		c.PeerRead = chat.Seq(o.int())
	case "unread":
		c.Unread = o.int()
	case "left":
		c.Left = o.bool()
	case "isMute":
		c.Mute = o.switched() == chat.On
	case "isTop":
		c.Top = o.switched() == chat.On
	case "deleted":
		c.Deleted = o.bool()
	case "last":
		if c.Last = nil; !o.isNull() {
			c.Last = new(Placed)
			o.fields(c.Last.take)
		}
	}
}

// appendAsking appends what every question for a page may have.
func appendAsking(b []byte, requestID string, limit int32) []byte {
	if requestID != "" {
		b = appendString(append(b, `,"requestId":`...), requestID)
	}
	if limit != 0 {
		b = strconv.AppendInt(append(b, `,"limit":`...), int64(limit), 10)
	}
	return b
}

func takeAsking(o *object, requestID *string, limit *int32) bool {
	switch string(o.name) {
	case "requestId":
		*requestID = o.string()
	case "limit":
		*limit = o.int32()
	default:
		return false
	}
	return true
}

// closeAnswer appends the id of the answered request, if it had one, and closes the answer.
func closeAnswer(b []byte, requestID string) []byte {
	if requestID != "" {
		b = appendString(append(comma(b), `"requestId":`...), requestID)
	}
	return append(b, "}}"...)
}
