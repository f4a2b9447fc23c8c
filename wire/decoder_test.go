package wire

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/whaleshark-im/whaleshark/chat"
)

func wantCode(t *testing.T, what string, err error, want chat.Code) {
	t.Helper()
	var e chat.Error
	if !errors.As(err, &e) || e.Code != want {
		t.Errorf("%s: got error %v; want code %v", what, err, want)
	}
}

// frames are as a client may send them in a row: small, padded, without a body, and as large as may be.
func frames() []Up {
	return []Up{
		{Command: Login, Version: 1, ClientType: chat.Web, App: 10001, IMEI: []byte("web"), Body: []byte(`{"userId":"lld"}`)},
		{Command: Ping, Version: 3, IMEI: []byte{}, Body: []byte{}},
		{Command: Send, Version: 2, ClientType: chat.Mac, App: -1, IMEI: bytes.Repeat([]byte("i"), 256), Body: bytes.Repeat([]byte("b"), 64<<10)},
		{Command: Receive, Version: -7, IMEI: []byte("phone"), Body: []byte(`{"toId":"a"}`)},
	}
}

func stream(fs []Up) []byte {
	var b []byte
	for i := range fs {
		b = AppendUp(b, &fs[i])
	}
	return b
}

func decodeAll(t *testing.T, r io.Reader) []Up {
	t.Helper()
	d := NewUpDecoder(r, DefaultLimits)
	var got []Up
	for {
		f, err := d.Decode()
		if errors.Is(err, io.EOF) {
			return got
		}
		if err != nil {
			t.Fatalf("frame %d: %v", len(got), err)
		}
		f.IMEI, f.Body = bytes.Clone(f.IMEI), bytes.Clone(f.Body)
		got = append(got, f)
	}
}

func TestStreamIsReadHoweverItIsCut(t *testing.T) {
	want := frames()
	in := stream(append(want, want...))
	for name, r := range map[string]io.Reader{
		"all at once":       bytes.NewReader(in),
		"a byte at a time":  iotest.OneByteReader(bytes.NewReader(in)),
		"half of what fits": iotest.HalfReader(bytes.NewReader(in)),
		"data with the end": iotest.DataErrReader(bytes.NewReader(in)),
	} {
		if got := decodeAll(t, r); !reflect.DeepEqual(got, append(want, want...)) {
			t.Errorf("%s (-want +got):\n%s", name, cmp.Diff(append(want, want...), got))
		}
	}
}

func TestStreamThatEndsWithinAFrame(t *testing.T) {
	in := stream(frames()[:1])
	for n := 1; n < len(in); n++ {
		if _, err := NewUpDecoder(bytes.NewReader(in[:n]), DefaultLimits).Decode(); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("after %d of %d bytes: %v; want an unexpected end", n, len(in), err)
		}
	}
}

func TestTrailingNULsAreCutOff(t *testing.T) {
	padded := AppendUp(nil, &Up{Command: Ping, IMEI: []byte("web\x00\x00"), Body: []byte("{\"a\":\"é\"}\x00")})
	for name, decode := range map[string]func() (Up, error){
		"TCP":       NewUpDecoder(bytes.NewReader(padded), DefaultLimits).Decode,
		"WebSocket": func() (Up, error) { return DecodeUp(padded, DefaultLimits) },
	} {
		f, err := decode()
		if err != nil || string(f.IMEI) != "web" || string(f.Body) != `{"a":"é"}` {
			t.Errorf("%s: imei %q, body %q, %v", name, f.IMEI, f.Body, err)
		}
	}
}

func TestBadLengths(t *testing.T) {
	header := func(imei, body int32) []byte {
		b := AppendUp(nil, &Up{Command: Send, Version: 3})
		for i, x := range []int32{imei, body} {
			for j := range 4 {
				b[20+4*i+j] = byte(x >> (24 - 8*j))
			}
		}
		return append(b, make([]byte, 100)...)
	}
	for name, b := range map[string][]byte{
		"negative imei": header(-1, 2),
		"negative body": header(3, -2147483648),
		"long imei":     header(257, 2),
		"long body":     header(3, 64<<10+1),
		"huge body":     header(3, 2147483647),
	} {
		f, err := NewUpDecoder(bytes.NewReader(b), DefaultLimits).Decode()
		wantCode(t, name+" on TCP", err, chat.BadLength)
		if f.Command != Send || f.Version != 3 {
			t.Errorf("%s on TCP: the header is %+v; want what was sent", name, f)
		}
		f, err = DecodeUp(b, DefaultLimits)
		wantCode(t, name+" on WebSocket", err, chat.BadLength)
		if f.Command != Send || f.Version != 3 {
			t.Errorf("%s on WebSocket: the header is %+v; want what was sent", name, f)
		}
	}
	_, err := DecodeUp(header(3, 200), DefaultLimits)
	wantCode(t, "a WebSocket message that ends early", err, chat.BadLength)
	_, err = DecodeUp(make([]byte, 27), DefaultLimits)
	wantCode(t, "a WebSocket message without a whole header", err, chat.BadLength)
}

func TestBytesAfterTheFrameOfAMessageAreIgnored(t *testing.T) {
	want := frames()[0]
	got, err := DecodeUp(append(AppendUp(nil, &want), "rest"...), DefaultLimits)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAPromiseAllocatesNothing(t *testing.T) {
	promise := AppendUp(nil, &Up{Command: Send, Body: make([]byte, 64<<10)})[:upHeader]
	d := NewUpDecoder(bytes.NewReader(promise), DefaultLimits)
	if _, err := d.Decode(); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatal(err)
	}
	if got := len(d.in.b); got != minBuffer {
		t.Errorf("the buffer has %d bytes after a header that promises 64 KiB; want %d", got, minBuffer)
	}
}

// idle yields single small frames, as a client does that only pings.
type idle struct{ frame []byte }

func (i idle) Read(p []byte) (int, error) { return copy(p, i.frame), nil }

func TestBufferFallsBackWhenABusyPeerFallsIdle(t *testing.T) {
	busy := stream(frames())
	d := NewUpDecoder(io.MultiReader(bytes.NewReader(busy), idle{AppendUp(nil, &frames()[1])}), DefaultLimits)
	most := 0
	for range 100 {
		if _, err := d.Decode(); err != nil {
			t.Fatal(err)
		}
		most = max(most, len(d.in.b))
	}
	if most < 64<<10 || most > 256<<10 {
		t.Errorf("the buffer grew to %d bytes for a frame of 64 KiB", most)
	}
	if got := len(d.in.b); got != minBuffer {
		t.Errorf("the buffer of an idle peer has %d bytes; want %d", got, minBuffer)
	}
}

func TestDownDecoder(t *testing.T) {
	var in []byte
	for _, d := range downs {
		in = AppendDown(in, d.command, d.payload)
	}
	dec := NewDownDecoder(iotest.HalfReader(bytes.NewReader(in)), 1<<10)
	for _, d := range downs {
		f, err := dec.Decode()
		if err != nil || f.Command != d.command {
			t.Fatalf("%s: %v, %v", d.name, f.Command, err)
		}
	}
	if _, err := dec.Decode(); !errors.Is(err, io.EOF) {
		t.Errorf("after the last frame: %v; want EOF", err)
	}
	_, err := NewDownDecoder(bytes.NewReader(AppendDown(nil, Ping, make([]byte, 11))), 10).Decode()
	wantCode(t, "a body above the limit", err, chat.BadLength)
}

func FuzzUpDecoder(f *testing.F) {
	for _, o := range originals {
		f.Add(readGolden(f, o.name))
	}
	f.Add(stream(frames()[:2]))
	f.Fuzz(func(t *testing.T, in []byte) {
		d := NewUpDecoder(bytes.NewReader(in), DefaultLimits)
		for read := 0; ; {
			frame, err := d.Decode()
			if err != nil {
				var e chat.Error
				if !errors.As(err, &e) && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Fatalf("noise yields %v", err)
				}
				break
			}
			message, err := DecodeUp(in[read:], DefaultLimits)
			if err != nil {
				t.Fatalf("TCP reads a frame; WebSocket says %v", err)
			}
			if diff := cmp.Diff(frame, message); diff != "" {
				t.Fatalf("TCP and WebSocket differ:\n%s", diff)
			}
			again, err := DecodeUp(AppendUp(nil, &frame), DefaultLimits)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(frame, again); diff != "" {
				t.Fatalf("written and read again:\n%s", diff)
			}
			read = len(in) - d.in.r.(*bytes.Reader).Len() - (d.in.to - d.in.from)
		}
	})
}
