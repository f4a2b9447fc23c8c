package edge

import (
	"time"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/wire"
)

// A login policy makes an app's client types classes, in each of which one device of a user may be logged in. Every edge sees all routes,
// and ends the sessions here that a newer one kicks; a login looks once more for itself when its route is written. Which of two is
// newer everybody decides alike ([chat.Route.Newer]), so of any number of logins at once the newest of its class remains.

// overtaken reports whether a login of the same device that is known is newer than the route, and whether one of another device kicks it.
func (e *Edge) overtaken(r *chat.Route, p chat.LoginPolicy) (replaced, kicked bool) {
	for _, o := range e.streams.RoutesOf(userOf(r.Device)) {
		if !o.Newer(*r) {
			continue
		}
		replaced = replaced || o.Device == r.Device
		kicked = kicked || p.Kicks(o.Device, r.Device)
	}
	return replaced, kicked
}

// kick ends the session, and leaves its client a moment to hear why: nothing is delivered to it any more, and nothing taken from it.
func (c *conn) kick() {
	if !c.kickedAt.CompareAndSwap(0, time.Now().UnixMilli()) {
		return
	}
	c.edge.sessions.leave(c)
	c.send(frame{command: wire.Kick})
	if c.edge.cfg.KickGrace < 0 {
		c.end(because(chat.Kicked))
	}
	c.out.unlessClosed(func() { c.writers.Go(c.leave) }) // closed: the reader ends the session
}

func (c *conn) kicked() bool { return c.kickedAt.Load() != 0 }

func userOf(d chat.Device) chat.UserKey { return chat.UserKey{App: d.App, User: d.User} }
