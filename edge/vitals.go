package edge

import (
	"context"
	"errors"
	"time"

	"github.com/whaleshark-im/whaleshark/chat"
)

// vitals are a connection's signs of life, as the sweeper sees them. Times are Unix milliseconds.
type vitals struct {
	opened  int64
	read    int64 // when bytes last came
	write   int64 // since when a write lasts; 0: none does
	ending  int64 // since when it is ending; 0: it is not
	kicked  int64 // since when it is kicked; 0: it is not
	phase   int32
	pinged  bool // a ping ever came
	pings   bool // it can be pinged itself
	pinging bool // that is under way
}

// due is what time alone leads to.
type due int

const (
	nothing    due = iota
	cut            // close the socket: it had its time to go
	tooLate        // no login in time
	tooSilent      // no heartbeat in time
	tooSlow        // a write takes too long
	graceOver      // it was kicked, and has had its time to hear why
	askForLife     // ping it
)

// due decides what a connection's vitals lead to.
func (v *vitals) due(cfg *Config, now int64) due {
	over := func(since int64, limit time.Duration) bool { return now-since >= limit.Milliseconds() }
	switch {
	case v.ending != 0:
		if over(v.ending, cfg.CloseTimeout) {
			return cut
		}
	case v.phase == greeting && over(v.opened, cfg.LoginTimeout):
		return tooLate
	case v.write != 0 && over(v.write, cfg.WriteTimeout):
		return tooSlow
	case v.kicked != 0:
		if v.phase == present && over(v.kicked, cfg.KickGrace) {
			return graceOver
		}
	case v.phase != present:
	case v.pings:
		if !v.pinging && over(v.read, cfg.Heartbeat) {
			return askForLife
		}
	case v.pinged && over(v.read, 3*cfg.Heartbeat):
		return tooSilent
	}
	return nothing
}

func (c *conn) vitals() vitals {
	return vitals{
		opened:  c.opened,
		read:    c.link.readAt.Load(),
		write:   c.link.writeAt.Load(),
		ending:  c.endAt.Load(),
		kicked:  c.kickedAt.Load(),
		phase:   c.phase.Load(),
		pinged:  c.pinged.Load(),
		pings:   c.transport.pings(),
		pinging: c.pinging.Load(),
	}
}

// sweepInterval is how exactly timeouts are kept.
const sweepInterval = time.Second

// sweep looks at all connections until ctx ends: one timer for all of them, and none for each.
func (e *Edge) sweep(ctx context.Context) {
	ticker := time.NewTicker(sweepInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			for _, c := range e.sessions.all() {
				v := c.vitals()
				c.carryOut(ctx, v.due(&e.cfg, now.UnixMilli()))
			}
			e.presence.sweep(now.UnixMilli())
		}
	}
}

func (c *conn) carryOut(ctx context.Context, d due) {
	switch d {
	case nothing:
	case cut:
		_ = c.link.Close()
	case tooLate:
		c.end(because(chat.LoginTimeout))
	case tooSilent:
		c.end(because(chat.HeartbeatTimeout))
	case tooSlow:
		c.end(because(chat.SlowConsumer))
	case graceOver:
		c.end(because(chat.Kicked))
	case askForLife:
		c.pinging.Store(true)
		c.out.unlessClosed(func() { c.writers.Go(func() { c.askForLife(ctx) }) })
	}
}

// askForLife pings a WebSocket. It ends with the pong, the connection or the time: three heartbeats without a sign of life.
func (c *conn) askForLife(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 2*c.edge.cfg.Heartbeat)
	defer cancel()
	defer c.pinging.Store(false)
	if err := c.transport.ping(ctx); err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		c.end(because(chat.HeartbeatTimeout))
	}
}
