package wire

import (
	"strconv"

	"github.com/whaleshark-im/whaleshark/chat"
)

// PullSince is the payload of a [Pull] up: the messages after a place, of every conversation of the user.
type PullSince struct {
	RequestID string // comes back in the answer; empty: none
	Last      chat.Place
	Limit     int32 // messages; 0: as the server likes
}

// AppendPullSince appends the payload of a pull.
func AppendPullSince(b []byte, p *PullSince) []byte {
	b = strconv.AppendInt(append(b, `{"lastKey":`...), int64(p.Last), 10)
	return append(appendAsking(b, p.RequestID, p.Limit), '}')
}

// ParsePullSince reads the payload of a pull.
func ParsePullSince(body []byte) (PullSince, error) {
	var p PullSince
	o := open(body)
	for o.next() {
		if !takeAsking(o, &p.RequestID, &p.Limit) && string(o.name) == "lastKey" {
			p.Last = chat.Place(o.int())
		}
	}
	return p, o.close()
}

// PullPage is the payload of a [Pull] down.
type PullPage struct {
	Code      chat.Code
	Reason    string // more than the code's meaning; empty: the code's meaning
	RequestID string // as it was asked; empty: none

	// Of an answered pull.
	Max       chat.Place // the page tells every message up to here
	Completed bool       // there are no more; else pull again from Max
	Truncated bool       // the client is too far behind: older messages than these are for [History] alone
	Messages  []Placed
}

// AppendPullPage appends the payload of a pull's answer.
func AppendPullPage(b []byte, p *PullPage) []byte {
	b = append(appendCode(b, p.Code, p.Reason), `,"data":{`...)
	if p.Code == chat.OK {
		b = strconv.AppendInt(append(b, `"maxKey":`...), int64(p.Max), 10)
		b = strconv.AppendBool(append(b, `,"completed":`...), p.Completed)
		b = strconv.AppendBool(append(b, `,"truncated":`...), p.Truncated)
		b = appendList(append(b, `,"messages":`...), p.Messages, AppendPlaced)
	}
	return closeAnswer(b, p.RequestID)
}

// ParsePullPage reads the payload of a pull's answer.
func ParsePullPage(body []byte) (PullPage, error) {
	var p PullPage
	err := parseAnswer(body, &p.Code, &p.Reason, func(o *object) {
		switch string(o.name) {
		case "requestId":
			p.RequestID = o.string()
		case "maxKey":
			p.Max = chat.Place(o.int())
		case "completed":
			p.Completed = o.bool()
		case "truncated":
			p.Truncated = o.bool()
		case "messages":
			p.Messages = list(o, (*Placed).take)
		}
	})
	return p, err
}
