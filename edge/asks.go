package edge

import (
	"time"
	"unicode/utf8"

	"golang.org/x/time/rate"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/wire"
)

// What a session may ask for: a function for each command reads its payload and checks it. What it leads to carries the session's identity,
// never the frame's.

// Limits of what is asked for.
const (
	maxCustomStatus = 64          // characters
	fewEvery        = time.Second // how often a session may say that somebody types, and how it is: that is a route written each time
	fewAtOnce       = 5           // and how many times at once
)

// few is the limit of what a session may say only now and then, and what is too much of is dropped. Most sessions never need one.
type few struct{ limiter *rate.Limiter }

func (f *few) allow(now time.Time) bool {
	if f.limiter == nil {
		f.limiter = rate.NewLimiter(rate.Every(fewEvery), fewAtOnce)
	}
	return f.limiter.AllowN(now, 1)
}

func (s *session) ask(f *wire.Up, now time.Time) (step, error) {
	switch f.Command {
	case wire.Send, wire.GroupSend:
		return s.message(f, now)
	case wire.Receive:
		return s.receipt(f)
	case wire.Read, wire.GroupRead:
		return s.read(f, now)
	case wire.Recall:
		return s.recall(f, now)
	case wire.Typing:
		return s.types(f, now)
	case wire.Status:
		return s.status(f, now)
	case wire.Changes, wire.History, wire.Pull:
		return s.query(f)
	default:
		return s.watch(f)
	}
}

func (s *session) message(f *wire.Up, now time.Time) (step, error) {
	m, err := wire.ParseMessage(f.Body)
	if err == nil && m.MessageID == "" {
		err = chat.Errorf(chat.BadParameter, "messageId is missing")
	}
	if err == nil {
		err = checkLength("messageId", m.MessageID, s.cfg.MaxMessageID)
	}
	if err != nil {
		return step{}, err
	}
	where, err := s.pair(m.To)
	if f.Command == wire.GroupSend {
		where, err = s.group(m.Group)
	}
	return step{request: &chat.Request{
		Kind:         chat.AskMessage,
		Conversation: where,
		Sender:       s.device,
		MessageID:    m.MessageID,
		Body:         m.Body,
		Extra:        m.Extra,
		MessageTime:  m.MessageTime,
		First:        m.First && s.speaks3(),
		Deadline:     now.Add(s.cfg.RequestTimeout),
	}}, err
}

func (s *session) receipt(f *wire.Up) (step, error) {
	r, err := wire.ParseReceipt(f.Body)
	if err != nil {
		return step{}, err
	}
	where, err := s.pair(r.To)
	if err == nil {
		err = checkSeq(r.Seq)
	}
	if err == nil && r.Place < 0 {
		err = chat.Errorf(chat.BadParameter, "messageKey is below 0")
	}
	return step{signal: &chat.Signal{
		Kind:         chat.Received,
		Conversation: where,
		From:         s.device,
		MessageID:    r.MessageID,
		Seq:          r.Seq,
		Place:        r.Place,
	}}, err
}

func (s *session) read(f *wire.Up, now time.Time) (step, error) {
	r, err := wire.ParseReadUpTo(f.Body)
	if err != nil {
		return step{}, err
	}
	where, err := s.pair(r.To)
	if f.Command == wire.GroupRead {
		where, err = s.group(r.Group)
		if err == nil && r.To != "" {
			err = s.checkUserID("toId", r.To)
		}
	}
	if err == nil {
		err = checkSeq(r.Seq)
	}
	return step{request: &chat.Request{
		Kind:         chat.AskRead,
		Conversation: where,
		Sender:       s.device,
		Seq:          r.Seq,
		Named:        r.To,
		Deadline:     now.Add(s.cfg.RequestTimeout),
	}}, err
}

func (s *session) recall(f *wire.Up, now time.Time) (step, error) {
	r, err := wire.ParseRecallOf(f.Body)
	if err != nil {
		return step{}, err
	}
	where, err := s.where(r.Where)
	if err == nil {
		err = checkLength("messageId", r.MessageID, s.cfg.MaxMessageID)
	}
	switch {
	case err != nil:
	case r.Seq < 0 || r.Place < 0:
		err = chat.Errorf(chat.BadParameter, "messageSequence or messageKey is below 0")
	case r.Seq == 0 && r.Place == 0:
		err = chat.Errorf(chat.BadParameter, "messageSequence and messageKey are missing")
	case r.Seq != 0:
		r.Place = 0 // one of them says which
	}
	return step{request: &chat.Request{
		Kind:         chat.AskRecall,
		Conversation: where,
		Sender:       s.device,
		MessageID:    r.MessageID,
		Seq:          r.Seq,
		Place:        r.Place,
		Deadline:     now.Add(s.cfg.RequestTimeout),
	}}, err
}

// types is limited for itself: what is too much is dropped, for the next one says the same.
func (s *session) types(f *wire.Up, now time.Time) (step, error) {
	if !s.typing.allow(now) {
		return step{dropped: dropTyping}, nil
	}
	t, err := wire.ParseTypingIn(f.Body)
	if err != nil {
		return step{}, err
	}
	where, err := s.where(t.Where)
	return step{signal: &chat.Signal{Kind: chat.Typing, Conversation: where, From: s.device}}, err
}

// status is limited for itself, and what is too much is dropped.
func (s *session) status(f *wire.Up, now time.Time) (step, error) {
	x, err := wire.ParseStatusSet(f.Body)
	if err == nil && (x.Status < wire.Online || x.Status == wire.Offline) {
		err = chat.Errorf(chat.BadParameter, "status is missing, below %d or %d, which is the server's to say", wire.Online, wire.Offline)
	}
	if err == nil {
		err = checkLength("customStatus", x.Custom, maxCustomStatus)
	}
	if err != nil {
		return step{}, err
	}
	if !s.statuses.allow(now) {
		return step{dropped: dropStatus}, nil
	}
	return step{status: &x}, nil
}

func (s *session) watch(f *wire.Up) (step, error) {
	w, err := wire.ParseWatchOf(f.Body)
	if err == nil && len(w.Users) > wire.MaxWatched {
		err = chat.Errorf(chat.BadParameter, "userIds has %d users; at most %d may be", len(w.Users), wire.MaxWatched)
	}
	if err == nil && w.TTL < 0 {
		err = chat.Errorf(chat.BadParameter, "ttlMs is below 0")
	}
	if err != nil {
		return step{}, err
	}
	for _, u := range w.Users {
		if err := s.checkUserID("userIds", u); err != nil {
			return step{}, err
		}
	}
	w.Bound()
	return step{watch: &w}, nil
}

// where returns the conversation that a payload tells, be it a pair or a group.
func (s *session) where(w wire.Where) (chat.Conversation, error) {
	if w.Group != "" {
		return s.group(w.Group)
	}
	return s.pair(w.To)
}

func (s *session) pair(to chat.UserID) (chat.Conversation, error) {
	return chat.PairOf(s.device.App, s.device.User, to), s.checkUserID("toId", to)
}

func (s *session) group(id string) (chat.Conversation, error) {
	if id == "" {
		return chat.Conversation{}, chat.Errorf(chat.BadParameter, "groupId is missing")
	}
	return chat.GroupOf(s.device.App, id), checkLength("groupId", id, chat.MaxUserID)
}

func (s *session) checkUserID(field string, u chat.UserID) error {
	if u == "" {
		return chat.Errorf(chat.BadParameter, "%s is missing", field)
	}
	return checkLength(field, string(u), s.cfg.MaxUserID)
}

func checkLength(field, value string, longest int) error {
	if n := utf8.RuneCountInString(value); n > longest {
		return chat.Errorf(chat.BadParameter, "%s has %d characters; at most %d may be", field, n, longest)
	}
	return nil
}

func checkSeq(seq chat.Seq) error {
	if seq < 1 {
		return chat.Errorf(chat.BadParameter, "messageSequence is missing or below 1")
	}
	return nil
}
