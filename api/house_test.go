package api

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/client"
	"github.com/whaleshark-im/whaleshark/directory"
	"github.com/whaleshark-im/whaleshark/edge"
	"github.com/whaleshark-im/whaleshark/history"
	"github.com/whaleshark-im/whaleshark/sql/store"
	"github.com/whaleshark-im/whaleshark/sql/storetest"
	"github.com/whaleshark-im/whaleshark/streams"
	"github.com/whaleshark-im/whaleshark/streams/streamstest"
	"github.com/whaleshark-im/whaleshark/wire"
	"github.com/whaleshark-im/whaleshark/workers/fanout"
	"github.com/whaleshark-im/whaleshark/workers/persist"
	"github.com/whaleshark-im/whaleshark/workers/sequence"
)

// seen is which codes each endpoint has answered with, in all tests of this package.
var seen = struct {
	sync.Mutex
	codes map[string]map[chat.Code]bool
}{codes: make(map[string]map[chat.Code]bool)}

func note(path string, code chat.Code, _ time.Duration) {
	seen.Lock()
	defer seen.Unlock()
	if seen.codes[path] == nil {
		seen.codes[path] = make(map[chat.Code]bool)
	}
	seen.codes[path][code] = true
}

// house is everything that the API stands on, in this process: NATS, Postgres, the workers and an edge.
type house struct {
	t         testing.TB
	database  string // its URL
	store     *store.Store
	conn      *streams.Conn
	history   *history.History
	directory *directory.Directory
	api       *API
	url       string
	edge      edge.Addrs
	stopEdge  func()
}

// open starts a house with the demo data. Change may change the API's config.
func open(t testing.TB, change ...func(*Config)) *house {
	t.Helper()
	h := &house{t: t, database: storetest.URL(t)}
	h.store = storetest.Open(t, h.database)
	if err := h.store.Seed(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.conn = streamstest.Connect(t, streamstest.Server(t), streams.Layout{})
	h.history = history.New(history.Config{}, h.conn, h.store)
	h.directory = directory.New(directory.Config{}, h.store)
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	t.Cleanup(func() { stop(); running.Wait() })
	if err := h.directory.Follow(ctx, h.conn); err != nil {
		t.Fatal(err)
	}
	h.work(ctx, &running)
	h.serveClients(ctx, &running)
	h.serve(ctx, &running, change)
	h.eventually("the API sees the edge", func() bool {
		s := h.api.sight.Load()
		return s != nil && len(s.members.Of(streams.RoleEdge)) == 1
	})
	return h
}

func (h *house) work(ctx context.Context, running *sync.WaitGroup) {
	log, node := slog.New(slog.DiscardHandler), streams.NewNode()
	running.Go(func() {
		sequence.Run(ctx, sequence.Config{
			Node: node, Conn: h.conn, Database: h.store, Outbox: h.store, Events: h.store, Log: log,
			Metrics: sequence.NewMetrics(prometheus.NewRegistry()),
		})
	})
	running.Go(func() {
		fanout.Run(ctx, fanout.Config{
			Node: node, Conn: h.conn, Database: h.store, Log: log, Metrics: fanout.NewMetrics(prometheus.NewRegistry()),
		})
	})
	running.Go(func() {
		persist.Run(ctx, persist.Config{
			Node: node, Conn: h.conn, Store: h.store, Log: log, Metrics: persist.NewMetrics(prometheus.NewRegistry()),
		})
	})
}

func (h *house) serveClients(ctx context.Context, running *sync.WaitGroup) {
	h.t.Helper()
	node := streams.NewNode()
	addrs := make(map[string]string)
	station := h.conn.NewStation(node, addrs)
	e := edge.New(edge.Config{
		Node: node, TCP: "127.0.0.1:0", WS: "127.0.0.1:0", Auth: edge.AuthOptional, History: h.history, PresenceDelay: -1, DrainWindow: -1,
		LoginPolicy: chat.ManyDevices,
	}, station, h.directory)
	if err := e.Listen(ctx); err != nil {
		h.t.Fatal(err)
	}
	h.edge = e.Addrs()
	addrs["tcp"], addrs["ws"] = h.edge.TCP, h.edge.WS
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	ctx, h.stopEdge = context.WithCancel(ctx)
	running.Go(func() { _ = station.Serve(serving, e) })
	running.Go(func() {
		defer stop()
		if err := e.Run(ctx); err != nil {
			h.t.Error(err)
		}
	})
	h.eventually("the edge is announced", station.Announced)
}

func (h *house) serve(ctx context.Context, running *sync.WaitGroup, change []func(*Config)) {
	h.t.Helper()
	cfg := Config{
		Node: streams.NewNode(), Auth: AuthOptional, Listen: []string{"127.0.0.1:0"}, AppRate: 1e6, UserRate: 1e6, Answered: note,
		Log: slog.New(slog.NewTextHandler(h.t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})),
	}
	for _, f := range change {
		f(&cfg)
	}
	h.api = New(cfg, h.store, h.conn, h.history, h.directory)
	if err := h.api.Listen(ctx); err != nil {
		h.t.Fatal(err)
	}
	h.url = "http://" + h.api.Addrs()[0]
	running.Go(func() {
		if err := h.api.Run(ctx); err != nil {
			h.t.Error(err)
		}
	})
}

func (h *house) eventually(what string, ok func() bool) {
	h.t.Helper()
	limit := time.After(15 * time.Second)
	for !ok() {
		select {
		case <-limit:
			h.t.Fatalf("it was awaited in vain for 15 s that %s", what)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// another is the same house with another API, which has these endpoints; nil: all.
func (h *house) another(endpoints []endpoint, change func(*Config)) *house {
	h.t.Helper()
	cfg := h.api.cfg
	cfg.Metrics = prometheus.NewRegistry()
	change(&cfg)
	a := New(cfg, h.store, h.conn, h.history, h.directory)
	a.sight.Store(h.api.sight.Load())
	if endpoints != nil {
		a.handler = a.newHandler(endpoints)
	}
	server := httptest.NewServer(a.handler)
	h.t.Cleanup(server.Close)
	other := *h
	other.api, other.url = a, server.URL
	return &other
}

// answer is an envelope as a client sees it.
type answer struct {
	t      testing.TB
	asked  string
	status int
	header http.Header

	Code      chat.Code       `json:"code"`
	Msg       string          `json:"msg"`
	Data      json.RawMessage `json:"data"`
	OK        bool            `json:"ok"`
	RequestID string          `json:"requestId"`
}

// body is what is asked; ask adds appId and operater, unless they are in it.
type body map[string]any

// ask calls an endpoint in a user's name.
func (h *house) ask(path, user string, in body) *answer {
	h.t.Helper()
	all := body{"appId": store.DemoApp, "operater": user}
	maps.Copy(all, in)
	b, err := json.Marshal(all)
	if err != nil {
		h.t.Fatal(err)
	}
	return h.send(http.MethodPost, path, string(b), nil)
}

// send sends a request as it is.
func (h *house) send(method, path, text string, header http.Header) *answer {
	h.t.Helper()
	r, err := http.NewRequestWithContext(h.t.Context(), method, h.url+path, strings.NewReader(text))
	if err != nil {
		h.t.Fatal(err)
	}
	maps.Copy(r.Header, header)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		h.t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	a := &answer{t: h.t, asked: path + " " + text, status: res.StatusCode, header: res.Header}
	if err := json.Unmarshal(raw, a); err != nil {
		h.t.Fatalf("%s: the answer is no envelope: %v: %.200s", a.asked, err, raw)
	}
	holds(h.t, path, text, res.StatusCode, raw, a.OK)
	return a
}

// want checks the code, and decodes the data into each of the values.
func (a *answer) want(code chat.Code, into ...any) *answer {
	a.t.Helper()
	if a.Code != code || a.OK != (code == chat.OK) {
		a.t.Fatalf("%s\nanswered %d %q; want %d", a.asked, a.Code, a.Msg, code)
	}
	for _, x := range into {
		if err := json.Unmarshal(a.Data, x); err != nil {
			a.t.Fatalf("%s: data %s: %v", a.asked, a.Data, err)
		}
	}
	return a
}

// mentions checks that the message says something.
func (a *answer) mentions(what string) {
	a.t.Helper()
	if !strings.Contains(a.Msg, what) {
		a.t.Errorf("%s\nanswered %q; want that to mention %q", a.asked, a.Msg, what)
	}
}

// sign mints a userSign of the demo app.
func sign(user string) string {
	return chat.Sign(store.DemoApp, "bantanger", chat.UserID(user), time.Now(), time.Hour)
}

// TestMain checks, once all tests have run, that they have seen every endpoint and every code that it says it answers with, and no other.
func TestMain(m *testing.M) {
	code := m.Run()
	whole := !slices.ContainsFunc(os.Args, func(s string) bool {
		return strings.HasPrefix(s, "-test.run") || strings.HasPrefix(s, "-test.bench") || strings.HasPrefix(s, "-test.fuzz") ||
			strings.HasPrefix(s, "-test.list")
	})
	if code == 0 && whole {
		if missing := unseen(); len(missing) > 0 {
			fmt.Fprintln(os.Stderr, "never seen in an answer:\n"+strings.Join(missing, "\n"))
			code = 1
		}
		if more := undeclared(); len(more) > 0 {
			fmt.Fprintln(os.Stderr, "seen in an answer, and not declared:\n"+strings.Join(more, "\n"))
			code = 1
		}
	}
	os.Exit(code)
}

// unseen lists which codes of the table no test has seen. What every endpoint may answer with alike must be seen at any one of them, but each must
// have answered well, and badly.
func unseen() []string {
	seen.Lock()
	defer seen.Unlock()
	var missing []string
	anywhere := make(map[chat.Code]bool)
	for _, codes := range seen.codes {
		maps.Copy(anywhere, codes)
	}
	for _, e := range (&API{}).endpoints() {
		codes := seen.codes[e.path]
		if !codes[chat.OK] {
			missing = append(missing, e.path+": no good answer")
		}
		if len(codes) < 2 {
			missing = append(missing, e.path+": no bad answer")
		}
		for _, c := range e.codes {
			if !codes[c] {
				missing = append(missing, fmt.Sprintf("%s: %d %s", e.path, c, c))
			}
		}
	}
	for _, c := range slices.Concat(commonCodes, signCodes, []chat.Code{chat.AdminOnly, chat.NoEndpoint}) {
		if !anywhere[c] {
			missing = append(missing, fmt.Sprintf("anywhere: %d %s", c, c))
		}
	}
	return missing
}

// undeclared lists which codes tests have seen that the table does not tell of. Those of an app's webhook are its own.
func undeclared() []string {
	seen.Lock()
	defer seen.Unlock()
	var more []string
	for _, e := range (&API{}).endpoints() {
		declared := e.allCodes()
		for c := range seen.codes[e.path] {
			if c.Info().Code == c && !slices.Contains(declared, c) {
				more = append(more, fmt.Sprintf("%s: %d %s", e.path, c, c))
			}
		}
	}
	return more
}

// device is a client that remembers what arrived.
type device struct {
	*client.Client
	t testing.TB

	mu     sync.Mutex
	frames []frame
}

type frame struct {
	command wire.Command
	payload string
}

// device logs a user in at the house's edge, as an android device with this imei.
func (h *house) device(user, imei string) *device {
	h.t.Helper()
	d := &device{t: h.t}
	c, err := client.Dial(h.t.Context(), client.Config{
		URL:    "tcp://" + h.edge.TCP,
		Device: chat.Device{App: store.DemoApp, User: chat.UserID(user), Client: chat.Android, IMEI: imei},
		Handler: client.Handler{Frame: func(c wire.Command, payload []byte) {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.frames = append(d.frames, frame{c, string(payload)})
		}},
	})
	if err != nil {
		h.t.Fatal(err)
	}
	d.Client = c
	h.t.Cleanup(func() { _ = c.Close() })
	if _, err := c.Login(h.t.Context()); err != nil {
		h.t.Fatal(err)
	}
	return d
}

// gets waits for a frame, and returns its payload; each frame is returned once.
func (d *device) gets(c wire.Command) string {
	d.t.Helper()
	limit := time.After(10 * time.Second)
	for {
		d.mu.Lock()
		i := slices.IndexFunc(d.frames, func(f frame) bool { return f.command == c })
		if i >= 0 {
			f := d.frames[i]
			d.frames = slices.Delete(d.frames, i, i+1)
			d.mu.Unlock()
			return f.payload
		}
		d.mu.Unlock()
		select {
		case <-limit:
			d.t.Fatalf("no frame %s within 10 s", c)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// none checks that no such frame has come so far.
func (d *device) none(c wire.Command) {
	d.t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, f := range d.frames {
		if f.command == c {
			d.t.Errorf("got %s %s; want none", c, f.payload)
		}
	}
}
