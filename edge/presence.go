package edge

import (
	"sync"
	"time"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/wire"
)

// presence tells sessions of the users that they watch. It looks at the routes of a watched user when one of them has changed, and tells
// those who know something else, once the user has been here or away for the delay: who comes back within it was never away.
type presence struct {
	// Set once, read by anyone.
	streams Streams
	delay   int64 // milliseconds

	mu      sync.Mutex
	watches map[*conn]watch
	users   map[chat.UserKey]*watched
	due     map[chat.UserKey]int64 // Unix milliseconds when to tell, of users whose routes have changed
	held    int64                  // Unix milliseconds until when nobody is told that a user is away
	dead    map[chat.NodeID]bool   // of each edge that has held a session of a watched user, whether it was dead when last looked at
}

// watch is what a session watches.
type watch struct {
	users []chat.UserKey
	until int64 // Unix milliseconds
}

// watched is a user whom somebody watches.
type watched struct {
	by     map[*conn]*wire.UserStatus // what each session was told
	newest *wire.UserStatus           // of those, so that they share it
	here   bool                       // whether the user was here when last looked at
}

// returning is how long after all routes were read nobody is told that a user is away. When the broker has lost the routes each edge writes its
// own again: one that has not yet noticed does so up to two seconds later, and one with many sessions needs a few seconds to write them.
const returning = 6 * time.Second

func newPresence(cfg *Config, s Streams) *presence {
	return &presence{
		streams: s,
		delay:   max(cfg.PresenceDelay, 0).Milliseconds(),
		watches: make(map[*conn]watch),
		users:   make(map[chat.UserKey]*watched),
		due:     make(map[chat.UserKey]int64),
		dead:    make(map[chat.NodeID]bool),
	}
}

// watch lets the session watch users, in place of those that it has watched, and answers it.
func (c *conn) watch(w *wire.WatchOf) {
	p := c.edge.presence
	p.watch(c, w, time.Now().UnixMilli())
	if _, there := c.edge.sessions.routeOf(c); !there { // it was kicked meanwhile, and perhaps forgotten before
		p.forget(c)
	}
}

func (p *presence) watch(c *conn, w *wire.WatchOf, now int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drop(c)
	answer := wire.Watching{Code: chat.OK, TTL: w.TTL}
	mine := watch{until: now + w.TTL}
	for _, id := range w.Users {
		user := chat.UserKey{App: c.route.Device.App, User: id}
		x := p.users[user]
		if x == nil {
			x = &watched{by: make(map[*conn]*wire.UserStatus)}
			p.users[user] = x
		}
		if x.by[c] != nil {
			continue // named twice
		}
		s := p.statusOf(user)
		if len(x.by) == 0 {
			x.here = s.Status != wire.Offline
		}
		x.by[c] = x.share(s)
		mine.users = append(mine.users, user)
		answer.Users = append(answer.Users, s)
	}
	if len(mine.users) > 0 {
		p.watches[c] = mine
	}
	c.send(local(wire.Watch, wire.AppendWatching(nil, &answer))) // before anybody can tell it more
}

func (x *watched) share(s wire.UserStatus) *wire.UserStatus {
	if x.newest == nil || *x.newest != s {
		x.newest = &s
	}
	return x.newest
}

// statusOf returns how a user is seen now, and remembers which edges it has asked about.
func (p *presence) statusOf(user chat.UserKey) wire.UserStatus {
	return wire.StatusOf(user.User, p.streams.RoutesOf(user), func(edge chat.NodeID) bool {
		dead, known := p.dead[edge]
		if !known {
			dead = p.streams.Dead(edge)
			p.dead[edge] = dead
		}
		return dead
	})
}

// forget ends what a session watches.
func (p *presence) forget(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drop(c)
}

func (p *presence) drop(c *conn) {
	for _, user := range p.watches[c].users {
		x := p.users[user]
		if delete(x.by, c); len(x.by) == 0 {
			delete(p.users, user)
			delete(p.due, user)
		}
	}
	delete(p.watches, c)
}

// touch notes that the routes of a user may have changed.
func (p *presence) touch(user chat.UserKey, now int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if x := p.users[user]; x != nil {
		p.look(user, x, now)
	}
}

// readAnew notes that all routes were read, of which some may be on their way back.
func (p *presence) readAnew(now int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held = now + returning.Milliseconds()
	p.lookAtAll(now)
}

func (p *presence) lookAtAll(now int64) {
	clear(p.dead)
	for user, x := range p.users {
		p.look(user, x, now)
	}
}

// look begins the delay when the user has come or gone, again each time; another status is told at the end of the delay in any case.
func (p *presence) look(user chat.UserKey, x *watched, now int64) {
	here := p.statusOf(user).Status != wire.Offline
	if _, waits := p.due[user]; !waits || here != x.here {
		p.due[user] = now + p.delay
	}
	x.here = here
}

// sweep tells what is due, ends the watches that have run out, and asks whether edges have died.
func (p *presence) sweep(now int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c, w := range p.watches {
		if now >= w.until {
			p.drop(c)
		}
	}
	for edge, before := range p.dead {
		if p.streams.Dead(edge) != before {
			p.lookAtAll(now)
			break
		}
	}
	for user, at := range p.due {
		switch {
		case now < at:
		case now < p.held && !p.users[user].here:
			p.due[user] = p.held
		default:
			delete(p.due, user)
			p.tell(user)
		}
	}
}

// tell tells how a user is seen now to those who know something else.
func (p *presence) tell(user chat.UserKey) {
	x := p.users[user]
	s := x.share(p.statusOf(user))
	var payload []byte
	for c, known := range x.by {
		if *known == *s {
			continue
		}
		if payload == nil {
			payload = wire.AppendUserStatus(nil, s)
		}
		x.by[c] = s
		c.send(frame{command: wire.StatusNotify, payload: payload})
	}
}
