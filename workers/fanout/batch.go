package fanout

import (
	"cmp"
	"slices"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/wire"
)

// directory tells which devices of a user are connected, and where.
type directory func(user chat.UserKey) []chat.Route

// limits say above how many members a group is served by less.
type limits struct {
	broadcast int // read receipts and member events go to those concerned alone, typing to nobody
	notify    int // messages become word that there is something new
}

// item is a record at its place. Revision is that of its block, or 0 if it is handed out later than in its turn.
type item struct {
	record   *chat.Record
	place    chat.Place
	revision chat.Revision
}

// bytes is about what the item takes in memory.
func (it *item) bytes() int {
	n := len(it.record.Body) + len(it.record.Extra) + 512
	if c := it.record.Change; c != nil {
		n += len(c.Info)
	}
	return n
}

// batch works out who gets what, a push for each edge. It is pure: routes come in through the directory.
type batch struct {
	routes    directory
	limits    limits
	partition chat.Partition
	revision  chat.Revision // of the block at hand; 0: signals, and what could not be handed out in its turn
	pushes    map[chat.NodeID]*chat.Push
	sessions  []chat.SessionID // see session

	recalled  map[chat.Place]bool                // messages of the batch that are recalled later in it
	audiences map[chat.Conversation][]chat.Route // of the groups at hand, until they change

	// What is said once, at the end of the batch.
	news  map[chat.Conversation]*groupNews
	debts map[debt]position

	unknown  []unknownSenders // reads whose senders must be looked up
	degraded map[string]int   // what was not said to everybody, by reason
}

func newBatch(p chat.Partition, routes directory, l limits) *batch {
	return &batch{
		routes: routes, limits: l, partition: p,
		pushes:    make(map[chat.NodeID]*chat.Push),
		audiences: make(map[chat.Conversation][]chat.Route),
		news:      make(map[chat.Conversation]*groupNews),
		debts:     make(map[debt]position),
		degraded:  make(map[string]int),
	}
}

// lookAhead finds the messages that are recalled before the batch ends: their bodies are not pushed any more.
func (b *batch) lookAhead(items []item) {
	for i := range items {
		if r := items[i].record; r.Kind == chat.RecallRecord {
			if b.recalled == nil {
				b.recalled = make(map[chat.Place]bool)
			}
			b.recalled[r.Recall.Place] = true
		}
	}
}

// finish says what is said once a batch. Each such thing belongs to the newest block that it tells of and goes with it: when an owner takes
// over between the parts of a push, it is told neither twice nor never.
func (b *batch) finish() {
	b.sayNews()
	b.sayReceipts()
	for _, p := range b.pushes {
		slices.SortStableFunc(p.Deliveries, func(x, y chat.Delivery) int { return cmp.Compare(x.Revision, y.Revision) })
	}
}

// live returns the routes that count: of edges that live, and of each device the newest alone. An older session of a device is on its
// way out. What it returns must not be changed.
func live(routes []chat.Route, dead func(chat.NodeID) bool) []chat.Route {
	if len(routes) == 1 && !dead(routes[0].Edge) {
		return routes
	}
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

// deliver adds one frame for all the routes: one delivery an edge, however many sessions it has, also if the same payload is delivered to
// more routes next.
func (b *batch) deliver(c wire.Command, payload []byte, routes ...chat.Route) {
	for i := range routes {
		r := &routes[i]
		p := b.push(r.Edge)
		if n := len(p.Deliveries); n > 0 && sameFrame(&p.Deliveries[n-1], c, payload) {
			p.Deliveries[n-1].Sessions = append(p.Deliveries[n-1].Sessions, r.Session)
			continue
		}
		p.Deliveries = append(p.Deliveries, chat.Delivery{
			Revision: b.revision, Command: int32(c), Payload: payload, Sessions: b.session(r.Session),
		})
	}
}

// session returns a list of one session. Lists are cut from one piece of memory; one that grows goes elsewhere.
func (b *batch) session(s chat.SessionID) []chat.SessionID {
	if len(b.sessions) == cap(b.sessions) {
		b.sessions = make([]chat.SessionID, 0, 128)
	}
	n := len(b.sessions)
	b.sessions = append(b.sessions, s)
	return b.sessions[n : n+1 : n+1]
}

// sameFrame reports whether a delivery is of this very payload.
func sameFrame(d *chat.Delivery, c wire.Command, payload []byte) bool {
	return d.Command == int32(c) && len(d.Payload) == len(payload) && len(payload) > 0 && &d.Payload[0] == &payload[0]
}

// deliverButTo is deliver, without the routes of one device.
func (b *batch) deliverButTo(d chat.Device, c wire.Command, payload []byte, routes []chat.Route) {
	for i := range routes {
		if routes[i].Device != d {
			b.deliver(c, payload, routes[i:i+1]...)
		}
	}
}

func (b *batch) devices(app chat.AppID, user chat.UserID) []chat.Route {
	return b.routes(chat.UserKey{App: app, User: user})
}

// split parts the routes of one device from the others. What it returns must not be changed.
func split(routes []chat.Route, d chat.Device) (own, others []chat.Route) {
	if len(routes) == 1 {
		if routes[0].Device == d {
			return routes, nil
		}
		return nil, routes
	}
	for _, r := range routes {
		if r.Device == d {
			own = append(own, r)
		} else {
			others = append(others, r)
		}
	}
	return own, others
}

// asking returns the routes of the device that a record answers.
func (b *batch) asking(r *chat.Record) []chat.Route {
	own, _ := split(b.devices(r.Sender.App, r.Sender.User), r.Sender)
	return own
}
