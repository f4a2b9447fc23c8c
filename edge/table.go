package edge

import (
	"slices"
	"sync"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/wire"
)

// table finds connections: all of them, the sessions among them by number and by user.
type table struct {
	mu       sync.RWMutex
	conns    map[chat.SessionID]*conn
	sessions map[chat.SessionID]*conn
	users    map[chat.UserKey][]*conn // the newest session here of each of a user's devices
	closed   bool
}

func newTable() *table {
	return &table{
		conns:    make(map[chat.SessionID]*conn),
		sessions: make(map[chat.SessionID]*conn),
		users:    make(map[chat.UserKey][]*conn),
	}
}

// add takes a connection in and calls start, unless the table is closed.
func (t *table) add(c *conn, start func()) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return false
	}
	t.conns[c.id] = c
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
func (t *table) enter(c *conn, r chat.Route, p chat.LoginPolicy) (older *conn, newest bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	user := userOf(r.Device)
	devices := t.users[user]
	i := slices.IndexFunc(devices, func(o *conn) bool { return o.route.Device == r.Device })
	if i >= 0 && devices[i].route.Newer(r) {
		return nil, false
	}
	c.route, c.policy = r, p
	t.sessions[c.id] = c
	if i < 0 {
		t.users[user] = append(devices, c)
		return nil, true
	}
	older, devices[i] = devices[i], c
	return older, true
}

// leave takes a session out, if there is one.
func (t *table) leave(c *conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.sessions[c.id] == nil {
		return
	}
	delete(t.sessions, c.id)
	user := userOf(c.route.Device)
	devices := t.users[user]
	i := slices.Index(devices, c)
	switch {
	case i < 0:
	case len(devices) == 1:
		delete(t.users, user)
	default:
		t.users[user] = slices.Delete(devices, i, i+1)
	}
}

// routeOf returns a session's route as it is now; false if the session has left.
func (t *table) routeOf(c *conn) (chat.Route, bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	_, there := t.sessions[c.id]
	return c.route, there
}

// remove forgets a connection that is gone.
func (t *table) remove(c *conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.conns, c.id)
}

// conn returns a connection; nil: it is gone.
func (t *table) conn(id chat.SessionID) *conn {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.conns[id]
}

// epoch returns the newest epoch of the user's sessions here; 0 if there are none.
func (t *table) epoch(user chat.UserKey) chat.Epoch {
	t.mu.RLock()
	defer t.mu.RUnlock()
	var newest chat.Epoch
	for _, c := range t.users[user] {
		newest = max(newest, c.route.Epoch)
	}
	return newest
}

// passed returns the sessions here that a newer login ends: that of the same device, and those that it kicks.
func (t *table) passed(r *chat.Route) (replaced *conn, kicked []*conn) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, c := range t.users[userOf(r.Device)] {
		switch {
		case !r.Newer(c.route):
		case c.route.Device == r.Device:
			replaced = c
		case c.policy.Kicks(r.Device, c.route.Device):
			kicked = append(kicked, c)
		}
	}
	return replaced, kicked
}

// setStatus notes what a session says of itself, and reports whether that is new.
func (t *table) setStatus(c *conn, s *wire.StatusSet) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.sessions[c.id] == nil || c.route.Status == s.Status && c.route.Custom == s.Custom {
		return false
	}
	c.route.Status, c.route.Custom = s.Status, s.Custom
	return true
}

// sendBeside queues a frame for the sessions of the user's other devices.
func (t *table) sendBeside(d chat.Device, f frame) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, c := range t.users[userOf(d)] {
		if c.route.Device != d {
			c.send(f)
		}
	}
}

// send queues a frame for each session, and returns how many of them are not here.
func (t *table) send(to []chat.SessionID, f frame) (missing int) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, id := range to {
		c := t.sessions[id]
		if c == nil {
			missing++
			continue
		}
		if f.message == nil && c.out.protobuf.Load() {
			f.message = new(message)
		}
		c.send(f)
	}
	return missing
}

// some returns those of the sessions that are here.
func (t *table) some(ids []chat.SessionID) []*conn {
	t.mu.RLock()
	defer t.mu.RUnlock()
	var some []*conn
	for _, id := range ids {
		if c := t.sessions[id]; c != nil {
			some = append(some, c)
		}
	}
	return some
}

// all returns every connection.
func (t *table) all() []*conn {
	t.mu.RLock()
	defer t.mu.RUnlock()
	all := make([]*conn, 0, len(t.conns))
	for _, c := range t.conns {
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
