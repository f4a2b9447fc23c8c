package streams

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// What a publish can end in, other than well.
var (
	// ErrUnknown says that nobody knows whether the message was stored.
	ErrUnknown = errors.New("outcome unknown")
	// ErrConflict says that the expected sequence was not the last: somebody else has written.
	ErrConflict = errors.New("wrong last sequence")
	// ErrTransient says the same of a leader that has not caught up with itself; the same publish is right a moment later.
	ErrTransient = errors.New("wrong last sequence, for a moment")
	// ErrFull says that the stream, or the broker, takes no more.
	ErrFull = errors.New("stream is full")
	// ErrNotSent says that the message did not leave this process, or that nobody was there to take it.
	ErrNotSent = errors.New("not sent")
)

// publisher publishes to streams and hands each acknowledgement to its callback: one inbox for all, no goroutine a message.
type publisher struct {
	nc     *nats.Conn
	prefix string
	sub    *nats.Subscription

	mu      sync.Mutex
	next    uint64
	waiting map[uint64]waiter
}

type waiter struct {
	done     func(seq uint64, err error)
	deadline time.Time
}

func newPublisher(nc *nats.Conn) (*publisher, error) {
	p := &publisher{nc: nc, prefix: nats.NewInbox() + ".", waiting: make(map[uint64]waiter)}
	sub, err := nc.Subscribe(p.prefix+"*", p.heard)
	if err != nil {
		return nil, fmt.Errorf("subscribe to acknowledgements: %w", err)
	}
	if err := sub.SetPendingLimits(-1, -1); err != nil {
		return nil, fmt.Errorf("lift the limits of acknowledgements: %w", err)
	}
	p.sub = sub
	return p, nil
}

// publish sends, and calls done exactly once: from another goroutine, or at once if nothing was sent.
func (p *publisher) publish(m *nats.Msg, done func(seq uint64, err error)) {
	p.mu.Lock()
	p.next++
	n := p.next
	p.waiting[n] = waiter{done, time.Now().Add(ackPatience)}
	p.mu.Unlock()

	m.Reply = p.prefix + strconv.FormatUint(n, 36)
	if err := p.nc.PublishMsg(m); err != nil {
		if w, ok := p.take(n); ok {
			w.done(0, fmt.Errorf("%w: %w", ErrNotSent, err))
		}
	}
}

func (p *publisher) take(n uint64) (waiter, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w, ok := p.waiting[n]
	delete(p.waiting, n)
	return w, ok
}

func (p *publisher) heard(m *nats.Msg) {
	n, err := strconv.ParseUint(m.Subject[len(p.prefix):], 36, 64)
	if err != nil {
		return
	}
	if w, ok := p.take(n); ok {
		w.done(parseAck(m))
	}
}

// fail ends everything that has waited until now, or everything at all.
func (p *publisher) fail(now time.Time, all bool) {
	var ended []waiter
	p.mu.Lock()
	for n, w := range p.waiting {
		if all || now.After(w.deadline) {
			ended = append(ended, w)
			delete(p.waiting, n)
		}
	}
	p.mu.Unlock()
	for _, w := range ended {
		w.done(0, ErrUnknown)
	}
}

func parseAck(m *nats.Msg) (uint64, error) {
	if len(m.Data) == 0 && m.Header.Get("Status") == "503" {
		return 0, fmt.Errorf("%w: no stream takes %s", ErrNotSent, m.Subject)
	}
	var ack struct {
		Seq   uint64 `json:"seq"`
		Error *struct {
			Code        int    `json:"err_code"`
			Description string `json:"description"`
		} `json:"error"`
	}
	if seq, ok := plainAck(m.Data); ok {
		return seq, nil
	}
	if err := json.Unmarshal(m.Data, &ack); err != nil {
		return 0, fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	if ack.Error == nil {
		return ack.Seq, nil
	}
	switch ack.Error.Code {
	case 10071:
		return 0, ErrConflict
	case 10164:
		return 0, ErrTransient
	case 10077, 10047, 10028, 10023:
		return 0, fmt.Errorf("%w: %s", ErrFull, ack.Error.Description)
	}
	return 0, fmt.Errorf("broker: %s (%d)", ack.Error.Description, ack.Error.Code)
}

// plainAck reads the common form {"stream":"S","seq":N} without reflection. Any other form, an error's first of all, is not plain.
func plainAck(b []byte) (uint64, bool) {
	rest, ok := bytes.CutPrefix(b, []byte(`{"stream":"`))
	if !ok {
		return 0, false
	}
	_, rest, ok = bytes.Cut(rest, []byte(`","seq":`))
	if !ok {
		return 0, false
	}
	rest, ok = bytes.CutSuffix(bytes.TrimSpace(rest), []byte("}"))
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseUint(string(bytes.TrimSpace(rest)), 10, 64)
	return n, err == nil
}

// publishWait publishes and waits for the acknowledgement.
func (c *Conn) publishWait(ctx context.Context, m *nats.Msg) (uint64, error) {
	type result struct {
		seq uint64
		err error
	}
	heard := make(chan result, 1)
	c.pub.publish(m, func(seq uint64, err error) { heard <- result{seq, err} })
	select {
	case r := <-heard:
		return r.seq, r.err
	case <-ctx.Done():
		return 0, fmt.Errorf("%w: %w", ErrUnknown, ctx.Err())
	}
}
