package edge

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/wire"
)

// Streams is where requests and signals go, and where routes are kept.
type Streams interface {
	// Submit hands a request to the ingress and returns at once. It calls done exactly once: with nil if the request is in the ingress,
	// with a [chat.Error] if it certainly is not, with another error if nobody knows.
	Submit(q *chat.Request, done func(error))
	// Signal hands a signal to the fan-out and does not wait.
	Signal(s *chat.Signal) error
	// PutRoute writes a route, again if it has changed, and returns once it is seen by whoever looks after that.
	PutRoute(ctx context.Context, r chat.Route) error
	// DropRoute deletes a route.
	DropRoute(ctx context.Context, r chat.Route) error
	// RoutesOf returns the known routes of a user; the slice must not be changed. It knows of a route before [Edge.RouteSeen] is told of it.
	RoutesOf(user chat.UserKey) []chat.Route
	// Dead reports whether an edge is not there any more, so that its routes lead nowhere.
	Dead(edge chat.NodeID) bool
	// Cursor returns the place up to which everything was delivered to this edge's sessions; 0: nobody knows.
	Cursor() chat.Place
}

// Directory knows apps and users. What does not exist is a [chat.Error]; every other error means that it cannot tell now.
type Directory interface {
	App(ctx context.Context, app chat.AppID) (chat.App, error)
	User(ctx context.Context, user chat.UserKey) (chat.User, error)
}

// Auth tells which logins need a userSign.
type Auth int

// How a login proves who it is.
const (
	AuthRequired Auth = iota // every login needs a valid userSign
	AuthOptional             // a login without one is taken; one that comes is checked
)

// Config is what an edge needs to know. A zero field has the default that its comment names.
type Config struct {
	Node chat.NodeID
	TCP  string // address for TCP clients; empty: none are served
	WS   string // address for WebSocket clients; empty: none are served
	Auth Auth   // default AuthRequired

	LoginPolicy chat.LoginPolicy // of apps that have none of their own; default chat.ThreeDevices

	Limits       wire.Limits // bytes; default wire.DefaultLimits
	MaxUserID    int         // characters; default chat.MaxUserID
	MaxMessageID int         // characters; default chat.MaxMessageID

	LoginTimeout   time.Duration // from connecting to the login frame, and again until the login is done; default 10 s
	Heartbeat      time.Duration // how often clients shall ping; three without a frame end a session; default 30 s
	RequestTimeout time.Duration // how long a request may wait to be judged; default 30 s
	WriteTimeout   time.Duration // how long one write may take before the client is slow; default 10 s
	CloseTimeout   time.Duration // how long an ending connection may take to flush and go, and then its route; default 5 s
	KickGrace      time.Duration // how long a kicked client may stay to hear why; default 2 s, negative: not at all
	PresenceDelay  time.Duration // how long a user must be here or away before those who watch are told; default 2 s, negative: not at all
	DrainWindow    time.Duration // over how long the clients of an edge that stops are sent away; default 2 s, negative: at once

	Rate  float64 // frames a second and connection; default 1,000
	Burst int     // frames; default 2,000

	QueueFrames int // how many frames may wait for a client; default 1,024
	QueueBytes  int // how many bytes may wait for a client; default 1 MiB

	History History // default: none, and who asks for it is told that it is unavailable

	Log     *slog.Logger          // default: discarded
	Metrics prometheus.Registerer // default: counted for nobody

	cursor func() chat.Place // [Streams.Cursor], for the sessions
}

func (c Config) withDefaults() Config {
	or(&c.Limits.IMEI, wire.DefaultLimits.IMEI)
	or(&c.Limits.Body, wire.DefaultLimits.Body)
	or(&c.MaxUserID, chat.MaxUserID)
	or(&c.MaxMessageID, chat.MaxMessageID)
	or(&c.LoginPolicy, chat.ThreeDevices)
	or(&c.LoginTimeout, 10*time.Second)
	or(&c.Heartbeat, 30*time.Second)
	or(&c.RequestTimeout, 30*time.Second)
	or(&c.WriteTimeout, 10*time.Second)
	or(&c.CloseTimeout, 5*time.Second)
	or(&c.KickGrace, 2*time.Second)
	or(&c.PresenceDelay, 2*time.Second)
	or(&c.DrainWindow, 2*time.Second)
	or(&c.Rate, 1000)
	or(&c.Burst, 2000)
	or(&c.QueueFrames, 1024)
	or(&c.QueueBytes, 1<<20)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Metrics == nil {
		c.Metrics = prometheus.NewRegistry()
	}
	return c
}

func or[T comparable](field *T, byDefault T) {
	var zero T
	if *field == zero {
		*field = byDefault
	}
}
