package edge

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/wire"
)

// frame is one frame down, not yet spelled for a transport. Frames of many connections share one payload, which nobody changes.
type frame struct {
	command wire.Command
	payload []byte
	local   bool // an answer of this edge, which carries no address

	protobuf bool          // the client is to get the payload as protobuf; set when it is queued
	message  *message      // that protobuf, for all who get it; nil: one client does
	revision chat.Revision // of the block that it tells of; 0: of none
}

// local is an answer of this edge.
func local(c wire.Command, payload []byte) frame {
	return frame{command: c, payload: payload, local: true}
}

// size is what a frame counts in a queue, in bytes: its payload, and about what is wrapped around it.
func (f frame) size() int { return len(f.payload) + 64 }

// queue holds the frames that wait for a client, bounded in frames and bytes. What is being written counts until it is written.
// The goroutine that writes exists only while frames wait: put tells when to start it, take when to end it.
type queue struct {
	maxFrames, maxBytes int

	protobuf atomic.Bool // the client speaks it; set by the reader

	mu                      sync.Mutex
	waiting                 []frame
	frames                  int           // waiting and being written
	bytes                   int           // of those
	spareFrames, spareBytes int           // the bounds are wider by this until the queue is empty: see resume
	held                    bool          // a login is being answered: what arrives waits behind the answer
	resumed                 chat.Revision // up to here the login was told of all records: see resume
	writing                 bool          // a writer runs
	end                     *ending       // set once: nothing more is taken
	room                    chan struct{} // what the reader waits for in await; nil: it does not
	closed                  bool          // the connection is gone: no writer starts any more
}

// verdict is what became of a frame that was put.
type verdict int

const (
	taken verdict = iota
	full          // not taken: the client is slow
	ended         // not taken: the connection is ending
	known         // not taken: the login was told of it when it resumed
)

// put queues a frame. If no writer runs, it calls start, which must not block.
func (q *queue) put(f frame, start func()) verdict {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.end != nil || q.closed:
		return ended
	case q.knows(f):
		return known
	case q.frames > 0 && (q.frames >= q.maxFrames+q.spareFrames || q.bytes+f.size() > q.maxBytes+q.spareBytes):
		return full
	}
	q.push(f)
	q.wake(start)
	return taken
}

// knows reports whether a frame tells again of a record that the login was told of. Such frames come for as long as the fan-out is behind
// the revision up to which the login was told.
func (q *queue) knows(f frame) bool { return f.revision != 0 && f.revision <= q.resumed && f.tells() }

func (q *queue) push(f frame) {
	f.protobuf = q.protobuf.Load()
	q.waiting = append(q.waiting, f)
	q.frames++
	q.bytes += f.size()
}

func (q *queue) wake(start func()) {
	if !q.writing && !q.held && !q.closed {
		q.writing = true
		start()
	}
}

// hold lets frames wait until resume.
func (q *queue) hold() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.held = true
}

// finish ends the queue with a last frame (command 0: none), and returns how many frames it dropped: what waits is dropped if it waits
// for a login that is now refused, or if all says so.
func (q *queue) finish(e *ending, word frame, all bool, start func()) (dropped int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.end = e
	q.stir()
	if all || q.held {
		dropped = len(q.waiting)
		for _, f := range q.waiting {
			q.pop(f)
		}
		q.waiting = nil
	}
	if word.command != 0 {
		q.push(word)
	}
	q.held = false
	q.wake(start)
	return dropped
}

func (q *queue) pop(f frame) {
	q.frames--
	q.bytes -= f.size()
}

// take moves what waits to the writer, who gives back the slice of the last batch. Without a batch the writer must end; if there is
// an ending it says it to the client first.
func (q *queue) take(last []frame) ([]frame, *ending) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, f := range last {
		q.pop(f)
	}
	q.stir()
	switch {
	case q.closed:
		return nil, nil
	case len(q.waiting) == 0:
		q.writing = q.end != nil // a writer that says the ending is the last one
		q.waiting = nil          // an idle connection has no slice
		q.spareFrames, q.spareBytes = 0, 0
		return nil, q.end
	}
	batch := q.waiting
	clear(last)
	q.waiting = last[:0]
	return batch, nil
}

// await waits until there is room for so many bytes, with some left for what comes beside them, or nothing waits at all. It returns false if the
// queue or ctx ends before: a client that takes nothing is found out by the write to it that lasts. Only the reader may call it.
func (q *queue) await(ctx context.Context, size int) bool {
	for {
		q.mu.Lock()
		if q.end != nil || q.closed {
			q.mu.Unlock()
			return false
		}
		if q.frames == 0 || q.frames <= q.maxFrames/2 && q.bytes+size <= q.maxBytes/4*3 {
			q.mu.Unlock()
			return true
		}
		if q.room == nil {
			q.room = make(chan struct{})
		}
		room := q.room
		q.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
			return false
		}
	}
}

// stir lets the one who awaits room look again.
func (q *queue) stir() {
	if q.room != nil {
		close(q.room)
		q.room = nil
	}
}

// close forgets what waits. No goroutine starts afterwards.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.waiting = nil
	q.stir()
}

// unlessClosed calls start, which starts a goroutine, if that may be; close waits for it.
func (q *queue) unlessClosed(start func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.closed {
		start()
	}
}
