package streams

import (
	"errors"
	"sync"

	"github.com/nats-io/nats.go"

	"github.com/whaleshark-im/whaleshark/chat"
)

// mail is what a process has for a partition's ingress. One parcel is under way at a time, and what is submitted meanwhile travels together in
// the next: a process that is idle sends a request at once and alone, and the busier it is, the more requests share one publish, one entry of
// the ingress and one delivery.
type mail struct {
	c         *Conn
	partition chat.Partition

	mu       sync.Mutex
	underWay bool
	waiting  []*parcel
	bytes    int // of those
	scratch  []byte
}

// parcel is requests on their way, in their order.
type parcel struct {
	of   chat.Conversation // of the first
	many bool              // conversations
	data []byte
	done []func(error)
}

const (
	parcelRequests = chat.MaxParcel
	parcelBytes    = 128 << 10 // one more request may go beyond it
	mailLimit      = 8 << 20   // bytes that may wait for a broker that is slow
)

// put sends a request, or lets it wait for those that are under way. Done is called as [Conn.Submit] says.
func (m *mail) put(q *chat.Request, done func(error)) {
	m.mu.Lock()
	if m.bytes >= mailLimit {
		m.mu.Unlock()
		done(chat.Errorf(chat.Busy, ""))
		return
	}
	p := m.open(q.Conversation)
	before := len(p.data)
	m.scratch = chat.AppendMailed(m.scratch[:0], q)
	p.data = chat.AppendParcel(p.data, m.scratch)
	p.done = append(p.done, done)
	m.bytes += len(p.data) - before
	if m.underWay {
		m.mu.Unlock()
		return
	}
	m.underWay = true
	p = m.next()
	m.mu.Unlock()
	m.send(p)
}

// open returns the parcel that has room for one more request.
func (m *mail) open(c chat.Conversation) *parcel {
	if n := len(m.waiting); n > 0 {
		if p := m.waiting[n-1]; len(p.done) < parcelRequests && len(p.data) < parcelBytes {
			p.many = p.many || p.of != c
			return p
		}
	}
	p := &parcel{of: c}
	m.waiting = append(m.waiting, p)
	return p
}

// next takes the parcel that is sent next; nil if there is none, and then none is under way.
func (m *mail) next() *parcel {
	if len(m.waiting) == 0 {
		m.underWay, m.waiting = false, nil
		return nil
	}
	p := m.waiting[0]
	m.waiting = m.waiting[1:]
	m.bytes -= len(p.data)
	return p
}

func (m *mail) send(p *parcel) {
	subject := ingressSubject(m.partition, p.of)
	if p.many {
		subject = ingressParcel(m.partition)
	}
	m.c.pub.publish(&nats.Msg{Subject: subject, Data: p.data}, func(_ uint64, err error) { m.ended(p, err) })
}

// ended sends what waits, and then tells those who have submitted what became of it. When nobody answers, what waits is refused: it has
// certainly not been sent, and would only get older.
func (m *mail) ended(p *parcel, err error) {
	var refused []*parcel
	m.mu.Lock()
	if errors.Is(err, ErrUnknown) || errors.Is(err, ErrNotSent) {
		refused, m.waiting, m.bytes = m.waiting, nil, 0
	}
	next := m.next()
	m.mu.Unlock()
	if next != nil {
		m.send(next)
	}
	p.end(submitted(err))
	for _, p := range refused {
		p.end(chat.Errorf(chat.Unavailable, ""))
	}
}

func (p *parcel) end(err error) {
	for _, done := range p.done {
		done(err)
	}
}

// submitted is what a publish's error says of its requests.
func submitted(err error) error {
	switch {
	case errors.Is(err, ErrFull):
		return chat.Errorf(chat.Busy, "")
	case errors.Is(err, ErrNotSent):
		return chat.Errorf(chat.Unavailable, "")
	}
	return err
}
