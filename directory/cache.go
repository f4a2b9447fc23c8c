package directory

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/whaleshark-im/whaleshark/chat"
)

// cache remembers what the directory said. It asks once for all who wait for the same key, and while the directory cannot tell it serves
// what it said last. It remembers at most size keys; which of them go when there are more is up to chance.
type cache[K comparable, V any] struct {
	ask     func(ctx context.Context, key K) (V, error)
	ttl     time.Duration
	timeout time.Duration
	size    int

	mu      sync.Mutex
	entries map[K]*entry[V]
}

// entry is an answer, or the question for one. Fields are guarded by the cache.
type entry[V any] struct {
	value   V
	err     error         // a chat.Error: it does not exist
	exists  bool          // value is an answer
	until   time.Time     // when to ask again
	pending chan struct{} // closed when the question that is under way is answered; nil: none is
	passed  bool          // the answer that is awaited may be from before the row changed
}

// missTTL is how long it is remembered that something does not exist, for it may be made at any moment, or that the directory cannot tell.
const missTTL = time.Second

var errDirectory = errors.New("the directory does not answer")

func newCache[K comparable, V any](cfg Config, ask func(context.Context, K) (V, error)) *cache[K, V] {
	return &cache[K, V]{ask: ask, ttl: cfg.TTL, timeout: cfg.Timeout, size: cfg.Size, entries: make(map[K]*entry[V])}
}

// get returns what the directory says of a key, or said while it cannot tell.
func (c *cache[K, V]) get(ctx context.Context, key K) (V, error) {
	for {
		e, mine := c.look(key, time.Now())
		switch {
		case e.pending == nil:
			return e.value, e.err
		case mine:
			c.fetch(ctx, key)
		default:
			select {
			case <-e.pending:
			case <-ctx.Done():
				return e.value, ctx.Err()
			}
		}
	}
}

// look returns the answer, with nothing pending, if there is one that holds; otherwise what to wait for, and whether it is the caller who
// must ask.
func (c *cache[K, V]) look(key K, now time.Time) (answer entry[V], mine bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.entries[key]
	if e == nil {
		c.makeRoom()
		e = &entry[V]{}
		c.entries[key] = e
	}
	if now.Before(e.until) {
		return entry[V]{value: e.value, err: e.err}, false
	}
	if mine = e.pending == nil; mine {
		e.pending = make(chan struct{})
	}
	return entry[V]{pending: e.pending}, mine
}

// makeRoom forgets a key, any, if there are too many; one that somebody waits for stays.
func (c *cache[K, V]) makeRoom() {
	if len(c.entries) < c.size {
		return
	}
	for key, e := range c.entries {
		if e.pending == nil {
			delete(c.entries, key)
			return
		}
	}
}

// fetch asks, and remembers the answer. If there is none, the last one holds on for a moment, so that not every caller waits in vain.
func (c *cache[K, V]) fetch(ctx context.Context, key K) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.timeout) // others wait for it, too
	defer cancel()
	value, err := c.ask(ctx, key)

	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.entries[key]
	_, missing := errors.AsType[chat.Error](err)
	switch now := time.Now(); {
	case err == nil:
		e.value, e.err, e.exists, e.until = value, nil, true, now.Add(c.ttl)
	case missing:
		e.value, e.err, e.exists, e.until = value, err, false, now.Add(missTTL)
	case e.exists:
		e.until = now.Add(missTTL)
	default:
		e.err, e.until = fmt.Errorf("%w: %w", errDirectory, err), now.Add(missTTL)
	}
	if e.passed {
		e.passed = false
		if err == nil || missing {
			e.until = time.Time{} // those who wait ask again
		}
	}
	close(e.pending)
	e.pending = nil
}

// forget lets the next one who asks for a key hear of it anew; while the directory cannot tell, what it said last is still served. The answer to
// a question that is under way counts for nobody: it may be from before.
func (c *cache[K, V]) forget(key K) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.entries[key]; e != nil {
		e.forget()
	}
}

func (c *cache[K, V]) forgetAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range c.entries {
		e.forget()
	}
}

func (e *entry[V]) forget() {
	e.until = time.Time{}
	e.passed = e.pending != nil
}
