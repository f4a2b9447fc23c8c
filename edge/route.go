package edge

import (
	"context"
	"time"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/wire"
)

// RouteSeen is told how the route of a session, on whichever edge, has changed: as it was and as it is; nil: there is none. The caller must
// know the change in [Streams.RoutesOf] before it calls this.
func (e *Edge) RouteSeen(was, is *chat.Route) {
	if is == nil {
		e.presence.touch(userOf(was.Device), time.Now().UnixMilli())
		return
	}
	e.presence.touch(userOf(is.Device), time.Now().UnixMilli())
	if was != nil && (was.Status != is.Status || was.Custom != is.Custom) {
		e.sessions.sendBeside(is.Device, frame{command: wire.StatusSync, payload: wire.AppendDeviceStatus(nil, &wire.DeviceStatus{
			Device: is.Device, Status: is.Status, Custom: is.Custom,
		})})
	}
	replaced, kicked := e.sessions.passed(is)
	if replaced != nil {
		replaced.end(because(chat.Replaced))
	}
	for _, c := range kicked {
		c.kick()
	}
}

// RoutesRead is told that all routes were read anew: what has gone meanwhile was not told.
func (e *Edge) RoutesRead() { e.presence.readAnew(time.Now().UnixMilli()) }

// Routes returns the routes of all sessions that are here now, to be written again when the streams have lost them. A session that ends
// meanwhile drops its route by itself, perhaps before the caller writes it: look again afterwards.
func (e *Edge) Routes() []chat.Route { return e.sessions.routes() }

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

// setStatus writes the session's route with what it says of itself; the other devices and those who watch hear of it when the route is
// seen. One goroutine writes while there is something new: of a burst the newest, and what is lost when the broker is away the
// station writes again.
func (c *conn) setStatus(ctx context.Context, s *wire.StatusSet) {
	if !c.edge.sessions.setStatus(c, s) || c.statuses.Add(1) > 1 {
		return
	}
	c.out.unlessClosed(func() { c.writers.Go(func() { c.postStatuses(ctx) }) })
}

func (c *conn) postStatuses(ctx context.Context) {
	for {
		n := c.statuses.Load()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.edge.cfg.CloseTimeout)
		if err := c.post(ctx); err != nil {
			c.edge.cfg.Log.DebugContext(ctx, "status was not written", "device", c.session.device, "err", err)
		}
		cancel()
		if c.statuses.CompareAndSwap(n, 0) {
			return
		}
	}
}

// depart takes the session out of the table and its route out of the streams.
func (c *conn) depart(ctx context.Context) {
	c.edge.sessions.leave(c)
	c.edge.presence.forget(c)
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
