package fanout

import (
	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/wire"
)

// What goes on the wire, each in the form for pairs or in that for groups. A payload is encoded once, whoever gets it.

// where names the conversation: a pair by a user, a group by its id.
func where(c chat.Conversation, to chat.UserID) wire.Where {
	w := wire.Where{To: to}
	if c.Kind == chat.Group {
		w.Group = c.A
	}
	return w
}

// either returns the command for the conversation's kind.
func either(c chat.Conversation, pair, group wire.Command) wire.Command {
	if c.Kind == chat.Group {
		return group
	}
	return pair
}

func ack(c chat.Conversation, code chat.Code, id string, seq chat.Seq) (wire.Command, []byte) {
	return either(c, wire.SendAck, wire.GroupSendAck), wire.AppendAck(nil, &wire.Ack{Code: code, MessageID: id, Seq: seq})
}

func placed(r *chat.Record, place chat.Place) (wire.Command, []byte) {
	to, _ := r.Conversation.Peer(r.Sender.User)
	w := where(r.Conversation, to)
	return either(r.Conversation, wire.Send, wire.GroupSend), wire.AppendPlaced(nil, &wire.Placed{
		Message: wire.Message{MessageID: r.MessageID, To: w.To, Group: w.Group, Body: r.Body, Extra: r.Extra, MessageTime: r.MessageTime},
		From:    r.Sender, Place: place, Seq: r.Seq, Recalled: r.Erased,
	})
}

// placedAgain is placed, of a message of a pair that was sent again.
func placedAgain(s *chat.Signal, peer chat.UserID) (wire.Command, []byte) {
	return wire.Send, wire.AppendPlaced(nil, &wire.Placed{
		Message: wire.Message{MessageID: s.MessageID, To: peer, Body: s.Body, Extra: s.Extra, MessageTime: s.MessageTime},
		From:    s.From, Place: s.Place, Seq: s.Seq,
	})
}

func arrived(receiver chat.Device, sender chat.UserID, s *chat.Signal) []byte {
	return wire.AppendArrived(nil, &wire.Arrived{
		Receipt: wire.Receipt{To: sender, Seq: s.Seq, Place: s.Place, MessageID: s.MessageID},
		From:    receiver,
	})
}

// readNotify is what the reader's other devices get; sender is whose message was read, or a pair's peer.
func readNotify(c chat.Conversation, sender chat.UserID, p position) (wire.Command, []byte) {
	return either(c, wire.ReadNotify, wire.GroupReadNotify), readPosition(c, sender, p)
}

func readReceipt(c chat.Conversation, sender chat.UserID, p position) (wire.Command, []byte) {
	return either(c, wire.ReadReceipt, wire.GroupReadReceipt), readPosition(c, sender, p)
}

func readPosition(c chat.Conversation, sender chat.UserID, p position) []byte {
	return wire.AppendReadPosition(nil, &wire.ReadPosition{Where: where(c, sender), Reader: p.reader, Seq: p.seq, Place: p.place})
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
	to, _ := r.Conversation.Peer(r.Sender.User)
	return wire.RecallNotify, wire.AppendRecalled(nil, &wire.Recalled{
		Where: where(r.Conversation, to), By: r.Sender.User,
		Place: r.Recall.Place, Seq: r.Seq, MessageID: r.Recall.MessageID, RecallAt: place,
	})
}

func news(c chat.Conversation, seq chat.Seq, place chat.Place) (wire.Command, []byte) {
	return wire.GroupNews, wire.AppendNews(nil, &wire.News{Group: c.A, Seq: seq, Place: place})
}

func typing(s *chat.Signal) (wire.Command, []byte) {
	to, _ := s.Conversation.Peer(s.From.User)
	return wire.Typing, wire.AppendTypingBy(nil, &wire.TypingBy{Where: where(s.Conversation, to), From: s.From})
}

var eventCommands = map[chat.ChangeKind]wire.Command{
	chat.GroupCreated:     wire.CreatedGroup,
	chat.MembersJoined:    wire.AddedMember,
	chat.MemberLeft:       wire.ExitGroup,
	chat.MemberRemoved:    wire.DeletedMember,
	chat.RoleSet:          wire.UpdatedMember,
	chat.MemberMuted:      wire.SpeakMember,
	chat.GroupMuted:       wire.MuteGroup,
	chat.GroupDestroyed:   wire.DestroyGroup,
	chat.GroupTransferred: wire.TransferGroup,
}

// event tells of a group's change, as far as it is about one of its users; "" is what concerns nobody alone.
func event(r *chat.Record, place chat.Place, u chat.UserID) (wire.Command, []byte) {
	c := r.Change
	e := wire.GroupEvent{
		Command: eventCommands[c.Kind], Group: r.Conversation.A, Place: place, By: r.Sender.User,
		Owner: u, Members: c.Users, Member: u, Role: int32(c.Role), Mute: c.On, SpeakDate: c.Until,
	}
	return e.Command, wire.AppendGroupEvent(nil, &e)
}

// about lists whom a change has an event about, each of its own: those who come do so in one.
func about(c *chat.Change) []chat.UserID {
	if len(c.Users) == 0 || c.Kind == chat.MembersJoined {
		return []chat.UserID{""}
	}
	return c.Users
}
