package fanout

import (
	"context"
	"errors"
	"time"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/streams"
)

// errBehind says that an edge needs what this owner has read already.
var errBehind = errors.New("an edge has come that is further behind")

// meet looks at edges that this owner does not know yet. One whose clients stayed while the broker was started again announces itself anew,
// and may need what was handed out before it did: raising its number then would be a hole.
func (o *owner) meet(ctx context.Context, out *batch, before chat.Revision) error {
	for edge := range out.pushes {
		if _, known := o.served[edge]; known {
			continue
		}
		vector, there, err := o.members.Vector(ctx, streams.RoleEdge, edge, o.partition)
		switch {
		case err != nil:
			return err
		case !there:
			delete(out.pushes, edge) // it has gone, or it comes back and is behind then
		case chat.Revision(vector) < before:
			return errBehind
		default:
			o.served[edge] = chat.Revision(vector)
		}
	}
	return nil
}

// rewind goes back to what the edge that is furthest behind needs. The others drop what they were served.
func (o *owner) rewind(ctx context.Context) error {
	after, err := o.start(ctx)
	if err != nil {
		return err
	}
	in, err := o.cfg.Conn.FollowLog(ctx, o.partition, after)
	if err != nil {
		return err
	}
	o.log.InfoContext(ctx, "an edge is further behind; reading the log again", "after", after, "before", o.revision)
	o.in.Close()
	o.in, o.revision = in, after
	o.rewinds++
	o.rosters, o.since = newRosters(rosterLimit), after // those that are warm may have forgotten who was there then
	return nil
}

// send hands each edge its push, in parts if it is large, and waits until the broker has them all. What the broker does not take is sent
// again, for as long as the edge lives. Before is what was handed out when the batch began, to is what an edge is served up to after it, if
// nothing is parked; 0: nothing new.
func (o *owner) send(ctx context.Context, out *batch, before, to chat.Revision) error {
	if err := o.meet(ctx, out, before); err != nil {
		return err
	}
	type result struct {
		edge chat.NodeID
		err  error
	}
	heard := make(chan result, len(out.pushes))
	open := make(map[chat.NodeID][]*chat.Push, len(out.pushes)) // the first of each is on its way
	push := func(edge chat.NodeID) {
		o.cfg.Conn.Push(edge, open[edge][0], func(err error) { heard <- result{edge, err} })
	}
	if to != 0 {
		to = o.parked.served(to)
	}
	for edge, p := range out.pushes {
		p.To = to
		open[edge] = parts(p)
		push(edge)
	}
	for len(open) > 0 {
		r := <-heard
		switch {
		case r.err == nil:
			p := open[r.edge][0]
			o.served[r.edge] = max(o.served[r.edge], p.To)
			o.cfg.Metrics.pushed(p)
			if open[r.edge] = open[r.edge][1:]; len(open[r.edge]) > 0 {
				push(r.edge)
			} else {
				delete(open, r.edge)
			}
		case ctx.Err() != nil:
			return ctx.Err()
		case o.members.Dead(r.edge):
			delete(open, r.edge)
		default:
			o.cfg.Metrics.pushFailures.Inc()
			wait := 5 * time.Millisecond
			if errors.Is(r.err, streams.ErrFull) || errors.Is(r.err, streams.ErrNotSent) {
				wait = 50 * time.Millisecond
			}
			select {
			case <-time.After(wait):
			case <-ctx.Done():
				return ctx.Err()
			}
			o.post.Beat()
			push(r.edge)
		}
	}
	return nil
}
