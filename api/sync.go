package api

import (
	"strconv"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/history"
)

// pulledPage is a page of messages that are pulled, which goes back only so far.
type pulledPage struct {
	syncPage[messageRow]
	Truncated bool `json:"truncated" about:"There was more than this server lets anybody pull: the oldest are left out."`
}

// pageRoom is how many bytes of messages a page may hold: what is more comes with the next one.
const pageRoom = 1 << 20

// fit cuts off the rows for which there is no room; the first one stays, whatever its size. Look tells a row's size and its sequence.
func (p *syncPage[Row]) fit(look func(*Row) (size int, sequence int64)) {
	room := pageRoom
	last := p.MaxSequence
	for i := range p.DataList {
		size, sequence := look(&p.DataList[i])
		if room -= size; room < 0 && i > 0 {
			p.DataList, p.MaxSequence, p.Completed = p.DataList[:i], last, false
			break
		}
		last = sequence
	}
}

// messageRow is a message as the pages of messages tell it: everything under all the names that the original and its clients have for it.
type messageRow struct {
	AppID            int32  `json:"appId"`
	ConversationType int32  `json:"conversationType" about:"0 a pair, 1 a group."`
	ConversationID   string `json:"conversationId" about:"Its owner's name of it."`
	OwnerID          string `json:"ownerId" about:"Who asked."`
	FromID           string `json:"fromId"`
	ToID             string `json:"toId" about:"Of a group its id."`
	GroupID          string `json:"groupId,omitzero"`
	MessageID        string `json:"messageId"`
	MessageKey       int64  `json:"messageKey"`
	MessageSequence  int64  `json:"messageSequence"`
	Sequence         int64  `json:"sequence" about:"The same as messageSequence."`
	MessageBody      string `json:"messageBody"`
	Content          string `json:"content" about:"The same as messageBody."`
	Extra            string `json:"extra"`
	MessageTime      int64  `json:"messageTime" about:"The sender's own, if he gave one."`
	CreateTime       int64  `json:"createTime" about:"When it got its place."`
	Timestamp        int64  `json:"timestamp" about:"The same as createTime."`
	MessageRandom    int64  `json:"messageRandom"`
	DelFlag          int32  `json:"delFlag" about:"1: it was recalled, and its body is empty."`
	Recalled         bool   `json:"recalled"`
}

func messageRowOf(owner chat.UserID, item *chat.Item) messageRow {
	r := &item.Record
	to := otherOf(r.Conversation, r.Sender.User)
	row := messageRow{
		AppID: int32(r.Conversation.App), ConversationType: int32(r.Conversation.Kind), ConversationID: conversationID(r.Conversation, owner),
		OwnerID: string(owner), FromID: string(r.Sender.User), ToID: to,
		MessageID: r.MessageID, MessageKey: int64(item.Place), MessageSequence: int64(r.Seq), Sequence: int64(r.Seq),
		MessageBody: r.Body, Content: r.Body, Extra: r.Extra,
		MessageTime: r.MessageTime, CreateTime: item.Time.UnixMilli(), Timestamp: item.Time.UnixMilli(), Recalled: item.Recalled,
	}
	if r.Conversation.Kind == chat.Group {
		row.GroupID = to
	}
	if row.MessageTime == 0 {
		row.MessageTime = row.CreateTime
	}
	if row.Recalled {
		row.DelFlag = 1
	}
	return row
}

// size returns about how many bytes of an answer the row takes.
func (r *messageRow) size() int { return 500 + 2*len(r.MessageBody) + len(r.Extra) }

func messageRowsOf(owner chat.UserID, items []chat.Item) []messageRow {
	rows := make([]messageRow, len(items))
	for i := range items {
		rows[i] = messageRowOf(owner, &items[i])
	}
	return rows
}

// otherOf returns whom a conversation is with, for one of its users: the other one, or the group.
func otherOf(c chat.Conversation, u chat.UserID) string {
	if c.Kind == chat.Group {
		return c.A
	}
	peer, _ := c.Peer(u)
	return string(peer)
}

// conversationID returns the original's name of a conversation, which each of its users has for himself.
func conversationID(c chat.Conversation, owner chat.UserID) string {
	return strconv.Itoa(int(c.Kind)) + "_" + string(owner) + "_" + otherOf(c, owner)
}

// pulled is a page of the messages of many conversations, in the order of their keys.
func pulled(owner chat.UserID, p *history.Pulled) *pulledPage {
	x := &pulledPage{Truncated: p.Truncated}
	x.MaxSequence, x.Completed, x.DataList = int64(p.MaxKey), p.Completed, messageRowsOf(owner, p.Messages)
	x.fit(func(r *messageRow) (int, int64) { return r.size(), r.MessageKey })
	return x
}

// numbered is a page of one conversation's messages, in the order of their numbers.
func numbered(owner chat.UserID, last int64, p *history.Page) *pulledPage {
	x := &pulledPage{}
	x.MaxSequence, x.Completed, x.DataList = last, !p.More, messageRowsOf(owner, p.Items)
	if n := len(x.DataList); n > 0 {
		x.MaxSequence = x.DataList[n-1].Sequence
	}
	x.fit(func(r *messageRow) (int, int64) { return r.size(), r.Sequence })
	return x
}
