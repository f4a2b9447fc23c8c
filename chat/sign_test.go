package chat

import (
	"bytes"
	"compress/zlib"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"
)

// A token that the original's own code made; valid from 2023-04-02 until 2026-06-03.
const originalSign = "eJyrVgrxCdZLrSjILEpVsjI0gAIdsHBiQYFnCkTUUAdJYUhmLkixmYWBiYm5sSVULjMlNa8kMy0ztUjJSikpMa8kMS8dyIZIFmemA0XziiJzQs0tvVLK-IPLjE1K9XOTMs3KyiL9w0qTwkMCsg1CLI2Kg-wiqyIibZVqAQHCL7I_"

var (
	signed  = time.Unix(1680447391, 0)
	expires = signed.Add(100000000 * time.Second)
	keys    = []string{"bantanger"}
)

func wantSign(t *testing.T, what string, err error, want Code) {
	t.Helper()
	if want == OK {
		if err != nil {
			t.Errorf("%s: %v; want it taken", what, err)
		}
		return
	}
	var e Error
	if !errors.As(err, &e) || e.Code != want {
		t.Errorf("%s: %v; want code %v", what, err, want)
	}
}

func TestSignOfTheOriginal(t *testing.T) {
	for _, test := range []struct {
		what string
		app  AppID
		user UserID
		keys []string
		now  time.Time
		want Code
	}{
		{"at once", 10001, "bantanger", keys, signed, OK},
		{"in its last second", 10001, "bantanger", keys, expires, OK},
		{"a second later", 10001, "bantanger", keys, expires.Add(time.Second), SignExpired},
		{"another user", 10001, "lld", keys, signed, SignOtherUser},
		{"another app", 10002, "bantanger", keys, signed, SignWrong},
		{"another key", 10001, "bantanger", []string{"other"}, signed, SignWrong},
		{"no key", 10001, "bantanger", nil, signed, SignWrong},
		{"the second of two keys", 10001, "bantanger", []string{"new", "bantanger"}, signed, OK},
		{"another user, and expired", 10001, "lld", keys, expires.Add(time.Second), SignOtherUser},
		{"another key, and expired", 10001, "bantanger", []string{"other"}, expires.Add(time.Second), SignExpired},
	} {
		wantSign(t, test.what, VerifySign(originalSign, test.app, test.user, test.keys, test.now), test.want)
	}
}

func TestSignMAC(t *testing.T) {
	s := sign{User: "10001", App: 10001, Issued: 1700000000, Expire: 86400}
	got := base64.StdEncoding.EncodeToString(s.mac("bantanger"))
	if want := "vyY7Rstwih/o33wELi1Vs+5Qj1LdxjyAzefWLCoaUKg="; got != want {
		t.Errorf("the HMAC is %s; want %s", got, want)
	}
}

func TestSignIsVerified(t *testing.T) {
	now := time.Unix(1700000000, 5)
	for _, user := range []UserID{"10001", "élodie", "a\"b\n"} {
		token := Sign(10001, "bantanger", user, now, time.Hour)
		wantSign(t, "at once", VerifySign(token, 10001, user, keys, now), OK)
		wantSign(t, "in time", VerifySign(token, 10001, user, keys, now.Add(time.Hour)), OK)
		wantSign(t, "too late", VerifySign(token, 10001, user, keys, now.Add(time.Hour+time.Second)), SignExpired)
	}
	wantSign(t, "valid for no time", VerifySign(Sign(1, "k", "u", now, 0), 1, "u", []string{"k"}, now), SignExpired)
	wantSign(t, "none", VerifySign("", 1, "u", []string{"k"}, now), SignMissing)
}

func token(text string) string {
	var b bytes.Buffer
	z := zlib.NewWriter(&b)
	_, _ = z.Write([]byte(text))
	_ = z.Close()
	return signEncoding.EncodeToString(b.Bytes())
}

func TestSignThatCannotBeRead(t *testing.T) {
	for what, bad := range map[string]string{
		"not base64":         "!!!!",
		"not deflated":       signEncoding.EncodeToString([]byte("hello")),
		"cut off":            originalSign[:80],
		"not JSON":           token("hello"),
		"not an object":      token("[]"),
		"wrong types":        token(`{"TLS.identifier":7}`),
		"long":               strings.Repeat("A", maxSign+4),
		"a bomb":             token(`{"TLS.identifier":"bantanger"` + strings.Repeat(" ", 1<<20) + `}`),
		"MAC is not base64":  token(`{"TLS.identifier":"bantanger","TLS.appId":10001,"TLS.expire":1,"TLS.expireTime":1680447391,"TLS.sig":"?"}`),
		"no MAC":             token(`{"TLS.identifier":"bantanger","TLS.appId":10001,"TLS.expire":100,"TLS.expireTime":1680447391}`),
		"a number too large": token(`{"TLS.identifier":"bantanger","TLS.appId":10001,"TLS.expire":1e99,"TLS.expireTime":1680447391}`),
	} {
		wantSign(t, what, VerifySign(bad, 10001, "bantanger", keys, signed), SignWrong)
	}
}

// No change of a token's fields passes, and nothing panics.
func FuzzVerifySign(f *testing.F) {
	f.Add(originalSign)
	f.Add(token(`{"TLS.identifier":"bantanger","TLS.appId":10001,"TLS.expire":9223372036854775807,"TLS.expireTime":-9223372036854775808}`))
	f.Fuzz(func(t *testing.T, s string) {
		err := VerifySign(s, 10001, "bantanger", keys, signed)
		if err != nil {
			return
		}
		got, err := parseSign(s)
		if err != nil {
			t.Fatal(err)
		}
		if got.Issued != signed.Unix() || got.Expire != 100000000 {
			t.Fatalf("a token that nobody signed passes: %+v", got)
		}
	})
}
