package e2e

import (
	"context"
	enc "encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/streams"
)

// relic is a client of the original's time. It knows bytes and numbers, and nothing of this project.
type relic struct {
	app    int32
	user   string
	client int32
	imei   string

	tcp    net.Conn
	ws     *websocket.Conn
	frames chan relicFrame // closed when the connection is
}

type relicFrame struct {
	command int32
	body    string
}

// The original's commands.
const (
	cmdSendAck = 1046
	cmdSend    = 1103
	cmdReceive = 1107
	cmdLogin   = 9000
	cmdRefused = 9001
	cmdLogout  = 9003
	cmdPing    = 9999
)

// golden reads the bytes of a frame that the original's own pages made.
func golden(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile("../wire/testdata/" + name + ".hex")
	if err != nil {
		t.Fatal(err)
	}
	b, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// upFrame spells a frame as the original's clients do: seven numbers, the imei, the body.
func upFrame(command, version, client, app int32, imei, body string) []byte {
	var b []byte
	for _, x := range []int32{command, version, client, 0, app, int32(len(imei)), int32(len(body))} {
		b = enc.BigEndian.AppendUint32(b, uint32(x))
	}
	return append(append(b, imei...), body...)
}

// frame spells a frame of this client.
func (r *relic) frame(command int32, body string) []byte {
	return upFrame(command, 1, r.client, r.app, r.imei, body)
}

// dialRelic connects and does not log in. Transport is tcp or ws.
func dialRelic(t *testing.T, edge streams.Member, transport string) *relic {
	t.Helper()
	r := &relic{frames: make(chan relicFrame, 4096)}
	read := r.readTCP
	var err error
	if transport == "ws" {
		read = r.readWS
		r.ws, _, err = websocket.Dial(t.Context(), "ws://"+edge.Addrs["ws"]+"/ws", nil) //nolint:bodyclose // the library owns it
	} else {
		r.tcp, err = (&net.Dialer{}).DialContext(t.Context(), "tcp", edge.Addrs["tcp"])
	}
	if err != nil {
		t.Fatal(err)
	}
	if r.ws != nil {
		r.ws.SetReadLimit(1 << 20)
	}
	done := make(chan struct{})
	go func() { // ends with the connection, which the cleanup closes
		defer close(done)
		defer close(r.frames)
		for {
			f, err := read()
			if err != nil {
				r.hangUp() // as clients do
				return
			}
			r.frames <- f
		}
	}()
	t.Cleanup(func() {
		r.hangUp()
		for range r.frames { // what nobody has looked at
		}
		<-done
	})
	return r
}

func (r *relic) hangUp() {
	if r.ws != nil {
		_ = r.ws.CloseNow()
		return
	}
	_ = r.tcp.Close()
}

func (r *relic) readTCP() (relicFrame, error) {
	var header [8]byte
	if _, err := io.ReadFull(r.tcp, header[:]); err != nil {
		return relicFrame{}, err
	}
	body := make([]byte, enc.BigEndian.Uint32(header[4:]))
	_, err := io.ReadFull(r.tcp, body)
	return relicFrame{int32(enc.BigEndian.Uint32(header[:])), string(body)}, err
}

func (r *relic) readWS() (relicFrame, error) {
	kind, m, err := r.ws.Read(context.Background())
	if err != nil {
		return relicFrame{}, err
	}
	if kind != websocket.MessageBinary || len(m) < 8 || int(enc.BigEndian.Uint32(m[4:])) != len(m)-8 {
		return relicFrame{-1, fmt.Sprintf("%v message %x", kind, m)}, nil
	}
	return relicFrame{int32(enc.BigEndian.Uint32(m)), string(m[8:])}, nil
}

// write sends bytes: on TCP as one write, on WebSocket as one binary message.
func (r *relic) write(t *testing.T, b []byte) {
	t.Helper()
	var err error
	if r.ws != nil {
		err = r.ws.Write(t.Context(), websocket.MessageBinary, b)
	} else {
		_, err = r.tcp.Write(b)
	}
	if err != nil {
		t.Fatalf("%s writes: %v", r.imei, err)
	}
}

// say sends a message.
func (r *relic) say(t *testing.T, id, to, body string) {
	t.Helper()
	r.write(t, r.frame(cmdSend, fmt.Sprintf(
		`{"messageId":%q,"fromId":%q,"toId":%q,"appId":%d,"clientType":%d,"imei":%q,"messageBody":%q}`,
		id, r.user, to, r.app, r.client, r.imei, body)))
}

// login logs in as the original's pages do, and waits until the session has its route: there is no answer.
func (h *house) login(t *testing.T, routes *streams.Routes, edge streams.Member, transport string, app int32, user string, client int32, imei string) *relic {
	t.Helper()
	r := dialRelic(t, edge, transport)
	r.app, r.user, r.client, r.imei = app, user, client, imei
	r.write(t, r.frame(cmdLogin, fmt.Sprintf(
		`{"userId":%q,"appId":%d,"clientType":%d,"imei":%q,"customStatus":null,"customClientName":""}`, user, app, client, imei)))
	h.eventually(5*time.Second, user+"'s "+imei+" is logged in", func() error {
		if !slices.ContainsFunc(routes.Of(chat.UserKey{App: chat.AppID(app), User: chat.UserID(user)}), func(x chat.Route) bool {
			return x.Edge == edge.Node && x.Device.IMEI == imei && int32(x.Device.Client) == client
		}) {
			return fmt.Errorf("%s has no route at %s", imei, edge.Node)
		}
		return nil
	})
	return r
}

// next returns the next frame.
func (r *relic) next(t *testing.T, why string) relicFrame {
	t.Helper()
	select {
	case f, open := <-r.frames:
		if !open {
			t.Fatalf("%s: the connection of %s was closed", why, r.imei)
		}
		return f
	case <-time.After(10 * time.Second):
		t.Fatalf("%s: nothing came to %s", why, r.imei)
	}
	return relicFrame{}
}

var messageKey = regexp.MustCompile(`"messageKey":(\d+)`)

// want checks that the next frame is this one, in the form of the transport: the payload by TCP, the envelope by WebSocket. The payload's
// messageKey may be KEY: then it may be any number that a client in JavaScript can hold, and is returned.
func (r *relic) want(t *testing.T, why string, command int32, payload string) (key int64) {
	t.Helper()
	f := r.next(t, why)
	if f.command != command {
		t.Fatalf("%s: %s got %d %s, want %d %s", why, r.imei, f.command, f.body, command, payload)
	}
	got := f.body
	if r.ws != nil {
		got = r.open(t, why, f)
	}
	if strings.Contains(payload, "KEY") {
		m := messageKey.FindStringSubmatch(got)
		if m == nil {
			t.Fatalf("%s: %s got %s, which has no messageKey", why, r.imei, got)
		}
		key, _ = strconv.ParseInt(m[1], 10, 64)
		if key <= 0 || key >= 1<<53 {
			t.Errorf("%s: %s got messageKey %d", why, r.imei, key)
		}
		payload = strings.ReplaceAll(payload, "KEY", m[1])
	}
	if diff := cmp.Diff(object(t, payload), object(t, got)); diff != "" {
		t.Fatalf("%s: %s got another %d (-want +got):\n%s", why, r.imei, command, diff)
	}
	return key
}

// open takes the payload out of an envelope, which must be addressed to this very device, its keys in the alphabet's order.
func (r *relic) open(t *testing.T, why string, f relicFrame) string {
	t.Helper()
	head := fmt.Sprintf(`{"appId":%d,"clientType":%d,"command":%d,"data":`, r.app, r.client, f.command)
	tail := fmt.Sprintf(`,"imei":%q,"toId":%q}`, r.imei, r.user)
	payload, ok := strings.CutPrefix(f.body, head)
	if ok {
		payload, ok = strings.CutSuffix(payload, tail)
	}
	if !ok {
		t.Fatalf("%s: %s got %s, want an envelope %s…%s", why, r.imei, f.body, head, tail)
	}
	return payload
}

func object(t *testing.T, text string) map[string]any {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var o map[string]any
	if err := d.Decode(&o); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return o
}

// wantAck checks that the next frame says that a message is placed.
func (r *relic) wantAck(t *testing.T, id string, seq int) {
	t.Helper()
	r.want(t, "the ack of "+id, cmdSendAck, fmt.Sprintf(
		`{"code":200,"msg":"success","ok":true,"data":{"messageId":%q,"messageSequence":%d}}`, id, seq))
}

// wantMessage checks that the next frame is a message, and returns its key.
func (r *relic) wantMessage(t *testing.T, from *relic, id, to, body string, seq int) int64 {
	t.Helper()
	return r.want(t, "message "+id, cmdSend, fmt.Sprintf(
		`{"messageId":%q,"fromId":%q,"toId":%q,"messageBody":%q,"messageKey":KEY,"messageSequence":%d,"appId":%d,"clientType":%d,"imei":%q}`,
		id, from.user, to, body, seq, from.app, from.client, from.imei))
}

// wantWaits checks that the next frame says, in the receiver's stead, that a message waits.
func (r *relic) wantWaits(t *testing.T, id, receiver string, seq int) {
	t.Helper()
	r.want(t, id+" waits for "+receiver, cmdReceive, fmt.Sprintf(
		`{"fromId":%q,"toId":%q,"messageId":%q,"messageKey":KEY,"messageSequence":%d,"serverSend":true}`, receiver, r.user, id, seq))
}

// wantClosed checks that the server closes the connection and says nothing before.
func (r *relic) wantClosed(t *testing.T, why string) {
	t.Helper()
	select {
	case f, open := <-r.frames:
		if open {
			t.Fatalf("%s: %s got %d %s, want to be closed without a word", why, r.imei, f.command, f.body)
		}
	case <-time.After(10 * time.Second):
		t.Fatalf("%s: %s was not closed", why, r.imei)
	}
}

// TestOriginalClients lets clients of the original's time talk, byte for byte as they did: users lld, a and b, by TCP and WebSocket, on two
// edges.
func TestOriginalClients(t *testing.T) {
	h := open(t, streams.Layout{})
	h.staff(2, 1, 1, 1)
	edges := h.ready(streams.RoleEdge, 2)
	routes, err := h.conn.WatchRoutes(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	acks := make(map[string]chat.Seq)

	t.Run("a login is not answered, nor is a ping", func(t *testing.T) {
		lld := dialRelic(t, edges[0], "tcp")
		lld.app, lld.user, lld.client, lld.imei = 10001, "lld", 1, "web"
		lld.write(t, golden(t, "up-original-ping")) // heartBeat.py pings before it logs in
		lld.write(t, golden(t, "up-original-login"))
		lld.write(t, golden(t, "up-original-ping"))
		lld.say(t, "l1", "a", "hello?")
		lld.wantAck(t, "l1", 1) // it is the first frame of all
		lld.wantWaits(t, "l1", "a", 1)
		acks["l1"] = 1
	})

	a := h.login(t, routes, edges[0], "tcp", 10001, "a", 1, "web")
	bTCP := h.login(t, routes, edges[1], "tcp", 10001, "b", 3, "phone")
	bWS := h.login(t, routes, edges[0], "ws", 10001, "b", 1, "page")
	var key int64
	t.Run("a message reaches both devices, each in its form", func(t *testing.T) {
		a.write(t, golden(t, "up-original-send"))
		a.wantAck(t, "m1", 1)
		acks["m1"] = 1
		key = bTCP.wantMessage(t, a, "m1", "b", "hi", 1)
		if k := bWS.wantMessage(t, a, "m1", "b", "hi", 1); k != key {
			t.Errorf("m1 has key %d by TCP and %d by WebSocket", key, k)
		}
	})
	t.Run("a receipt with a wrong header and without a key is relayed", func(t *testing.T) {
		for _, b := range []*relic{bTCP, bWS} {
			b.write(t, upFrame(cmdReceive, 1, 1, 10001, "web", `{"fromId":"b","toId":"a","messageSequence":1}`))
			a.want(t, "b has m1", cmdReceive, fmt.Sprintf(
				`{"fromId":"b","toId":"a","messageSequence":1,"serverSend":false,"appId":10001,"clientType":%d,"imei":%q}`, b.client, b.imei))
		}
	})
	t.Run("a repeat is answered as the first time, and stored once", func(t *testing.T) {
		a.write(t, golden(t, "up-original-send"))
		a.wantAck(t, "m1", 1)
		a.want(t, "b has m1", cmdReceive, fmt.Sprintf(
			`{"fromId":"b","toId":"a","messageKey":%d,"messageSequence":1,"serverSend":false,"appId":10001,"clientType":%d,"imei":%q,"messageId":"m1"}`,
			key, bWS.client, bWS.imei))
		receipt := fmt.Sprintf(`{"fromId":"b","toId":"a","messageKey":%d,"messageSequence":1}`, key)
		relayed := fmt.Sprintf(`{"fromId":"b","toId":"a","messageKey":%d,"messageSequence":1,"serverSend":false,
			"appId":10001,"clientType":3,"imei":"phone"`, key)
		bTCP.write(t, bTCP.frame(cmdReceive, receipt))
		a.want(t, "b has m1", cmdReceive, relayed+"}")
		a.write(t, golden(t, "up-original-send"))
		a.wantAck(t, "m1", 1)
		a.want(t, "b has m1, once more", cmdReceive, relayed+`,"messageId":"m1"}`)
	})
	t.Run("the same id with another body is refused", func(t *testing.T) {
		a.say(t, "m1", "b", "something else")
		a.want(t, "the other m1", cmdSendAck,
			`{"code":50006,"msg":"this messageId was used for another message","ok":false,"data":{"messageId":"m1"}}`)
	})
	t.Run("bytes come as they like", func(t *testing.T) {
		padded := a.frame(cmdSend, `{"messageId":"m2","fromId":"a","toId":"b","messageBody":"héllo 👋"}`+"\x00\x00\x00")
		a.write(t, padded)
		a.wantAck(t, "m2", 2)
		for i, c := range a.frame(cmdSend, `{"messageId":"m3","fromId":"a","toId":"b","messageBody":"slowly"}`) {
			if _, err := a.tcp.Write([]byte{c}); err != nil {
				t.Fatalf("byte %d: %v", i, err)
			}
		}
		a.wantAck(t, "m3", 3)
		var many []byte
		for i := 4; i <= 8; i++ {
			many = append(many, a.frame(cmdSend, fmt.Sprintf(`{"messageId":"m%d","fromId":"a","toId":"b","messageBody":"%d"}`, i, i))...)
			many = append(many, golden(t, "up-original-ping")...)
		}
		a.write(t, many[:len(many)-40]) // and half a frame
		a.write(t, many[len(many)-40:])
		for i := 4; i <= 8; i++ {
			a.wantAck(t, fmt.Sprint("m", i), i)
		}
		for _, b := range []*relic{bTCP, bWS} {
			b.wantMessage(t, a, "m2", "b", "héllo 👋", 2)
			b.wantMessage(t, a, "m3", "b", "slowly", 3)
			for i := 4; i <= 8; i++ {
				b.wantMessage(t, a, fmt.Sprint("m", i), "b", fmt.Sprint(i), i)
			}
		}
		for i := 2; i <= 8; i++ {
			acks[fmt.Sprint("m", i)] = chat.Seq(i)
		}
	})
	t.Run("nobody speaks for somebody else", func(t *testing.T) {
		bWS.write(t, upFrame(cmdSend, 1, 5, 10002, "other", `{"messageId":"s1","fromId":"lld","toId":"a","appId":10002,"messageBody":"I am lld"}`))
		bWS.wantAck(t, "s1", 9)
		a.wantMessage(t, bWS, "s1", "a", "I am lld", 9)
		bTCP.wantMessage(t, bWS, "s1", "a", "I am lld", 9)
		acks["s1"] = 9
	})
	older := bTCP
	bTCP = h.login(t, routes, edges[0], "tcp", 10001, "b", 3, "phone")
	t.Run("a login on another edge replaces the device's older one, without 9002", func(t *testing.T) {
		older.wantClosed(t, "the older login")
		a.say(t, "m10", "b", "where are you?")
		a.wantAck(t, "m10", 10)
		bTCP.wantMessage(t, a, "m10", "b", "where are you?", 10)
		bWS.wantMessage(t, a, "m10", "b", "where are you?", 10)
		acks["m10"] = 10
	})
	aWS := h.login(t, routes, edges[1], "ws", 10001, "a", 2, "tablet")
	t.Run("a logout closes, and who is gone is waited for by the sending device alone", func(t *testing.T) {
		for _, b := range []*relic{bTCP, bWS} {
			b.write(t, b.frame(cmdLogout, `{}`))
			b.wantClosed(t, "the logout")
		}
		h.eventually(5*time.Second, "b is gone", func() error {
			if n := len(routes.Of(chat.UserKey{App: 10001, User: "b"})); n > 0 {
				return fmt.Errorf("it has %d routes", n)
			}
			return nil
		})
		for seq := 11; seq <= 12; seq++ {
			id := fmt.Sprint("m", seq)
			a.say(t, id, "b", "are you there?")
			a.wantAck(t, id, seq)
			a.wantWaits(t, id, "b", seq)
			aWS.wantMessage(t, a, id, "b", "are you there?", seq)
			acks[id] = chat.Seq(seq)
		}
	})
	t.Run("one talks to oneself", func(t *testing.T) {
		a.say(t, "self1", "a", "do not forget")
		a.wantAck(t, "self1", 1)
		aWS.wantMessage(t, a, "self1", "a", "do not forget", 1)
		aWS.hangUp()
		h.eventually(5*time.Second, "the tablet is gone", func() error {
			if n := len(routes.Of(chat.UserKey{App: 10001, User: "a"})); n > 1 {
				return fmt.Errorf("a has %d routes", n)
			}
			return nil
		})
		a.say(t, "self2", "a", "anything")
		a.wantAck(t, "self2", 2)
		a.wantWaits(t, "self2", "a", 2)
		acks["self1"], acks["self2"] = 1, 2
	})
	t.Run("who cannot log in is told why", func(t *testing.T) {
		stranger := dialRelic(t, edges[0], "tcp")
		stranger.imei = "stranger"
		stranger.write(t, upFrame(cmdLogin, 1, 1, 10001, "web", `{"userId":"nobody"}`))
		stranger.want(t, "the refused login", cmdRefused, `{"code":20001,"msg":"the user does not exist","data":{}}`)
		stranger.wantClosed(t, "after the refused login")
	})
	h.holds(acks)

	t.Run("two apps with the same users and ids never meet", func(t *testing.T) { twoApps(t, h, routes, edges) })
	if out, err := h.try("audit", "verify"); err != nil {
		t.Errorf("audit verify: %v\n%s", err, out)
	}
	out, err := h.try("audit", "replay", "--conversation", "10001/p/a/b", "--json")
	if err != nil {
		t.Error(err)
	}
	if n := strings.Count(out, "\n"); n != 13 { // 12 messages and a refusal
		t.Errorf("audit replay tells of %d records of a and b, want 13:\n%s", n, out)
	}
}

// twoApps lets u1 talk to u2 in each of two apps, with the same ids.
func twoApps(t *testing.T, h *house, routes *streams.Routes, edges []streams.Member) {
	t.Helper()
	h.run("app", "set", "10002", "--key", "another", "--check-friend")
	pairs := make(map[int32][2]*relic)
	for _, app := range []int32{10001, 10002} {
		if err := h.store.SeedPairs(t.Context(), chat.AppID(app), 2, nil); err != nil {
			t.Fatal(err)
		}
		pairs[app] = [2]*relic{
			h.login(t, routes, edges[0], "tcp", app, "u1", 1, "web"),
			h.login(t, routes, edges[1], "ws", app, "u2", 1, "web"),
		}
	}
	for app, pair := range pairs {
		pair[0].say(t, "x1", "u2", fmt.Sprint("in ", app))
		pair[0].wantAck(t, "x1", 1)
	}
	for app, pair := range pairs {
		pair[0].say(t, "x2", "u2", "the same")
		pair[0].wantAck(t, "x2", 2)
		pair[1].wantMessage(t, pair[0], "x1", "u2", fmt.Sprint("in ", app), 1)
		pair[1].wantMessage(t, pair[0], "x2", "u2", "the same", 2) // and nothing in between
	}
	h.persisted()
	rows, err := h.store.Messages(t.Context(), 0, 1<<53, 1000)
	if err != nil {
		t.Fatal(err)
	}
	stored := make(map[string]int)
	for _, row := range rows {
		stored[row.Record.Conversation.String()]++
	}
	if stored["10001/p/u1/u2"] != 2 || stored["10002/p/u1/u2"] != 2 {
		t.Errorf("the database has %d messages of the pair in app 10001 and %d in 10002, want 2 and 2",
			stored["10001/p/u1/u2"], stored["10002/p/u1/u2"])
	}
}
