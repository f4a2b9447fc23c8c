package wire

import (
	"strconv"

	"github.com/whaleshark-im/whaleshark/chat"
)

// The payloads, a type for each. An Append function encodes what goes on the wire, the Parse function beside it is its inverse. Those that
// read what clients send look at no field that the server ignores, so that nonsense there does no harm.

// Credentials are the payload of [Login].
type Credentials struct {
	User     chat.UserID
	UserSign string // see [chat.VerifySign]; empty: none
	Resume   bool   // the client has everything up to Cursor and asks for the rest
	Cursor   chat.Place
}

// AppendCredentials appends the payload of a login.
func AppendCredentials(b []byte, c *Credentials) []byte {
	b = appendString(append(b, `{"userId":`...), string(c.User))
	if c.UserSign != "" {
		b = appendString(append(b, `,"userSign":`...), c.UserSign)
	}
	if c.Resume {
		b = strconv.AppendInt(append(b, `,"cursor":`...), int64(c.Cursor), 10)
	}
	return append(b, '}')
}

// ParseCredentials reads the payload of a login.
func ParseCredentials(body []byte) (Credentials, error) {
	var c Credentials
	o := open(body)
	for o.next() {
		switch string(o.name) {
		case "userId":
			c.User = chat.UserID(o.string())
		case "userSign":
			c.UserSign = o.string()
		case "cursor":
			c.Resume, c.Cursor = !o.isNull(), chat.Place(o.int())
		}
	}
	return c, o.close()
}

// Message is the payload of a [Send] or a [GroupSend] up: what a client asks to say.
type Message struct {
	MessageID   string
	To          chat.UserID // of a Send
	Group       string      // of a GroupSend; when it is set, To is not written
	Body        string
	Extra       string // empty: none
	MessageTime int64  // the client's own time in Unix milliseconds; 0: not given
	First       bool   // protocol 3: the client vouches that it has never sent this message before
}

// AppendMessage appends the payload of a message up.
func AppendMessage(b []byte, m *Message) []byte {
	b = m.append(b)
	if m.First {
		b = append(b, `,"first":true`...)
	}
	return append(b, '}')
}

// append appends what both directions have in common, without the closing brace.
func (m *Message) append(b []byte) []byte {
	b = appendString(append(b, `{"messageId":`...), m.MessageID)
	if m.Group != "" {
		b = appendString(append(b, `,"groupId":`...), m.Group)
	} else {
		b = appendString(append(b, `,"toId":`...), string(m.To))
	}
	b = appendString(append(b, `,"messageBody":`...), m.Body)
	if m.MessageTime != 0 {
		b = strconv.AppendInt(append(b, `,"messageTime":`...), m.MessageTime, 10)
	}
	if m.Extra != "" {
		b = appendString(append(b, `,"extra":`...), m.Extra)
	}
	return b
}

// ParseMessage reads the payload of a message up. Beside an error, MessageID is set if it can be read.
func ParseMessage(body []byte) (Message, error) {
	var m Message
	o := open(body)
	for o.next() {
		m.take(o)
	}
	return m, o.close()
}

// take reads the present member if it is one of a message, and reports whether it is.
func (m *Message) take(o *object) bool {
	switch string(o.name) {
	case "messageId":
		m.MessageID = o.string()
	case "toId":
		m.To = chat.UserID(o.string())
	case "groupId":
		m.Group = o.string()
	case "messageBody":
		m.Body = o.string()
	case "extra":
		m.Extra = o.string()
	case "messageTime":
		m.MessageTime = o.int()
	case "first":
		m.First = o.bool()
	default:
		return false
	}
	return true
}

// MessageIDOf returns the message id of a payload without reading further than that: what a refusal needs that must be cheap. It is empty
// if there is none that can be read.
func MessageIDOf(body []byte) string {
	o := open(body)
	defer o.abandon()
	for o.next() {
		if string(o.name) == "messageId" {
			return o.string()
		}
	}
	return ""
}

// Placed is the payload of a [Send] or a [GroupSend] down: a message that has its place.
type Placed struct {
	Message
	From     chat.Device // the sending device
	Place    chat.Place
	Seq      chat.Seq
	Recalled bool // what it said is gone
}

// AppendPlaced appends the payload of a message down.
func AppendPlaced(b []byte, p *Placed) []byte {
	b = p.append(b)
	b = appendString(append(b, `,"fromId":`...), string(p.From.User))
	b = strconv.AppendInt(append(b, `,"messageKey":`...), int64(p.Place), 10)
	b = strconv.AppendInt(append(b, `,"messageSequence":`...), int64(p.Seq), 10)
	b = appendDevice(b, &p.From)
	if p.Recalled {
		b = append(b, `,"recalled":true`...)
	}
	return append(b, '}')
}

// ParsePlaced reads the payload of a message down.
func ParsePlaced(body []byte) (Placed, error) {
	var p Placed
	o := open(body)
	for o.next() {
		p.take(o)
	}
	return p, o.close()
}

func (p *Placed) take(o *object) {
	if p.Message.take(o) || takeDevice(o, &p.From) {
		return
	}
	switch string(o.name) {
	case "messageKey":
		p.Place = chat.Place(o.int())
	case "messageSequence":
		p.Seq = chat.Seq(o.int())
	case "recalled":
		p.Recalled = o.bool()
	}
}

// Ack is the payload of [SendAck] and [GroupSendAck]: the message has its place, or it is refused and why.
type Ack struct {
	Code      chat.Code
	Reason    string // more than the code's meaning; empty: the code's meaning
	MessageID string // empty if the refused frame had none that could be read
	Seq       chat.Seq
}

// AppendAck appends the payload of an ack.
func AppendAck(b []byte, a *Ack) []byte {
	b = appendCode(b, a.Code, a.Reason)
	b = strconv.AppendBool(append(b, `,"ok":`...), a.Code == chat.OK)
	b = append(b, `,"data":{`...)
	if a.MessageID != "" {
		b = appendString(append(b, `"messageId":`...), a.MessageID)
	}
	if a.Code == chat.OK {
		b = strconv.AppendInt(append(b, `,"messageSequence":`...), int64(a.Seq), 10)
	}
	return append(b, "}}"...)
}

// ParseAck reads the payload of an ack.
func ParseAck(body []byte) (Ack, error) {
	var a Ack
	err := parseAnswer(body, &a.Code, &a.Reason, func(o *object) {
		switch string(o.name) {
		case "messageId":
			a.MessageID = o.string()
		case "messageSequence":
			a.Seq = chat.Seq(o.int())
		}
	})
	return a, err
}

// Receipt is the payload of a [Receive] up: a message has arrived.
type Receipt struct {
	To        chat.UserID // who sent the message
	Seq       chat.Seq
	Place     chat.Place // 0: not given
	MessageID string     // empty: not given
}

// AppendReceipt appends the payload of a receipt up.
func AppendReceipt(b []byte, r *Receipt) []byte { return append(r.append(b), '}') }

// append appends what both directions have in common, without the closing brace.
func (r *Receipt) append(b []byte) []byte {
	b = appendString(append(b, `{"toId":`...), string(r.To))
	b = strconv.AppendInt(append(b, `,"messageSequence":`...), int64(r.Seq), 10)
	if r.Place != 0 {
		b = strconv.AppendInt(append(b, `,"messageKey":`...), int64(r.Place), 10)
	}
	if r.MessageID != "" {
		b = appendString(append(b, `,"messageId":`...), r.MessageID)
	}
	return b
}

// ParseReceipt reads the payload of a receipt up.
func ParseReceipt(body []byte) (Receipt, error) {
	var r Receipt
	o := open(body)
	for o.next() {
		r.take(o)
	}
	return r, o.close()
}

func (r *Receipt) take(o *object) bool {
	switch string(o.name) {
	case "toId":
		r.To = chat.UserID(o.string())
	case "messageSequence":
		r.Seq = chat.Seq(o.int())
	case "messageKey":
		r.Place = chat.Place(o.int())
	case "messageId":
		r.MessageID = o.string()
	default:
		return false
	}
	return true
}

// Arrived is the payload of a [Receive] down: From.User has received what Receipt.To sent. When no device of the receiver is connected,
// the server says so in its stead, to the sending device alone: ServerSend is set, and From holds no device. (The original swapped the
// two users then.)
type Arrived struct {
	Receipt
	From       chat.Device
	ServerSend bool
}

// AppendArrived appends the payload of a receipt down.
func AppendArrived(b []byte, a *Arrived) []byte {
	b = a.append(b)
	b = appendString(append(b, `,"fromId":`...), string(a.From.User))
	b = strconv.AppendBool(append(b, `,"serverSend":`...), a.ServerSend)
	if !a.ServerSend {
		b = appendDevice(b, &a.From)
	}
	return append(b, '}')
}

// ParseArrived reads the payload of a receipt down.
func ParseArrived(body []byte) (Arrived, error) {
	var a Arrived
	o := open(body)
	for o.next() {
		if !a.take(o) && !takeDevice(o, &a.From) && string(o.name) == "serverSend" {
			a.ServerSend = o.bool()
		}
	}
	return a, o.close()
}

// Welcome is the payload of [LoginAck]: the session exists, or the login is refused and why.
type Welcome struct {
	Code   chat.Code
	Reason string // more than the code's meaning; empty: the code's meaning

	// Of an accepted login.
	Session    chat.SessionID
	ServerTime int64      // Unix milliseconds
	Heartbeat  int64      // milliseconds; ping this often
	MaxBody    int64      // bytes; no body up may be longer
	Cursor     chat.Place // up to where the session has everything, unless Truncated; whatever is later comes
	Resume     bool       // the login asked for what it has missed
	Resumed    int64      // how many records of it were sent; told if Resume
	Truncated  bool       // the client is too far behind to be sent all of it: it must pull; told if Resume
}

// AppendWelcome appends the payload of a login's answer.
func AppendWelcome(b []byte, w *Welcome) []byte {
	b = append(appendCode(b, w.Code, w.Reason), `,"data":{`...)
	if w.Code == chat.OK {
		b = strconv.AppendUint(append(b, `"sessionId":"`...), uint64(w.Session), 10)
		b = strconv.AppendInt(append(b, `","serverTime":`...), w.ServerTime, 10)
		b = strconv.AppendInt(append(b, `,"heartbeatMs":`...), w.Heartbeat, 10)
		b = strconv.AppendInt(append(b, `,"maxBody":`...), w.MaxBody, 10)
		b = strconv.AppendInt(append(b, `,"cursor":`...), int64(w.Cursor), 10)
	}
	if w.Code == chat.OK && w.Resume {
		b = strconv.AppendInt(append(b, `,"resumed":`...), w.Resumed, 10)
		if w.Truncated {
			b = append(b, `,"truncated":true`...)
		}
	}
	return append(b, "}}"...)
}

// ParseWelcome reads the payload of a login's answer.
func ParseWelcome(body []byte) (Welcome, error) {
	var w Welcome
	err := parseAnswer(body, &w.Code, &w.Reason, func(o *object) {
		switch string(o.name) {
		case "sessionId":
			w.Session = o.session()
		case "serverTime":
			w.ServerTime = o.int()
		case "heartbeatMs":
			w.Heartbeat = o.int()
		case "maxBody":
			w.MaxBody = o.int()
		case "cursor":
			w.Cursor = chat.Place(o.int())
		case "resumed":
			w.Resume, w.Resumed = !o.isNull(), o.int()
		case "truncated":
			w.Truncated = o.bool()
		}
	})
	return w, err
}

// Refusal is the payload of [Refuse]: a frame, or the connection itself, is refused and why.
type Refusal struct {
	Code      chat.Code
	Reason    string  // more than the code's meaning; empty: the code's meaning
	Command   Command // of the refused frame; 0: the connection itself
	MessageID string  // empty if the refused frame had none that could be read
}

// AppendRefusal appends the payload of a refusal.
func AppendRefusal(b []byte, r *Refusal) []byte {
	b = appendCode(b, r.Code, r.Reason)
	b = strconv.AppendInt(append(b, `,"data":{"command":`...), int64(r.Command), 10)
	if r.MessageID != "" {
		b = appendString(append(b, `,"messageId":`...), r.MessageID)
	}
	return append(b, "}}"...)
}

// ParseRefusal reads the payload of a refusal.
func ParseRefusal(body []byte) (Refusal, error) {
	var r Refusal
	err := parseAnswer(body, &r.Code, &r.Reason, func(o *object) {
		switch string(o.name) {
		case "command":
			r.Command = Command(o.int32())
		case "messageId":
			r.MessageID = o.string()
		}
	})
	return r, err
}

// Pong is the payload of a [Ping] down.
type Pong struct {
	ServerTime int64      // Unix milliseconds
	Cursor     chat.Place // everything up to here was sent before: it is safe to resume from
}

// AppendPong appends the payload of a ping's answer.
func AppendPong(b []byte, p *Pong) []byte {
	b = strconv.AppendInt(append(b, `{"serverTime":`...), p.ServerTime, 10)
	b = strconv.AppendInt(append(b, `,"cursor":`...), int64(p.Cursor), 10)
	return append(b, '}')
}

// ParsePong reads the payload of a ping's answer.
func ParsePong(body []byte) (Pong, error) {
	var p Pong
	o := open(body)
	for o.next() {
		switch string(o.name) {
		case "serverTime":
			p.ServerTime = o.int()
		case "cursor":
			p.Cursor = chat.Place(o.int())
		}
	}
	return p, o.close()
}

// appendCode opens an answer with its code and message, and leaves it open.
func appendCode(b []byte, c chat.Code, reason string) []byte {
	if reason == "" {
		reason = c.Info().Meaning
	}
	b = strconv.AppendInt(append(b, `{"code":`...), int64(c), 10)
	return appendString(append(b, `,"msg":`...), reason)
}

// parseAnswer reads an answer: its code and message, and with member what lies under data.
func parseAnswer(body []byte, code *chat.Code, reason *string, member func(*object)) error {
	o := open(body)
	var data error
	for o.next() {
		switch string(o.name) {
		case "code":
			*code = chat.Code(o.int32())
		case "msg":
			*reason = o.string()
		case "data":
			data = o.members(member)
		}
	}
	if err := o.close(); err != nil {
		return err
	}
	return data
}

// appendDevice appends the members that name a device beside its user.
func appendDevice(b []byte, d *chat.Device) []byte {
	b = strconv.AppendInt(append(b, `,"appId":`...), int64(d.App), 10)
	b = strconv.AppendInt(append(b, `,"clientType":`...), int64(d.Client), 10)
	return appendString(append(b, `,"imei":`...), d.IMEI)
}

// takeDevice reads the present member if it is one of the sending device, and reports whether it is.
func takeDevice(o *object, d *chat.Device) bool {
	switch string(o.name) {
	case "fromId":
		d.User = chat.UserID(o.string())
	case "appId":
		d.App = chat.AppID(o.int32())
	case "clientType":
		d.Client = chat.ClientType(o.int32())
	case "imei":
		d.IMEI = o.string()
	default:
		return false
	}
	return true
}
