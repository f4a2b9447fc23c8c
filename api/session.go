package api

import (
	"context"
	"slices"
	"strconv"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/wire"
)

func (a *API) sessionEndpoints() []endpoint {
	return of("session",
		define("/v1/user/session/list", "Lists where a user is logged in now: himself, or an administrator.",
			forUsers, a.listSessions),
		define("/v1/user/session/kick", "Ends a user's sessions: all of them, or those that match everything that is given.",
			forUsers, a.kickSessions),
		define("/v1/user/status/query", "Tells how users are seen now.",
			forUsers, a.queryStatus),
		define("/v1/user/status/subscribe", "Lets the caller's sessions, or that of the device that asks, watch users, as if they had sent a 4006.",
			forUsers, a.subscribe),
	)
}

// session is a session as it is listed.
type session struct {
	Edge       string `json:"edge"`
	Session    string `json:"session" about:"Its number within the edge."`
	ClientType int64  `json:"clientType"`
	IMEI       string `json:"imei"`
	Protocol   int64  `json:"protocol" about:"The version of the login frame."`
	Since      int64  `json:"since" about:"When it logged in, in Unix milliseconds."`
	Status     int64  `json:"status" about:"1 online, or a number of the client's own."`
	Custom     string `json:"customStatus"`
}

func sessionOf(r chat.Route) session {
	return session{
		Edge: string(r.Edge), Session: r.Session.String(), ClientType: int64(r.Device.Client), IMEI: r.Device.IMEI,
		Protocol: int64(r.Protocol), Since: r.Since, Status: int64(max(r.Status, wire.Online)), Custom: r.Custom,
	}
}

// live returns a user's sessions on edges that live.
func (s *sight) live(user chat.UserKey) []chat.Route {
	return slices.DeleteFunc(slices.Clone(s.routes.Of(user)), func(r chat.Route) bool { return s.members.Dead(r.Edge) })
}

// sessionsOf returns a user's sessions, for who may see them.
func (a *API) sessionsOf(c *caller, user chat.UserID) ([]chat.Route, error) {
	if err := a.mayActFor(c, user); err != nil {
		return nil, err
	}
	s, err := a.see()
	if err != nil {
		return nil, err
	}
	return s.live(chat.UserKey{App: c.app.ID, User: user}), nil
}

type sessionList struct {
	Sessions []session `json:"sessions"`
}

func sessionsOf(routes []chat.Route) sessionList {
	list := sessionList{make([]session, len(routes))}
	for i, r := range routes {
		list.Sessions[i] = sessionOf(r)
	}
	return list
}

func (a *API) listSessions(_ context.Context, c *caller, in *userID) (sessionList, error) {
	routes, err := a.sessionsOf(c, chat.UserID(in.UserID))
	if err != nil {
		return sessionList{}, err
	}
	return sessionsOf(routes), nil
}

type kick struct {
	UserID  string    `json:"userId" is:"required,max=50" about:"Whose sessions."`
	Edge    string    `json:"edge" is:"max=100" about:"Those of this edge."`
	Session string    `json:"session" is:"max=20" about:"The one with this number."`
	Device  *deviceAt `json:"device" about:"Those of this device."`
}

// deviceAt names a device in a body, where clientType and imei are those of the one that asks.
type deviceAt struct {
	Client int32  `json:"clientType" is:"enum=0|1|2|3|4|5" about:"Its kind."`
	IMEI   string `json:"imei" is:"required,max=256" about:"Its name."`
}

// matches reports whether a session is one of those that are to end.
func (k *kick) matches(r chat.Route) bool {
	switch {
	case k.Edge != "" && k.Edge != string(r.Edge):
		return false
	case k.Session != "" && k.Session != r.Session.String():
		return false
	}
	return k.Device == nil || chat.ClientType(k.Device.Client) == r.Device.Client && k.Device.IMEI == r.Device.IMEI
}

func (a *API) kickSessions(ctx context.Context, c *caller, in *kick) (sessionList, error) {
	if _, err := strconv.ParseUint(in.Session, 10, 64); in.Session != "" && err != nil {
		return sessionList{}, chat.Errorf(chat.BadParameter, "session must be a number")
	}
	routes, err := a.sessionsOf(c, chat.UserID(in.UserID))
	if err != nil {
		return sessionList{}, err
	}
	routes = slices.DeleteFunc(routes, func(r chat.Route) bool { return !in.matches(r) })
	if err := a.tellSessions(ctx, c, wire.Kick, nil, routes); err != nil {
		return sessionList{}, err
	}
	return sessionsOf(routes), nil
}

// tellSessions lets sessions of one user carry out a command.
func (a *API) tellSessions(ctx context.Context, c *caller, command wire.Command, payload []byte, routes []chat.Route) error {
	if len(routes) == 0 {
		return nil
	}
	f := chat.EventFrame{Command: int32(command), Users: []chat.UserID{routes[0].Device.User}, Payload: payload}
	for _, r := range routes {
		f.Only = append(f.Only, chat.SessionKey{Edge: r.Edge, Session: r.Session})
	}
	err := a.store.Tell(ctx, chat.Event{App: c.app.ID, Aggregate: chat.UserAggregate(f.Users[0]), Frames: []chat.EventFrame{f}})
	a.conn.Nudge()
	return err
}

type userStatus struct {
	UserID string `json:"userId"`
	Status int64  `json:"status" about:"1 online, 2 offline, or a number of the user's own."`
	Custom string `json:"customStatus"`
}

type statusQuery struct {
	UserIDs []string `json:"userIds" is:"required,max=200" about:"Whom it is about."`
}

func (a *API) queryStatus(_ context.Context, c *caller, in *statusQuery) ([]userStatus, error) {
	s, err := a.see()
	if err != nil {
		return nil, err
	}
	return s.statuses(c.app.ID, in.UserIDs), nil
}

func (s *sight) statuses(app chat.AppID, ids []string) []userStatus {
	list := make([]userStatus, len(ids))
	for i, id := range ids {
		user := chat.UserKey{App: app, User: chat.UserID(id)}
		x := wire.StatusOf(user.User, s.routes.Of(user), s.members.Dead)
		list[i] = userStatus{UserID: id, Status: int64(x.Status), Custom: x.Custom}
	}
	return list
}

type subscribeTo struct {
	UserIDs []string `json:"userIds" is:"max=200" about:"Whom to watch from now on, and nobody else; none: nobody."`
	TTL     int64    `json:"ttlMs" is:"min=0" about:"After how many milliseconds the watch ends; at most, and by default, an hour."`
}

type subscription struct {
	Sessions int64        `json:"sessions" about:"How many sessions of the caller watch now."`
	TTL      int64        `json:"ttlMs"`
	Users    []userStatus `json:"users" about:"How they are seen now."`
}

func (a *API) subscribe(ctx context.Context, c *caller, in *subscribeTo) (subscription, error) {
	routes, err := a.sessionsOf(c, c.user)
	if err != nil {
		return subscription{}, err
	}
	s, err := a.see()
	if err != nil {
		return subscription{}, err
	}
	if c.told {
		routes = slices.DeleteFunc(routes, func(r chat.Route) bool { return r.Device != c.device })
	}
	w := wire.WatchOf{TTL: in.TTL}
	for _, id := range in.UserIDs {
		w.Users = append(w.Users, chat.UserID(id))
	}
	w.Bound()
	if err := a.tellSessions(ctx, c, wire.Watch, wire.AppendWatchOf(nil, &w), routes); err != nil {
		return subscription{}, err
	}
	return subscription{Sessions: int64(len(routes)), TTL: w.TTL, Users: s.statuses(c.app.ID, in.UserIDs)}, nil
}
