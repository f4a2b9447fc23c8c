package edge

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// link is a connection's socket. It knows when bytes last came and since when a write lasts, which is how the sweeper sees life, and it can
// gather writes, so that a batch of frames is one write whatever the layer above it does.
type link struct {
	net.Conn
	wake    func()       // starts the reader of a connection that rests
	resting atomic.Bool  // see rest
	readAt  atomic.Int64 // Unix milliseconds
	writeAt atomic.Int64 // Unix milliseconds; 0: no write lasts

	mu     sync.Mutex
	corked bool
	batch  []byte // gathered since cork
}

func newLink(c net.Conn) *link {
	l := &link{Conn: c}
	l.readAt.Store(time.Now().UnixMilli())
	return l
}

func (l *link) Read(p []byte) (int, error) {
	n, err := l.Conn.Read(p)
	if n > 0 {
		l.readAt.Store(time.Now().UnixMilli())
	}
	return n, err
}

// Write writes, or gathers while the link is corked.
func (l *link) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.corked {
		l.batch = append(l.batch, p...)
		return len(p), nil
	}
	return l.write(p)
}

func (l *link) write(p []byte) (int, error) {
	l.writeAt.Store(time.Now().UnixMilli())
	defer l.writeAt.Store(0)
	return l.Conn.Write(p)
}

// cork gathers what is written from now on in buffer.
func (l *link) cork(buffer []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.corked, l.batch = true, buffer[:0]
}

// flush writes what was gathered if it is enough for a write, and goes on gathering.
func (l *link) flush() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.batch) < writeSize {
		return nil
	}
	_, err := l.write(l.batch)
	l.batch = l.batch[:0]
	return err
}

// uncork writes what was gathered, and returns the buffer for the next one.
func (l *link) uncork() ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	buffer := l.batch
	l.corked, l.batch = false, nil
	if len(buffer) == 0 {
		return buffer, nil
	}
	_, err := l.write(buffer)
	return buffer, err
}

// Close closes the socket, and wakes a reader that rests: it sees that, and ends the connection.
func (l *link) Close() error {
	err := l.Conn.Close()
	l.rouse()
	return err
}

// rouse wakes the reader if it rests.
func (l *link) rouse() {
	if l.resting.CompareAndSwap(true, false) {
		l.wake()
	}
}

// closeWrite tells the other side that nothing more comes; it can still be read from.
func (l *link) closeWrite() {
	if c, ok := l.Conn.(interface{ CloseWrite() error }); ok {
		_ = c.CloseWrite() // the connection ends anyway
		return
	}
	_ = l.Close()
}

// Writes are gathered in buffers of this size, a little more than what one write takes.
const (
	writeSize  = 32 << 10
	bufferSize = 4 << 10
)

var buffers = sync.Pool{New: func() any { b := make([]byte, 0, bufferSize); return &b }}

// putBuffer gives a buffer back, unless a giant made it grow.
func putBuffer(b *[]byte, used []byte) {
	if cap(used) <= 2*writeSize {
		*b = used[:0]
		buffers.Put(b)
	}
}
