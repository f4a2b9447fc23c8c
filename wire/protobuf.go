package wire

import (
	"bytes"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/whaleshark-im/whaleshark/chat"
)

// A payload is spelled as JSON everywhere within: this translates between that and the messages of whaleshark.proto, for the clients that
// speak them. A member that is null or that the message does not know is left out; an empty list is as good as none.

// AppendProtoUp appends the protobuf message of a payload up. It appends nothing beside an error.
func AppendProtoUp(b []byte, c Command, payload []byte) ([]byte, error) {
	return writer{}.append(b, theSchema().up, c, payload)
}

// AppendProtoDown appends the protobuf message of a payload down, which is then spliced into frames as a payload is: see
// [AppendProtoFrame] and [AppendProtoEnvelope]. It appends nothing beside an error: the payload is not one of the command's.
//
// What an app says of its groups comes as the app has put it, so what goes down is not held to the message's types: a string that is
// something else has it as JSON, another member of another type is left out.
func AppendProtoDown(b []byte, c Command, payload []byte) ([]byte, error) {
	return writer{tolerant: true}.append(b, theSchema().down, c, payload)
}

// UpFromProto returns the payload up that a protobuf message holds, of at most limit bytes; 0: of any number. Beside an error it holds what
// could be read.
func UpFromProto(c Command, message []byte, limit int) ([]byte, error) {
	return fromProto(theSchema().up, c, message, limit)
}

// DownFromProto returns the payload down that a protobuf message holds.
func DownFromProto(c Command, message []byte) ([]byte, error) {
	return fromProto(theSchema().down, c, message, 0)
}

// writer writes JSON as protobuf messages.
type writer struct{ tolerant bool }

func (w writer) append(b []byte, messages map[Command]*message, c Command, payload []byte) ([]byte, error) {
	m, err := of(messages, c)
	if err != nil || len(payload) == 0 || bytes.Equal(payload, null) {
		return b, err
	}
	start := len(b)
	o := open(payload)
	for o.next() {
		b = w.appendMember(b, m, o)
	}
	if err := o.close(); err != nil {
		return b[:start], err
	}
	return b, nil
}

// appendMember appends the present member.
func (w writer) appendMember(b []byte, m *message, o *object) []byte {
	f := m.byName[string(o.name)]
	if f == nil || o.isNull() {
		return b
	}
	start, fault := len(b), o.fault
	if f.list {
		o.each(func(item *object) { b = w.appendValue(b, f, item) })
	} else {
		b = w.appendValue(b, f, o)
	}
	if w.tolerant && o.fault != nil && fault == nil {
		o.fault = nil
		return b[:start]
	}
	return b
}

// appendValue appends the present value. What is wrong with it is a fault of the object.
func (w writer) appendValue(b []byte, f *field, o *object) []byte {
	switch f.kind {
	case protoreflect.StringKind:
		if kind := o.value.Kind(); w.tolerant && kind != jsontext.KindString && kind != jsontext.KindNull {
			return f.appendString(b, string(o.value))
		}
		return f.appendString(b, o.string())
	case protoreflect.Int32Kind:
		return f.appendInt(b, int64(o.int32()))
	case protoreflect.Int64Kind:
		return f.appendInt(b, o.int())
	case protoreflect.BoolKind:
		return protowire.AppendVarint(f.appendTag(b, protowire.VarintType), protowire.EncodeBool(o.bool()))
	case protoreflect.MessageKind:
		b = f.appendTag(b, protowire.BytesType)
		start := len(b)
		o.fields(func(inner *object) { b = w.appendMember(b, f.message, inner) })
		return prefix(b, start)
	default: // bytes, which no JSON holds
		return b
	}
}

func (f *field) appendTag(b []byte, t protowire.Type) []byte {
	return protowire.AppendTag(b, f.number, t)
}

func (f *field) appendInt(b []byte, x int64) []byte {
	return protowire.AppendVarint(f.appendTag(b, protowire.VarintType), uint64(x)) //nolint:gosec // bits, not a number
}

func (f *field) appendString(b []byte, s string) []byte {
	return protowire.AppendString(f.appendTag(b, protowire.BytesType), s)
}

// prefix puts the length of b[start:] before it.
func prefix(b []byte, start int) []byte {
	n := len(b) - start
	b = protowire.AppendVarint(b, uint64(n)) //nolint:gosec // not negative
	copy(b[len(b)-n:], b[start:start+n])
	protowire.AppendVarint(b[:start], uint64(n)) //nolint:gosec // the same
	return b
}

func fromProto(messages map[Command]*message, c Command, body []byte, limit int) ([]byte, error) {
	m, err := of(messages, c)
	if err != nil {
		return nil, err
	}
	var r reader
	b := r.appendMessage(make([]byte, 0, len(body)+len(body)/2+64), m, body)
	if r.fault == nil && limit > 0 && len(b) > limit {
		r.fail(chat.BadBody, "the body has %d bytes as JSON; at most %d may be", len(b), limit)
	}
	return b, r.fault
}

// reader writes protobuf messages as JSON. It goes on after a fault as far as it can, and remembers the first one.
type reader struct{ fault error }

// occurrence is one value of a field.
type occurrence struct {
	field  *field
	number uint64 // of int32, int64 and bool
	bytes  []byte // of the other kinds
}

// appendMessage appends the message as a JSON object, its members in the order of the source.
func (r *reader) appendMessage(b []byte, m *message, body []byte) []byte {
	all := r.occurrences(m, body)
	b = append(b, '{')
	for len(all) > 0 {
		f, n := all[0].field, 1
		for n < len(all) && all[n].field == f {
			n++
		}
		b = r.appendField(b, f, all[:n])
		all = all[n:]
	}
	return append(b, '}')
}

// occurrences returns the values that a message holds, those of a field side by side and in their order.
func (r *reader) occurrences(m *message, body []byte) []occurrence {
	var all []occurrence
	for len(body) > 0 {
		x, n := m.next(body)
		if n < 0 {
			r.fail(chat.BadBody, "the body is not the command's protobuf message: %v", protowire.ParseError(n))
			break
		}
		if x.field != nil {
			all = append(all, x)
		}
		body = body[n:]
	}
	return m.sorted(all)
}

// sorted puts values side by side. A client may send very many, so each is moved once.
func (m *message) sorted(all []occurrence) []occurrence {
	if slices.IsSortedFunc(all, func(a, b occurrence) int { return a.field.at - b.field.at }) {
		return all
	}
	next := make([]int, len(m.fields)+1) // where the next value of each field goes; the last one is spare
	for i := range all {
		next[all[i].field.at+1]++
	}
	for at := 1; at < len(next); at++ {
		next[at] += next[at-1]
	}
	sorted := make([]occurrence, len(all))
	for _, x := range all {
		sorted[next[x.field.at]] = x
		next[x.field.at]++
	}
	return sorted
}

// next returns the value with which a message begins, and how many bytes it has; its field is nil if the message does not know it. Like
// any reader of protobuf it takes a field of another wire type for one that is newer than the source.
func (m *message) next(body []byte) (x occurrence, n int) {
	number, t, tag := protowire.ConsumeTag(body)
	if tag < 0 {
		return x, tag
	}
	f := m.byNumber[number]
	value := body[tag:]
	switch {
	case f == nil || t != f.wireType():
		n = protowire.ConsumeFieldValue(number, t, value)
	case t == protowire.VarintType:
		x.field = f
		x.number, n = protowire.ConsumeVarint(value)
	default:
		x.field = f
		x.bytes, n = protowire.ConsumeBytes(value)
	}
	if n < 0 {
		return occurrence{}, n
	}
	return x, tag + n
}

func (f *field) wireType() protowire.Type {
	switch f.kind {
	case protoreflect.Int32Kind, protoreflect.Int64Kind, protoreflect.BoolKind:
		return protowire.VarintType
	default:
		return protowire.BytesType
	}
}

// appendField appends a member. Of several values of a field that is no list the last one counts; of several messages, all of them.
func (r *reader) appendField(b []byte, f *field, all []occurrence) []byte {
	b = append(appendString(comma(b), f.name), ':')
	last := all[len(all)-1]
	switch {
	case f.list:
		return appendList(b, all, func(b []byte, x *occurrence) []byte { return r.appendValue(b, x) })
	case f.kind == protoreflect.MessageKind && len(all) > 1:
		last.bytes = nil
		for _, x := range all {
			last.bytes = append(last.bytes, x.bytes...)
		}
	}
	return r.appendValue(b, &last)
}

func (r *reader) appendValue(b []byte, x *occurrence) []byte {
	switch x.field.kind {
	case protoreflect.StringKind:
		return r.appendText(b, x)
	case protoreflect.Int32Kind:
		return strconv.AppendInt(b, int64(int32(x.number)), 10) //nolint:gosec // as protobuf cuts it off
	case protoreflect.Int64Kind:
		return strconv.AppendInt(b, int64(x.number), 10) //nolint:gosec // bits, not a number
	case protoreflect.BoolKind:
		return strconv.AppendBool(b, x.number != 0)
	case protoreflect.MessageKind:
		return r.appendMessage(b, x.field.message, x.bytes)
	default: // bytes, which no JSON holds
		return append(b, null...)
	}
}

// appendText appends a string as strict as a JSON one is read.
func (r *reader) appendText(b []byte, x *occurrence) []byte {
	switch {
	case !utf8.Valid(x.bytes):
		r.fail(chat.BadString, "%s holds invalid UTF-8", x.field.name)
	case bytes.IndexByte(x.bytes, 0) >= 0:
		r.fail(chat.BadString, "%s holds U+0000", x.field.name)
	default:
		return appendString(b, string(x.bytes))
	}
	return append(b, null...)
}

func (r *reader) fail(c chat.Code, format string, args ...any) {
	if r.fault == nil {
		r.fault = chat.Errorf(c, format, args...)
	}
}
