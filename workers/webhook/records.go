package webhook

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/whaleshark-im/whaleshark/chat"
)

// told is which conversation a record is of, as the bodies of its calls say it: a pair by the other user, a group by its id.
type told struct {
	AppID            chat.AppID      `json:"appId"`
	FromID           chat.UserID     `json:"fromId"`
	ToID             chat.UserID     `json:"toId,omitempty"`
	GroupID          string          `json:"groupId,omitempty"`
	ConversationType chat.Kind       `json:"conversationType"`
	ClientType       chat.ClientType `json:"clientType"`
	IMEI             string          `json:"imei"`
	MessageKey       chat.Place      `json:"messageKey,omitempty"`
	MessageSequence  chat.Seq        `json:"messageSequence,omitempty"`
}

// messageSent is the body of message.send.after, the message as it is in the log; and of message.send.before, where it has no key and no
// sequence yet.
type messageSent struct {
	told
	MessageID   string `json:"messageId"`
	MessageBody string `json:"messageBody"`
	Extra       string `json:"extra,omitempty"`
	MessageTime int64  `json:"messageTime"`
	Recalled    bool   `json:"recalled,omitempty"` // its body was erased since
}

// messageRecalled is the body of message.recall. The key and the sequence are the message's.
type messageRecalled struct {
	told
	MessageID string      `json:"messageId"`
	SenderID  chat.UserID `json:"senderId"` // of the message
	RecallKey chat.Place  `json:"recallKey"`
}

// eventOf names the calls that a record makes.
func eventOf(place chat.Place) string { return "log-" + strconv.FormatInt(int64(place), 10) }

func tellOf(c chat.Conversation, by chat.Device) told {
	t := told{AppID: c.App, FromID: by.User, ConversationType: c.Kind, ClientType: by.Client, IMEI: by.IMEI}
	if c.Kind == chat.Group {
		t.GroupID = c.A
	} else {
		t.ToID, _ = c.Peer(by.User)
	}
	return t
}

// aboutMessage is what an app is asked about a message.
func aboutMessage(q *chat.Request) messageSent {
	return messageSent{tellOf(q.Conversation, q.Sender), q.MessageID, q.Body, q.Extra, q.MessageTime, false}
}

// notice is a call that is not made yet: most apps want to hear nothing, and then it never is.
type notice struct {
	app     chat.AppID
	command string
	call    func() chat.Call
}

// noticeOf returns what is told of a record; false if no app is told of it.
func noticeOf(r *chat.Record, place chat.Place) (notice, bool) {
	n := notice{app: r.Conversation.App}
	switch r.Kind {
	case chat.MessageRecord:
		n.command = chat.HookMessageSent
	case chat.ReadRecord:
		n.command = chat.HookMessageRead
	case chat.RecallRecord:
		n.command = chat.HookMessageRecall
	default:
		return notice{}, false
	}
	n.call = func() chat.Call {
		return chat.Call{App: n.app, Event: eventOf(place), HookCall: chat.HookCall{Command: n.command, Body: encode(bodyOf(r, place))}}
	}
	return n, true
}

func bodyOf(r *chat.Record, place chat.Place) any {
	t := tellOf(r.Conversation, r.Sender)
	t.MessageKey, t.MessageSequence = place, r.Seq
	switch r.Kind { //nolint:exhaustive // the others say no more
	case chat.MessageRecord:
		return messageSent{t, r.MessageID, r.Body, r.Extra, r.MessageTime, r.Erased}
	case chat.RecallRecord:
		t.MessageKey = r.Recall.Place
		return messageRecalled{t, r.Recall.MessageID, r.Recall.Sender, place}
	}
	return t
}

// make makes the call. A record that breaks it stops no other.
func (n *notice) make() (c chat.Call, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return n.call(), nil
}

// recalledBy returns, by its name alone, the call that has told of the message that a recall is about.
func recalledBy(r *chat.Record) chat.Call {
	return chat.Call{App: r.Conversation.App, Event: eventOf(r.Recall.Place)}
}

// eraseMessage returns the body of a message.send.after without what the message said. A recalled message is not kept for a receiver that
// is away.
func eraseMessage(body []byte) []byte {
	var m messageSent
	if err := json.Unmarshal(body, &m); err != nil {
		return []byte("{}")
	}
	m.MessageBody, m.Extra, m.Recalled = "", "", true
	return encode(m)
}

// encode encodes one of our own types; that cannot fail.
func encode(x any) json.RawMessage {
	b, err := json.Marshal(x)
	if err != nil {
		panic("webhook: " + err.Error())
	}
	return b
}
