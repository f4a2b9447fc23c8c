package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/whaleshark-im/whaleshark/chat"
)

// oddities are endpoints that do what none should have to.
func oddities() []endpoint {
	type codeOf struct {
		Code   int32    `json:"code"`
		Text   string   `json:"text" is:"max=5"`
		Number int64    `json:"number" is:"max=10"`
		Truth  bool     `json:"truth"`
		List   []string `json:"list" is:"max=2"`
		Inner  *struct {
			Number int64 `json:"number" is:"required"`
		} `json:"inner"`
	}
	return of("oddity",
		define("/test/code", "Answers with a code.", forUsers, func(_ context.Context, _ *caller, in *codeOf) (codeOf, error) {
			if in.Code != 0 && chat.Code(in.Code) != chat.OK {
				return codeOf{}, chat.Error{Code: chat.Code(in.Code)}
			}
			return *in, nil
		}),
		define("/test/panic", "Panics.", forUsers, func(context.Context, *caller, *none) (none, error) { panic("a bug") }),
		define("/test/slow", "Never answers.", forUsers, func(ctx context.Context, _ *caller, _ *none) (none, error) {
			<-ctx.Done()
			return none{}, ctx.Err()
		}),
		define("/test/posted", "Is only posted.", forUsers, func(context.Context, *caller, *none) (none, error) { return none{}, nil }).by(onlyPost),
		define("/test/got", "Is only got.", forUsers, func(context.Context, *caller, *none) (none, error) { return none{}, nil }).by(onlyGet),
	)
}

var inHTTP = http.Header{headerErrors: {"http"}}

func TestNumbersOfRequests(t *testing.T) {
	h := open(t)
	ask := func(number string) *answer {
		return h.send(http.MethodPost, "/v1/user/login", "{}", http.Header{headerRequestID: {number}})
	}
	if a := ask("mine-1"); a.header.Get(headerRequestID) != "mine-1" || a.RequestID != "mine-1" {
		t.Errorf("a client's own number comes back as %q and %q", a.header.Get(headerRequestID), a.RequestID)
	}
	for _, number := range []string{"", "two words", strings.Repeat("x", 65), "ü"} {
		a := ask(number)
		if got := a.header.Get(headerRequestID); got == number || !plainID(got) || a.RequestID != got {
			t.Errorf("in place of %q there come %q and %q", number, got, a.RequestID)
		}
	}
	good := h.send(http.MethodPost, "/v1/user/login", `{"appId":10001,"userId":"a"}`, nil).want(chat.OK)
	if good.RequestID != "" || good.header.Get(headerRequestID) == "" {
		t.Error("an answer that is good has its number in the header, and not in the envelope")
	}
}

// TestStatuses asks for every code, without the header that asks for statuses, and with it.
func TestStatusesOfCodes(t *testing.T) {
	h := open(t)
	odd := h.another(oddities(), func(*Config) {})
	want := map[int][]chat.Code{
		200: {chat.OK},
		401: {chat.SignMissing, chat.AppMissing, chat.OperatorMissing, chat.SignWrong, chat.SignExpired},
		403: {
			chat.SignOtherUser, chat.AdminOnly, chat.ManagersOnly, chat.OwnerOnly, chat.SelfOnly, chat.NotYourRequest, chat.NotMember,
			chat.SenderForbidden, chat.SenderMuted, chat.NotYours, chat.PrivateNotDestroy,
		},
		404: {
			chat.UserMissing, chat.GroupMissing, chat.RequestMissing, chat.NoFriendGroup, chat.RelationMissing,
			chat.MessageMissing, chat.NoEndpoint,
		},
		409: {
			chat.AlreadyFriends, chat.FriendGroupThere, chat.GroupExists, chat.AlreadyMember, chat.MemberLimit, chat.GroupIsGone,
			chat.RecalledAlready, chat.MessageIDReused,
		},
		413: {chat.TooLarge}, 429: {chat.TooManyRequests}, 500: {chat.Internal}, 503: {chat.Unavailable, chat.Busy, chat.NoEdge},
	}
	for _, info := range chat.Codes {
		status := http.StatusBadRequest
		for s, codes := range want {
			if slices.Contains(codes, info.Code) {
				status = s
			}
		}
		text := fmt.Sprintf(`{"appId":10001,"operater":"alice","code":%d}`, info.Code)
		if a := odd.send(http.MethodPost, "/test/code", text, nil).want(info.Code); a.status != http.StatusOK {
			t.Errorf("%s comes with status %d; want 200, as the original's clients do", info.Name, a.status)
		}
		a := odd.send(http.MethodPost, "/test/code", text, inHTTP).want(info.Code)
		if a.status != status {
			t.Errorf("%s comes with status %d; want %d", info.Name, a.status, status)
		}
		if again := a.header.Get("Retry-After"); (again != "") != (status == http.StatusTooManyRequests) {
			t.Errorf("%s comes with Retry-After %q", info.Name, again)
		}
		if info.Code != chat.OK && string(a.Data) != "null" {
			t.Errorf("%s comes with data %s; want none", info.Name, a.Data)
		}
	}
}

func TestUnknownEndpoints(t *testing.T) {
	registry := prometheus.NewRegistry()
	h := open(t, func(c *Config) { c.Metrics = registry })
	for _, path := range []string{"/v1/user/Login", "/v1/nothing", "/v1/user/login/", "/x?a=b", "/" + strings.Repeat("x", 5000)} {
		if a := h.send(http.MethodPost, path, "{}", nil).want(chat.NoEndpoint); a.status != http.StatusNotFound || len(a.Msg) > 400 {
			t.Errorf("%.50s has status %d and %d characters to say", path, a.status, len(a.Msg))
		}
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "whaleshark_api_request_seconds" && len(f.GetMetric()) != 1 {
			t.Errorf("unknown paths made %d series; want one for all of them", len(f.GetMetric()))
		}
	}
}

// TestForeignCodesAreCountedAsOne counts what an app's webhook may refuse with: any number.
func TestForeignCodesAreCountedAsOne(t *testing.T) {
	registry := prometheus.NewRegistry()
	m := newMetrics(registry)
	for code := range chat.Code(100) {
		m.answered("/x", 70000+code, time.Second)
	}
	m.answered("/x", chat.Internal, time.Second)
	families, err := registry.Gather()
	if err != nil || len(families) != 1 || len(families[0].GetMetric()) != 2 {
		t.Errorf("100 foreign codes and one of ours made %v, %v; want two series", families, err)
	}
}

func TestVerbs(t *testing.T) {
	h := open(t)
	odd := h.another(oddities(), func(*Config) {})
	const who = "?appId=10001&identifier=alice"
	for _, verb := range []string{http.MethodGet, http.MethodPut, http.MethodDelete, http.MethodPatch, http.MethodPost} {
		odd.send(verb, "/test/code"+who, "", nil).want(chat.OK)
	}
	odd.send(http.MethodPost, "/test/posted"+who, "{}", nil).want(chat.OK)
	odd.send(http.MethodGet, "/test/posted"+who, "", nil).want(chat.BadParameter).mentions("POST")
	odd.send(http.MethodGet, "/test/got"+who, "", nil).want(chat.OK)
	odd.send(http.MethodPost, "/test/got"+who, "", nil).want(chat.BadParameter).mentions("GET")
}

func TestPanics(t *testing.T) {
	h := open(t)
	var log bytes.Buffer
	odd := h.another(oddities(), func(c *Config) {
		c.Log = slog.New(slog.NewJSONHandler(&lines{b: &log}, nil))
		c.RequestTimeout = 50_000_000
	})
	a := odd.ask("/test/panic", "alice", body{}).want(chat.Internal)
	if a.Msg != chat.Internal.Info().Meaning || !strings.Contains(log.String(), "a bug") || !strings.Contains(log.String(), a.RequestID) {
		t.Errorf("a panic is told as %q, and logged as\n%s", a.Msg, log.String())
	}
	odd.ask("/test/slow", "alice", body{}).want(chat.Unavailable)
	odd.ask("/test/code", "alice", body{}).want(chat.OK)
}

// TestWhoDoesNotReadIsLeft asks for more than the network holds, and reads nothing of it.
func TestWhoDoesNotReadIsLeft(t *testing.T) {
	h := open(t, func(c *Config) { c.AnswerTimeout = 300 * time.Millisecond })
	c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", h.api.Addrs()[0])
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(15 * time.Second)); err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = io.WriteString(c, "GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n")
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the API still waits for him after 15 s")
	}
}

// TestStop stops an API while a request is under way: it is answered, and nobody new is.
func TestStop(t *testing.T) {
	h := open(t)
	under, finish := make(chan struct{}), make(chan struct{})
	waiting := define("/test/wait", "Waits.", forUsers, func(context.Context, *caller, *none) (none, error) {
		close(under)
		<-finish
		return none{}, nil
	})
	cfg := h.api.cfg
	cfg.Metrics, cfg.Listen = prometheus.NewRegistry(), []string{"127.0.0.1:0"}
	a := New(cfg, h.store, h.conn, h.history, h.directory)
	a.handler = a.newHandler([]endpoint{waiting})
	if err := a.Listen(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	go func() { stopped <- a.Run(ctx) }() // stop ends it
	other := *h
	other.url = "http://" + a.Addrs()[0]
	answered := make(chan *answer, 1)
	go func() { answered <- other.ask("/test/wait", "alice", body{}) }() // finish ends it
	<-under
	stop()
	h.eventually("nobody new is let in", func() bool {
		c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", a.Addrs()[0])
		if err == nil {
			_ = c.Close()
		}
		return err != nil
	})
	close(finish)
	(<-answered).want(chat.OK)
	if err := <-stopped; err != nil {
		t.Errorf("the API stops with %v", err)
	}
}

// lines is a buffer that many may write to.
type lines struct {
	mu sync.Mutex
	b  *bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func TestAccessLog(t *testing.T) {
	h := open(t)
	var log bytes.Buffer
	logged := h.another(nil, func(c *Config) {
		c.AccessLog, c.Log = true, slog.New(slog.NewJSONHandler(&lines{b: &log}, nil))
	})
	last := func() map[string]any {
		t.Helper()
		var line map[string]any
		all := strings.Split(strings.TrimSpace(log.String()), "\n")
		if err := json.Unmarshal([]byte(all[len(all)-1]), &line); err != nil {
			t.Fatal(err)
		}
		return line
	}
	check := func(want map[string]any) {
		t.Helper()
		got := last()
		for name, x := range want {
			if fmt.Sprint(got[name]) != fmt.Sprint(x) {
				t.Errorf("%s is logged as %v; want %v", name, got[name], x)
			}
		}
	}
	logged.ask("/v1/user/getUserSequence", "alice", body{"userId": "alice", "password": "secret"}).want(chat.OK)
	check(map[string]any{
		"app": 10001, "user": "alice", "signed": false, "code": 200, "status": 200, "path": "/v1/user/getUserSequence", "method": "POST",
	})
	logged.own("/v1/user/session/list", body{"operater": "bob", "userId": "bob"}).want(chat.OK)
	check(map[string]any{"app": 10001, "user": "bob", "signed": true})
	logged.send(http.MethodPost, "/v1/user/getUserSequence"+signedBy("alice", "forged"), "{}", nil).want(chat.SignWrong)
	check(map[string]any{"app": 10001, "user": "alice", "signed": false, "code": 60003})
	logged.send(http.MethodPost, "/"+strings.Repeat("x", 5000), "{}", inHTTP).want(chat.NoEndpoint)
	if path := fmt.Sprint(last()["path"]); len(path) != longestLogged {
		t.Errorf("a long path is logged with %d bytes", len(path))
	}
	for _, secret := range []string{"secret", sign("admin")} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("the log holds %q", secret)
		}
	}
}

func TestLimits(t *testing.T) {
	h := open(t)
	few := h.another(nil, func(c *Config) { c.UserRate, c.AppRate = 3, 1e6 })
	askedBy := func(h *house, user string) *answer {
		return h.send(http.MethodPost, "/v1/user/getUserSequence", fmt.Sprintf(`{"appId":10001,"operater":%q,"userId":"alice"}`, user), inHTTP)
	}
	refused := func(h *house, users ...string) (at int, a *answer) {
		for i := range 100 {
			if a = askedBy(h, users[i%len(users)]); a.Code != chat.OK {
				return i, a
			}
		}
		return 100, a
	}
	at, a := refused(few, "alice")
	if at < 3 || at > 20 || a.status != http.StatusTooManyRequests || a.header.Get("Retry-After") != "1" {
		t.Errorf("request %d is refused with status %d, Retry-After %q", at, a.status, a.header.Get("Retry-After"))
	}
	a.want(chat.TooManyRequests).mentions("user")
	askedBy(few, "bob").want(chat.OK)
	for range 10 {
		few.own("/v1/user/session/list", body{"userId": "bob"}).want(chat.OK) // an administrator asks for all
	}
	for range 10 { // by somebody who says that he is lld
		few.send(http.MethodPost, "/v1/user/login", `{"appId":10001,"operater":"lld","userId":"lld"}`, nil)
	}
	few.send(http.MethodPost, "/v1/user/login", `{"appId":10001,"operater":"lld","userId":"lld"}`, nil).want(chat.TooManyRequests)
	few.signed("/v1/user/session/list", "lld", body{"userId": "lld"}).want(chat.OK)
	crowd := h.another(nil, func(c *Config) { c.UserRate, c.AppRate = 1e6, 3 })
	if at, a = refused(crowd, "alice", "bob", "lld"); at > 20 {
		t.Errorf("an app was refused at request %d", at)
	}
	a.want(chat.TooManyRequests).mentions("app")
	if err := h.store.SetApp(t.Context(), chat.App{ID: 8, Keys: []string{"k"}}); err != nil {
		t.Fatal(err)
	}
	crowd.send(http.MethodPost, "/v1/user/session/list", `{"appId":8,"operater":"alice","userId":"alice"}`, nil).want(chat.OK)
}

func TestOrigins(t *testing.T) {
	h := open(t)
	ask := func(origins []string, method, origin, preflight string) http.Header {
		t.Helper()
		other := h.another(nil, func(c *Config) { c.Origins = origins })
		header := http.Header{"Origin": {origin}}
		if preflight != "" {
			header.Set("Access-Control-Request-Method", preflight)
			r, err := http.NewRequestWithContext(t.Context(), method, other.url+"/v1/user/login", http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			maps.Copy(r.Header, header)
			res, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			return res.Header
		}
		return other.send(method, "/v1/user/login", `{"appId":10001,"userId":"a"}`, header).header
	}
	const page = "https://chat.example.org"
	for what, c := range map[string]struct {
		origins []string
		allowed bool
	}{
		"none": {nil, false}, "another": {[]string{"https://example.org"}, false}, "this": {[]string{"https://example.org", page}, true},
		"all": {[]string{"*"}, true},
	} {
		got := ask(c.origins, http.MethodPost, page, "")
		if allowed := got.Get("Access-Control-Allow-Origin") == page; allowed != c.allowed || got.Get("Access-Control-Allow-Origin") != "" && !allowed {
			t.Errorf("%s: the page may ask: %v (%q)", what, allowed, got.Get("Access-Control-Allow-Origin"))
		}
		if c.allowed && got.Get("Vary") != "Origin" {
			t.Errorf("%s: the answer varies with %q", what, got.Get("Vary"))
		}
	}
	before := ask([]string{page}, http.MethodOptions, page, http.MethodPost)
	if !strings.Contains(before.Get("Access-Control-Allow-Headers"), headerErrors) || before.Get("Access-Control-Max-Age") == "" {
		t.Errorf("before it asks the page is told %v", before)
	}
	if denied := ask(nil, http.MethodOptions, page, http.MethodPost); denied.Get("Access-Control-Allow-Methods") != "" {
		t.Errorf("a page that may not ask is told %v", denied)
	}
}

func TestAppsAreApart(t *testing.T) {
	h := open(t)
	h.send(http.MethodPost, "/v1/user/login", `{"userId":"a"}`, nil).want(chat.AppMissing).mentions("appId is missing")
	h.send(http.MethodPost, "/v1/user/login", `{"userId":"a","appId":31337}`, nil).want(chat.AppMissing)
	h.send(http.MethodPost, "/v1/user/login?appId=x", `{"userId":"a","appId":10001}`, nil).want(chat.BadParameter).mentions("appId")
	if err := h.store.SetApp(t.Context(), chat.App{ID: 8, Keys: []string{"k"}}); err != nil {
		t.Fatal(err)
	}
	h.device("alice", "one")
	h.eventually("alice is seen", func() bool {
		var got []userStatus
		h.ask("/v1/user/status/query", "alice", body{"userIds": []string{"alice"}}).want(chat.OK, &got)
		return got[0].Status == 1
	})
	var there []userStatus
	h.ask("/v1/user/status/query", "alice", body{"appId": 8, "userIds": []string{"alice"}}).want(chat.OK, &there)
	if there[0].Status != 2 {
		t.Errorf("alice of another app is seen as %+v", there)
	}
	var none sessionList
	h.ask("/v1/user/session/kick", "alice", body{"appId": 8, "userId": "alice"}).want(chat.OK, &none)
	if len(none.Sessions) != 0 {
		t.Errorf("from another app %v were kicked", none.Sessions)
	}
}
