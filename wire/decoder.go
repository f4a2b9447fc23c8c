package wire

import (
	"encoding/binary"
	"errors"
	"io"

	"github.com/whaleshark-im/whaleshark/chat"
)

// UpDecoder reads frames up from a byte stream: what a server does on TCP.
type UpDecoder struct {
	limits Limits
	in     buffer
}

// NewUpDecoder returns a decoder of the frames that come from r.
func NewUpDecoder(r io.Reader, limits Limits) *UpDecoder {
	return &UpDecoder{limits: limits.orDefault(), in: buffer{r: r}}
}

// Decode returns the next frame. Its IMEI and Body are valid until the next call. An error other than a [chat.Error] is the reader's:
// io.EOF between two frames, io.ErrUnexpectedEOF within one. After a [chat.Error] the stream cannot be trusted any more; the frame then
// holds what the header says.
func (d *UpDecoder) Decode() (Up, error) {
	b, err := d.in.peek(upHeader)
	if err != nil {
		return Up{}, err
	}
	f, imei, body, err := parseUp(b, d.limits)
	if err != nil {
		return f, err
	}
	if b, err = d.in.peek(upHeader + imei + body); err != nil {
		return Up{}, err
	}
	f.fill(b[upHeader:], imei, body)
	d.in.skip(len(b))
	return f, nil
}

// Idle reports whether nothing was read that was not returned, and then gives the buffer back until the next call of Decode.
func (d *UpDecoder) Idle() bool {
	if d.in.from != d.in.to {
		return false
	}
	d.in = buffer{r: d.in.r}
	return true
}

// DownDecoder reads frames down from a byte stream: what a client does on TCP.
type DownDecoder struct {
	limit int
	in    buffer
}

// NewDownDecoder returns a decoder of the frames that come from r, with bodies of at most limit bytes.
func NewDownDecoder(r io.Reader, limit int) *DownDecoder {
	return &DownDecoder{limit: limit, in: buffer{r: r}}
}

// Decode returns the next frame. Its Body is valid until the next call.
func (d *DownDecoder) Decode() (Down, error) {
	b, err := d.in.peek(downHeader)
	if err != nil {
		return Down{}, err
	}
	f, n, err := parseDown(b, d.limit)
	if err != nil {
		return f, err
	}
	if b, err = d.in.peek(downHeader + n); err != nil {
		return Down{}, err
	}
	f.Body = b[downHeader:]
	d.in.skip(len(b))
	return f, nil
}

// DecodeDown reads the frame down that a WebSocket message holds. Body points into b.
func DecodeDown(b []byte, limit int) (Down, error) {
	if len(b) < downHeader {
		return Down{}, chat.Errorf(chat.BadLength, "a frame needs %d bytes of header; %d came", downHeader, len(b))
	}
	f, n, err := parseDown(b, limit)
	if err != nil {
		return f, err
	}
	if rest := len(b) - downHeader; rest < n {
		return f, chat.Errorf(chat.BadLength, "the header promises %d bytes after it; %d came", n, rest)
	}
	f.Body = b[downHeader : downHeader+n]
	return f, nil
}

func parseDown(b []byte, limit int) (Down, int, error) {
	f := Down{Command: Command(binary.BigEndian.Uint32(b))} //nolint:gosec // bits, not a number
	n := int(int32(binary.BigEndian.Uint32(b[4:])))         //nolint:gosec // bits, not a number
	if n < 0 || n > limit {
		return f, 0, chat.Errorf(chat.BadLength, "the body has %d bytes; at most %d may be", n, limit)
	}
	return f, n, nil
}

// buffer holds what was read and not yet decoded. It costs an idle connection minBuffer bytes: it doubles only when it is full, so that a
// header's promise alone allocates nothing, and falls back when a few reads in a row would have fitted into the smallest one.
type buffer struct {
	r        io.Reader
	b        []byte
	from, to int // b[from:to] is unread
	small    int // how many reads in a row brought little
}

const (
	minBuffer  = 512
	maxBuffer  = 16 << 10 // beyond this only a frame that needs it makes the buffer grow
	smallReads = 4
)

// peek returns the next n bytes, reading until they are there.
func (b *buffer) peek(n int) ([]byte, error) {
	for b.to-b.from < n {
		if err := b.fill(n); err != nil {
			if errors.Is(err, io.EOF) && b.to > b.from {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
	return b.b[b.from : b.from+n], nil
}

func (b *buffer) skip(n int) { b.from += n }

// fill reads once, having made room. need is how many bytes the caller waits for.
func (b *buffer) fill(need int) error {
	if b.from == b.to {
		b.from, b.to = 0, 0
		b.shrink()
	}
	if b.to == len(b.b) || b.from+need > len(b.b) {
		b.compact()
	}
	if b.to == len(b.b) {
		b.resize(max(2*len(b.b), minBuffer))
	}
	n, err := b.r.Read(b.b[b.to:])
	b.to += n
	b.weigh(n)
	if n > 0 {
		return nil // an error comes again with the next read
	}
	if err == nil {
		return io.ErrNoProgress
	}
	return err
}

// weigh looks at what a read brought: one that filled the buffer asks for a larger one, for a busy peer is then read in fewer calls.
func (b *buffer) weigh(n int) {
	switch {
	case b.to == len(b.b) && len(b.b) < maxBuffer:
		b.small = 0
		b.resize(2 * len(b.b))
	case n < minBuffer/2:
		b.small++
	default:
		b.small = 0
	}
}

func (b *buffer) shrink() {
	if b.small >= smallReads && len(b.b) > minBuffer {
		b.small = 0
		b.resize(minBuffer)
	}
}

func (b *buffer) compact() {
	if b.from == 0 {
		return
	}
	b.to = copy(b.b, b.b[b.from:b.to])
	b.from = 0
}

func (b *buffer) resize(n int) {
	next := make([]byte, n)
	b.to = copy(next, b.b[b.from:b.to])
	b.b, b.from = next, 0
}
