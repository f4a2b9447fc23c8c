package streams

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/whaleshark-im/whaleshark/chat"
)

// Every subject and key is built and parsed here and nowhere else.

func ingressSubject(p chat.Partition, c chat.Conversation) string {
	return "in." + p.String() + "." + c.String()
}

// tickToken stands where a conversation stands otherwise: an owner's own sign that its partition's ingress works.
const tickToken = "tick"

// parcelToken stands where a conversation stands otherwise: an entry with requests of several.
const parcelToken = "several"

func ingressParcel(p chat.Partition) string { return "in." + p.String() + "." + parcelToken }

func ingressTick(p chat.Partition) string   { return "in." + p.String() + "." + tickToken }
func ingressFilter(p chat.Partition) string { return "in." + p.String() + ".*" }

func logSubject(p chat.Partition) string { return "$KV." + bucketLog + "." + p.String() }

func parseLogSubject(s string) (chat.Partition, error) {
	n, err := strconv.Atoi(strings.TrimPrefix(s, "$KV."+bucketLog+"."))
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%q is no subject of the log", s)
	}
	return chat.Partition(n), nil
}

func pushSubject(edge chat.NodeID) string { return "push." + string(edge) }

// pushTickHeader marks an edge's own sign that its pushes arrive.
const pushTickHeader = "Whaleshark-Tick"

const eventPrefix = "event."

func eventSubject(e *chat.Event) string {
	return eventPrefix + e.App.String() + "." + chat.Token(e.Aggregate)
}

// hookSubject is where an app's before-hooks are asked; app 0: all apps'.
func hookSubject(app chat.AppID) string {
	if app == 0 {
		return "hook.call.*"
	}
	return "hook.call." + app.String()
}

// beforeSubject is where an app is asked before a message is placed; app 0: all apps.
func beforeSubject(app chat.AppID) string {
	if app == 0 {
		return "hook.before.*"
	}
	return "hook.before." + app.String()
}

// subjectNudge wakes whoever relays outboxes.
const subjectNudge = "outbox.nudge"

func signalSubject(p chat.Partition) string { return "signal." + p.String() }

const routePrefix = "$KV." + bucketRoute + "."

func routeSubject(r chat.Route) string {
	return routePrefix + r.Device.App.String() + "." + chat.Token(string(r.Device.User)) + "." + string(r.Edge) + "." + r.Session.String()
}

var errRouteKey = errors.New("no key of a route")

// parseRouteSubject returns what the key tells: app, user, edge and session.
func parseRouteSubject(s string) (chat.Route, error) {
	parts := strings.Split(strings.TrimPrefix(s, routePrefix), ".")
	if len(parts) != 4 {
		return chat.Route{}, errRouteKey
	}
	app, err := strconv.ParseInt(parts[0], 10, 32)
	if err != nil {
		return chat.Route{}, errRouteKey
	}
	user, err := chat.ParseToken(parts[1])
	if err != nil {
		return chat.Route{}, errRouteKey
	}
	session, err := strconv.ParseUint(parts[3], 10, 64)
	if err != nil {
		return chat.Route{}, errRouteKey
	}
	return chat.Route{
		Device:  chat.Device{App: chat.AppID(app), User: chat.UserID(user)},
		Edge:    chat.NodeID(parts[2]),
		Session: chat.SessionID(session),
	}, nil
}

const memberPrefix = "$KV." + bucketMembers + "."

func memberSubject(role Role, node chat.NodeID) string {
	return memberPrefix + string(role) + "." + string(node)
}
