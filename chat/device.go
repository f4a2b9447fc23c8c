package chat

import (
	"fmt"
	"strconv"
)

// AppID is a tenant. Two apps share nothing: not users, not conversations, not message ids.
type AppID int32

// String returns the decimal form, as it stands in tokens and keys.
func (a AppID) String() string { return strconv.Itoa(int(a)) }

// UserID names a user within an app: 1 to [MaxUserID] characters, chosen by the app's own server.
type UserID string

// MaxUserID is the default limit of a user id in characters (the original's varchar(50)).
const MaxUserID = 50

// MaxMessageID is the default limit of a client's message id in characters.
const MaxMessageID = 128

// ClientType is the kind of client a device runs, as the wire numbers it.
type ClientType int32

// The client types of the wire protocol.
const (
	WebAPI  ClientType = 0
	Web     ClientType = 1
	IOS     ClientType = 2
	Android ClientType = 3
	Windows ClientType = 4
	Mac     ClientType = 5
)

// Valid reports whether the wire protocol knows the client type.
func (c ClientType) Valid() bool { return WebAPI <= c && c <= Mac }

// String returns the name that logs and tools show.
func (c ClientType) String() string {
	names := [...]string{"webapi", "web", "ios", "android", "windows", "mac"}
	if !c.Valid() {
		return "client(" + strconv.Itoa(int(c)) + ")"
	}
	return names[c]
}

// Device is one installation of a client: what a login policy counts, and what one login replaces.
type Device struct {
	App    AppID
	User   UserID
	Client ClientType
	IMEI   string
}

// String returns a form for logs.
func (d Device) String() string {
	return fmt.Sprintf("%d/%s/%s:%s", d.App, d.User, d.Client, d.IMEI)
}

// NodeID names one process for as long as it runs; a restarted process has another.
type NodeID string

// SessionID numbers a session within its edge.
type SessionID uint64

// String returns the decimal form, as it stands in a route's key.
func (s SessionID) String() string { return strconv.FormatUint(uint64(s), 10) }

// Epoch orders the logins of one user: max(Unix microseconds, last + 1). The higher one is the newer session. Milliseconds are too coarse: a
// login on another edge may follow within one, before that edge has heard of the first.
type Epoch int64
