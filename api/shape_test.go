package api

import (
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/whaleshark-im/whaleshark/chat"
)

func TestBodies(t *testing.T) {
	h := open(t)
	odd := h.another(oddities(), func(c *Config) { c.MaxBody = 100_000 })
	const who = "?appId=10001&identifier=alice"
	ask := func(text string) *answer {
		t.Helper()
		return odd.send(http.MethodPost, "/test/code"+who, text, inHTTP)
	}
	for _, c := range []struct{ name, text, want string }{
		{"a list", `[]`, "JSON object"},
		{"a string", `"x"`, "JSON object"},
		{"a number", `1`, "JSON object"},
		{"half an object", `{"code":`, "JSON"},
		{"two objects", `{}{}`, "JSON"},
		{"garbage", "\x00\xff\xfe{", "JSON"},
		{"a form", "code=1&text=x", "JSON"},
		{"an object in place of a string", `{"text":{}}`, "text must be a string"},
		{"a list in place of a string", `{"text":[]}`, "text must be a string"},
		{"words in place of a number", `{"number":"ten"}`, "number must be a whole number"},
		{"a fraction", `{"number":1.5}`, "number must be a whole number"},
		{"a huge number", `{"number":1e999}`, "number must be a whole number"},
		{"a number of 65 bits", `{"number":18446744073709551616}`, "number must be a whole number"},
		{"a number of 33 bits", `{"code":4294967296}`, "code must be a whole number of 32 bits"},
		{"a number above its bound", `{"number":11}`, "number is out of its bounds"},
		{"a negative number", `{"number":-1}`, "number is out of its bounds"},
		{"a number in place of a list", `{"list":1}`, "list"},
		{"an object in place of a list", `{"list":{}}`, "list"},
		{"a list that is too long", `{"list":["a","b","c"]}`, "list has 3 items"},
		{"a list in a list", `{"list":["a",["b"]]}`, "list.1 must be a string"},
		{"words in place of a truth", `{"truth":"maybe"}`, "truth must be true or false"},
		{"a string in place of an object", `{"inner":"x"}`, "inner"},
		{"a member that is missing within", `{"inner":{}}`, "inner.number is missing"},
		{"a wrong member within", `{"inner":{"number":"x"}}`, "inner.number must be a whole number"},
		{"a string that is too long", `{"text":"abcdef"}`, "text has 6 characters"},
		{"a lone surrogate", `{"text":"\ud800"}`, "text"},
		{"invalid UTF-8", "{\"text\":\"\xff\"}", "text"},
		{"U+0000", `{"text":"\u0000"}`, "text holds U+0000"},
		{"U+0000 in a list", `{"list":["\u0000"]}`, "list.0 holds U+0000"},
		{"a deep list", `{"list":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + `}`, "JSON"},
		{"deep nesting of what nobody knows", `{"x":` + strings.Repeat(`{"x":`, 15_000) + "1" + strings.Repeat("}", 15_001), "JSON"},
	} {
		a := ask(c.text)
		if a.Code != chat.BadParameter || a.status != http.StatusBadRequest || !strings.Contains(a.Msg, c.want) {
			t.Errorf("%s: %d %q; want %d and %q", c.name, a.Code, a.Msg, chat.BadParameter, c.want)
		}
		if len(a.Msg) > 300 {
			t.Errorf("%s: the answer says %d characters", c.name, len(a.Msg))
		}
	}
	for name, text := range map[string]string{
		"nothing": "", "blanks": " \n", "an empty object": "{}", "null for all": `{"code":null,"text":null,"number":null,"truth":null,"list":null,"inner":null}`,
		"members that nobody knows": `{"x":{"y":[1,2,{}]},"Text":{},"messageRandom":-1}`,
		"a member twice":            `{"text":"x","text":"y"}`,
		"numbers and words":         `{"text":12,"number":"7","truth":1,"list":[1,true]}`,
		"five characters":           `{"text":"äöü🐳🦈"}`,
	} {
		if a := ask(text); a.Code != chat.OK {
			t.Errorf("%s: %d %q; want it taken", name, a.Code, a.Msg)
		}
	}
	if a := ask(`{"text":"` + strings.Repeat("x", 100_000) + `"}`).want(chat.TooLarge); a.status != http.StatusRequestEntityTooLarge {
		t.Errorf("a body that is too large has status %d", a.status)
	}
}

// FuzzBody reads noise into every body that there is: it is taken or refused, and nothing else.
func FuzzBody(f *testing.F) {
	for _, seed := range []string{
		``, `{}`, `[]`, `{"userId":"alice","userIds":["a",1,null],"appId":"10001","operater":7}`, `{"device":{"clientType":"3","imei":""}}`,
		`{"callbackUrl":null,"callbacks":[{}]}`, "{\"userId\":\"\xff\"}", `{"userId":"\ud800"}`, `{"expire":1e400}`, `{"a":{"a":{"a":[[[]]]}}}`,
		`{"toItem":{"toId":"b"},"fromId":"a"}`, `{"member":[{"memberId":"x","role":-1}],"groupName":" "}`, `{"conversations":[{"sequence":-1}]}`,
	} {
		f.Add([]byte(seed))
	}
	endpoints := append((&API{}).endpoints(), oddities()...)
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := claimsShape.read(b, &claims{}); err != nil {
			wantTold(t, err)
		}
		for _, e := range endpoints {
			if e.in == nil {
				continue
			}
			if err := e.in.read(b, reflect.New(e.in.typ).Interface()); err != nil {
				wantTold(t, err)
			}
		}
	})
}

// wantTold checks that an error is for the client, who has done wrong.
func wantTold(t *testing.T, err error) {
	t.Helper()
	if told := asError(err); told.Code != chat.BadParameter {
		t.Errorf("what is wrong with a body comes as %v", err)
	}
}
