package e2e

import (
	"context"
	enc "encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/client"
	"github.com/whaleshark-im/whaleshark/streams"
	"github.com/whaleshark-im/whaleshark/wire"
)

const (
	townspeople = 1000
	talkers     = 50                     // of those; the others are connected and listen
	townPace    = 200 * time.Millisecond // between two messages of a talker
	townPhase   = 4 * time.Second
)

// town is many well-behaved clients of one edge, half of them by TCP and half by WebSocket. Some talk, steadily, each with a neighbor.
type town struct {
	h       *house
	edge    streams.Member
	clients []*client.Client
	pongs   atomic.Int64

	mu        sync.Mutex
	sent      map[string]time.Time
	acked     []time.Duration
	delivered []time.Duration
	faults    []error
}

// settle connects everybody.
func (h *house) settle(ctx context.Context, edge streams.Member) *town {
	h.t.Helper()
	if err := h.store.SeedPairs(ctx, 10001, townspeople+10, nil); err != nil {
		h.t.Fatal(err)
	}
	w := &town{h: h, edge: edge, clients: make([]*client.Client, townspeople), sent: make(map[string]time.Time)}
	var wg sync.WaitGroup
	slots := make(chan struct{}, 32)
	for i := range w.clients {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			w.clients[i] = w.move(ctx, i)
		})
	}
	wg.Wait()
	h.t.Cleanup(func() {
		for _, c := range w.clients {
			if c != nil {
				_ = c.Close()
			}
		}
	})
	w.blameless()
	return w
}

func (w *town) move(ctx context.Context, i int) *client.Client {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	transport := [...]string{"tcp", "ws"}[i/2%2] // of each pair both, or none
	c, err := client.Dial(ctx, client.Config{
		URL: clientURL(w.edge, transport), Device: townsman(i), Receipts: true, Ping: -1,
		Handler: client.Handler{Message: w.message, Pong: func(wire.Pong) { w.pongs.Add(1) }},
	})
	if err == nil {
		_, err = c.Login(ctx)
	}
	if err != nil {
		w.blame(fmt.Errorf("client %d: %w", i, err))
	}
	return c
}

func townsman(i int) chat.Device {
	return chat.Device{App: 10001, User: chat.UserID(fmt.Sprint("u", i+1)), Client: chat.Web, IMEI: "home"}
}

func (w *town) blame(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faults = append(w.faults, err)
}

// blameless fails the test if anything went wrong.
func (w *town) blameless() {
	w.h.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := len(w.faults); n > 0 {
		w.h.t.Fatalf("%d faults among the well-behaved, the first: %v", n, w.faults[0])
	}
}

func (w *town) message(p wire.Placed) {
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	if at, ok := w.sent[p.MessageID]; ok {
		w.delivered = append(w.delivered, now.Sub(at))
		delete(w.sent, p.MessageID)
	} else {
		w.faults = append(w.faults, fmt.Errorf("%s came twice, or from nowhere", p.MessageID))
	}
}

// delays are how long messages of one phase took.
type delays struct{ ack, delivery []time.Duration }

func (d delays) String() string {
	return fmt.Sprintf("%d messages: send to ack p50 %v, p99 %v; send to delivery p50 %v, p99 %v", len(d.ack),
		quantile(d.ack, 0.5), quantile(d.ack, 0.99), quantile(d.delivery, 0.5), quantile(d.delivery, 0.99))
}

// quantile sorts.
func quantile(all []time.Duration, q float64) time.Duration {
	slices.Sort(all)
	return all[min(int(q*float64(len(all))), len(all)-1)].Round(10 * time.Microsecond)
}

// talk lets the talkers talk for a phase, and returns once everything is acknowledged and delivered.
func (w *town) talk(name string, phase time.Duration) delays {
	w.h.t.Helper()
	var wg sync.WaitGroup
	begin := time.Now()
	n := int(phase / townPace)
	for i := range talkers {
		wg.Go(func() {
			offset := rand.N(townPace)
			for k := range n {
				w.pause(time.Until(begin.Add(offset + time.Duration(k)*townPace)))
				w.say(i, fmt.Sprintf("%s-%d-%d", name, i, k))
			}
		})
	}
	wg.Wait()
	w.h.eventually(20*time.Second, "all messages of the well-behaved arrive", func() error {
		w.mu.Lock()
		defer w.mu.Unlock()
		if len(w.acked) < n*talkers || len(w.sent) > 0 {
			return fmt.Errorf("%d of %d have their ack, %d are not delivered", len(w.acked), n*talkers, len(w.sent))
		}
		return nil
	})
	w.blameless()
	w.mu.Lock()
	defer w.mu.Unlock()
	d := delays{w.acked, w.delivered}
	w.acked, w.delivered = nil, nil
	return d
}

func (w *town) pause(d time.Duration) {
	select {
	case <-time.After(d):
	case <-w.h.t.Context().Done():
	}
}

func (w *town) say(i int, id string) {
	at := time.Now()
	w.mu.Lock()
	w.sent[id] = at
	w.mu.Unlock()
	w.clients[i].Start(wire.Message{MessageID: id, To: townsman(i ^ 1).User, Body: strings.Repeat("x", 100), First: true},
		func(_ wire.Ack, err error) {
			if err != nil {
				w.blame(fmt.Errorf("%s: %w", id, err))
				return
			}
			took := time.Since(at)
			w.mu.Lock()
			defer w.mu.Unlock()
			w.acked = append(w.acked, took)
		})
}

// allThere checks that everybody is still connected, and answered.
func (w *town) allThere() {
	w.h.t.Helper()
	before := w.pongs.Load()
	for i, c := range w.clients {
		if err := c.Write(wire.Ping, []byte("{}")); err != nil {
			w.blame(fmt.Errorf("client %d: %w", i, err))
		}
	}
	w.blameless()
	w.h.eventually(10*time.Second, "everybody gets a pong", func() error {
		if n := w.pongs.Load() - before; n < townspeople {
			return fmt.Errorf("%d did", n)
		}
		return nil
	})
}

// mob is those who behave badly. What they are told is counted by what they are.
type mob struct {
	h    *house
	edge streams.Member
	wg   sync.WaitGroup

	mu    sync.Mutex
	told  map[string]map[string]int // kind, what it was told
	conns []net.Conn                // that nobody reads from
}

func (m *mob) tell(kind, what string) { m.tellOften(kind, what, 1) }

func (m *mob) tellOften(kind, what string, n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.told[kind] == nil {
		m.told[kind] = make(map[string]int)
	}
	m.told[kind][what] += n
}

func (m *mob) dial() (net.Conn, error) {
	c, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(m.h.t.Context(), "tcp", m.edge.Addrs["tcp"])
	if err != nil {
		return nil, fmt.Errorf("a bad client: %w", err)
	}
	m.mu.Lock()
	m.conns = append(m.conns, c)
	m.mu.Unlock()
	return c, nil
}

// fate writes bytes to a new connection, and notes what comes back until the server closes.
func (m *mob) fate(kind string, bytes []byte) {
	m.wg.Go(func() {
		c, err := m.dial()
		if err == nil {
			_, err = c.Write(bytes)
		}
		if err != nil {
			m.h.t.Error(err)
			return
		}
		defer c.Close()
		_ = c.SetReadDeadline(time.Now().Add(15 * time.Second))
		for frames := wire.NewDownDecoder(c, 1<<20); ; {
			f, err := frames.Decode()
			switch {
			case errors.Is(err, io.EOF):
				m.tell(kind, "closed")
				return
			case err != nil:
				m.tell(kind, err.Error())
				return
			}
			m.tell(kind, answer(f))
		}
	})
}

// answer tells a frame's command and code.
func answer(f wire.Down) string {
	switch f.Command {
	case wire.SendAck:
		a, _ := wire.ParseAck(f.Body)
		return fmt.Sprintf("%d %s", f.Command, a.Code)
	case wire.LoginAck:
		w, _ := wire.ParseWelcome(f.Body)
		return fmt.Sprintf("%d %s", f.Command, w.Code)
	case wire.Refuse:
		r, _ := wire.ParseRefusal(f.Body)
		return fmt.Sprintf("%d %s", f.Command, r.Code)
	default:
		return fmt.Sprint(int32(f.Command))
	}
}

func (m *mob) logIn(user int, imei string) []byte {
	return upFrame(cmdLogin, 3, 1, 10001, imei, fmt.Sprintf(`{"userId":"u%d"}`, user))
}

// lengths is a header that declares lengths that cannot be.
func lengths(command, imei, body int32) []byte {
	var b []byte
	for _, x := range []int32{command, 3, 1, 0, 10001, imei, body} {
		b = enc.BigEndian.AppendUint32(b, uint32(x))
	}
	return b
}

// babble sends what is no frame, or not one that makes sense.
func (m *mob) babble() {
	noise := make([]byte, 4096)
	source := rand.NewChaCha8([32]byte{})
	for i := range babblers {
		_, _ = source.Read(noise) // never fails
		m.fate("noise", slices.Clone(noise))
		m.fate("negative imei", lengths(cmdLogin, -1-int32(i), 0))
		m.fate("negative body", lengths(cmdSend, 3, -1-int32(i)))
		m.fate("huge body", lengths(cmdLogin, 3, 1<<30))
		m.fate("no JSON", upFrame(cmdLogin, 1, 1, 10001, "x", `{"userId"`))
		m.fate("before the login", upFrame(cmdSend, 1, 1, 10001, "x", `{"messageId":"m","toId":"a","messageBody":""}`))
		m.fate("half open", upFrame(cmdLogin, 1, 1, 10001, "x", `{"userId":"u1"}`)[:14])
		m.fate("silent", nil)
	}
}

// mumble sends WebSocket messages of text, from a device that is logged in.
func (m *mob) mumble(user int, imei string) {
	m.wg.Go(func() {
		ctx, cancel := context.WithTimeout(m.h.t.Context(), 20*time.Second)
		defer cancel()
		c, _, err := websocket.Dial(ctx, "ws://"+m.edge.Addrs["ws"]+"/ws", nil) //nolint:bodyclose // the library owns it
		if err != nil {
			m.h.t.Errorf("a bad client: %v", err)
			return
		}
		defer c.CloseNow() //nolint:errcheck // it is over
		err = c.Write(ctx, websocket.MessageBinary, m.logIn(user, imei))
		for range 100 {
			err = errors.Join(err, c.Write(ctx, websocket.MessageText, []byte(`{"command":1103}`)))
		}
		err = errors.Join(err, c.Write(ctx, websocket.MessageBinary, upFrame(cmdPing, 3, 1, 10001, imei, "{}")))
		for range 2 {
			var b []byte
			if _, b, err = c.Read(ctx); err != nil {
				break
			}
			f, _ := wire.DecodeDown(b, 1<<20)
			f.Body, _ = wire.Payload(f.Body)
			m.tell("text messages", answer(f))
		}
		if err != nil {
			m.tell("text messages", err.Error())
		}
	})
}

// flood sends messages on one connection as fast as it takes them and answers them: without the latter it would be closed as a slow reader.
func (m *mob) flood(user int, until time.Time) {
	m.wg.Go(func() {
		c, err := m.dial()
		if err != nil {
			m.h.t.Error(err)
			return
		}
		defer c.Close()
		const unanswered = 400
		told := make(map[string]int)
		room := make(chan struct{}, unanswered)
		over := make(chan struct{})
		go func() { // ends with the connection
			defer close(over)
			for frames := wire.NewDownDecoder(c, 1<<20); ; {
				f, err := frames.Decode()
				if err != nil {
					return
				}
				told[answer(f)]++
				if f.Command == wire.SendAck {
					<-room
				}
			}
		}()
		_, err = c.Write(m.logIn(user, "hose"))
		to := fmt.Sprint("u", user+1)
		for i := 0; err == nil && time.Now().Before(until); i++ {
			select {
			case room <- struct{}{}:
				body := fmt.Sprintf(`{"messageId":"f%d","toId":%q,"messageBody":"water"}`, i, to)
				_, err = c.Write(upFrame(cmdSend, 3, 1, 10001, "hose", body))
			case <-over:
				err = net.ErrClosed
			}
		}
		_ = c.(*net.TCPConn).CloseWrite()
		<-over
		for what, n := range told {
			m.tellOften("flood", what, n)
		}
	})
}

// sleep logs devices of a user in that never read.
func (m *mob) sleep(user, devices int) {
	m.h.t.Helper()
	small := func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		if err == nil {
			err = c.(*net.TCPConn).SetReadBuffer(4096)
			m.mu.Lock()
			m.conns = append(m.conns, c)
			m.mu.Unlock()
		}
		return c, err
	}
	ctx := m.h.t.Context()
	for i := range devices {
		login := m.logIn(user, fmt.Sprint("sleeper ", i))
		var err error
		if i%2 == 0 {
			var c net.Conn
			if c, err = small(ctx, "tcp", m.edge.Addrs["tcp"]); err == nil {
				_, err = c.Write(login)
			}
		} else {
			var c *websocket.Conn
			c, _, err = websocket.Dial(ctx, "ws://"+m.edge.Addrs["ws"]+"/ws", &websocket.DialOptions{ //nolint:bodyclose // the library owns it
				HTTPClient: &http.Client{Transport: &http.Transport{DialContext: small}},
			})
			if err == nil {
				err = c.Write(ctx, websocket.MessageBinary, login)
			}
		}
		if err != nil {
			m.h.t.Fatalf("a slow client: %v", err)
		}
	}
}

// feed sends big messages to a user, some in flight at once.
func (m *mob) feed(from, n int) {
	m.wg.Go(func() {
		d := m.h.device(chat.UserID(fmt.Sprint("u", from)), "feeder", "tcp")
		defer d.close()
		ctx, cancel := context.WithTimeout(m.h.t.Context(), 30*time.Second)
		defer cancel()
		big := strings.Repeat("b", 60_000)
		slots := make(chan struct{}, 16)
		var wg sync.WaitGroup
		defer wg.Wait()
		for i := range n {
			slots <- struct{}{}
			wg.Go(func() {
				defer func() { <-slots }()
				if _, err := d.say(ctx, chat.UserID(fmt.Sprint("u", from+1)), fmt.Sprint("big-", i), big); err != nil {
					m.h.t.Errorf("a big message: %v", err)
				}
			})
		}
	})
}

// storm lets everybody misbehave for a phase, while the well-behaved go on.
func (w *town) storm() (delays, *mob) {
	w.h.t.Helper()
	m := &mob{h: w.h, edge: w.edge, told: make(map[string]map[string]int)}
	m.sleep(townspeople+2, sleepers)
	m.feed(townspeople+1, 160)
	m.flood(townspeople+3, time.Now().Add(townPhase))
	m.babble()
	for i := range babblers {
		m.mumble(townspeople+5, fmt.Sprint("mumbler ", i))
	}
	d := w.talk("storm", townPhase)
	w.h.t.Logf("in the storm: %v; the edge holds %s", d, mib(w.h.metrics(w.edge).resident()))
	m.wg.Wait()
	return d, m
}

const (
	sleepers = 6
	babblers = 10
)

// TestCrowd lets a thousand clients live with those who behave badly: the thousand hardly notice, the others are told so or closed, what
// was dropped is counted, and the edge's memory is afterwards what it was before.
func TestCrowd(t *testing.T) {
	h := open(t, streams.Layout{}, "WHALESHARK_LOGIN_TIMEOUT=3s", "WHALESHARK_WRITE_TIMEOUT=3s")
	h.staff(1, 1, 1, 1)
	edge := h.ready(streams.RoleEdge, 1)[0]
	started := time.Now()
	w := h.settle(t.Context(), edge)
	t.Logf("%d clients logged in within %v", townspeople, time.Since(started).Round(time.Millisecond))

	w.talk("warm", time.Second)
	h.collect(edge)
	calm := w.talk("calm", townPhase)
	h.collect(edge)
	before := h.metrics(edge)
	t.Logf("in the calm: %v; the edge holds %s", calm, mib(before.resident()))

	storm, m := w.storm()
	for _, c := range m.conns {
		_ = c.Close()
	}
	for q, bound := range map[float64]time.Duration{0.5: 750 * time.Millisecond, 0.99: 3 * time.Second} { // a machine may be busy
		if now, then := quantile(storm.delivery, q), quantile(calm.delivery, q); now > bound+10*then {
			t.Errorf("in the storm %v of the messages take up to %v to be delivered, in the calm %v", q, now, then)
		}
	}
	h.eventually(15*time.Second, "the bad ones are gone", func() error {
		if n := h.metrics(edge)["whaleshark_edge_connections"]; n != townspeople {
			return fmt.Errorf("%v connections are open", n)
		}
		return nil
	})
	w.allThere()
	m.toldSo()
	counted(t, h.metrics(edge))
	h.eventually(20*time.Second, "the edge's memory is what it was", func() error {
		h.collect(edge)
		now := h.metrics(edge).resident()
		if now > before.resident()*11/10+2<<20 {
			return fmt.Errorf("it holds %s, and before %s", mib(now), mib(before.resident()))
		}
		t.Logf("afterwards the edge holds %s", mib(now))
		return nil
	})
}

// toldSo checks that those who behaved badly heard what the protocol says.
func (m *mob) toldSo() {
	m.h.t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	for kind, told := range m.told {
		m.h.t.Logf("%s: %v", kind, told)
	}
	all := func(what ...string) map[string]int {
		told := map[string]int{"closed": babblers}
		for _, w := range what {
			told[w] = babblers
		}
		return told
	}
	for kind, want := range map[string]map[string]int{
		"half open": all(), "silent": all(),
		"negative imei": all("9001 bad_length"), "huge body": all("9001 bad_length"), "negative body": all("1046 bad_length"),
		"no JSON": all("9001 bad_body"), "before the login": all("1046 not_logged_in"),
		"text messages": {"9001 ok": babblers, "9999": babblers},
	} {
		if !maps.Equal(m.told[kind], want) {
			m.h.t.Errorf("%s: they were told %v, want %v", kind, m.told[kind], want)
		}
	}
	if n := m.told["noise"]["closed"]; n != babblers {
		m.h.t.Errorf("noise: %d were closed, want %d", n, babblers)
	}
	flood := m.told["flood"]
	if flood["1046 ok"] == 0 || flood["1046 too_many_frames"] == 0 || flood["9004 slow_consumer"] > 0 {
		m.h.t.Errorf("the flood was told %v, want some of its messages placed, and the others refused as too many", flood)
	}
}

// counted checks that what was dropped and closed stands in the metrics, by its reason.
func counted(t *testing.T, m metrics) {
	t.Helper()
	for _, c := range []struct {
		name, label, value string
		want               float64
	}{
		{"closed_total", "reason", "slow_consumer", sleepers},
		{"dropped_total", "reason", "slow_consumer", sleepers},
		{"closed_total", "reason", "login_timeout", 3 * babblers}, // half open, silent, before the login
		{"refused_total", "code", "bad_length", 3 * babblers},
		{"closed_total", "reason", "broken_frame", babblers},
		{"closed_total", "reason", "refused_login", 3 * babblers},
		{"refused_total", "code", "too_many_frames", 1},
		{"refused_total", "code", "not_logged_in", babblers},
		{"dropped_total", "reason", "ws_text", 100 * babblers},
	} {
		got := m.edge(c.name, c.label, c.value)
		t.Logf("%s{%s=%q} %v", c.name, c.label, c.value, got)
		if got < c.want {
			t.Errorf("%s{%s=%q} is %v, want %v at least", c.name, c.label, c.value, got, c.want)
		}
	}
}
