package edge

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/whaleshark-im/whaleshark/chat"
)

// enter carries out a login. Frames that come meanwhile wait in the socket; frames that are delivered meanwhile wait behind the answer.
func (c *conn) enter(ctx context.Context, l *login) {
	c.phase.Store(entering)
	ctx, cancel := context.WithTimeout(ctx, c.edge.cfg.LoginTimeout)
	defer cancel()
	c.out.hold()
	if err := c.admit(ctx, l); err != nil {
		c.turnAway(ctx, l, err)
		return
	}
	c.phase.Store(present)
	c.out.release(c.session.accept(c.route, time.Now()), c.startWrite)
}

// admit looks the login up, gives the session its place in the table and writes its route. When it returns nil the session is the
// device's newest, as far as anybody knows.
func (c *conn) admit(ctx context.Context, l *login) error {
	e := c.edge
	// The epoch is taken before anything is waited for: however long a login takes, one that came after it is newer.
	epoch := e.epoch(l)
	if err := e.authenticate(ctx, l); err != nil {
		return err
	}
	route := chat.Route{
		Device:   l.device,
		Edge:     e.cfg.Node,
		Session:  c.id,
		Protocol: c.session.protocol,
		Epoch:    epoch,
		Since:    l.arrived.UnixMilli(),
	}
	older, newest := e.sessions.enter(c, route)
	if !newest {
		return chat.Error{Code: chat.Replaced}
	}
	if older != nil {
		older.end(because(chat.Replaced))
	}
	// From here on RouteSeen finds the session. What was seen before is in NewestEpoch.
	if e.streams.NewestEpoch(l.device) >= epoch {
		return chat.Error{Code: chat.Replaced}
	}
	if err := e.streams.PutRoute(ctx, route); err != nil {
		return fmt.Errorf("put the route of session %v: %w", c.id, err)
	}
	if e.streams.NewestEpoch(l.device) > epoch {
		return chat.Error{Code: chat.Replaced}
	}
	return nil
}

func (c *conn) turnAway(ctx context.Context, l *login, err error) {
	if _, ok := errors.AsType[chat.Error](err); !ok {
		c.edge.cfg.Log.WarnContext(ctx, "login failed", "device", l.device, "err", err)
		err = chat.Error{Code: chat.Unavailable}
	}
	st := c.session.refuseLogin(err)
	c.edge.metrics.refuse(st.refused)
	c.end(*st.end)
}

// epoch returns the epoch of a login that has just come: its time, unless the device has logged in since then by another clock.
func (e *Edge) epoch(l *login) chat.Epoch {
	newest := max(e.streams.NewestEpoch(l.device), e.sessions.epoch(l.device))
	return max(chat.Epoch(l.arrived.UnixMilli()), newest+1)
}

// authenticate returns nil if the login's app and user exist and it has proved to be that user, as far as it must.
func (e *Edge) authenticate(ctx context.Context, l *login) error {
	app, err := e.apps.get(ctx, l.device.App)
	if err != nil {
		return fmt.Errorf("look up app %v: %w", l.device.App, err)
	}
	if l.sign != "" || e.cfg.Auth != AuthOptional {
		if err := chat.VerifySign(l.sign, l.device.App, l.device.User, app.Keys, l.arrived); err != nil {
			return err
		}
	}
	if _, err := e.users.get(ctx, chat.UserKey{App: l.device.App, User: l.device.User}); err != nil {
		return fmt.Errorf("look up user %v: %w", l.device.User, err)
	}
	return nil
}
