package api

import (
	"bytes"
	"compress/zlib"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/directory"
	"github.com/whaleshark-im/whaleshark/sql/store"
)

// originalSign is a userSign that the original's own code made, for bantanger; it was valid from 2023-04-02 until 2026-06-03.
const originalSign = "eJyrVgrxCdZLrSjILEpVsjI0gAIdsHBiQYFnCkTUUAdJYUhmLkixmYWBiYm5sSVULjMlNa8kMy0ztUjJSikpMa8kMS8dyIZIFmemA0XziiJzQs0tvVLK-IPLjE1K9XOTMs3KyiL9w0qTwkMCsg1CLI2Kg-wiqyIibZVqAQHCL7I_"

// packed makes a userSign by hand, with a MAC that was computed elsewhere.
func packed(t *testing.T, user string, issued, expire int64, mac string) string {
	t.Helper()
	var b bytes.Buffer
	z := zlib.NewWriter(&b)
	fmt.Fprintf(z, `{"TLS.sig":%q,"TLS.expireTime":%d,"TLS.expire":%d,"TLS.appId":10001,"TLS.identifier":%q}`, mac, issued, expire, user)
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return strings.NewReplacer("+", "*", "/", "-", "=", "_").Replace(base64.StdEncoding.EncodeToString(b.Bytes()))
}

func TestSignatures(t *testing.T) {
	h := open(t)
	byHand := packed(t, "10001", 1_700_000_000, 86_400, "vyY7Rstwih/o33wELi1Vs+5Qj1LdxjyAzefWLCoaUKg=")
	for what, c := range map[string]struct {
		user, sign string
		now        int64
		want       chat.Code
	}{
		"the original's":              {"bantanger", originalSign, 1_700_000_000, chat.OK},
		"the original's, expired":     {"bantanger", originalSign, 1_790_000_000, chat.SignExpired},
		"the original's, of another":  {"alice", originalSign, 1_700_000_000, chat.SignOtherUser},
		"by hand":                     {"10001", byHand, 1_700_000_000, chat.OK},
		"by hand, in its last second": {"10001", byHand, 1_700_086_400, chat.OK},
		"by hand, a second later":     {"10001", byHand, 1_700_086_401, chat.SignExpired},
		"forged": {
			"10001", packed(t, "10001", 1_700_000_000, 86_401, "vyY7Rstwih/o33wELi1Vs+5Qj1LdxjyAzefWLCoaUKg="), 1_700_000_000, chat.SignWrong,
		},
		"garbage":    {"10001", "garbage", 1_700_000_000, chat.SignWrong},
		"none":       {"10001", "", 1_700_000_000, chat.SignMissing},
		"of nobody":  {"", byHand, 1_700_000_000, chat.OperatorMissing},
		"of another": {"10002", byHand, 1_700_000_000, chat.SignOtherUser},
	} {
		strict := h.another(nil, func(c2 *Config) {
			c2.Auth, c2.Now = AuthRequired, func() time.Time { return time.Unix(c.now, 0) }
		})
		text := fmt.Sprintf(`{"userId":%q}`, c.user)
		query := url.Values{"appId": {"10001"}, "userSign": {c.sign}}
		if c.user != "" {
			query.Set("identifier", c.user)
		}
		a := strict.send(http.MethodPost, "/v1/user/status/query?"+query.Encode(), `{"userIds":["a"],"x":`+text+`}`, nil)
		if a.Code != c.want {
			t.Errorf("%s: %d %q; want %d", what, a.Code, a.Msg, c.want)
		}
	}
	// A sign that comes is checked even where none is needed.
	h.send(http.MethodPost, "/v1/user/status/query"+signedBy("alice", "garbage"), `{"userIds":["a"]}`, nil).want(chat.SignWrong)
	// The original's first clients say it in the body alone; only the userSign is in the query.
	h.send(http.MethodPost, "/v1/user/status/query?userSign="+url.QueryEscape(sign("alice")), `{"appId":10001,"operater":"alice","userIds":["a"]}`, nil).
		want(chat.OK)
	if err := h.store.SetApp(t.Context(), chat.App{ID: 8, Keys: []string{"old", "bantanger"}}); err != nil {
		t.Fatal(err)
	}
	h.send(http.MethodPost, "/v1/user/status/query?"+url.Values{"appId": {"8"}, "identifier": {"alice"}, "userSign": {sign("alice")}}.Encode(),
		`{"userIds":["a"]}`, nil).want(chat.SignWrong).mentions("another app")
	for _, key := range []string{"old", "bantanger"} {
		s := chat.Sign(8, key, "alice", time.Now(), time.Hour)
		h.send(http.MethodPost, "/v1/user/status/query?"+url.Values{"appId": {"8"}, "identifier": {"alice"}, "userSign": {s}}.Encode(),
			`{"userIds":["a"]}`, nil).want(chat.OK)
	}
}

// TestWhoActs is about whom a request acts for: its signer, unless he is an administrator.
func TestWhoActs(t *testing.T) {
	h := open(t)
	strict := h.another(nil, func(c *Config) { c.Auth = AuthRequired })
	const path = "/v1/user/session/list"
	of := func(user, operater string) string {
		return fmt.Sprintf(`{"appId":1,"operater":%q,"userId":%q}`, operater, user)
	}
	alice, admin := signedBy("alice", sign("alice")), signedBy("admin", sign("admin"))

	strict.send(http.MethodPost, path+alice, of("alice", "alice"), nil).want(chat.OK) // the query's appId comes first
	strict.send(http.MethodPost, path+alice, of("bob", "alice"), nil).want(chat.SignOtherUser).mentions("alice may not act for bob")
	strict.send(http.MethodPost, path+alice, of("bob", "bob"), nil).want(chat.SignOtherUser).mentions("alice may not act for bob")
	strict.send(http.MethodPost, path+alice, of("alice", "bob"), nil).want(chat.OK) // he is alice, whatever the body says
	strict.send(http.MethodPost, path+admin, of("bob", "bob"), nil).want(chat.OK)
	strict.send(http.MethodPost, path+admin, of("bob", ""), nil).want(chat.OK)
	strict.ask(path, "alice", body{"userId": "alice"}).want(chat.SignMissing)
	strict.ask(path, "admin", body{"userId": "alice"}).want(chat.SignMissing)
	strict.ask(path, "", body{"userId": "alice"}).want(chat.OperatorMissing)

	h.ask(path, "alice", body{"userId": "bob"}).want(chat.OK) // believed, where nobody must prove anything
	h.send(http.MethodPost, path+alice, of("bob", "alice"), nil).want(chat.SignOtherUser)
	for what, user := range map[string]string{"too long": strings.Repeat("x", 51), "U+0000": "a\x00", "invalid UTF-8": "\xff"} {
		query := "?" + url.Values{"appId": {"10001"}, "identifier": {user}}.Encode()
		if a := h.send(http.MethodPost, path+query, `{"userId":"a"}`, nil); a.Code != chat.BadParameter || !strings.Contains(a.Msg, "identifier") {
			t.Errorf("an identifier that is %s: %d %q", what, a.Code, a.Msg)
		}
	}

	db, err := pgx.Connect(t.Context(), h.database)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(t.Context())
	if _, err := db.Exec(t.Context(), "UPDATE app_user SET forbidden = true WHERE user_id IN ('lld', 'admin')"); err != nil {
		t.Fatal(err)
	}
	h.directory.ForgetAll()
	h.ask(path, "lld", body{"userId": "lld"}).want(chat.SenderForbidden)
	h.own(path, body{"userId": "lld"}).want(chat.OK) // nobody locks himself out
}

// TestChangesAreHeardOf changes an app as another process does.
func TestChangesAreHeardOf(t *testing.T) {
	h := open(t)
	ask := func() *answer {
		return h.ask("/v1/user/session/list"+signedBy("alice", sign("alice")), "alice", body{"userId": "alice"})
	}
	ask().want(chat.OK)
	if _, err := h.store.ChangeApp(t.Context(), store.DemoApp, func(app *chat.App) error {
		app.Keys = []string{"another"}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	h.conn.Nudge()
	h.eventually("the old key is taken no more", func() bool { return ask().Code == chat.SignWrong })
}

// line is a way to Postgres that can be cut.
type line struct {
	at string // its URL

	mu    sync.Mutex
	down  bool
	conns []net.Conn
}

// layLine makes a way to the house's Postgres.
func (h *house) layLine() *line {
	h.t.Helper()
	u, err := url.Parse(h.database)
	if err != nil {
		h.t.Fatal(err)
	}
	query := u.Query()
	socket := ".s.PGSQL." + query.Get("port")
	dir := h.t.TempDir()
	far := filepath.Join(query.Get("host"), socket)
	l, err := (&net.ListenConfig{}).Listen(h.t.Context(), "unix", filepath.Join(dir, socket))
	if err != nil {
		h.t.Fatal(err)
	}
	query.Set("host", dir)
	u.RawQuery = query.Encode()
	way := &line{at: u.String()}
	var carrying sync.WaitGroup
	carrying.Go(func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			way.join(h.t, &carrying, near, far)
		}
	})
	h.t.Cleanup(func() { _ = l.Close(); way.cut(); carrying.Wait() })
	return way
}

func (l *line) join(t testing.TB, carrying *sync.WaitGroup, near net.Conn, socket string) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	far, err := (&net.Dialer{}).DialContext(t.Context(), "unix", socket)
	if l.down || err != nil {
		_ = near.Close()
		return
	}
	l.conns = append(l.conns, near, far)
	for _, way := range [][2]net.Conn{{near, far}, {far, near}} {
		carrying.Go(func() {
			_, _ = io.Copy(way[0], way[1])
			_ = way[0].Close()
		})
	}
}

func (l *line) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down = true
	for _, c := range l.conns {
		_ = c.Close()
	}
}

// TestPostgresIsAway cuts the API off from Postgres: what needs it fails soon, and can be tried again; who asks is known as before.
func TestPostgresIsAway(t *testing.T) {
	h := open(t)
	way := h.layLine()
	s, err := store.Open(t.Context(), way.at, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	cut := *h
	cut.store, cut.directory = s, directory.New(directory.Config{TTL: time.Millisecond}, s)
	off := cut.another(nil, func(c *Config) { c.Auth = AuthRequired })
	me := body{"userId": "alice", "userIds": []string{"alice"}}
	alice := signedBy("alice", sign("alice"))
	off.ask("/v1/user/getUserSequence"+alice, "alice", me).want(chat.OK)
	off.ask("/v1/user/status/query"+alice, "alice", me).want(chat.OK)
	way.cut()

	began := time.Now()
	if a := off.send(http.MethodPost, "/v1/user/getUserSequence"+alice, `{"userId":"alice"}`, inHTTP).want(chat.Unavailable); a.status != http.StatusServiceUnavailable {
		t.Errorf("without Postgres the status is %d", a.status)
	}
	off.ask("/v1/user/status/query"+alice, "alice", me).want(chat.OK) // his app and he are remembered
	off.ask("/v1/user/status/query"+signedBy("alice", "garbage"), "alice", me).want(chat.SignWrong)
	off.ask("/v1/user/status/query"+signedBy("bob", sign("bob")), "bob", me).want(chat.Unavailable) // he was never seen
	off.send(http.MethodPost, "/v1/user/login", `{"appId":10001,"userId":"alice"}`, nil).want(chat.OK)
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("five requests without Postgres took %v", took)
	}
}
