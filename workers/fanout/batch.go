package fanout

import (
	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/wire"
)

// directory tells which devices of a user are connected, and where.
type directory func(user chat.UserKey) []chat.Route

// batch works out who gets what, a push for each edge. It is pure: routes come in through the directory.
type batch struct {
	routes   directory
	revision chat.Revision // of the block at hand; 0: signals
	pushes   map[chat.NodeID]*chat.Push

	partition chat.Partition
}

func (o *owner) newBatch() *batch {
	return &batch{
		routes: func(u chat.UserKey) []chat.Route {
			return newest(o.routes.Of(u), o.members.Dead)
		},
		pushes:    make(map[chat.NodeID]*chat.Push),
		partition: o.partition,
	}
}

// newest returns the routes that count: of edges that live, and of each device the newest alone. An older session of a device is on its
// way out.
func newest(routes []chat.Route, dead func(chat.NodeID) bool) []chat.Route {
	var live []chat.Route
next:
	for _, r := range routes {
		if dead(r.Edge) {
			continue
		}
		for i := range live {
			if live[i].Device == r.Device {
				if r.Newer(live[i]) {
					live[i] = r
				}
				continue next
			}
		}
		live = append(live, r)
	}
	return live
}

// push returns the edge's push, made when it is first asked for.
func (b *batch) push(edge chat.NodeID) *chat.Push {
	p := b.pushes[edge]
	if p == nil {
		p = &chat.Push{Partition: b.partition}
		b.pushes[edge] = p
	}
	return p
}

// deliver adds one frame for all the routes: one delivery an edge, however many sessions it has.
func (b *batch) deliver(c wire.Command, payload []byte, routes ...chat.Route) {
	for i, r := range routes {
		p := b.push(r.Edge)
		if n := len(p.Deliveries); i > 0 && n > 0 && sameFrame(&p.Deliveries[n-1], payload) {
			p.Deliveries[n-1].Sessions = append(p.Deliveries[n-1].Sessions, r.Session)
			continue
		}
		p.Deliveries = append(p.Deliveries, chat.Delivery{
			Revision: b.revision, Command: int32(c), Payload: payload, Sessions: []chat.SessionID{r.Session},
		})
	}
}

// sameFrame reports whether a delivery is of this very payload.
func sameFrame(d *chat.Delivery, payload []byte) bool {
	return len(d.Payload) == len(payload) && (len(payload) == 0 || &d.Payload[0] == &payload[0])
}

func (b *batch) devices(app chat.AppID, user chat.UserID) []chat.Route {
	return b.routes(chat.UserKey{App: app, User: user})
}

// split parts the routes of one device from the others.
func split(routes []chat.Route, d chat.Device) (own, others []chat.Route) {
	for _, r := range routes {
		if r.Device == d {
			own = append(own, r)
		} else {
			others = append(others, r)
		}
	}
	return own, others
}

// message answers the sending device and hands the message to the sender's other devices and to all of the receiver's. When none of the
// receiver's is connected, the server says so in its place.
func (b *batch) message(r *chat.Record, place chat.Place) {
	peer, _ := r.Conversation.Peer(r.Sender.User)
	own, others := split(b.devices(r.Sender.App, r.Sender.User), r.Sender)
	b.deliver(wire.SendAck, wire.AppendAck(nil, &wire.Ack{Code: chat.OK, MessageID: r.MessageID, Seq: r.Seq}), own...)
	placed := wire.AppendPlaced(nil, &wire.Placed{
		Message: wire.Message{MessageID: r.MessageID, To: peer, Body: r.Body, Extra: r.Extra, MessageTime: r.MessageTime},
		From:    r.Sender, Place: place, Seq: r.Seq,
	})
	receivers := others
	if peer != r.Sender.User {
		receivers = b.devices(r.Sender.App, peer)
		b.deliver(wire.Send, placed, append(others[:len(others):len(others)], receivers...)...)
	} else {
		b.deliver(wire.Send, placed, others...)
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

func (b *batch) refusal(r *chat.Record) {
	own, _ := split(b.devices(r.Sender.App, r.Sender.User), r.Sender)
	b.deliver(wire.SendAck, wire.AppendAck(nil, &wire.Ack{Code: r.Code, MessageID: r.MessageID}), own...)
}

// receipt relays a receiver's receipt to all devices of the sender.
func (b *batch) receipt(s *chat.Signal) {
	sender, _ := s.Conversation.Peer(s.From.User)
	b.deliver(wire.Receive, arrived(s.From, sender, s), b.devices(s.From.App, sender)...)
}

func arrived(receiver chat.Device, sender chat.UserID, s *chat.Signal) []byte {
	return wire.AppendArrived(nil, &wire.Arrived{
		Receipt: wire.Receipt{To: sender, Seq: s.Seq, Place: s.Place, MessageID: s.MessageID},
		From:    receiver,
	})
}

// repeat answers a message that is stored and was sent again: with its first ack, and with what is known of its arrival. If a receiver's
// device has it, that receipt again; if none is connected, that; otherwise the same message once more, which clients drop by its
// seq and acknowledge.
func (b *batch) repeat(s *chat.Signal, receiver *chat.Device) {
	peer, _ := s.Conversation.Peer(s.From.User)
	own, others := split(b.devices(s.From.App, s.From.User), s.From)
	b.deliver(wire.SendAck, wire.AppendAck(nil, &wire.Ack{Code: chat.OK, MessageID: s.MessageID, Seq: s.Seq}), own...)
	receivers := others
	if peer != s.From.User {
		receivers = b.devices(s.From.App, peer)
	}
	switch {
	case receiver != nil:
		b.deliver(wire.Receive, arrived(*receiver, s.From.User, s), own...)
	case len(receivers) == 0:
		b.nobody(own, s.From, peer, s.Seq, s.Place, s.MessageID)
	default:
		b.deliver(wire.Send, wire.AppendPlaced(nil, &wire.Placed{
			Message: wire.Message{MessageID: s.MessageID, To: peer, Body: s.Body, Extra: s.Extra, MessageTime: s.MessageTime},
			From:    s.From, Place: s.Place, Seq: s.Seq,
		}), receivers...)
	}
}

// receipts remembers which of the newest messages a receiver's device has. Forgetting one costs no more than a push that a client drops.
type receipts struct {
	seen map[messageAt]chat.Device
	ring []messageAt
	next int
}

// messageAt names a message by what the server knows of a receipt: its conversation and seq. A place is the client's word alone.
type messageAt struct {
	conversation chat.Conversation
	seq          chat.Seq
}

const receiptLimit = 1 << 14

func newReceipts() *receipts {
	return &receipts{seen: make(map[messageAt]chat.Device), ring: make([]messageAt, receiptLimit)}
}

// add remembers the receipt of a member of the conversation.
func (r *receipts) add(s *chat.Signal) {
	m := messageAt{s.Conversation, s.Seq}
	if _, known := r.seen[m]; !known {
		delete(r.seen, r.ring[r.next])
		r.ring[r.next] = m
		r.next = (r.next + 1) % receiptLimit
	}
	r.seen[m] = s.From
}

// of returns a device of the receiver that has the message which was sent again; nil if none is known.
func (r *receipts) of(repeat *chat.Signal) *chat.Device {
	d, ok := r.seen[messageAt{repeat.Conversation, repeat.Seq}]
	receiver, _ := repeat.Conversation.Peer(repeat.From.User)
	if !ok || d.User != receiver || d == repeat.From {
		return nil
	}
	return &d
}
