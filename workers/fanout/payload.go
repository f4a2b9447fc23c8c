package fanout

import (
	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/wire"
)

// What goes on the wire, each in the form for pairs or in that for groups. A payload is encoded once, whoever gets it.

// sized returns room for a payload whose longest strings have so many bytes: most then need no more.
func sized(n int) []byte { return make([]byte, 0, n+n/8+256) }

func ack(c chat.Conversation, code chat.Code, id string, seq chat.Seq) (wire.Command, []byte) {
	return wire.OfKind(c.Kind, wire.SendAck, wire.GroupSendAck), wire.AppendAck(sized(len(id)), &wire.Ack{Code: code, MessageID: id, Seq: seq})
}

func placed(r *chat.Record, place chat.Place) (wire.Command, []byte) {
	p := wire.PlacedOf(r, place)
	b := sized(len(r.Body) + len(r.Extra) + len(r.MessageID))
	return wire.OfKind(r.Conversation.Kind, wire.Send, wire.GroupSend), wire.AppendPlaced(b, &p)
}

// placedAgain is placed, of a message of a pair that was sent again.
func placedAgain(s *chat.Signal, peer chat.UserID) (wire.Command, []byte) {
	return wire.Send, wire.AppendPlaced(nil, &wire.Placed{
		Message: wire.Message{MessageID: s.MessageID, To: peer, Body: s.Body, Extra: s.Extra, MessageTime: s.MessageTime},
		From:    s.From, Place: s.Place, Seq: s.Seq,
	})
}

func arrived(receiver chat.Device, sender chat.UserID, s *chat.Signal) []byte {
	return wire.AppendArrived(sized(len(s.MessageID)), &wire.Arrived{
		Receipt: wire.Receipt{To: sender, Seq: s.Seq, Place: s.Place, MessageID: s.MessageID},
		From:    receiver,
	})
}

// readNotify is what the reader's other devices get; sender is whose message was read, or a pair's peer.
func readNotify(c chat.Conversation, sender chat.UserID, p position) (wire.Command, []byte) {
	return wire.OfKind(c.Kind, wire.ReadNotify, wire.GroupReadNotify), readPosition(c, sender, p)
}

func readReceipt(c chat.Conversation, sender chat.UserID, p position) (wire.Command, []byte) {
	return wire.OfKind(c.Kind, wire.ReadReceipt, wire.GroupReadReceipt), readPosition(c, sender, p)
}

func readPosition(c chat.Conversation, sender chat.UserID, p position) []byte {
	return wire.AppendReadPosition(nil, &wire.ReadPosition{Where: wire.WhereOf(c, sender), Reader: p.reader, Seq: p.seq, Place: p.place})
}

// recallAck answers the device that has recalled a message, or was refused to.
func recallAck(r *chat.Record) (wire.Command, []byte) {
	a := wire.RecallAnswer{Code: r.Code, Place: r.Recall.Place, Seq: r.Seq, MessageID: r.MessageID}
	if r.Kind == chat.RecallRecord {
		a.Code = chat.OK
	}
	return wire.RecallAck, wire.AppendRecallAnswer(nil, &a)
}

func recallNotify(r *chat.Record, place chat.Place) (wire.Command, []byte) {
	p := wire.RecalledOf(r, place)
	return wire.RecallNotify, wire.AppendRecalled(nil, &p)
}

func news(c chat.Conversation, seq chat.Seq, place chat.Place) (wire.Command, []byte) {
	return wire.GroupNews, wire.AppendNews(nil, &wire.News{Group: c.A, Seq: seq, Place: place})
}

func typing(s *chat.Signal) (wire.Command, []byte) {
	to, _ := s.Conversation.Peer(s.From.User)
	return wire.Typing, wire.AppendTypingBy(nil, &wire.TypingBy{Where: wire.WhereOf(s.Conversation, to), From: s.From})
}
