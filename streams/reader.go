package streams

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// inbox is a bounded queue between a reader's callback and the loop that empties it: the callback waits when it is full, which in
// turn stops the broker from sending more.
type inbox[T any] struct {
	mu    sync.Mutex
	space *sync.Cond
	items []T
	limit int
	ended bool

	ready chan struct{} // has room for one: something is there
}

func newInbox[T any](limit int) *inbox[T] {
	q := &inbox[T]{limit: limit, ready: make(chan struct{}, 1)}
	q.space = sync.NewCond(&q.mu)
	return q
}

func (q *inbox[T]) put(x T) {
	q.mu.Lock()
	for len(q.items) >= q.limit && !q.ended {
		q.space.Wait()
	}
	if !q.ended {
		q.items = append(q.items, x)
	}
	q.mu.Unlock()
	q.signal()
}

// offer puts x in if there is room, and reports whether there was.
func (q *inbox[T]) offer(x T) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.items) >= q.limit || q.ended {
		return false
	}
	q.items = append(q.items, x)
	q.signal()
	return true
}

func (q *inbox[T]) signal() {
	select {
	case q.ready <- struct{}{}:
	default:
	}
}

// take returns up to limit items.
func (q *inbox[T]) take(limit int) []T {
	q.mu.Lock()
	defer q.mu.Unlock()
	items := q.items
	if len(items) > limit {
		items, q.items = items[:limit:limit], items[limit:]
		q.signal()
	} else {
		q.items = nil
	}
	q.space.Broadcast()
	return items
}

// end lets everybody go who waits in put.
func (q *inbox[T]) end() {
	q.mu.Lock()
	q.ended = true
	q.mu.Unlock()
	q.space.Broadcast()
}

// Reader yields what one ordered consumer reads, in order and without a gap.
type Reader[T any] struct {
	in *inbox[T]
	cc jetstream.ConsumeContext
}

// Ready yields when there is something to take.
func (r *Reader[T]) Ready() <-chan struct{} { return r.in.ready }

// Take returns what has come, limit items at most; none if nothing has.
func (r *Reader[T]) Take(limit int) []T { return r.in.take(limit) }

// Close ends the consumer.
func (r *Reader[T]) Close() {
	r.in.end()
	r.cc.Stop()
}

var errPast = errors.New("its generation has ended")

// How many messages may wait for their loop. A block may be large, so few of them wait.
const (
	readerInbox = 4096
	logInbox    = 256
)

// read opens an ordered consumer within a generation, which the position that it starts at belongs to: nothing comes after its end. The
// reader holds limit messages. What decode does not want (false) is passed over.
func read[T any](
	ctx context.Context, c *Conn, g *Generation, stream, what string, limit int, cfg jetstream.OrderedConsumerConfig, decode func(jetstream.Msg) (T, bool),
) (*Reader[T], error) {
	return readEach(ctx, c, g, stream, what, limit, cfg, func(m jetstream.Msg, put func(T)) {
		if x, ok := decode(m); ok {
			put(x)
		}
	})
}

// readEach is read for messages that hold several things.
func readEach[T any](
	ctx context.Context, c *Conn, g *Generation, stream, what string, limit int, cfg jetstream.OrderedConsumerConfig, decode func(jetstream.Msg, func(T)),
) (*Reader[T], error) {
	if !c.present(g) {
		return nil, fmt.Errorf("read %s: %w", what, errPast)
	}
	cfg.InactiveThreshold = 10 * time.Second
	ctx, cancel := context.WithTimeout(ctx, requestPatience)
	defer cancel()
	consumer, err := c.js.OrderedConsumer(ctx, stream, cfg)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", what, err)
	}
	r := &Reader[T]{in: newInbox[T](limit)}
	put := r.in.put
	r.cc, err = consumer.Consume(func(m jetstream.Msg) {
		if c.present(g) {
			decode(m, put)
		}
	}, jetstream.PullHeartbeat(time.Second), jetstream.PullExpiry(10*time.Second), jetstream.PullMaxMessages(min(limit, 1000)))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", what, err)
	}
	return r, nil
}

// from is the delivery policy "all after a sequence".
func from(after uint64) (jetstream.DeliverPolicy, uint64) {
	return jetstream.DeliverByStartSequencePolicy, after + 1
}
