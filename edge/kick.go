package edge

import (
	"context"
	"time"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/wire"
)

// A login policy makes an app's client types classes, in each of which one device of a user may be logged in. Every edge sees all routes,
// and ends the sessions here that a newer one kicks; a login looks once more for itself when its route is written. Which of two is
// newer everybody decides alike ([chat.Route.Newer]), so of any number of logins at once the newest of its class remains.

// RouteSeen is told how the route of a session, on whichever edge, has changed: as it was and as it is; nil: there is none. The caller must
// know the route in [Streams.RoutesOf] before it calls this.
func (e *Edge) RouteSeen(was, is *chat.Route) {
	if is == nil {
		return
	}
	replaced, kicked := e.sessions.passed(is)
	if replaced != nil {
		replaced.end(because(chat.Replaced))
	}
	for _, c := range kicked {
		c.kick()
	}
}

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

// post writes the session's route, unless the session has ended meanwhile. No two writes, and no write and the removal, overtake each
// other.
func (c *conn) post(ctx context.Context) error {
	c.posting.Lock()
	defer c.posting.Unlock()
	route, there := c.edge.sessions.routeOf(c)
	if !there {
		return nil
	}
	c.posted = true
	return c.edge.streams.PutRoute(ctx, route)
}

// depart takes the session out of the table and its route out of the streams.
func (c *conn) depart(ctx context.Context) {
	c.edge.sessions.leave(c)
	c.posting.Lock()
	defer c.posting.Unlock()
	if !c.posted {
		return
	}
	c.posted = false
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.edge.cfg.CloseTimeout)
	defer cancel()
	if err := c.edge.streams.DropRoute(ctx, c.route); err != nil {
		c.edge.cfg.Log.WarnContext(ctx, "route was not dropped", "device", c.route.Device, "session", c.id, "err", err)
	}
}

func userOf(d chat.Device) chat.UserKey { return chat.UserKey{App: d.App, User: d.User} }
