package wire

import (
	"strconv"
	"time"

	"github.com/whaleshark-im/whaleshark/chat"
)

// The statuses that the server itself knows. Other positive numbers mean what the clients agree upon.
const (
	Online  int32 = 1
	Offline int32 = 2 // the server's to say: no device of the user is connected
)

// StatusSet is the payload of [Status]: how the user wants to be seen.
type StatusSet struct {
	Status int32
	Custom string // empty: none
}

// AppendStatusSet appends the payload of a status up.
func AppendStatusSet(b []byte, s *StatusSet) []byte {
	return append(appendStatus(append(b, '{'), s.Status, s.Custom), '}')
}

// ParseStatusSet reads the payload of a status up.
func ParseStatusSet(body []byte) (StatusSet, error) {
	var s StatusSet
	o := open(body)
	for o.next() {
		takeStatus(o, &s.Status, &s.Custom)
	}
	return s, o.close()
}

// UserStatus is the payload of [StatusNotify]: how a watched user is seen now.
type UserStatus struct {
	User   chat.UserID
	Status int32
	Custom string // empty: none
}

// StatusOf returns how a user with these routes is seen: away without a session of a live edge, and otherwise as the session wants that has said
// so last. The routes come in the order in which they were written.
func StatusOf(user chat.UserID, routes []chat.Route, dead func(chat.NodeID) bool) UserStatus {
	s := UserStatus{User: user, Status: Offline}
	for _, r := range routes {
		switch {
		case dead(r.Edge):
		case r.Status != 0:
			s.Status, s.Custom = r.Status, r.Custom
		case s.Status == Offline:
			s.Status = Online
		}
	}
	return s
}

// AppendUserStatus appends the payload of a status down.
func AppendUserStatus(b []byte, s *UserStatus) []byte {
	b = appendString(append(b, `{"userId":`...), string(s.User))
	return append(appendStatus(b, s.Status, s.Custom), '}')
}

// ParseUserStatus reads the payload of a status down.
func ParseUserStatus(body []byte) (UserStatus, error) {
	var s UserStatus
	o := open(body)
	for o.next() {
		s.take(o)
	}
	return s, o.close()
}

func (s *UserStatus) take(o *object) {
	if string(o.name) == "userId" {
		s.User = chat.UserID(o.string())
		return
	}
	takeStatus(o, &s.Status, &s.Custom)
}

// DeviceStatus is the payload of [StatusSync]: how another device of the same user wants him to be seen.
type DeviceStatus struct {
	Device chat.Device
	Status int32
	Custom string // empty: none
}

// AppendDeviceStatus appends the payload of a status for the user's other devices.
func AppendDeviceStatus(b []byte, s *DeviceStatus) []byte {
	b = appendString(append(b, `{"userId":`...), string(s.Device.User))
	b = appendStatus(b, s.Status, s.Custom)
	return append(appendDevice(b, &s.Device), '}')
}

// ParseDeviceStatus reads the payload of a status for the user's other devices.
func ParseDeviceStatus(body []byte) (DeviceStatus, error) {
	var s DeviceStatus
	o := open(body)
	for o.next() {
		switch string(o.name) {
		case "userId":
			s.Device.User = chat.UserID(o.string())
		case "fromId": // the user is told as userId here
		default:
			if !takeDevice(o, &s.Device) {
				takeStatus(o, &s.Status, &s.Custom)
			}
		}
	}
	return s, o.close()
}

// WatchOf is the payload of a [Watch] up: from now on tell the statuses of these users, and of no others.
type WatchOf struct {
	Users []chat.UserID // none: the client watches nobody any more
	TTL   int64         // milliseconds after which the watch ends unless it is renewed; 0: as the server likes
}

// The limits of a watch.
const (
	MaxWatched  = 200
	MaxWatchTTL = time.Hour // also of a watch that names no time
)

// Bound keeps a watch within its limits.
func (w *WatchOf) Bound() {
	w.Users = w.Users[:min(len(w.Users), MaxWatched)]
	if longest := MaxWatchTTL.Milliseconds(); w.TTL <= 0 || w.TTL > longest {
		w.TTL = longest
	}
}

// AppendWatchOf appends the payload of a watch up.
func AppendWatchOf(b []byte, w *WatchOf) []byte {
	b = appendUsers(append(b, `{"userIds":`...), w.Users)
	if w.TTL != 0 {
		b = strconv.AppendInt(append(b, `,"ttlMs":`...), w.TTL, 10)
	}
	return append(b, '}')
}

// ParseWatchOf reads the payload of a watch up.
func ParseWatchOf(body []byte) (WatchOf, error) {
	var w WatchOf
	o := open(body)
	for o.next() {
		switch string(o.name) {
		case "userIds":
			w.Users = o.users()
		case "ttlMs":
			w.TTL = o.int()
		}
	}
	return w, o.close()
}

// Watching is the payload of a [Watch] down: the watch holds, and this is how the users are seen now; or it is refused and why.
type Watching struct {
	Code   chat.Code
	Reason string // more than the code's meaning; empty: the code's meaning

	// Of an accepted watch.
	TTL   int64 // milliseconds
	Users []UserStatus
}

// AppendWatching appends the payload of a watch's answer.
func AppendWatching(b []byte, w *Watching) []byte {
	b = append(appendCode(b, w.Code, w.Reason), `,"data":{`...)
	if w.Code == chat.OK {
		b = strconv.AppendInt(append(b, `"ttlMs":`...), w.TTL, 10)
		b = appendList(append(b, `,"users":`...), w.Users, AppendUserStatus)
	}
	return append(b, "}}"...)
}

// ParseWatching reads the payload of a watch's answer.
func ParseWatching(body []byte) (Watching, error) {
	var w Watching
	err := parseAnswer(body, &w.Code, &w.Reason, func(o *object) {
		switch string(o.name) {
		case "ttlMs":
			w.TTL = o.int()
		case "users":
			w.Users = list(o, (*UserStatus).take)
		}
	})
	return w, err
}

func appendStatus(b []byte, status int32, custom string) []byte {
	b = strconv.AppendInt(append(comma(b), `"status":`...), int64(status), 10)
	if custom != "" {
		b = appendString(append(b, `,"customStatus":`...), custom)
	}
	return b
}

func takeStatus(o *object, status *int32, custom *string) {
	switch string(o.name) {
	case "status":
		*status = o.int32()
	case "customStatus":
		*custom = o.string()
	}
}
