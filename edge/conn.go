package edge

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/wire"
)

// conn is one client's connection. Its goroutines are the one that reads, which runs it and is not there while the connection rests, and those
// that it starts in writers: one that writes while frames wait, and for a WebSocket now and then one that waits for a pong.
type conn struct {
	// Set once, read by anyone.
	edge      *Edge
	id        chat.SessionID
	link      *link
	transport transport
	opened    int64  // Unix milliseconds
	leave     func() // ends the session; again, it does nothing: see depart

	// For anyone; each looks after itself.
	out      queue
	writers  sync.WaitGroup
	protocol atomic.Int32 // what the client speaks, as far as it is known
	phase    atomic.Int32
	pinged   atomic.Bool  // a ping ever came
	pinging  atomic.Bool  // a WebSocket ping is under way
	endAt    atomic.Int64 // Unix milliseconds since when it is ending; 0: it is not
	kickedAt atomic.Int64 // Unix milliseconds since when another login has ended the session; 0: none has

	// Whoever writes or removes the route.
	posting sync.Mutex
	posted  bool // the route is in the streams, or may be

	statuses atomic.Int32 // how many were set since a write of the route began; 0: none is under way

	// Owned by the reader.
	session session
	heard   int64 // Unix milliseconds when the frame before came

	// Written in the table, under its lock; the device never changes once frames can come.
	route  chat.Route
	policy chat.LoginPolicy // that held at the login
}

// The phases of a connection, for those who watch it.
const (
	greeting int32 = iota // no login frame yet
	entering              // a login is under way
	present               // logged in
)

// run serves the connection until it rests, from which it is woken to run again, or is gone.
func (c *conn) run(ctx context.Context) {
	if c.read(ctx) {
		return
	}
	defer c.edge.running.Done()
	c.out.close()
	_ = c.link.Close() // a writer that is stuck ends with it
	c.writers.Wait()
	c.transport.close()
	c.leave()
	c.edge.sessions.remove(c)
}

// read takes frames until the connection rests, or it ends, and then reads on until the other side is gone.
func (c *conn) read(ctx context.Context) (rests bool) {
	for {
		f, err := c.transport.read()
		_, broken := errors.AsType[chat.Error](err)
		switch {
		case err != nil && !broken:
			if c.endAt.CompareAndSwap(0, time.Now().UnixMilli()) {
				c.edge.metrics.close(reasonGone)
			}
			return false
		case c.endAt.Load() != 0:
			c.transport.discard()
			return false
		case broken:
			c.do(ctx, &f, c.session.broken(&f, err))
			c.transport.discard()
			return false
		}
		c.take(ctx, &f)
		if c.rest() {
			return true
		}
	}
}

// take carries one frame out.
func (c *conn) take(ctx context.Context, f *wire.Up) {
	c.edge.metrics.in(f.Command)
	if f.Command == wire.Ping {
		c.pinged.Store(true)
	}
	if c.kicked() && f.Command != wire.Logout {
		c.do(ctx, f, c.session.refuse(f, chat.Error{Code: chat.Kicked}))
		return
	}
	c.do(ctx, f, c.session.take(f, time.Now()))
}

// do carries out what a frame leads to.
func (c *conn) do(ctx context.Context, f *wire.Up, st step) {
	c.protocol.Store(c.session.protocol)
	c.out.protobuf.Store(c.session.protobuf)
	switch {
	case st.dropped != "":
		c.edge.metrics.drop(st.dropped, 1)
	case st.refused != 0:
		c.edge.metrics.refuse(st.refused)
	}
	if st.answer.command != 0 {
		c.send(st.answer)
	}
	switch {
	case st.login != nil:
		c.enter(ctx, st.login)
	case st.request != nil:
		c.submit(st.request)
	case st.signal != nil:
		c.signal(ctx, f, st.signal)
	case st.status != nil:
		c.setStatus(ctx, st.status)
	case st.query != nil:
		c.answer(ctx, st.query)
	case st.watch != nil:
		c.watch(st.watch)
	case st.end != nil:
		c.end(*st.end)
	}
}

// submit hands a request on. What becomes of it is told by the fan-out, but if it certainly never got there it is refused at once; if
// nobody knows, nobody says anything, and the client sends it again.
func (c *conn) submit(q *chat.Request) {
	c.edge.streams.Submit(q, func(err error) {
		if err == nil {
			return
		}
		e, definite := errors.AsType[chat.Error](err)
		if !definite {
			c.edge.metrics.drop(dropUnknown, 1)
			return
		}
		st := refusalOf(q, e).step(c.protocol.Load())
		if st.dropped != "" {
			c.edge.metrics.drop(st.dropped, 1)
			return
		}
		c.edge.metrics.refuse(st.refused)
		c.send(st.answer)
	})
}

func (c *conn) signal(ctx context.Context, f *wire.Up, s *chat.Signal) {
	err := c.edge.streams.Signal(s)
	if err == nil {
		return
	}
	if s.Kind == chat.Typing { // it is over before it could be sent again
		c.edge.metrics.drop(dropTyping, 1)
		return
	}
	if _, ok := errors.AsType[chat.Error](err); !ok {
		c.edge.cfg.Log.DebugContext(ctx, "receipt was not sent", "device", s.From, "err", err)
		err = chat.Error{Code: chat.Unavailable}
	}
	c.do(ctx, f, c.session.refuse(f, err))
}

// send queues a frame for the client. It never blocks. A client for whom too much waits already is slow, and is sent away.
func (c *conn) send(f frame) {
	switch c.out.put(f, c.startWrite) {
	case taken:
	case ended:
		c.edge.metrics.drop(dropEnding, 1)
	case known:
		c.edge.metrics.drop(dropResumed, 1)
	case full:
		c.edge.metrics.drop(chat.SlowConsumer.String(), 1)
		c.end(because(chat.SlowConsumer))
	}
}

// startWrite starts the goroutine that writes; it ends when the queue is empty. The queue starts one at a time, and none after its close.
func (c *conn) startWrite() { c.writers.Go(c.write) }

func (c *conn) write() {
	var batch []frame
	for {
		var end *ending
		if batch, end = c.out.take(batch); batch == nil {
			if end != nil {
				c.goodbye(end)
			}
			return
		}
		untold, err := c.transport.write(batch, &c.route.Device)
		c.edge.metrics.drop(dropUntold, untold)
		if err != nil {
			c.edge.metrics.drop(dropWrite, len(batch))
			c.out.close()
			_ = c.link.Close() // the reader sees it, and ends the connection
			return
		}
		c.edge.metrics.out(batch)
	}
}

// goodbye says the last word and ends the session: now, not when the other side is gone, for nothing is delivered to a session that is
// ending. A login that is under way may write its route later; then the reader ends it.
func (c *conn) goodbye(e *ending) {
	c.transport.goodbye(e)
	if c.phase.Load() == present {
		c.leave()
	}
}

// end ends the connection; the first reason stands.
func (c *conn) end(e ending) {
	if !c.endAt.CompareAndSwap(0, time.Now().UnixMilli()) {
		return
	}
	c.edge.metrics.close(e.reason)
	word := e.lastWord(c.protocol.Load(), c.phase.Load())
	dropped := c.out.finish(&e, word, e.code == chat.SlowConsumer, c.startWrite)
	c.edge.metrics.drop(e.reason, dropped)
}
