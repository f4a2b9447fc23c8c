package edge

import "github.com/whaleshark-im/whaleshark/chat"

// lively is how long, in milliseconds, a reader expects another frame behind the last. It waits for that in place, which is quicker.
const lively = 1000

// rest ends the reader's goroutine, whose stack is most of what an idle connection would cost: bytes that come, or the end of the link, start
// another one. It returns false where the reader must go on: much comes here, something was read already, or nobody would wake it. After true
// the reader must not touch the connection any more: the next one may be at work.
func (c *conn) rest() bool {
	now := c.link.readAt.Load()
	last := c.heard
	c.heard = now
	if now-last < lively || !c.transport.idle() {
		return false
	}
	c.link.resting.Store(true)
	if c.edge.poller.watch(c.link.Conn, c.id) {
		return true
	}
	// Whoever has closed the link meanwhile may have seen that it rests, and have woken the next reader.
	return !c.link.resting.CompareAndSwap(true, false)
}

// rouse wakes a connection for which bytes have come.
func (e *Edge) rouse(id chat.SessionID) {
	if c := e.sessions.conn(id); c != nil {
		c.link.rouse()
	}
}
