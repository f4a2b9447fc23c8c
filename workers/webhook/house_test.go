package webhook

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/directory"
	"github.com/whaleshark-im/whaleshark/sql/store"
	"github.com/whaleshark-im/whaleshark/sql/storetest"
	"github.com/whaleshark-im/whaleshark/streams"
	"github.com/whaleshark-im/whaleshark/streams/streamstest"
)

// house is what a webhook worker stands on: NATS and Postgres, and a log that the test writes.
type house struct {
	t     testing.TB
	store *store.Store
	conn  *streams.Conn

	tail chat.Mark
	seqs map[chat.Conversation]chat.Seq
}

func open(t testing.TB) *house {
	t.Helper()
	return &house{
		t: t, store: storetest.New(t), conn: streamstest.Connect(t, streamstest.Server(t), streams.Layout{Partitions: 1}),
		seqs: make(map[chat.Conversation]chat.Seq),
	}
}

const app chat.AppID = 10001

const secret = "whsec_dGhlIHNlY3JldCBvZiB0aGUgdGVzdHM="

// app makes an app with hooks.
func (h *house) app(id chat.AppID, url string, commands ...string) {
	h.t.Helper()
	err := h.store.SetApp(h.t.Context(), chat.App{
		ID: id, Keys: []string{"key"}, Hooks: chat.Hooks{URL: url, Secrets: []string{secret, "old"}, Commands: commands},
	})
	if err != nil {
		h.t.Fatal(err)
	}
}

// config is one with times that suit a test.
func (h *house) config() Config {
	d := directory.New(directory.Config{TTL: time.Millisecond}, h.store)
	return Config{
		Node: streams.NewNode(), Conn: h.conn, Store: h.store, Directory: d, Log: slog.New(slog.DiscardHandler),
		Metrics: NewMetrics(prometheus.NewRegistry()), AllowPrivate: true,
		Backoff: 20 * time.Millisecond, BackoffAtMost: 100 * time.Millisecond, BreakFor: 100 * time.Millisecond, Attempts: 1000,
		PresenceDelay: 100 * time.Millisecond,
	}
}

// start runs a worker until stop is called, or the test ends. Whatever is said after it has begun to listen is told.
func (h *house) start(change ...func(*Config)) (stop func()) {
	h.t.Helper()
	cfg := h.config()
	for _, f := range change {
		f(&cfg)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { Run(ctx, cfg) })
	stop = func() { cancel(); wg.Wait() }
	h.t.Cleanup(stop)
	h.eventually("the worker listens", func() bool {
		for _, source := range []int{0, store.HookEvents} {
			_, err := h.store.HookMark(h.t.Context(), source, func(context.Context) (uint64, error) { return 0, fmt.Errorf("no mark") })
			if err != nil {
				return false
			}
		}
		return true
	})
	return stop
}

// append puts records into the log, as a sequencer would, and returns their places.
func (h *house) append(records ...chat.Record) (places []chat.Place) {
	h.t.Helper()
	block := &chat.Block{Prev: h.tail.Revision, Time: time.UnixMilli(1_700_000_000_000), Records: records}
	data := chat.AppendBlock(nil, block, h.tail.Hash)
	done := make(chan error, 1)
	h.conn.Append(0, data, h.tail.Revision, func(rev chat.Revision, err error) {
		h.tail = chat.Mark{Revision: rev, Hash: block.Hash}
		done <- err
	})
	if err := <-done; err != nil {
		h.t.Fatal(err)
	}
	for i := range records {
		places = append(places, chat.PlaceOf(h.conn.Base(), h.tail.Revision, i))
	}
	return places
}

// message is the next message from alice to bob.
func (h *house) message(app chat.AppID, body string) chat.Record {
	c := chat.PairOf(app, "alice", "bob")
	h.seqs[c]++
	return chat.Record{
		Kind: chat.MessageRecord, Conversation: c, Sender: chat.Device{App: app, User: "alice", Client: chat.Web, IMEI: "i1"},
		MessageID: fmt.Sprint("m", h.seqs[c]), Seq: h.seqs[c], MessageTime: 1_700_000_000_123, Digest: chat.DigestOf(body, ""), Body: body,
	}
}

// say puts n messages of the app into the log, a block each.
func (h *house) say(n int) {
	h.t.Helper()
	for i := range n {
		h.append(h.message(app, fmt.Sprint("body ", i)))
	}
}

func (h *house) eventually(what string, done func() bool) {
	h.t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !done() {
		if time.Now().After(deadline) {
			h.t.Fatalf("it never happens: %s", what)
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-h.t.Context().Done():
		}
	}
}

// waiting returns the calls that wait in Postgres.
func (h *house) waiting() []chat.WaitingCall {
	h.t.Helper()
	calls, err := h.store.WaitingCalls(h.t.Context(), store.CallFilter{Waiting: true, Dead: true, Limit: 1000})
	if err != nil {
		h.t.Fatal(err)
	}
	return calls
}

// got is a call that a receiver has got.
type got struct {
	App, Command, Event string
	Body                string
}

// receiver is an app's own server.
type receiver struct {
	t      testing.TB
	server *httptest.Server

	mu     sync.Mutex
	calls  []got
	answer func(n int, w http.ResponseWriter, r *http.Request) // to the n-th call; nil: 200
}

func receive(t testing.TB, answer func(n int, w http.ResponseWriter, r *http.Request)) *receiver {
	t.Helper()
	x := &receiver{t: t, answer: answer}
	x.server = httptest.NewServer(x)
	t.Cleanup(x.server.Close)
	return x
}

// ServeHTTP notes a call, and checks that its signature is right.
func (x *receiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // it was given up
	}
	key, err := base64.StdEncoding.DecodeString(secret[len("whsec_"):])
	if err != nil {
		x.t.Error(err)
	}
	at := r.Header.Get("webhook-timestamp")
	want := hmacOf(key, r.Header.Get("webhook-id")+"."+at+"."+string(body))
	old := hmacOf([]byte("old"), r.Header.Get("webhook-id")+"."+at+"."+string(body))
	if got := r.Header.Get("webhook-signature"); got != "v1,"+want+" v1,"+old {
		x.t.Errorf("the signature is %q", got)
	}
	if r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/json" || !json.Valid(body) {
		x.t.Errorf("%s of %s: %s", r.Method, r.Header.Get("Content-Type"), body)
	}
	q := r.URL.Query()
	x.mu.Lock()
	x.calls = append(x.calls, got{q.Get("appId"), q.Get("command"), r.Header.Get("webhook-id"), string(body)})
	n, answer := len(x.calls), x.answer
	x.mu.Unlock()
	if answer != nil {
		answer(n, w, r)
	}
}

func (x *receiver) become(answer func(n int, w http.ResponseWriter, r *http.Request)) {
	x.mu.Lock()
	x.answer = answer
	x.mu.Unlock()
}

func (x *receiver) all() []got {
	x.mu.Lock()
	defer x.mu.Unlock()
	return append([]got(nil), x.calls...)
}

// events returns how often each event was told.
func (x *receiver) events() map[string]int {
	times := make(map[string]int)
	for _, c := range x.all() {
		times[c.Event]++
	}
	return times
}

func status(code int) func(int, http.ResponseWriter, *http.Request) {
	return func(_ int, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}
