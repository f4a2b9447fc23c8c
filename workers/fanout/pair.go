package fanout

import (
	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/wire"
)

// pair hands out a record of a pair.
func (b *batch) pair(r *chat.Record, place chat.Place) {
	switch r.Kind {
	case chat.MessageRecord:
		b.message(r, place)
	case chat.ReadRecord:
		b.pairRead(r, place)
	case chat.RecallRecord:
		b.answer(r)
		b.pairRecall(r, place)
	case chat.RefusalRecord, chat.RecallRefusalRecord:
		b.answer(r)
	case chat.SettingRecord:
		b.setting(r, place)
	case chat.GroupRecord: // of a pair there is none
	}
}

// answer answers the device that has asked for the record. It needs to know nothing of the conversation.
func (b *batch) answer(r *chat.Record) {
	switch r.Kind {
	case chat.MessageRecord, chat.RefusalRecord:
		code := r.Code
		if r.Kind == chat.MessageRecord {
			code = chat.OK
		}
		command, payload := ack(r.Conversation, code, r.MessageID, r.Seq)
		b.deliver(command, payload, b.asking(r)...)
	case chat.RecallRecord, chat.RecallRefusalRecord:
		command, payload := recallAck(r)
		b.deliver(command, payload, b.asking(r)...)
	case chat.ReadRecord, chat.GroupRecord, chat.SettingRecord: // nobody waits for an answer
	}
}

// message answers the sending device and hands the message to the sender's other devices and to all of the receiver's. When none of the
// receiver's is connected, the server says so in its place.
func (b *batch) message(r *chat.Record, place chat.Place) {
	peer, _ := r.Conversation.Peer(r.Sender.User)
	own, others := split(b.devices(r.Sender.App, r.Sender.User), r.Sender)
	command, payload := ack(r.Conversation, chat.OK, r.MessageID, r.Seq)
	b.deliver(command, payload, own...)
	if b.recalled[place] {
		return // the recall follows, and tells everybody
	}
	command, payload = placed(r, place)
	b.deliver(command, payload, others...)
	receivers := others
	if peer != r.Sender.User {
		receivers = b.devices(r.Sender.App, peer)
		b.deliver(command, payload, receivers...)
	}
	if len(receivers) == 0 {
		b.nobody(own, r.Sender, peer, r.Seq, place, r.MessageID)
	}
}

// nobody tells the sending device that no device of the receiver is connected: the message waits for the receiver's sync.
func (b *batch) nobody(own []chat.Route, sender chat.Device, peer chat.UserID, seq chat.Seq, place chat.Place, id string) {
	b.deliver(wire.Receive, wire.AppendArrived(nil, &wire.Arrived{
		Receipt:    wire.Receipt{To: sender.User, Seq: seq, Place: place, MessageID: id},
		From:       chat.Device{App: sender.App, User: peer},
		ServerSend: true,
	}), own...)
}

// pairRead tells the reader's other devices and all of the peer's how far the reader is.
func (b *batch) pairRead(r *chat.Record, place chat.Place) {
	peer, _ := r.Conversation.Peer(r.Sender.User)
	p := position{r.Sender.User, r.Seq, place, b.revision}
	b.readElsewhere(r, peer, p)
	if peer != r.Sender.User {
		command, payload := readReceipt(r.Conversation, peer, p)
		b.deliver(command, payload, b.devices(r.Sender.App, peer)...)
	}
}

// setting tells the user's other devices, of a pair or of a group: it needs to know nothing of the members. Of a silent deletion they find out
// when they sync.
func (b *batch) setting(r *chat.Record, place chat.Place) {
	for _, s := range wire.SettingsOf(r, place) {
		if s.Command == wire.ConversationDelete && r.Setting.Silent {
			continue
		}
		b.deliverButTo(r.Sender, s.Command, wire.AppendSetting(nil, &s), b.devices(r.Sender.App, r.Sender.User))
	}
}

// pairRecall tells everybody but the device that has recalled.
func (b *batch) pairRecall(r *chat.Record, place chat.Place) {
	command, payload := recallNotify(r, place)
	b.deliverButTo(r.Sender, command, payload, b.devices(r.Sender.App, r.Sender.User))
	if peer, _ := r.Conversation.Peer(r.Sender.User); peer != r.Sender.User {
		b.deliver(command, payload, b.devices(r.Sender.App, peer)...)
	}
}

// receipt relays a receiver's receipt to all devices of the sender.
func (b *batch) receipt(s *chat.Signal) {
	sender, _ := s.Conversation.Peer(s.From.User)
	b.deliver(wire.Receive, arrived(s.From, sender, s), b.devices(s.From.App, sender)...)
}

// repeat answers a message that is stored and was sent again: with its first ack, and with what is known of its arrival. If a receiver's
// device has it, that receipt again; if none is connected, that; otherwise the same message once more, which clients drop by its
// seq and acknowledge. What was recalled is not sent again, and in a group there are no receipts.
func (b *batch) repeat(s *chat.Signal, receiver *chat.Device) {
	own, others := split(b.devices(s.From.App, s.From.User), s.From)
	command, payload := ack(s.Conversation, chat.OK, s.MessageID, s.Seq)
	b.deliver(command, payload, own...)
	peer, isPair := s.Conversation.Peer(s.From.User)
	if !isPair {
		return
	}
	receivers := others
	if peer != s.From.User {
		receivers = b.devices(s.From.App, peer)
	}
	switch {
	case receiver != nil:
		b.deliver(wire.Receive, arrived(*receiver, s.From.User, s), own...)
	case s.Recalled:
	case len(receivers) == 0:
		b.nobody(own, s.From, peer, s.Seq, s.Place, s.MessageID)
	default:
		command, payload := placedAgain(s, peer)
		b.deliver(command, payload, receivers...)
	}
}
