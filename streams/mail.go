package streams

import (
	"errors"
	"sync"

	"github.com/nats-io/nats.go"

	"github.com/whaleshark-im/whaleshark/chat"
)

// mail is what a process has for one place of a stream: a partition's ingress, or an edge's pushes. One parcel is under way at a time, and what
// is put meanwhile travels together in the next: a process that is idle sends a thing at once and alone, and the busier it is, the more of
// them share one publish, one entry of the stream and one delivery.
type mail[K comparable] struct {
	pub     *publisher
	subject func(K) string // of a thing
	several string         // of a parcel whose things have different ones; empty: they never have

	mu       sync.Mutex
	underWay bool
	waiting  []*parcel[K]
	bytes    int // of those
	scratch  []byte
}

// parcel is things on their way, in their order.
type parcel[K comparable] struct {
	of    K    // the first thing's
	mixed bool // others have another
	data  []byte
	done  []func(error)
}

const (
	parcelBytes = 128 << 10 // a thing that is larger travels alone
	mailLimit   = 8 << 20   // bytes that may wait for a broker that is slow
)

// put sends a thing that form appends, or lets it wait for what is under way. Done is called exactly once, as of [publisher.publish], and is told
// [ErrFull] if too much waits already.
func (m *mail[K]) put(of K, form func([]byte) []byte, done func(error)) {
	m.mu.Lock()
	if m.bytes >= mailLimit {
		m.mu.Unlock()
		done(ErrFull)
		return
	}
	m.scratch = form(m.scratch[:0])
	p := m.open(of, len(m.scratch))
	before := len(p.data)
	p.data = chat.AppendParcel(p.data, m.scratch)
	p.done = append(p.done, done)
	m.bytes += len(p.data) - before
	if cap(m.scratch) > parcelBytes {
		m.scratch = nil
	}
	if m.underWay {
		m.mu.Unlock()
		return
	}
	m.underWay = true
	p = m.next()
	m.mu.Unlock()
	m.send(p)
}

// open returns the parcel that has room for one more thing of a size.
func (m *mail[K]) open(of K, size int) *parcel[K] {
	if n := len(m.waiting); n > 0 {
		if p := m.waiting[n-1]; len(p.done) < chat.MaxParcel && len(p.data)+size <= parcelBytes {
			p.mixed = p.mixed || p.of != of
			return p
		}
	}
	p := &parcel[K]{of: of}
	m.waiting = append(m.waiting, p)
	return p
}

// next takes the parcel that is sent next; nil if there is none, and then none is under way.
func (m *mail[K]) next() *parcel[K] {
	if len(m.waiting) == 0 {
		m.underWay, m.waiting = false, nil
		return nil
	}
	p := m.waiting[0]
	m.waiting = m.waiting[1:]
	m.bytes -= len(p.data)
	return p
}

func (m *mail[K]) send(p *parcel[K]) {
	subject := m.several
	if !p.mixed {
		subject = m.subject(p.of)
	}
	m.pub.publish(&nats.Msg{Subject: subject, Data: p.data}, func(_ uint64, err error) { m.ended(p, err) })
}

// ended sends what waits, and then tells what became of the parcel. When nobody answers, what waits is given back: it has certainly not been
// sent, and would only get older.
func (m *mail[K]) ended(p *parcel[K], err error) {
	var given []*parcel[K]
	m.mu.Lock()
	if errors.Is(err, ErrUnknown) || errors.Is(err, ErrNotSent) {
		given, m.waiting, m.bytes = m.waiting, nil, 0
	}
	next := m.next()
	m.mu.Unlock()
	if next != nil {
		m.send(next)
	}
	p.end(err)
	for _, p := range given {
		p.end(ErrNotSent)
	}
}

func (p *parcel[K]) end(err error) {
	for _, done := range p.done {
		done(err)
	}
}

func (m *mail[K]) idle() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return !m.underWay
}
