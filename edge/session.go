package edge

import (
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/time/rate"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/wire"
)

// session is the rule of a connection: a frame and the time come in, what to do comes out. It does no I/O and reads no clock.
type session struct {
	cfg      *Config
	ready    bool        // a login was accepted
	protocol int32       // of the login; before it, of the newest frame
	protobuf bool        // the client is answered in protobuf; of the same frame
	device   chat.Device // set by the login, and the only identity from then on
	frames   *rate.Limiter
	typing   few
	statuses few
}

func newSession(cfg *Config) session {
	return session{cfg: cfg, frames: rate.NewLimiter(rate.Limit(cfg.Rate), cfg.Burst)}
}

// step is what a frame leads to. Its parts are done in the order of the fields; most steps have one.
type step struct {
	refused chat.Code // counted; 0: none
	dropped string    // why the frame is dropped and nobody told of it: counted in its stead
	answer  frame     // command 0: none
	login   *login
	request *chat.Request
	signal  *chat.Signal
	status  *wire.StatusSet
	watch   *wire.WatchOf
	query   *query
	end     *ending
}

// login is a login frame that makes sense, not yet looked up.
type login struct {
	device  chat.Device
	sign    string
	resume  bool       // it asks for what it has missed
	cursor  chat.Place // after this
	arrived time.Time
}

// take decides what a frame leads to.
func (s *session) take(f *wire.Up, now time.Time) step {
	s.hear(f)
	switch {
	case f.Command == wire.Logout:
		return step{end: &ending{reason: reasonLogout}}
	case !s.frames.AllowN(now, 1):
		return s.refuse(f, chat.Error{Code: chat.TooManyFrames})
	case !s.ready && f.Command != wire.Login && f.Command != wire.Ping:
		return s.refuse(f, chat.Error{Code: chat.NotLoggedIn})
	}
	switch f.Command {
	case wire.Login:
		return s.login(f, now)
	case wire.Ping:
		return s.ping(now)
	case wire.Send, wire.GroupSend, wire.Receive, wire.Read, wire.GroupRead, wire.Recall, wire.Typing, wire.Status, wire.Watch,
		wire.Changes, wire.History, wire.Pull:
		body, err := s.payload(f)
		if err != nil {
			return s.refuse(f, err)
		}
		f.Body, f.MessageType = body, wire.JSON
		st, err := s.ask(f, now)
		if err != nil {
			return s.refuse(f, err)
		}
		return st
	default:
		return s.refuse(f, chat.Errorf(chat.UnknownCommand, "unknown command %d", int32(f.Command)))
	}
}

// speaks3 tells whether the client knows what protocol 3 adds.
func (s *session) speaks3() bool { return s.protocol >= wire.Version3 }

func (s *session) ping(now time.Time) step {
	if !s.speaks3() {
		return step{}
	}
	return step{answer: local(wire.Ping, wire.AppendPong(nil, &wire.Pong{ServerTime: now.UnixMilli(), Cursor: s.cfg.cursor()}))}
}

func (s *session) login(f *wire.Up, now time.Time) step {
	if s.ready {
		return s.refuse(f, chat.Error{Code: chat.AlreadyLoggedIn})
	}
	body, err := s.payload(f)
	if err != nil {
		return s.refuse(f, err)
	}
	c, err := wire.ParseCredentials(body)
	if err != nil {
		return s.refuse(f, err)
	}
	d := chat.Device{App: f.App, User: c.User, Client: f.ClientType, IMEI: string(f.IMEI)}
	switch {
	case !d.Client.Valid():
		return s.refuse(f, chat.Error{Code: chat.BadClientType})
	case !utf8.ValidString(d.IMEI) || strings.ContainsRune(d.IMEI, 0):
		return s.refuse(f, chat.Errorf(chat.BadString, "the imei holds U+0000 or invalid UTF-8"))
	}
	if err := s.checkUserID("userId", d.User); err != nil {
		return s.refuse(f, err)
	}
	return step{login: &login{device: d, sign: c.UserSign, resume: c.Resume, cursor: max(c.Cursor, 0), arrived: now}}
}

// accept makes the session that of the route's device, and returns the answer to its login.
func (s *session) accept(r chat.Route, now time.Time, missed *resumed) (answer frame) {
	s.ready, s.device = true, r.Device
	if !s.speaks3() {
		return frame{}
	}
	cursor := s.cfg.cursor()
	if missed.asked {
		cursor = missed.cursor
	}
	return local(wire.LoginAck, wire.AppendWelcome(nil, &wire.Welcome{
		Code:       chat.OK,
		Session:    r.Session,
		ServerTime: now.UnixMilli(),
		Heartbeat:  s.cfg.Heartbeat.Milliseconds(),
		MaxBody:    int64(s.cfg.Limits.Body),
		Cursor:     cursor,
		Resume:     missed.asked,
		Resumed:    int64(missed.records),
		Truncated:  missed.truncated,
	}))
}
