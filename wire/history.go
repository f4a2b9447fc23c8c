package wire

import (
	"strconv"

	"github.com/whaleshark-im/whaleshark/chat"
)

// HistoryOf is the payload of a [History] up: what a conversation holds between two seqs, or between two places. The bounds belong to
// the range; one that is 0 is open.
type HistoryOf struct {
	Where
	RequestID  string // comes back in the answer; empty: none
	FromSeq    chat.Seq
	ToSeq      chat.Seq
	FromPlace  chat.Place
	ToPlace    chat.Place
	Descending bool  // the newest first
	Limit      int32 // records; 0: as the server likes
}

// AppendHistoryOf appends the payload of a question for history.
func AppendHistoryOf(b []byte, h *HistoryOf) []byte {
	b = h.append(append(b, '{'))
	for _, bound := range []struct {
		name string
		at   int64
	}{
		{`,"fromSequence":`, int64(h.FromSeq)},
		{`,"toSequence":`, int64(h.ToSeq)},
		{`,"fromKey":`, int64(h.FromPlace)},
		{`,"toKey":`, int64(h.ToPlace)},
	} {
		if bound.at != 0 {
			b = strconv.AppendInt(append(b, bound.name...), bound.at, 10)
		}
	}
	if h.Descending {
		b = append(b, `,"descending":true`...)
	}
	return append(appendAsking(b, h.RequestID, h.Limit), '}')
}

// ParseHistoryOf reads the payload of a question for history.
func ParseHistoryOf(body []byte) (HistoryOf, error) {
	var h HistoryOf
	o := open(body)
	for o.next() {
		if h.take(o) || takeAsking(o, &h.RequestID, &h.Limit) {
			continue
		}
		switch string(o.name) {
		case "fromSequence":
			h.FromSeq = chat.Seq(o.int())
		case "toSequence":
			h.ToSeq = chat.Seq(o.int())
		case "fromKey":
			h.FromPlace = chat.Place(o.int())
		case "toKey":
			h.ToPlace = chat.Place(o.int())
		case "descending":
			h.Descending = o.bool()
		}
	}
	return h, o.close()
}

// HistoryPage is the payload of a [History] down.
type HistoryPage struct {
	Code      chat.Code
	Reason    string // more than the code's meaning; empty: the code's meaning
	RequestID string // as it was asked; empty: none

	// Of an answered question.
	Completed bool // the range holds no more; else ask again beyond the last record
	Records   []HistoryRecord
}

// AppendHistoryPage appends the payload of an answer with history.
func AppendHistoryPage(b []byte, p *HistoryPage) []byte {
	b = append(appendCode(b, p.Code, p.Reason), `,"data":{`...)
	if p.Code == chat.OK {
		b = strconv.AppendBool(append(b, `"completed":`...), p.Completed)
		b = appendList(append(b, `,"records":`...), p.Records, appendHistoryRecord)
	}
	return closeAnswer(b, p.RequestID)
}

// ParseHistoryPage reads the payload of an answer with history.
func ParseHistoryPage(body []byte) (HistoryPage, error) {
	var p HistoryPage
	err := parseAnswer(body, &p.Code, &p.Reason, func(o *object) {
		switch string(o.name) {
		case "requestId":
			p.RequestID = o.string()
		case "completed":
			p.Completed = o.bool()
		case "records":
			p.Records = nil
			o.each(func(item *object) { p.Records = append(p.Records, takeHistoryRecord(item)) })
		}
	})
	return p, err
}

// HistoryRecord is a record as its conversation's history tells it: the payload that it had as a frame. One of the four is set; none, if
// the record is of a kind that this client does not know.
type HistoryRecord struct {
	Message *Placed
	Recall  *Recalled
	Read    *ReadPosition
	Group   *GroupEvent
	Time    int64 // when it got its place, in Unix milliseconds
}

// appendHistoryRecord appends the payload, and to its members what history adds to them.
func appendHistoryRecord(b []byte, r *HistoryRecord) []byte {
	kind := ""
	switch {
	case r.Message != nil:
		b, kind = AppendPlaced(b, r.Message), "message"
	case r.Recall != nil:
		b, kind = AppendRecalled(b, r.Recall), "recall"
	case r.Read != nil:
		b, kind = AppendReadPosition(b, r.Read), "read"
	case r.Group != nil:
		b, kind = AppendGroupEvent(b, r.Group), "group"
		b = strconv.AppendInt(append(b[:len(b)-1], `,"command":`...), int64(r.Group.Command), 10)
		b = append(b, '}')
	default:
		b = append(b, "{}"...)
	}
	b = appendString(append(comma(b[:len(b)-1]), `"kind":`...), kind)
	return append(strconv.AppendInt(append(b, `,"time":`...), r.Time, 10), '}')
}

// takeHistoryRecord reads the present value twice: only its kind tells what its other members mean.
func takeHistoryRecord(o *object) HistoryRecord {
	var r HistoryRecord
	var kind string
	var command Command
	o.fields(func(o *object) {
		switch string(o.name) {
		case "kind":
			kind = o.string()
		case "command":
			command = Command(o.int32())
		case "time":
			r.Time = o.int()
		}
	})
	switch kind {
	case "message":
		r.Message = new(Placed)
		o.fields(r.Message.take)
	case "recall":
		r.Recall = new(Recalled)
		o.fields(r.Recall.take)
	case "read":
		r.Read = new(ReadPosition)
		o.fields(r.Read.take)
	case "group":
		r.Group = &GroupEvent{Command: command}
		o.fields(r.Group.take)
	}
	return r
}
