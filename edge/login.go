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
	// Beside the reader, which waits: what a login needs is so deep that the reader's stack would stay large for as long as it lives.
	admitted := make(chan error)
	go func() { admitted <- c.admit(ctx, l) }() // ends before enter goes on
	if err := <-admitted; err != nil {
		c.turnAway(ctx, l, err)
		c.leave() // here, for nobody else may while the route is being written
		return
	}
	missed := c.missed(ctx, l)
	c.phase.Store(present)
	dropped := c.out.resume(c.session.accept(c.route, time.Now(), &missed), &missed, c.startWrite)
	c.edge.metrics.drop(dropResumed, dropped)
	if c.endAt.Load() != 0 { // it ended while it was entering, when nobody else might end the session
		c.leave()
	}
}

// admit looks the login up, gives the session its place in the table and writes its route. When it returns nil the session is the
// device's newest, as far as anybody knows; it may have been kicked already, which the client hears behind the answer.
func (c *conn) admit(ctx context.Context, l *login) error {
	e := c.edge
	// The epoch is taken before anything is waited for: however long a login takes, one that came after it is newer.
	epoch := e.epoch(l)
	policy, err := e.authenticate(ctx, l)
	if err != nil {
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
	older, newest := e.sessions.enter(c, route, policy)
	if !newest {
		return chat.Error{Code: chat.Replaced}
	}
	if older != nil {
		older.end(because(chat.Replaced))
	}
	// From here on RouteSeen finds the session. What was seen before is in RoutesOf.
	if replaced, _ := e.overtaken(&route, policy); replaced {
		return chat.Error{Code: chat.Replaced}
	}
	if err := c.post(ctx); err != nil {
		return fmt.Errorf("put the route of session %v: %w", c.id, err)
	}
	replaced, kicked := e.overtaken(&route, policy)
	switch {
	case replaced:
		return chat.Error{Code: chat.Replaced}
	case kicked:
		c.kick()
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

// epoch returns the epoch of a login that has just come: its time, unless a device of the user has logged in since then by another clock.
func (e *Edge) epoch(l *login) chat.Epoch {
	user := userOf(l.device)
	newest := e.sessions.epoch(user)
	for _, r := range e.streams.RoutesOf(user) {
		newest = max(newest, r.Epoch)
	}
	return max(chat.Epoch(l.arrived.UnixMicro()), newest+1)
}

// authenticate returns the policy for the login if its app and user exist and it has proved to be that user, as far as it must.
func (e *Edge) authenticate(ctx context.Context, l *login) (chat.LoginPolicy, error) {
	app, err := e.directory.App(ctx, l.device.App)
	if err != nil {
		return 0, fmt.Errorf("look up app %v: %w", l.device.App, err)
	}
	if l.sign != "" || e.cfg.Auth != AuthOptional {
		if err := chat.VerifySign(l.sign, l.device.App, l.device.User, app.Keys, l.arrived); err != nil {
			return 0, err
		}
	}
	if _, err := e.directory.User(ctx, userOf(l.device)); err != nil {
		return 0, fmt.Errorf("look up user %v: %w", l.device.User, err)
	}
	or(&app.LoginPolicy, e.cfg.LoginPolicy)
	return app.LoginPolicy, nil
}
