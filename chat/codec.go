package chat

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// The binary forms of what travels between processes: varints, strings with their length before them, nothing optional. Each form
// begins with the number of its version. Decoding reads bytes that a disk or another process may have garbled: it never panics
// and never allocates more than the bytes in hand can fill.

const (
	requestVersion = 2
	signalVersion  = 2
	pushVersion    = 1
)

var errShort = errors.New("short or garbled encoding")

// writer appends; each put mirrors a take of the reader.
type writer struct{ b []byte }

func (w *writer) byte(x byte)     { w.b = append(w.b, x) }
func (w *writer) uint(x uint64)   { w.b = binary.AppendUvarint(w.b, x) }
func (w *writer) int(x int64)     { w.b = binary.AppendVarint(w.b, x) }
func (w *writer) raw(x []byte)    { w.b = append(w.b, x...) }
func (w *writer) string(x string) { w.uint(uint64(len(x))); w.b = append(w.b, x...) }
func (w *writer) bytes(x []byte)  { w.uint(uint64(len(x))); w.b = append(w.b, x...) }

func (w *writer) bool(x bool) {
	if x {
		w.byte(1)
	} else {
		w.byte(0)
	}
}

func (w *writer) conversation(c Conversation) {
	w.int(int64(c.App))
	w.byte(byte(c.Kind))
	w.string(c.A)
	w.string(c.B)
}

func (w *writer) device(d Device) {
	w.int(int64(d.App))
	w.string(string(d.User))
	w.int(int64(d.Client))
	w.string(d.IMEI)
}

// reader takes from the front; after the first fault it yields zeros, and err tells.
type reader struct {
	b    []byte
	text string // what was there at first, if strings are to share it; empty: each is a copy of its own
	err  error
}

func (r *reader) fail() {
	r.b = nil
	if r.err == nil {
		r.err = errShort
	}
}

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		r.fail()
		return 0
	}
	x := r.b[0]
	r.b = r.b[1:]
	return x
}

func (r *reader) bool() bool {
	x := r.byte()
	if x > 1 {
		r.fail()
	}
	return x == 1
}

func (r *reader) uint() uint64 {
	x, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return x
}

func (r *reader) int() int64 {
	x, n := binary.Varint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return x
}

// raw takes n bytes without copying them.
func (r *reader) raw(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.fail()
		return nil
	}
	x := r.b[:n]
	r.b = r.b[n:]
	return x
}

func (r *reader) bytes() []byte { return r.raw(r.uint()) }

func (r *reader) string() string {
	n := r.uint()
	at := len(r.text) - len(r.b)
	b := r.raw(n)
	if at < 0 {
		return string(b)
	}
	return r.text[at : at+len(b)]
}

// count takes a number of things that need at least size bytes each.
func (r *reader) count(size uint64) int {
	n := r.uint()
	if n > uint64(len(r.b))/size {
		r.fail()
		return 0
	}
	return int(n) //nolint:gosec // no more than the bytes in hand
}

func (r *reader) version(what string, want byte) {
	if got := r.byte(); r.err == nil && got != want {
		r.b, r.err = nil, fmt.Errorf("%s of version %d; this server reads %d", what, got, want)
	}
}

func (r *reader) conversation() Conversation {
	return Conversation{App: AppID(r.int()), Kind: Kind(r.byte()), A: r.string(), B: r.string()} //nolint:gosec // written as an int32
}

func (r *reader) device() Device {
	return Device{
		App:    AppID(r.int()), //nolint:gosec // written as an int32
		User:   UserID(r.string()),
		Client: ClientType(r.int()), //nolint:gosec // written as an int32
		IMEI:   r.string(),
	}
}

func (w *writer) change(c *Change) {
	w.byte(byte(c.Kind))
	w.int(c.Version)
	w.uint(uint64(len(c.Users)))
	for _, u := range c.Users {
		w.string(string(u))
	}
	w.byte(byte(c.Role))
	w.int(c.Until)
	flags := byte(0)
	if c.On {
		flags |= changeIsOn
	}
	if c.Info != "" {
		flags |= changeHasInfo
	}
	if w.byte(flags); c.Info != "" {
		w.string(c.Info)
	}
}

// The flags of a change. The first one was a bool before there was a second: a change without info is encoded as it was then.
const (
	changeIsOn    = 1
	changeHasInfo = 2
)

func (r *reader) change() *Change {
	c := &Change{Kind: ChangeKind(r.byte()), Version: r.int()}
	if n := r.count(1); n > 0 {
		c.Users = make([]UserID, n)
		for i := range c.Users {
			c.Users[i] = UserID(r.string())
		}
	}
	c.Role, c.Until = MemberRole(r.byte()), r.int()
	flags := r.byte()
	c.On = flags&changeIsOn != 0
	if flags&changeHasInfo != 0 {
		c.Info = r.string()
	}
	if c.Kind < GroupCreated || c.Kind > MemberUpdated || c.Role > Owner || flags > changeIsOn|changeHasInfo || len(c.Info) > MaxInfo {
		r.fail()
	}
	return c
}

// end returns what went wrong, bytes left over included.
func (r *reader) end(what string) error {
	if r.err == nil && len(r.b) != 0 {
		r.err = errShort
	}
	if r.err != nil {
		return fmt.Errorf("decode %s: %w", what, r.err)
	}
	return nil
}

// AppendRequest appends the binary form of a request.
func AppendRequest(b []byte, q *Request) []byte {
	w := writer{b}
	w.byte(requestVersion)
	w.byte(byte(q.Kind))
	w.conversation(q.Conversation)
	w.device(q.Sender)
	w.string(q.MessageID)
	w.string(q.Body)
	w.string(q.Extra)
	w.int(q.MessageTime)
	w.bool(q.First)
	w.int(q.Deadline.UnixMilli())
	w.int(int64(q.Seq))
	w.int(int64(q.Place))
	w.string(string(q.Named))
	switch q.Kind { //nolint:exhaustive // the others have no more
	case AskChange:
		w.change(q.Change)
	case AskSetting:
		w.setting(q.Setting)
	}
	return w.b
}

// DecodeRequest is the inverse of [AppendRequest].
func DecodeRequest(b []byte) (*Request, error) {
	r := reader{b: b}
	r.version("request", requestVersion)
	q := &Request{
		Kind:         RequestKind(r.byte()),
		Conversation: r.conversation(),
		Sender:       r.device(),
		MessageID:    r.string(),
		Body:         r.string(),
		Extra:        r.string(),
		MessageTime:  r.int(),
		First:        r.bool(),
		Deadline:     time.UnixMilli(r.int()),
		Seq:          Seq(r.int()),
		Place:        Place(r.int()),
		Named:        UserID(r.string()),
	}
	switch q.Kind {
	case AskMessage, AskRead, AskRecall:
	case AskChange:
		q.Change = r.change()
	case AskSetting:
		q.Setting = r.setting()
	default:
		r.fail()
	}
	return q, r.end("request")
}

// AppendSignal appends the binary form of a signal.
func AppendSignal(b []byte, s *Signal) []byte {
	w := writer{b}
	w.byte(signalVersion)
	w.byte(byte(s.Kind))
	w.conversation(s.Conversation)
	w.device(s.From)
	w.string(s.MessageID)
	w.int(int64(s.Seq))
	w.int(int64(s.Place))
	w.int(s.MessageTime)
	w.string(s.Body)
	w.string(s.Extra)
	w.bool(s.Recalled)
	return w.b
}

// DecodeSignal is the inverse of [AppendSignal].
func DecodeSignal(b []byte) (*Signal, error) {
	r := reader{b: b}
	r.version("signal", signalVersion)
	s := &Signal{
		Kind:         SignalKind(r.byte()),
		Conversation: r.conversation(),
		From:         r.device(),
		MessageID:    r.string(),
		Seq:          Seq(r.int()),
		Place:        Place(r.int()),
		MessageTime:  r.int(),
		Body:         r.string(),
		Extra:        r.string(),
		Recalled:     r.bool(),
	}
	return s, r.end("signal")
}

// Push is what the fan-out hands to one edge: frames for sessions of that edge, in the order of the partition's log.
type Push struct {
	Partition  Partition
	To         Revision // the edge is served up to here once it has delivered; 0 in a push of signals alone
	Deliveries []Delivery
}

// Delivery is one frame and the sessions that get it.
type Delivery struct {
	Revision Revision // the block that it comes from; 0 if it comes from a signal
	Command  int32    // the wire's command
	Payload  []byte   // the JSON of the frame's inner payload
	Sessions []SessionID
}

// AppendPush appends the binary form of a push.
func AppendPush(b []byte, p *Push) []byte {
	w := writer{b}
	w.byte(pushVersion)
	w.int(int64(p.Partition))
	w.uint(uint64(p.To))
	w.uint(uint64(len(p.Deliveries)))
	for i := range p.Deliveries {
		d := &p.Deliveries[i]
		w.uint(uint64(d.Revision))
		w.int(int64(d.Command))
		w.bytes(d.Payload)
		w.uint(uint64(len(d.Sessions)))
		for _, s := range d.Sessions {
			w.uint(uint64(s))
		}
	}
	return w.b
}

// DecodePush is the inverse of [AppendPush]. Payloads point into b.
func DecodePush(b []byte) (*Push, error) {
	r := reader{b: b}
	r.version("push", pushVersion)
	p := &Push{Partition: Partition(r.int()), To: Revision(r.uint())}
	p.Deliveries = make([]Delivery, r.count(4))
	var sessions []SessionID // lists of one are cut from it
	for i := range p.Deliveries {
		d := &p.Deliveries[i]
		d.Revision = Revision(r.uint())
		d.Command = int32(r.int()) //nolint:gosec // written as an int32
		d.Payload = r.bytes()
		n := r.count(1)
		switch {
		case n != 1:
			d.Sessions = make([]SessionID, n)
		case len(sessions) == 0:
			sessions = make([]SessionID, len(p.Deliveries)-i)
			fallthrough
		default:
			d.Sessions, sessions = sessions[:1:1], sessions[1:]
		}
		for j := range d.Sessions {
			d.Sessions[j] = SessionID(r.uint())
		}
	}
	return p, r.end("push")
}
