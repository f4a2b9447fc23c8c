package edge

import (
	"sync"

	"github.com/whaleshark-im/whaleshark/chat"
)

// table finds connections: all of them, the sessions among them by number, and the newest session of each device.
type table struct {
	mu       sync.RWMutex
	conns    map[*conn]struct{}
	sessions map[chat.SessionID]*conn
	devices  map[chat.Device]*conn
	closed   bool
}

func newTable() *table {
	return &table{
		conns:    make(map[*conn]struct{}),
		sessions: make(map[chat.SessionID]*conn),
		devices:  make(map[chat.Device]*conn),
	}
}

// add takes a connection in and calls start, unless the table is closed.
func (t *table) add(c *conn, start func()) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return false
	}
	t.conns[c] = struct{}{}
	start()
	return true
}

// close takes no more connections in.
func (t *table) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
}

// enter makes c the session of its route. It returns the local session that it replaces, if there is one; if that is the newer of the two,
// c is not entered.
func (t *table) enter(c *conn, r chat.Route) (older *conn, newest bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	older = t.devices[r.Device]
	if older != nil && older.route.Newer(r) {
		return nil, false
	}
	c.route = r
	t.sessions[c.id] = c
	t.devices[r.Device] = c
	return older, true
}

// leave takes a session out, and reports whether there was one.
func (t *table) leave(c *conn) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, entered := t.sessions[c.id]
	delete(t.sessions, c.id)
	if t.devices[c.route.Device] == c {
		delete(t.devices, c.route.Device)
	}
	return entered
}

// remove forgets a connection that is gone.
func (t *table) remove(c *conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.conns, c)
}

// epoch returns the epoch of the device's session here; 0 if it has none.
func (t *table) epoch(d chat.Device) chat.Epoch {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if c := t.devices[d]; c != nil {
		return c.route.Epoch
	}
	return 0
}

// outdated returns the device's session here if r is a newer login.
func (t *table) outdated(r chat.Route) *conn {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if c := t.devices[r.Device]; c != nil && r.Newer(c.route) {
		return c
	}
	return nil
}

// send queues a frame for each session, and returns how many of them are not here.
func (t *table) send(to []chat.SessionID, f frame) (missing int) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, id := range to {
		if c := t.sessions[id]; c != nil {
			c.send(f)
		} else {
			missing++
		}
	}
	return missing
}

// all returns every connection.
func (t *table) all() []*conn {
	t.mu.RLock()
	defer t.mu.RUnlock()
	all := make([]*conn, 0, len(t.conns))
	for c := range t.conns {
		all = append(all, c)
	}
	return all
}

// routes returns the route of every session.
func (t *table) routes() []chat.Route {
	t.mu.RLock()
	defer t.mu.RUnlock()
	routes := make([]chat.Route, 0, len(t.sessions))
	for _, c := range t.sessions {
		routes = append(routes, c.route)
	}
	return routes
}

// size returns how many connections and how many sessions there are.
func (t *table) size() (conns, sessions int) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return len(t.conns), len(t.sessions)
}
