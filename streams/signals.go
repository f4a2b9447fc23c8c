package streams

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/whaleshark-im/whaleshark/chat"
)

// signalPause is how long signals of a partition wait for others at most, once one was sent. They are told to people; what it saves is a
// publish, a delivery and a wake-up each.
const signalPause = 2 * time.Millisecond

// signalBytes is how large a parcel of signals grows before it is sent in any case.
const signalBytes = 64 << 10

// flags is what a process has to signal to the fan-out of a partition: the first at once, and what comes within the pause together at its end.
type flags struct {
	nc      *nats.Conn
	subject string

	mu      sync.Mutex
	parcel  []byte
	scratch []byte
	last    time.Time // when one was sent
	waiting bool      // the end of the pause will send what there is
}

var errAway = errors.New("the broker is away")

func (f *flags) put(s *chat.Signal) error {
	if !f.nc.IsConnected() {
		return errAway
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.scratch = chat.AppendSignal(f.scratch[:0], s)
	f.parcel = chat.AppendParcel(f.parcel, f.scratch)
	if rest := signalPause - time.Since(f.last); rest > 0 && len(f.parcel) < signalBytes {
		if !f.waiting {
			f.waiting = true
			time.AfterFunc(rest, f.send)
		}
		return nil
	}
	return f.flush()
}

func (f *flags) send() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.waiting = false
	_ = f.flush() // signals may be lost
}

func (f *flags) flush() error {
	if len(f.parcel) == 0 {
		return nil
	}
	f.last = time.Now()
	err := f.nc.Publish(f.subject, f.parcel) // which copies it
	f.parcel = f.parcel[:0]
	return err
}

// Signal sends a signal to the fan-out of its conversation's partition. It may be lost.
func (c *Conn) Signal(s *chat.Signal) error {
	if err := c.flags[s.Conversation.Partition(c.partitions)].put(s); err != nil {
		return fmt.Errorf("signal: %w", err)
	}
	return nil
}

// Signals are the signals of a partition, for its fan-out.
type Signals struct {
	in  *inbox[*chat.Signal]
	sub *nats.Subscription
}

// ReadSignals listens to a partition's signals. Those that come faster than they are taken are dropped, and counted by dropped.
func (c *Conn) ReadSignals(p chat.Partition, dropped func()) (*Signals, error) {
	s := &Signals{in: newInbox[*chat.Signal](readerInbox * 4)}
	var err error
	s.sub, err = c.nc.Subscribe(signalSubject(p), func(m *nats.Msg) {
		things, err := chat.DecodeParcel(m.Data)
		if err != nil {
			dropped()
		}
		for _, b := range things {
			if x, err := chat.DecodeSignal(b); err != nil || !s.in.offer(x) {
				dropped()
			}
		}
	})
	if err != nil {
		return nil, fmt.Errorf("listen to signals of partition %d: %w", p, err)
	}
	return s, nil
}

// Ready yields when there is something to take.
func (s *Signals) Ready() <-chan struct{} { return s.in.ready }

// Take returns what has come.
func (s *Signals) Take(limit int) []*chat.Signal { return s.in.take(limit) }

// Close stops listening.
func (s *Signals) Close() { _ = s.sub.Unsubscribe() }
