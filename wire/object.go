package wire

import (
	"bytes"
	"errors"
	"io"
	"math"
	"strconv"
	"sync"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/whaleshark-im/whaleshark/chat"
)

// object walks over the members of a JSON object. It goes on after a fault as far as it can, so that a frame can be refused by its message
// id, and remembers the first one: see [object.close].
//
// It is tolerant where the original was (unknown members, null, the last of several members of one name) and strict about what would
// hurt later: a string with U+0000, a lone surrogate or invalid UTF-8 has no place in a database or in a browser.
type object struct {
	dec    jsontext.Decoder
	input  bytes.Buffer
	body   []byte
	name   []byte // of the present member
	value  jsontext.Value
	fault  error
	buffer []byte
}

var objects = sync.Pool{New: func() any { return new(object) }}

var (
	tolerant = json.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))

	null = []byte("null")

	errObject = chat.Errorf(chat.BadBody, "the body is not a JSON object")
	errUTF8   = chat.Errorf(chat.BadString, "the body is not valid UTF-8")
	errNUL    = chat.Errorf(chat.BadString, "the body holds a NUL byte")
)

// open begins to walk over body. The caller must close the object, and may not use it after that.
func open(body []byte) *object {
	o := objects.Get().(*object)
	o.body, o.fault = body, nil
	o.input = *bytes.NewBuffer(body)
	o.dec.Reset(&o.input, tolerant)
	if !utf8.Valid(body) {
		o.fail(errUTF8)
	}
	if o.dec.PeekKind() != jsontext.KindBeginObject {
		o.syntax()
	} else if _, err := o.dec.ReadToken(); err != nil {
		o.syntax()
	}
	return o
}

// next goes to the next member and reports whether there is one.
func (o *object) next() bool {
	if o.body == nil || o.dec.PeekKind() == jsontext.KindEndObject {
		return false
	}
	name, err := o.dec.ReadValue()
	if err != nil {
		o.syntax()
		return false
	}
	o.name, _ = jsontext.AppendUnquote(o.name[:0], name) // a name that is not valid UTF-8 is none that we know
	if o.value, err = o.dec.ReadValue(); err != nil {
		o.syntax()
		return false
	}
	return true
}

// close looks at the rest and returns the first fault.
func (o *object) close() error {
	if o.body != nil {
		o.end()
	}
	err := o.fault
	o.abandon()
	return err
}

// abandon ends the walk without looking at the rest.
func (o *object) abandon() {
	o.body, o.value, o.fault = nil, nil, nil
	o.input = bytes.Buffer{}
	if cap(o.buffer) > maxBuffer {
		o.buffer = nil
	}
	objects.Put(o)
}

// members walks over the members of the present value, which must be an object or null.
func (o *object) members(member func(*object)) error {
	if o.isNull() {
		return nil
	}
	inner := open(o.value)
	for inner.next() {
		member(inner)
	}
	return inner.close()
}

// list reads the present array of objects, each with member; null is an empty one.
func list[T any](o *object, member func(*T, *object)) []T {
	var all []T
	o.each(func(item *object) {
		var x T
		item.fields(func(inner *object) { member(&x, inner) })
		all = append(all, x)
	})
	return all
}

// users reads the present array of users; null is an empty one.
func (o *object) users() []chat.UserID {
	var all []chat.UserID
	o.each(func(item *object) { all = append(all, chat.UserID(item.string())) })
	return all
}

// maxItems is how many items an array may have: more than any frame of ours, and few enough to hold.
const maxItems = 10_000

// each calls item with each value of the present array as the present value. Their faults are those of the object.
func (o *object) each(item func(*object)) {
	if o.isNull() {
		return
	}
	if o.value.Kind() != jsontext.KindBeginArray {
		o.wrongType("an array")
		return
	}
	items := o.items()
	for n := 0; items.nextItem(); n++ {
		if n == maxItems {
			items.wrongType("an array of at most " + strconv.Itoa(maxItems))
			break
		}
		item(items)
	}
	o.fail(items.fault)
	items.abandon()
}

// items begins to walk over the present array. The decoder has seen already that it is well-formed. Its items bear the array's name.
func (o *object) items() *object {
	items := objects.Get().(*object)
	items.body, items.fault = o.value, nil
	items.input = *bytes.NewBuffer(o.value)
	items.dec.Reset(&items.input, tolerant)
	items.name = append(items.name[:0], o.name...)
	if _, err := items.dec.ReadToken(); err != nil {
		items.syntax()
	}
	return items
}

// nextItem goes to the array's next item and reports whether there is one.
func (o *object) nextItem() bool {
	if o.body == nil || o.dec.PeekKind() == jsontext.KindEndArray {
		return false
	}
	var err error
	if o.value, err = o.dec.ReadValue(); err != nil {
		o.syntax()
		return false
	}
	return true
}

// fields walks over the members of the present value like members; what is wrong there is a fault of the object.
func (o *object) fields(member func(*object)) {
	if kind := o.value.Kind(); kind != jsontext.KindBeginObject && kind != jsontext.KindNull {
		o.wrongType("an object")
		return
	}
	o.fail(o.members(member))
}

// end checks that nothing follows the object.
func (o *object) end() {
	for o.next() { // what the caller left
	}
	if o.body == nil {
		return
	}
	if _, err := o.dec.ReadToken(); err != nil {
		o.syntax()
	} else if _, err := o.dec.ReadToken(); !errors.Is(err, io.EOF) {
		o.syntax()
	}
}

func (o *object) fail(err error) {
	if o.fault == nil {
		o.fault = err
	}
}

// syntax ends the walk.
func (o *object) syntax() {
	if bytes.IndexByte(o.body, 0) >= 0 {
		o.fail(errNUL)
	}
	o.fail(errObject)
	o.body = nil
}

func (o *object) isNull() bool { return o.value.Kind() == jsontext.KindNull }

func (o *object) wrongType(want string) {
	o.fail(chat.Errorf(chat.BadParameter, "%s must be %s", o.name, want))
}

// string returns the present value; null is "".
func (o *object) string() string {
	if o.isNull() {
		return ""
	}
	if o.value.Kind() != jsontext.KindString {
		o.wrongType("a string")
		return ""
	}
	if raw := o.value[1 : len(o.value)-1]; bytes.IndexByte(raw, '\\') < 0 {
		return string(raw) // valid, or open has seen that it is not
	}
	return o.unquote()
}

func (o *object) unquote() string {
	var err error
	o.buffer, err = jsontext.AppendUnquote(o.buffer[:0], o.value)
	switch {
	case err != nil:
		o.fail(chat.Errorf(chat.BadString, "%s holds a lone surrogate or invalid UTF-8", o.name))
		return ""
	case bytes.IndexByte(o.buffer, 0) >= 0:
		o.fail(chat.Errorf(chat.BadString, "%s holds U+0000", o.name))
		return ""
	}
	return string(o.buffer)
}

// maxNumber is the largest whole number that every client can hold: 2^53 - 1.
const maxNumber = 1<<53 - 1

// int returns the present value; null is 0. A whole number may be written with a fraction or an exponent.
func (o *object) int() int64 {
	if o.isNull() {
		return 0
	}
	if o.value.Kind() != jsontext.KindNumber {
		o.wrongType("a number")
		return 0
	}
	x, err := strconv.ParseInt(string(o.value), 10, 64)
	if err != nil {
		f, err := strconv.ParseFloat(string(o.value), 64)
		if err != nil || f != math.Trunc(f) || math.Abs(f) > maxNumber {
			o.wrongType("a whole number below 2^53")
			return 0
		}
		return int64(f)
	}
	if x > maxNumber || x < -maxNumber {
		o.wrongType("a whole number below 2^53")
		return 0
	}
	return x
}

// int32 returns the present value; null is 0.
func (o *object) int32() int32 {
	x := o.int()
	if int64(int32(x)) != x { //nolint:gosec // that is what is checked
		o.wrongType("a whole number of 32 bits")
		return 0
	}
	return int32(x) //nolint:gosec // checked
}

// session returns the present value: a session's number as a string.
func (o *object) session() chat.SessionID {
	s := o.string()
	x, err := strconv.ParseUint(s, 10, 64)
	if err != nil && s != "" {
		o.wrongType("a session's number")
	}
	return chat.SessionID(x)
}

// bool returns the present value; null is false.
func (o *object) bool() bool {
	switch o.value.Kind() {
	case jsontext.KindTrue:
		return true
	case jsontext.KindFalse, jsontext.KindNull:
	default:
		o.wrongType("true or false")
	}
	return false
}

// appendString appends s as a JSON string. Invalid UTF-8, which no string of ours holds, would come out replaced.
func appendString(b []byte, s string) []byte {
	b, _ = jsontext.AppendQuote(b, s)
	return b
}

// comma appends a comma unless an object or an array has just begun.
func comma(b []byte) []byte {
	if last := b[len(b)-1]; last == '{' || last == '[' {
		return b
	}
	return append(b, ',')
}

// appendList appends a JSON array of what appendTo appends for each.
func appendList[T any](b []byte, all []T, appendTo func([]byte, *T) []byte) []byte {
	b = append(b, '[')
	for i := range all {
		b = appendTo(comma(b), &all[i])
	}
	return append(b, ']')
}

func appendUsers(b []byte, users []chat.UserID) []byte {
	return appendList(b, users, func(b []byte, u *chat.UserID) []byte { return appendString(b, string(*u)) })
}
