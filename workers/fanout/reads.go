package fanout

import (
	"cmp"
	"maps"
	"slices"

	"github.com/whaleshark-im/whaleshark/chat"
)

// rangeLimit is how many messages back a read reaches those who sent them.
const rangeLimit = 10_000

// position is how far somebody has read, and the place of the read's record.
type position struct {
	reader   chat.UserID
	seq      chat.Seq
	place    chat.Place
	revision chat.Revision // of the record's block, as it is handed out
}

// debt is what a group's sender is told once a batch: how far a reader is.
type debt struct {
	conversation   chat.Conversation
	reader, sender chat.UserID
}

// unknownSenders is a read of messages that this owner does not remember the senders of.
type unknownSenders struct {
	messages chat.SeqRange
	position position
}

// readElsewhere tells the reader's other devices.
func (b *batch) readElsewhere(r *chat.Record, sender chat.UserID, p position) {
	command, payload := readNotify(r.Conversation, sender, p)
	b.deliverButTo(r.Sender, command, payload, b.devices(r.Sender.App, r.Sender.User))
}

// groupRead tells the reader's other devices, the sender that the reader has named, and everybody whose message was read.
func (b *batch) groupRead(r *chat.Record, place chat.Place, g *group) {
	p := position{r.Sender.User, r.Seq, place, b.revision}
	b.readElsewhere(r, r.Read.Named, p)
	if r.Read.Named != "" {
		b.owe(r.Conversation, r.Read.Named, p, g)
	}
	if g.roster.Len() > b.limits.broadcast {
		b.degraded["read receipts"]++
		return
	}
	from := r.Read.From
	if r.Seq-from > rangeLimit {
		from = r.Seq - rangeLimit
		b.degraded["read of very many messages"]++
	}
	users, unknown := g.senders.within(from, r.Seq)
	for _, u := range users {
		b.owe(r.Conversation, u, p, g)
	}
	if unknown > from {
		p.revision = 0 // it will be told as what passes is
		b.unknown = append(b.unknown, unknownSenders{
			messages: chat.SeqRange{Conversation: r.Conversation, After: from, To: unknown}, position: p,
		})
	}
}

// owe notes that a sender is to be told of a read when the batch ends, if he is still in the group.
func (b *batch) owe(c chat.Conversation, sender chat.UserID, p position, g *group) {
	if sender == p.reader || !g.roster.Covers(sender, p.place) {
		return
	}
	key := debt{c, p.reader, sender}
	if p.seq > b.debts[key].seq {
		b.debts[key] = p
	}
}

// sayReceipts tells each sender once how far each reader is.
func (b *batch) sayReceipts() {
	keys := slices.SortedFunc(maps.Keys(b.debts), func(x, y debt) int { return cmp.Compare(b.debts[x].place, b.debts[y].place) })
	for _, k := range keys {
		routes := b.devices(k.conversation.App, k.sender)
		if len(routes) == 0 {
			continue
		}
		b.revision = b.debts[k].revision
		command, payload := readReceipt(k.conversation, k.sender, b.debts[k])
		b.deliver(command, payload, routes...)
	}
}
