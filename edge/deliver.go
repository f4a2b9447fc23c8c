package edge

import (
	"maps"
	"sync"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/wire"
)

// served is up to which revision each partition's pushes were delivered.
type served struct {
	mu sync.Mutex
	to map[chat.Partition]chat.Revision
}

// Deliver hands a push to the sessions that it is for, and never blocks: a client that does not keep up is sent away. Deliveries of
// blocks that were delivered before are dropped, so a push may come twice. It must be called from one goroutine a partition; it keeps the
// payloads.
func (e *Edge) Deliver(p *chat.Push) {
	before := e.served.of(p.Partition)
	for i := range p.Deliveries {
		d := &p.Deliveries[i]
		if d.Revision != 0 && d.Revision <= before {
			e.metrics.drop(dropServed, len(d.Sessions))
			continue
		}
		if e.carryOut(d) {
			continue
		}
		missing := e.sessions.send(d.Sessions, frame{command: wire.Command(d.Command), payload: d.Payload, revision: d.Revision})
		e.metrics.drop(dropAbsent, missing)
	}
	e.served.raise(p.Partition, p.To)
}

// carryOut does what the app's own server has asked for, and reports whether the delivery is that and no frame: sessions are to end, or to
// watch users as if their clients had asked.
func (e *Edge) carryOut(d *chat.Delivery) bool {
	switch wire.Command(d.Command) {
	case wire.Kick:
		for _, c := range e.sessions.some(d.Sessions) {
			c.kick()
		}
	case wire.Watch:
		w, err := wire.ParseWatchOf(d.Payload)
		if err != nil {
			e.cfg.Log.Error("a watch cannot be read", "err", err)
			return true
		}
		w.Bound()
		for _, c := range e.sessions.some(d.Sessions) {
			c.watch(&w)
		}
	default:
		return false
	}
	return true
}

// Vector returns up to which revision of each partition this edge has delivered.
func (e *Edge) Vector() map[chat.Partition]chat.Revision {
	e.served.mu.Lock()
	defer e.served.mu.Unlock()
	return maps.Clone(e.served.to)
}

// SetVector sets from where on this edge delivers: nothing up to these revisions was meant for it.
func (e *Edge) SetVector(v map[chat.Partition]chat.Revision) {
	e.served.mu.Lock()
	defer e.served.mu.Unlock()
	e.served.to = maps.Clone(v)
	if e.served.to == nil {
		e.served.to = make(map[chat.Partition]chat.Revision)
	}
}

func (s *served) of(p chat.Partition) chat.Revision {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.to[p]
}

func (s *served) raise(p chat.Partition, to chat.Revision) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.to[p] = max(s.to[p], to)
}
