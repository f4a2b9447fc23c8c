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
	device   chat.Device // set by the login, and the only identity from then on
	frames   *rate.Limiter
}

func newSession(cfg *Config) session {
	return session{cfg: cfg, frames: rate.NewLimiter(rate.Limit(cfg.Rate), cfg.Burst)}
}

// step is what a frame leads to. Its parts are done in the order of the fields; most steps have one.
type step struct {
	refused chat.Code // counted; 0: none
	dropped bool      // counted as a drop, for nobody is told of refused
	answer  frame     // command 0: none
	login   *login
	request *chat.Request
	signal  *chat.Signal
	end     *ending
}

// login is a login frame that makes sense, not yet looked up.
type login struct {
	device  chat.Device
	sign    string
	arrived time.Time
}

// take decides what a frame leads to.
func (s *session) take(f *wire.Up, now time.Time) step {
	if !s.ready {
		s.protocol = f.Version
	}
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
	case wire.Send:
		return s.message(f, now)
	case wire.Receive:
		return s.receipt(f)
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
	return step{answer: local(wire.Ping, wire.AppendPong(nil, &wire.Pong{ServerTime: now.UnixMilli()}))}
}

func (s *session) login(f *wire.Up, now time.Time) step {
	if s.ready {
		return s.refuse(f, chat.Error{Code: chat.AlreadyLoggedIn})
	}
	if f.MessageType != wire.JSON {
		return s.refuse(f, chat.Error{Code: chat.BadEncoding})
	}
	c, err := wire.ParseCredentials(f.Body)
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
	return step{login: &login{device: d, sign: c.UserSign, arrived: now}}
}

// accept makes the session that of the route's device, and returns the answer to its login.
func (s *session) accept(r chat.Route, now time.Time) (answer frame) {
	s.ready, s.device = true, r.Device
	if !s.speaks3() {
		return frame{}
	}
	return local(wire.LoginAck, wire.AppendWelcome(nil, &wire.Welcome{
		Code:       chat.OK,
		Session:    r.Session,
		ServerTime: now.UnixMilli(),
		Heartbeat:  s.cfg.Heartbeat.Milliseconds(),
		MaxBody:    int64(s.cfg.Limits.Body),
	}))
}

func (s *session) message(f *wire.Up, now time.Time) step {
	if f.MessageType != wire.JSON {
		return s.refuse(f, chat.Error{Code: chat.BadEncoding})
	}
	m, err := wire.ParseMessage(f.Body)
	if err == nil {
		err = s.check(&m)
	}
	if err != nil {
		return s.refuseMessage(m.MessageID, err)
	}
	return step{request: &chat.Request{
		Kind:         chat.AskMessage,
		Conversation: chat.PairOf(s.device.App, s.device.User, m.To),
		Sender:       s.device,
		MessageID:    m.MessageID,
		Body:         m.Body,
		Extra:        m.Extra,
		MessageTime:  m.MessageTime,
		First:        m.First && s.speaks3(),
		Deadline:     now.Add(s.cfg.RequestTimeout),
	}}
}

func (s *session) check(m *wire.Message) error {
	if m.MessageID == "" {
		return chat.Errorf(chat.BadParameter, "messageId is missing")
	}
	if n := utf8.RuneCountInString(m.MessageID); n > s.cfg.MaxMessageID {
		return chat.Errorf(chat.BadParameter, "messageId has %d characters; at most %d may be", n, s.cfg.MaxMessageID)
	}
	return s.checkUserID("toId", m.To)
}

func (s *session) checkUserID(field string, u chat.UserID) error {
	if u == "" {
		return chat.Errorf(chat.BadParameter, "%s is missing", field)
	}
	if n := utf8.RuneCountInString(string(u)); n > s.cfg.MaxUserID {
		return chat.Errorf(chat.BadParameter, "%s has %d characters; at most %d may be", field, n, s.cfg.MaxUserID)
	}
	return nil
}

func (s *session) receipt(f *wire.Up) step {
	if f.MessageType != wire.JSON {
		return s.refuse(f, chat.Error{Code: chat.BadEncoding})
	}
	r, err := wire.ParseReceipt(f.Body)
	if err == nil {
		err = s.checkUserID("toId", r.To)
	}
	if err == nil && r.Seq < 1 {
		err = chat.Errorf(chat.BadParameter, "messageSequence is missing or below 1")
	}
	if err == nil && r.Place < 0 {
		err = chat.Errorf(chat.BadParameter, "messageKey is below 0")
	}
	if err != nil {
		return s.refuse(f, err)
	}
	return step{signal: &chat.Signal{
		Kind:         chat.Received,
		Conversation: chat.PairOf(s.device.App, s.device.User, r.To),
		From:         s.device,
		MessageID:    r.MessageID,
		Seq:          r.Seq,
		Place:        r.Place,
	}}
}

// refuse is the one place that tells how a refused frame is answered: a message and a login in every version by the reply that they have;
// any other frame by an error frame if the client knows those, and not at all otherwise.
func (s *session) refuse(f *wire.Up, err error) step {
	e := asError(err)
	switch {
	case f.Command == wire.Send:
		return s.refuseMessage(wire.MessageIDOf(f.Body), e)
	case f.Command == wire.Login:
		return s.refuseLogin(e)
	case s.speaks3():
		return step{refused: e.Code, answer: local(wire.Refuse, wire.AppendRefusal(nil, &wire.Refusal{
			Code: e.Code, Reason: e.Reason, Command: f.Command,
		}))}
	}
	return step{refused: e.Code, dropped: true}
}

func (s *session) refuseMessage(messageID string, err error) step {
	e := asError(err)
	return step{refused: e.Code, answer: local(wire.SendAck, wire.AppendAck(nil, &wire.Ack{
		Code: e.Code, Reason: e.Reason, MessageID: messageID,
	}))}
}

// refuseLogin answers a login, and ends the connection unless an earlier login holds.
func (s *session) refuseLogin(err error) step {
	e := asError(err)
	answer := local(wire.LoginAck, wire.AppendWelcome(nil, &wire.Welcome{Code: e.Code, Reason: e.Reason}))
	if s.ready {
		return step{refused: e.Code, answer: answer}
	}
	return step{refused: e.Code, end: &ending{reason: reasonRefused, code: e.Code, word: answer}}
}

// broken ends a connection whose bytes cannot be trusted any more; f is what is known of the frame that broke it.
func (s *session) broken(f *wire.Up, err error) step {
	if !s.ready {
		s.protocol = f.Version
	}
	st := s.refuse(f, err)
	if st.end == nil {
		st.end = &ending{reason: reasonBroken, code: st.refused, word: st.answer}
		st.answer = frame{}
	}
	return st
}
