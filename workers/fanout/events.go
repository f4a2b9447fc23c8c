package fanout

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/wire"
)

// telling is a batch of events on its way to the devices. Done gets how that ended.
type telling struct {
	events []chat.Event
	done   chan error
}

// eventsConsumer names those who hand events out: the owner of partition 0, whoever that is.
const eventsConsumer = "fanout"

// consumeEvents takes events out of their stream, for the loop to hand out, until ctx ends. What the loop has not handed out when it ends comes
// again to the next owner. It begins at a time at which all routes are there: nobody reads an event again for an edge that comes later, as the log is.
func (o *owner) consumeEvents(ctx context.Context, at time.Time) {
	select {
	case <-time.After(time.Until(at)):
	case <-ctx.Done():
		return
	}
	for ctx.Err() == nil {
		err := o.cfg.Conn.ConsumeEvents(ctx, eventsConsumer, func(ctx context.Context, events []chat.Event) error {
			t := telling{events, make(chan error, 1)}
			select {
			case o.events <- t:
			case <-ctx.Done():
				return ctx.Err()
			}
			select {
			case err := <-t.done:
				return err
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		if ctx.Err() != nil {
			return
		}
		o.log.WarnContext(ctx, "events are read again", "cause", err)
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
		}
	}
}

// tell hands events out. As with the log, who logged in before an event was published gets it: the watch of routes is waited for.
func (o *owner) tell(ctx context.Context, t telling) error {
	err := o.routes.Fence(ctx)
	if err == nil {
		out := o.newBatch()
		for i := range t.events {
			o.event(out, &t.events[i])
		}
		err = o.send(ctx, out, o.revision, 0)
	}
	t.done <- err
	return err
}

// event hands one event's frames to the devices. One that panics harms no other.
func (o *owner) event(out *batch, e *chat.Event) {
	defer func() {
		if x := recover(); x != nil {
			o.cfg.Metrics.panics.Inc()
			o.log.Error("an event cannot be handed out", "event", e.ID, "panic", fmt.Sprint(x))
		}
	}()
	out.handEvent(e)
}

// handEvent hands one event's frames to the devices that they are for.
func (b *batch) handEvent(e *chat.Event) {
	for i := range e.Frames {
		f := &e.Frames[i]
		for _, u := range f.Users {
			routes := b.devices(e.App, u)
			if len(f.Only) > 0 {
				routes = slices.DeleteFunc(slices.Clone(routes), func(r chat.Route) bool {
					return !slices.Contains(f.Only, chat.SessionKey{Edge: r.Edge, Session: r.Session})
				})
			}
			if f.Except != nil {
				b.deliverButTo(*f.Except, wire.Command(f.Command), f.Payload, routes)
			} else {
				b.deliver(wire.Command(f.Command), f.Payload, routes...)
			}
		}
	}
}
