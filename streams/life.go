package streams

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/whaleshark-im/whaleshark/chat"
)

// Generation is a time in which no memory stream has lost its content and the connection has held. A connection that comes back begins a
// new one even if the lives are the same: what readers got in between is void, and they begin again where they know they were.
type Generation struct {
	Ingress, Push, Route, Members chat.Life

	reconnects uint64    // how many there were when it began
	returned   time.Time // see RoutesReturned

	ctx    context.Context //nolint:containedctx // it is the generation: it ends when a life does
	cancel context.CancelFunc
}

// routesReturn is how long after the broker has lost all routes each edge has certainly written its own again: one that has not yet noticed
// does so up to two seconds later, and one with many sessions needs a few seconds to write them.
const routesReturn = 6 * time.Second

// RoutesReturned returns when the edges that are there have written their routes again after the broker has lost them; the zero time if this
// process has not seen it lose them.
func (g *Generation) RoutesReturned() time.Time { return g.returned }

// Run runs f in one generation after the other until ctx ends. When a life ends, f's context does; when f returns by itself,
// it is run again after a moment, with the cause logged. Run returns when ctx has ended and f has returned.
func (c *Conn) Run(ctx context.Context, what string, f func(ctx context.Context, g *Generation) error) {
	for ctx.Err() == nil {
		g := c.gen.Load()
		genCtx, cancel := context.WithCancel(ctx)
		unlink := context.AfterFunc(g.ctx, cancel) //nolint:contextcheck // f ends with the generation, too
		err := f(genCtx, g)
		unlink()
		cancel()
		if ctx.Err() != nil {
			return
		}
		if g.ctx.Err() == nil {
			c.log.WarnContext(ctx, "starting again", "what", what, "cause", err)
		}
		select {
		case <-time.After(100*time.Millisecond + rand.N(100*time.Millisecond)): //nolint:gosec // jitter
		case <-ctx.Done():
		}
	}
}

// Generation returns the present generation.
func (c *Conn) Generation() *Generation { return c.gen.Load() }

// present reports whether a generation is the present one, the connection included: after a reconnect the broker may be another, and a
// consumer goes on at its old position whatever lies there now.
func (c *Conn) present(g *Generation) bool {
	return c.gen.Load() == g && c.nc.Stats().Reconnects == g.reconnects
}

// watchLives looks at the lives once a second and after each reconnect.
func (c *Conn) watchLives(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-c.kick:
		case <-ctx.Done():
			return
		}
		old := c.gen.Load()
		g, err := c.readGeneration(ctx, old)
		if err != nil {
			c.log.DebugContext(ctx, "lives are out of sight", "cause", err)
			continue
		}
		if g != old {
			c.log.WarnContext(ctx, "beginning anew; new lives of memory streams", "ingress", g.Ingress != old.Ingress,
				"push", g.Push != old.Push, "route", g.Route != old.Route, "members", g.Members != old.Members)
			c.gen.Store(g)
			old.cancel()
		}
	}
}

// readGeneration returns old if no life has ended and the connection has held. Missing streams are created, and missing lives begun; one
// who only looks takes them for 0.
func (c *Conn) readGeneration(ctx context.Context, old *Generation) (*Generation, error) {
	ctx, cancel := context.WithTimeout(ctx, 4*requestPatience)
	defer cancel()
	reconnects := c.nc.Stats().Reconnects // before the lives are read: they are at least as new
	var lives [len(memoryStreams)]chat.Life
	for i, m := range memoryStreams {
		life, err := c.readLife(ctx, m)
		if c.look && (errors.Is(err, errNoStream) || errors.Is(err, errNoEntry)) {
			continue
		}
		if errors.Is(err, errNoStream) || old == nil && err == nil && i == 0 && !c.look {
			if err = c.layout.ensure(ctx, c.js); err == nil {
				life, err = c.readLife(ctx, m)
			}
		}
		if errors.Is(err, errNoEntry) {
			life, err = c.beginLife(ctx, m)
		}
		if err != nil {
			return nil, fmt.Errorf("life of stream %s: %w", m.name, err)
		}
		lives[i] = life
	}
	g := &Generation{Ingress: lives[0], Push: lives[1], Route: lives[2], Members: lives[3], reconnects: reconnects}
	if old != nil && old.reconnects == reconnects &&
		old.Ingress == g.Ingress && old.Push == g.Push && old.Route == g.Route && old.Members == g.Members {
		return old, nil
	}
	if old != nil {
		g.returned = old.returned
		if old.Route != g.Route {
			g.returned = time.Now().Add(routesReturn)
		}
	}
	g.ctx, g.cancel = context.WithCancel(context.WithoutCancel(ctx))
	return g, nil
}

func (c *Conn) readLife(ctx context.Context, m memoryStream) (chat.Life, error) {
	e, err := c.getMessage(ctx, m.name, map[string]any{"last_by_subj": m.lifeSubject})
	if err != nil {
		return 0, err
	}
	life, err := strconv.ParseUint(string(e.Data), 10, 64)
	return chat.Life(life), err
}

// beginLife writes a new life, unless somebody else is faster. The entry of a living stream is away for a moment now and then
// (see PurgeIngress), so one that is not empty is looked at again first.
func (c *Conn) beginLife(ctx context.Context, m memoryStream) (chat.Life, error) {
	if _, err := c.getMessage(ctx, m.name, map[string]any{"last_by_subj": ">"}); err == nil {
		for range 3 {
			select {
			case <-time.After(50 * time.Millisecond):
			case <-ctx.Done():
				return 0, ctx.Err()
			}
			if life, err := c.readLife(ctx, m); !errors.Is(err, errNoEntry) {
				return life, err
			}
		}
	}
	life := strconv.FormatUint(rand.Uint64(), 10) //nolint:gosec // it must differ, not be secret
	_, err := c.publishWait(ctx, lifeMessage(m, []byte(life), 0))
	if err != nil && !errors.Is(err, ErrConflict) {
		return 0, err
	}
	return c.readLife(ctx, m)
}

func lifeMessage(m memoryStream, life []byte, last uint64) *nats.Msg {
	msg := &nats.Msg{Subject: m.lifeSubject, Header: nats.Header{}, Data: life}
	msg.Header.Set(jetstream.ExpectedLastSubjSeqHeader, strconv.FormatUint(last, 10))
	if m.name == streamPush || m.name == streamIngress {
		msg.Header.Set(jetstream.MsgTTLHeader, "never")
	}
	return msg
}
