package streams

import (
	"context"
	"sync"
)

// shared lets those who want the same thing share it: one is under way at a time, and those who come meanwhile share the next, which begins
// after they came.
type shared struct {
	mu      sync.Mutex
	running bool
	next    *sharing
}

type sharing struct {
	done chan struct{}
	err  error // set before done is closed
}

// share returns what do has returned when it was called after share was. Whose ctx ends waits no longer; do goes on for the others.
func (s *shared) share(ctx context.Context, do func() error) error {
	s.mu.Lock()
	if s.next == nil {
		s.next = &sharing{done: make(chan struct{})}
	}
	mine := s.next
	if !s.running {
		s.running = true
		go s.run(do) // ends when nobody waits any more
	}
	s.mu.Unlock()
	select {
	case <-mine.done:
		return mine.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *shared) run(do func() error) {
	for {
		s.mu.Lock()
		now := s.next
		s.next = nil
		s.running = now != nil
		s.mu.Unlock()
		if now == nil {
			return
		}
		now.err = do()
		close(now.done)
	}
}
