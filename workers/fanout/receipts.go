package fanout

import "github.com/whaleshark-im/whaleshark/chat"

// receipts remembers which of the newest messages a receiver's device has. Forgetting one costs no more than a push that a client drops.
type receipts struct {
	seen *lately[messageAt, chat.Device]
}

// messageAt names a message by what the server knows of a receipt: its conversation and seq. A place is the client's word alone.
type messageAt struct {
	conversation chat.Conversation
	seq          chat.Seq
}

const receiptLimit = 1 << 14

func newReceipts() *receipts { return &receipts{newLately[messageAt, chat.Device](receiptLimit)} }

// add remembers the receipt of a member of the conversation.
func (r *receipts) add(s *chat.Signal) { r.seen.set(messageAt{s.Conversation, s.Seq}, s.From) }

// of returns a device of the receiver that has the message which was sent again; nil if none is known.
func (r *receipts) of(repeat *chat.Signal) *chat.Device {
	d, ok := r.seen.get(messageAt{repeat.Conversation, repeat.Seq})
	receiver, _ := repeat.Conversation.Peer(repeat.From.User)
	if !ok || d.User != receiver || d == repeat.From {
		return nil
	}
	return &d
}
