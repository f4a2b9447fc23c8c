package edge

import (
	"context"
	"io"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/wire"
)

// transport is what differs between TCP and WebSocket.
type transport interface {
	// read returns the next frame; its bytes are valid until the next read. After an error only discard may follow.
	read() (wire.Up, error)
	// idle reports whether nothing was read that read has not returned, and then gives back what only a read needs.
	idle() bool
	// discard reads on, for nothing, until the other side is gone.
	discard()
	// write writes the frames in as few writes as it can. untold of them were not written, for the client's encoding has no words for them.
	write(frames []frame, to *chat.Device) (untold int, err error)
	// goodbye tells the other side that nothing more comes, and why.
	goodbye(e *ending)
	// ping asks for a sign of life and waits for it. A transport that cannot (pings says so) is never asked.
	ping(ctx context.Context) error
	pings() bool
	// close gives everything back; the link is closed.
	close()
}

// tcp is a transport whose frames follow each other in a stream.
type tcp struct {
	link    *link
	decoder *wire.UpDecoder
}

func newTCP(l *link, limits wire.Limits) *tcp {
	return &tcp{link: l, decoder: wire.NewUpDecoder(l, limits)}
}

func (t *tcp) read() (wire.Up, error) { return t.decoder.Decode() }

func (t *tcp) idle() bool { return t.decoder.Idle() }

func (t *tcp) discard() { _, _ = io.Copy(io.Discard, t.link) }

func (t *tcp) write(frames []frame, _ *chat.Device) (untold int, err error) {
	buffer := buffers.Get().(*[]byte)
	b := (*buffer)[:0]
	for i := range frames {
		var unknown error
		if b, unknown = frames[i].appendTCP(b); unknown != nil {
			untold++
		}
		if last := i == len(frames)-1; len(b) >= writeSize || last && len(b) > 0 {
			if _, err = t.link.Write(b); err != nil {
				break
			}
			b = b[:0]
		}
	}
	putBuffer(buffer, b)
	return untold, err
}

func (t *tcp) goodbye(*ending) { t.link.closeWrite() }

func (t *tcp) ping(context.Context) error { return nil }

func (t *tcp) pings() bool { return false }

func (t *tcp) close() {}
