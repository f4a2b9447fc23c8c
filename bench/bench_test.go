package bench

import (
	"encoding/binary"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/wire"
)

// What is scanned must be what is written.
func TestScan(t *testing.T) {
	id := string(appendID(nil, "run", 12, 345))
	from := chat.Device{App: 10001, User: "u1", Client: chat.Web, IMEI: "bench"}
	m := wire.Message{MessageID: id, To: "u2", Body: strings.Repeat("x", 1000), MessageTime: 1}
	placed := wire.AppendPlaced(nil, &wire.Placed{Message: m, From: from, Place: 5120, Seq: 7})
	acked := wire.AppendAck(nil, &wire.Ack{Code: chat.OK, MessageID: id, Seq: 8})
	for what, b := range map[string][]byte{
		"message": placed, "ack": acked,
		"message in an envelope": wire.AppendEnvelope(nil, wire.Send, placed, &from)[8:],
		"ack in an envelope":     wire.AppendEnvelope(nil, wire.SendAck, acked, &from)[8:],
	} {
		sender, n, ours := parseID(text(b, fieldMessageID), "run")
		if !ours || sender != 12 || n != 345 {
			t.Errorf("%s: sender %d, message %d, %v", what, sender, n, ours)
		}
		if seq := seqOf(b); seq != 7 && seq != 8 {
			t.Errorf("%s: seq %d", what, seq)
		}
	}
	if place := lastNumber(placed, fieldKey); place != 5120 {
		t.Errorf("the place is %d", place)
	}
	if code := number(wire.AppendAck(nil, &wire.Ack{Code: chat.NotMember, MessageID: id}), fieldCode); code != int64(chat.NotMember) {
		t.Errorf("the code is %d", code)
	}
	for _, foreign := range []string{"", "run", "ru.1.2", "runs.1.2", "run.1", "m1"} {
		if _, _, ours := parseID([]byte(foreign), "run"); ours {
			t.Errorf("%q is taken for one of ours", foreign)
		}
	}
}

func TestWordingIsAMessage(t *testing.T) {
	w := wordingOf(wire.Message{To: "u2", Body: "hello"})
	m, err := wire.ParseMessage(append(appendID(slices.Clip(w.head), "run", 1, 2), w.tail...))
	m.MessageTime = 0
	if diff := cmp.Diff(wire.Message{MessageID: "run.1.2", To: "u2", Body: "hello", First: true}, m); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

// pipe returns a connection and its far end.
func pipe(t *testing.T, ws bool) (*conn, net.Conn) {
	t.Helper()
	near, far := net.Pipe()
	t.Cleanup(func() { _, _ = near.Close(), far.Close() })
	return &conn{socket: &socket{Conn: near, ws: ws, b: make([]byte, 64)}, device: chat.Device{App: 1, Client: chat.Web}}, far
}

// heard reads frames until some number of them has come.
func heard(t *testing.T, c *conn, n int) (all []string) {
	t.Helper()
	for len(all) < n {
		if err := c.read(func(f wire.Down) { all = append(all, f.Command.String()+" "+string(f.Body)) }); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func TestFramesThatComeInPieces(t *testing.T) {
	long := strings.Repeat("x", 200)
	tcp := wire.AppendDown(wire.AppendDown(nil, wire.Send, []byte(long)), wire.Ping, []byte("{}"))
	message := func(op byte, payload []byte) []byte { // as a server writes it: without a mask
		b := []byte{wsFinal | op, byte(len(payload))}
		if len(payload) > 125 {
			b = binary.BigEndian.AppendUint16([]byte{wsFinal | op, 126}, uint16(len(payload)))
		}
		return append(b, payload...)
	}
	ws := message(wsBinary, wire.AppendDown(nil, wire.Send, []byte(long)))
	ws = append(ws, message(wsText, []byte("not for us"))...)
	ws = append(ws, message(wsPong, nil)...)
	ws = append(ws, message(wsBinary, wire.AppendDown(nil, wire.Ping, []byte("{}")))...)
	for name, b := range map[string][]byte{"tcp": tcp, "ws": ws} {
		for piece := 1; piece < len(b); piece += 7 {
			c, far := pipe(t, name == "ws")
			go func() { // ends with the pipe
				for part := range slices.Chunk(b, piece) {
					if _, err := far.Write(part); err != nil {
						return
					}
				}
			}()
			if diff := cmp.Diff([]string{"send " + long, "ping {}"}, heard(t, c, 2)); diff != "" {
				t.Fatalf("%s in pieces of %d (-want +got):\n%s", name, piece, diff)
			}
		}
	}
}

func TestFrameThatIsTooLong(t *testing.T) {
	for _, ws := range []bool{false, true} {
		c, far := pipe(t, ws)
		go func() { // ends with the pipe
			b := []byte{wsFinal | wsBinary, 127, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff}
			if !ws {
				b = []byte{0, 0, 0, 1, 0x7f, 0xff, 0xff, 0xff}
			}
			_, _ = far.Write(b)
		}()
		if err := c.read(func(wire.Down) {}); err == nil {
			t.Errorf("ws %v: it is taken", ws)
		}
	}
}

func TestMeterCountsItsWindow(t *testing.T) {
	m := newMeter(window{time.Second, 2 * time.Second})
	m.add(1500*time.Millisecond, []time.Duration{900 * time.Millisecond, 1400 * time.Millisecond}) // one was due before
	m.add(3*time.Second, []time.Duration{1900 * time.Millisecond})                                 // came after, and was due within
	inside, p := m.result()
	if inside != 2 || p.Count != 2 || p.Max < 1099 || p.Max > 1101 {
		t.Errorf("%d inside; latencies %+v", inside, p)
	}
	if s := m.lately(); s.Count != 3 {
		t.Errorf("the second has %d", s.Count)
	}
	if s := m.lately(); s.Count != 0 {
		t.Errorf("the next second has %d", s.Count)
	}
}

func TestParseStat(t *testing.T) {
	p, ok := parseStat([]byte("17 (a (b) c) S 4 17 17 0 -1 4194560 100 200 0 0 150 50 7 3 20 0 1 0 9 0 0"))
	if want := (process{name: "a (b) c", parent: 4, cpu: 2100 * time.Millisecond}); !ok || p != want {
		t.Errorf("got %+v, %v; want %+v", p, ok, want)
	}
	if _, ok := parseStat([]byte("17 (x")); ok {
		t.Error("half a line is taken")
	}
	if n := kilobytes([]byte("VmPeak:\t 9 kB\nVmRSS:\t    123 kB\n"), "VmRSS:"); n != 123<<10 {
		t.Errorf("got %d bytes", n)
	}
}

func TestNeedFiles(t *testing.T) {
	if err := NeedFiles(1); err != nil {
		t.Error(err)
	}
	if err := NeedFiles(1 << 40); err == nil || !strings.Contains(err.Error(), "ulimit") {
		t.Errorf("so many files: %v; want how to raise the limit", err)
	}
}

func TestChart(t *testing.T) {
	seconds := []Second{{At: 1, Acked: 1000, AckP99: 2}, {At: 2, Acked: 2000, AckP99: 3}}
	r := &Report{Bench: "p2p", Verdict: verdictOK, Talk: &TalkResult{}, Seconds: seconds}
	var page strings.Builder
	if err := r.Chart(&page); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"<svg", "ack p99", "2000/s", "prefers-color-scheme: dark", "verdict"} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("the chart has no %q:\n%s", want, &page)
		}
	}
	if strings.Contains(page.String(), "http") {
		t.Error("the chart needs a network")
	}
}
