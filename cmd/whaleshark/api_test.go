package main

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestAdvertised(t *testing.T) {
	for _, c := range []struct{ given, listened, want, fault string }{
		{"", "127.0.0.1:9001", "127.0.0.1:9001", ""},
		{"", "[::]:9001", "machine:9001", ""},
		{"", "0.0.0.0:9001", "machine:9001", ""},
		{"im.example.org", "[::]:9001", "im.example.org:9001", ""},
		{"im.example.org:443", "[::]:9001", "im.example.org:443", ""},
		{"[2001:db8::1]:443", "[::]:9001", "[2001:db8::1]:443", ""},
		{":443", "[::]:9001", "", "missing host"},
		{"im.example.org:0", "[::]:9001", "", "bad port"},
		{"im.example.org:70000", "[::]:9001", "", "bad port"},
		{"2001:db8::1", "[::]:9001", "", "too many colons"},
	} {
		got, err := advertised(c.given, c.listened, "machine")
		if c.fault == "" && (err != nil || got != c.want) || c.fault != "" && (err == nil || !strings.Contains(err.Error(), c.fault)) {
			t.Errorf("advertised(%q, %q) = %q, %v; want %q %s", c.given, c.listened, got, err, c.want, c.fault)
		}
	}
}

// parsed returns the command line as it is understood.
func parsed(t *testing.T, args ...string) *cli {
	t.Helper()
	c := &cli{}
	if _, err := newParser(c, io.Discard, io.Discard, func(int) {}).Parse(args); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestAddressesOfTheAPI(t *testing.T) {
	want := func(got []string, want string) {
		t.Helper()
		if s := strings.Join(got, " "); s != want {
			t.Errorf("got %q; want %q", s, want)
		}
	}
	want(parsed(t, "dev").Dev.HTTP, "127.0.0.1:8000 127.0.0.1:8001")
	want(parsed(t, "dev", "--http", ":1").Dev.HTTP, ":1")
	want(parsed(t, "api").API.HTTP, "127.0.0.1:8000")
	want(parsed(t, "api", "--http", ":1", "--http", ":2").API.HTTP, ":1 :2")
	t.Setenv("WHALESHARK_HTTP", ":3,:4")
	want(parsed(t, "api").API.HTTP, ":3 :4")
	if c := parsed(t, "api"); !c.API.AccessLog || len(c.API.CORS) != 0 || c.API.Auth != "required" {
		t.Errorf("api has access log %v, origins %v, auth %s", c.API.AccessLog, c.API.CORS, c.API.Auth)
	}
	if c := parsed(t, "dev"); c.Dev.AccessLog || strings.Join(c.Dev.CORS, " ") != "*" {
		t.Errorf("dev has access log %v and origins %v", c.Dev.AccessLog, c.Dev.CORS)
	}
}

// asks sends a request to an API, and returns the code and the data of its answer.
func asks(t *testing.T, url, body string, data any) (code int) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	answer := struct {
		Code int `json:"code"`
		Data any `json:"data"`
	}{Data: data}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	return answer.Code
}
