package api

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/whaleshark-im/whaleshark/chat"
)

// shape is what a body must look like: made once of a Go type, whose fields have the tags
//
//	json:"name"                                   the member's name
//	is:"required,max=50,min=1,enum=0|1"           what its value must be: max and min are characters of a string, items of a list, or a number's bounds
//	about:"one sentence"                          for people
//
// A required string is not blank, a required list not empty, a required pointer not absent. Members that no field names are passed over.
type shape struct {
	typ    reflect.Type
	fields []field
}

type field struct {
	name     string
	about    string
	index    int
	required bool
	min, max int64 // a max of 0 is no bound; nothing is negative unless its min says so
	enum     []string
	elem     *shape // of a struct, a list of structs, or a pointer to one
}

// The limits of what no tag bounds.
const (
	maxString = 10_000 // characters
	maxList   = 1000
)

func shapeOf(t reflect.Type) *shape {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return nil
	}
	s := &shape{typ: t}
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous {
			inner := shapeOf(f.Type)
			s.fields = append(s.fields, field{index: i, elem: inner})
			continue
		}
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" || name == "-" {
			continue
		}
		x := field{name: name, about: f.Tag.Get("about"), index: i, elem: shapeOf(f.Type)}
		x.parse(f.Tag.Get("is"))
		s.fields = append(s.fields, x)
	}
	return s
}

// flatField is a field and its type, wherever it is embedded.
type flatField struct {
	*field
	typ reflect.Type
}

// flat returns all members that the shape knows.
func (s *shape) flat() []flatField {
	var all []flatField
	for i := range s.fields {
		f := &s.fields[i]
		if f.name == "" {
			all = append(all, f.elem.flat()...)
			continue
		}
		all = append(all, flatField{f, s.typ.Field(f.index).Type})
	}
	return all
}

func (f *field) parse(tag string) {
	for word := range strings.SplitSeq(tag, ",") {
		key, value, _ := strings.Cut(word, "=")
		switch key {
		case "":
		case "required":
			f.required = true
		case "max":
			f.max = number(value)
		case "min":
			f.min = number(value)
		case "enum":
			f.enum = strings.Split(value, "|")
		default:
			panic("api: a tag that means nothing: " + word)
		}
	}
}

func number(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		panic("api: a tag's number: " + s)
	}
	return n
}

// lenient reads what the original's reader took: a number for a string, a number within a string, and 0 and 1 for a truth.
var lenient = json.JoinOptions(
	jsontext.AllowDuplicateNames(true),
	jsontext.AllowInvalidUTF8(true), // readString refuses it, and names the member
	json.WithUnmarshalers(json.JoinUnmarshalers(
		json.UnmarshalFromFunc(readString),
		json.UnmarshalFromFunc(func(d *jsontext.Decoder, x *int64) error { return readInt(d, x, 64) }),
		json.UnmarshalFromFunc(func(d *jsontext.Decoder, x *int32) error {
			var wide int64
			err := readInt(d, &wide, 32)
			*x = int32(wide)
			return err
		}),
		json.UnmarshalFromFunc(readBool),
	)),
)

func readString(d *jsontext.Decoder, x *string) error {
	v, err := d.ReadValue()
	if err != nil {
		return err
	}
	switch v.Kind() {
	case jsontext.KindNull:
		*x = ""
	case jsontext.KindString:
		b, err := jsontext.AppendUnquote(nil, v)
		if err != nil {
			return errors.New("holds a lone surrogate or invalid UTF-8")
		}
		if bytes.IndexByte(b, 0) >= 0 {
			return errors.New("holds U+0000")
		}
		*x = string(b)
	case jsontext.KindNumber, jsontext.KindTrue, jsontext.KindFalse:
		*x = string(v)
	default:
		return errors.New("must be a string")
	}
	return nil
}

func readInt(d *jsontext.Decoder, x *int64, bits int) error {
	v, err := d.ReadValue()
	if err != nil {
		return err
	}
	text := string(v)
	switch v.Kind() {
	case jsontext.KindNull:
		*x = 0
		return nil
	case jsontext.KindString:
		b, _ := jsontext.AppendUnquote(nil, v)
		if text = strings.TrimSpace(string(b)); text == "" {
			*x = 0
			return nil
		}
	case jsontext.KindNumber:
	default:
		return errors.New("must be a whole number")
	}
	n, err := strconv.ParseInt(text, 10, bits)
	if err != nil {
		return fmt.Errorf("must be a whole number of %d bits", bits)
	}
	*x = n
	return nil
}

func readBool(d *jsontext.Decoder, x *bool) error {
	v, err := d.ReadValue()
	if err != nil {
		return err
	}
	switch strings.Trim(string(v), `"`) {
	case "true", "1":
		*x = true
	case "false", "0", "null", "":
		*x = false
	default:
		return errors.New("must be true or false")
	}
	return nil
}

// read decodes a body into what x points to, and checks it. What is wrong is a [chat.BadParameter] that names the member.
func (s *shape) read(body []byte, x any) error {
	if len(bytes.TrimSpace(body)) == 0 {
		body = []byte("{}")
	}
	if err := json.Unmarshal(body, x, lenient); err != nil {
		return badBody(err)
	}
	return s.check(reflect.ValueOf(x).Elem(), "")
}

// badBody says which member of a body cannot be read.
func badBody(err error) error {
	if e, ok := errors.AsType[*json.SemanticError](err); ok {
		name := strings.ReplaceAll(strings.TrimPrefix(string(e.JSONPointer), "/"), "/", ".")
		why := "is not what it must be"
		if e.Err != nil {
			why = e.Err.Error()
		}
		if name == "" {
			return chat.Errorf(chat.BadParameter, "the body must be a JSON object")
		}
		return chat.Errorf(chat.BadParameter, "%s %s", name, why)
	}
	return chat.Errorf(chat.BadParameter, "the body is not valid JSON")
}

// check looks at a value that was decoded; path is where it stands.
func (s *shape) check(v reflect.Value, path string) error {
	for i := range s.fields {
		f := &s.fields[i]
		x := v.Field(f.index)
		if f.name == "" { // embedded
			if err := f.elem.check(x, path); err != nil {
				return err
			}
			continue
		}
		if err := f.check(x, path+f.name); err != nil {
			return err
		}
	}
	return nil
}

func (f *field) check(v reflect.Value, path string) error {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			if f.required {
				return chat.Errorf(chat.BadParameter, "%s is missing", path)
			}
			return nil
		}
		return f.checkValue(v.Elem(), path)
	}
	if f.required && blank(v) {
		return chat.Errorf(chat.BadParameter, "%s is missing", path)
	}
	if v.IsZero() && !f.required {
		return nil
	}
	return f.checkValue(v, path)
}

// blank reports whether a value is as good as absent.
func blank(v reflect.Value) bool {
	switch v.Kind() { //nolint:exhaustive // the others are absent when they are zero
	case reflect.String:
		return strings.TrimSpace(v.String()) == ""
	case reflect.Slice:
		return v.Len() == 0
	case reflect.Struct:
		return false
	}
	return v.IsZero()
}

func (f *field) checkValue(v reflect.Value, path string) error {
	switch v.Kind() { //nolint:exhaustive // no others are in our types
	case reflect.String:
		if n, most := int64(utf8.RuneCountInString(v.String())), orDefault(f.max, maxString); n > most {
			return chat.Errorf(chat.BadParameter, "%s has %d characters; at most %d may be", path, n, most)
		}
		return f.checkEnum(v.String(), path)
	case reflect.Int, reflect.Int32, reflect.Int64:
		n := v.Int()
		if f.max != 0 && n > f.max || n < f.min {
			return chat.Errorf(chat.BadParameter, "%s is out of its bounds", path)
		}
		return f.checkEnum(strconv.FormatInt(n, 10), path)
	case reflect.Slice:
		if n, most := int64(v.Len()), orDefault(f.max, maxList); n > most {
			return chat.Errorf(chat.BadParameter, "%s has %d items; at most %d may be", path, n, most)
		}
		return f.checkItems(v, path)
	case reflect.Struct:
		if f.elem != nil {
			return f.elem.check(v, path+".")
		}
	}
	return nil
}

func (f *field) checkItems(v reflect.Value, path string) error {
	for i := range v.Len() {
		item, at := v.Index(i), path+"."+strconv.Itoa(i)
		switch {
		case f.elem != nil:
			if err := f.elem.check(item, at+"."); err != nil {
				return err
			}
		case item.Kind() == reflect.String && utf8.RuneCountInString(item.String()) > maxString:
			return chat.Errorf(chat.BadParameter, "%s is too long", at)
		}
	}
	return nil
}

func (f *field) checkEnum(value, path string) error {
	if len(f.enum) > 0 && !slices.Contains(f.enum, value) {
		return chat.Errorf(chat.BadParameter, "%s must be one of %s", path, strings.Join(f.enum, ", "))
	}
	return nil
}

func orDefault(n, byDefault int64) int64 {
	if n == 0 {
		return byDefault
	}
	return n
}
