package api

import (
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/whaleshark-im/whaleshark/sql/store"
)

// examples are values for members of these names; others have one by their type.
var examples = map[string]any{
	"userId": "alice", "userIds": []string{"alice", "bob"}, "operater": "alice", "identifier": "alice", "fromId": "alice", "toId": "bob",
	"toIds": []string{"bob", "lld"}, "groupId": "team", "memberId": "bob", "ownerId": "alice", "groupName": "team", "nickName": "Alice",
	"appId": int(store.DemoApp), "clientType": 3, "imei": "phone", "messageId": "m1", "messageBody": "hello", "conversationId": "0_alice_bob",
	"ip": "127.0.0.1", "port": 9001, "userSign": "eJyrVgrxCdZLrSjILEpVsjI0gAIdsHBiQYFnCkTUUAdJYUhmLkixmYWBiYm5sSVULjMlNa8kMy0zt...",
	"messageTime": 1_700_000_000_000, "createTime": 1_700_000_000_000, "updateTime": 1_700_000_000_000, "since": 1_700_000_000_000,
	"expireTime": 1_700_086_400_000, "joinTime": 1_700_000_000_000, "messageKey": 4294967297, "messageSequence": 1, "maxLimit": 100, "status": 1,
	"callbackUrl": "https://example.org/hook", "callbacks": []string{"friend.add.after"}, "callbackSecrets": []string{"a secret"},
	"keys": []string{"new key", "old key"}, "ttlMs": 3_600_000, "expire": 86_400, "remark": "an old friend",
}

// exampleBody is a body that an endpoint takes: what it must say, and what there is a telling example of.
func (s *schemas) exampleBody(e *endpoint) object {
	o := exampleShape(e.in)
	o = append(o, member{"appId", int(store.DemoApp)})
	if e.access != forAnybody {
		who := "alice"
		if e.access == forAdmins || e.access == forOwners {
			who = "admin"
		}
		o = append(o, member{"operater", who})
	}
	return slices.CompactFunc(o, func(a, b member) bool { return a.name == b.name })
}

func exampleField(f flatField) any {
	t := f.typ
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	known, named := examples[f.name]
	switch {
	case f.elem != nil && t.Kind() == reflect.Slice:
		return []object{exampleShape(f.elem)}
	case f.elem != nil:
		return exampleShape(f.elem)
	case len(f.enum) > 0 && t.Kind() == reflect.String:
		return f.enum[0]
	case len(f.enum) > 0 && !slices.Contains(f.enum, exampleText(known)):
		return number(f.enum[len(f.enum)-1])
	case named && reflect.TypeOf(known).Kind() == exampleKind(t):
		return known
	}
	return exampleOf(t, f.name)
}

func exampleText(known any) string {
	n, _ := known.(int)
	return strconv.Itoa(n)
}

func exampleShape(in *shape) object {
	var o object
	for _, f := range in.flat() {
		if _, told := examples[f.name]; told || f.required || f.elem == nil && len(f.enum) > 0 {
			o = append(o, member{f.name, exampleField(f)})
		}
	}
	return o
}

// exampleKind is the kind of the values in [examples] for a type.
func exampleKind(t reflect.Type) reflect.Kind {
	switch jsonType(t) {
	case "integer":
		return reflect.Int
	case "array":
		if t.Elem().Kind() != reflect.String {
			return reflect.Invalid
		}
		return reflect.Slice
	}
	return t.Kind()
}

func exampleOf(t reflect.Type, name string) any {
	switch jsonType(t) {
	case "string":
		return strings.ToLower(name)
	case "boolean":
		return true
	case "array":
		return []any{exampleOf(t.Elem(), name)}
	case "number":
		return 0.5
	}
	return 1
}

// example is an answer's value. Above are the structs that it is in: one that holds itself comes once.
func (s *schemas) example(t reflect.Type, name string, above []reflect.Type) any {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	known, named := examples[name]
	switch {
	case t == reflect.TypeFor[none]():
		return nil
	case t.Kind() == reflect.Interface || t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8:
		return nil
	case named && reflect.TypeOf(known).Kind() == exampleKind(t):
		return known
	case t.Kind() == reflect.Slice:
		if slices.Contains(above, t.Elem()) {
			return []any{}
		}
		return []any{s.example(t.Elem(), name, above)}
	case t.Kind() == reflect.Map:
		return object{{"name", s.example(t.Elem(), "", above)}}
	case t.Kind() == reflect.Struct:
		return s.exampleStruct(t, above)
	}
	return exampleOf(t, name)
}

func (s *schemas) exampleStruct(t reflect.Type, above []reflect.Type) object {
	var o object
	above = append(slices.Clip(above), t)
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous && name == "":
			o = append(o, s.exampleStruct(f.Type, above)...)
		case name == "-" || !f.IsExported():
		case name == "":
			o = append(o, member{f.Name, s.example(f.Type, f.Name, above)})
		default:
			o = append(o, member{name, s.example(f.Type, name, above)})
		}
	}
	return o
}
