package edge

import (
	"context"
	"net"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/coder/websocket"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/wire"
)

// What a frame costs from its bytes to the request, without the socket.
func BenchmarkSessionMessage(b *testing.B) {
	cfg := Config{Rate: 1e12, Burst: 1 << 60}.withDefaults()
	s := newSession(&cfg)
	s.accept(chat.Route{Device: chat.Device{App: app, User: "alice", Client: chat.Web, IMEI: "web"}}, testTime, &resumed{})
	f := &wire.Up{Command: wire.Send, Version: 1, App: app, Body: []byte(`{"messageId":"m1","toId":"bob","messageBody":"hello"}`)}
	b.ReportAllocs()
	for b.Loop() {
		if st := s.take(f, testTime); st.request == nil {
			b.Fatalf("%+v", st)
		}
	}
}

// What it costs to find the sessions of a delivery while others come and go: one lock for the table, or more.
func BenchmarkTableSend(b *testing.B) {
	for _, sessions := range []int{1000, 100_000} {
		b.Run(strconv.Itoa(sessions), func(b *testing.B) {
			t := newTable()
			for i := range sessions {
				c := &conn{id: chat.SessionID(i + 1)}
				c.out.closed = true
				t.conns[c.id] = c
				t.enter(c, chat.Route{Device: chat.Device{App: app, User: chat.UserID(strconv.Itoa(i))}}, 0)
			}
			missing := []chat.SessionID{1 << 40}
			ctx, stop := context.WithCancel(b.Context())
			var churn sync.WaitGroup
			churn.Go(func() { // logins and logouts beside it
				c := &conn{id: 1 << 41}
				for ctx.Err() == nil {
					t.enter(c, chat.Route{Device: chat.Device{App: app, User: "churn"}}, 0)
					t.leave(c)
					runtime.Gosched()
				}
			})
			for b.Loop() {
				t.send(missing, frame{})
			}
			stop()
			churn.Wait()
		})
	}
}

// What a frame costs down to the socket: 100 sessions get each push.
func BenchmarkDeliver(b *testing.B) {
	for _, how := range []string{"tcp", "ws", "tcp protobuf", "ws protobuf"} {
		transport, encoding, _ := strings.Cut(how, " ")
		b.Run(how, func(b *testing.B) {
			s := startSockets(b, Config{QueueFrames: 1 << 20, QueueBytes: 1 << 40})
			const n = 100
			var read sync.WaitGroup
			ids := make([]chat.SessionID, n)
			for i := range ids {
				ids[i] = chat.SessionID(i + 1)
				frames := connect(b, s, transport, encoding, i)
				read.Go(func() {
					for range b.N {
						frames()
					}
				})
			}
			payload := wire.AppendPlaced(nil, &wire.Placed{Message: wire.Message{MessageID: "m1", To: "bob", Body: "hello"}, Seq: 1, Place: 1024})
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				s.Deliver(&chat.Push{Deliveries: []chat.Delivery{{Command: int32(wire.Send), Payload: payload, Sessions: ids}}})
			}
			read.Wait()
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/frame")
		})
	}
}

// connect logs a device in and returns what reads a frame.
func connect(tb testing.TB, s *socketEdge, transport, encoding string, device int) (read func()) {
	tb.Helper()
	up := wire.Up{Command: wire.Login, Version: 3, App: app, IMEI: []byte(strconv.Itoa(device)), Body: []byte(`{"userId":"bob"}`)}
	if encoding == "protobuf" {
		up.MessageType, up.Body = wire.Protobuf, []byte("\x0a\x03bob")
	}
	login := wire.AppendUp(nil, &up)
	if transport == "tcp" {
		c, err := (&net.Dialer{}).DialContext(tb.Context(), "tcp", s.Addrs().TCP)
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() { _ = c.Close() })
		if _, err := c.Write(login); err != nil {
			tb.Fatal(err)
		}
		d := wire.NewDownDecoder(c, 1<<20)
		read = func() { _, _ = d.Decode() }
	} else {
		c, _, err := websocket.Dial(tb.Context(), s.url("ws"), nil) //nolint:bodyclose // the library owns it
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() { _ = c.CloseNow() })
		if err := c.Write(s.ctx, websocket.MessageBinary, login); err != nil {
			tb.Fatal(err)
		}
		read = func() { _, _, _ = c.Read(context.WithoutCancel(s.ctx)) }
	}
	read() // the answer
	return read
}

// What a connection costs that is logged in and silent: heap and stacks of the edge, without those of the client at the other end. Run it
// with -benchtime 1x.
func BenchmarkIdle(b *testing.B) {
	const n = 4000
	for _, transport := range []string{"tcp", "ws"} {
		b.Run(transport, func(b *testing.B) {
			for range b.N {
				s := startSockets(b, Config{})
				heap, _ := inUse()
				bare := bareConns(b, n)
				sockets, _ := inUse() // two ends, nothing behind either
				sockets -= heap
				for _, c := range bare {
					_ = c.Close()
				}
				heap, stack := inUse()
				for i := range n {
					silent(b, s, transport, i)
				}
				eventually(b, "all log in", func() bool { return s.Stats().Sessions == n })
				heapNow, stackNow := inUse()
				b.ReportMetric((heapNow-heap-sockets/2)/n, "heap-B/conn")
				b.ReportMetric((stackNow-stack)/n, "stack-B/conn")
				b.ReportMetric(float64(runtime.NumGoroutine())/n, "goroutines/conn")
			}
		})
	}
}

func inUse() (heap, stack float64) {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc), float64(m.StackInuse)
}

// bareConns returns both ends of n connections.
func bareConns(b *testing.B, n int) []net.Conn {
	b.Helper()
	l, err := (&net.ListenConfig{}).Listen(b.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	var ends []net.Conn
	for range n {
		near, err := (&net.Dialer{}).DialContext(b.Context(), "tcp", l.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		far, err := l.Accept()
		if err != nil {
			b.Fatal(err)
		}
		ends = append(ends, near, far)
	}
	return ends
}

// silent logs a device in, by hand, so that nothing but a socket is at this end.
func silent(b *testing.B, s *socketEdge, transport string, device int) {
	b.Helper()
	addr := s.Addrs().TCP
	login := wire.AppendUp(nil, &wire.Up{
		Command: wire.Login, Version: 1, App: app, IMEI: []byte("web"), Body: []byte(`{"userId":"guest` + strconv.Itoa(device) + `"}`),
	})
	if transport == "ws" {
		addr = s.Addrs().WS
		head := []byte{0x82, 0x80 | byte(len(login)), 0, 0, 0, 0} // binary, masked with zeros
		upgrade := "GET /ws HTTP/1.1\r\nHost: edge\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
			"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n" +
			"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36\r\n\r\n"
		login = append(append([]byte(upgrade), head...), login...)
	}
	c, err := (&net.Dialer{}).DialContext(b.Context(), "tcp", addr)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = c.Close() })
	if _, err := c.Write(login); err != nil {
		b.Fatal(err)
	}
}
