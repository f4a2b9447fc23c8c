package api

import (
	"encoding/json"
	"reflect"
	"slices"
	"strconv"
	"strings"

	fastjson "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// object is a JSON object whose members keep their order, which is the one that a reader wants to see.
type object []member

type member struct {
	name  string
	value any
}

// MarshalJSONTo implements json.MarshalerTo.
func (o object) MarshalJSONTo(enc *jsontext.Encoder) error {
	if err := enc.WriteToken(jsontext.BeginObject); err != nil {
		return err
	}
	for _, m := range o {
		if err := enc.WriteToken(jsontext.String(m.name)); err != nil {
			return err
		}
		if err := fastjson.MarshalEncode(enc, m.value); err != nil {
			return err
		}
	}
	return enc.WriteToken(jsontext.EndObject)
}

// with returns the object with one more member, if its value says anything.
func (o object) with(name string, value any) object {
	if v := reflect.ValueOf(value); !v.IsValid() || v.IsZero() || v.Kind() == reflect.Slice && v.Len() == 0 {
		return o
	}
	return append(o, member{name, value})
}

// schemas makes JSON schemas of Go types. Structs that have a name come once, as components.
type schemas struct {
	names      map[reflect.Type]string
	taken      map[string]bool
	components object
}

func newSchemas() *schemas {
	return &schemas{names: make(map[reflect.Type]string), taken: make(map[string]bool)}
}

// ofBody is the schema of a request's body: the members of its own, and those that every request has.
func (s *schemas) ofBody(in *shape) object {
	var properties object
	var required []string
	for _, f := range slices.Concat(in.flat(), claimsShape.flat()) {
		if slices.ContainsFunc(properties, func(m member) bool { return m.name == f.name }) {
			continue
		}
		properties = append(properties, member{f.name, s.ofField(f)})
		if f.required {
			required = append(required, f.name)
		}
	}
	return objectSchema(properties, required)
}

func objectSchema(properties object, required []string) object {
	return object{{"type", "object"}, {"properties", properties}}.with("required", required)
}

// ofField is the schema of a member of a body.
func (s *schemas) ofField(f flatField) object {
	t, about := f.typ, f.about
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	o := object{{"type", jsonType(t)}}.with("description", about)
	switch t.Kind() { //nolint:exhaustive // no others are in bodies
	case reflect.String:
		if f.required {
			o = o.with("minLength", int64(1))
		}
		o = o.with("maxLength", orDefault(f.max, maxString)).with("enum", f.enum)
	case reflect.Int32, reflect.Int64, reflect.Int:
		o = o.with("format", t.Kind().String()).with("enum", numbers(f.enum))
		o = append(o, member{"minimum", f.min}).with("maximum", f.max)
	case reflect.Slice:
		if f.required {
			o = o.with("minItems", int64(1))
		}
		o = o.with("maxItems", orDefault(f.max, maxList)).with("items", s.ofItem(f.field, t.Elem()))
	case reflect.Struct:
		return s.ofShape(f.elem).with("description", about)
	}
	return o
}

func (s *schemas) ofItem(f *field, t reflect.Type) object {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if f.elem != nil {
		return s.ofShape(f.elem)
	}
	return object{{"type", jsonType(t)}}
}

// ofShape is the schema of an object within a body.
func (s *schemas) ofShape(in *shape) object {
	var properties object
	var required []string
	for _, f := range in.flat() {
		properties = append(properties, member{f.name, s.ofField(f)})
		if f.required {
			required = append(required, f.name)
		}
	}
	return objectSchema(properties, required)
}

func numbers(enum []string) []int64 {
	var list []int64
	for _, e := range enum {
		list = append(list, number(e))
	}
	return list
}

func jsonType(t reflect.Type) string {
	switch t.Kind() { //nolint:exhaustive // the others have no form in JSON
	case reflect.String:
		return "string"
	case reflect.Bool:
		return "boolean"
	case reflect.Slice, reflect.Array:
		return "array"
	case reflect.Float32, reflect.Float64:
		return "number"
	case reflect.Struct, reflect.Map:
		return "object"
	}
	return "integer"
}

// ofAnswer is the schema of what an endpoint answers with.
func (s *schemas) ofAnswer(t reflect.Type) object {
	switch {
	case t == reflect.TypeFor[none]():
		return object{{"type", "null"}}
	case t == reflect.TypeFor[json.RawMessage]() || t == reflect.TypeFor[jsontext.Value]() || t.Kind() == reflect.Interface:
		return object{} // anything
	case t.Kind() == reflect.Pointer:
		return object{{"oneOf", []object{s.ofAnswer(t.Elem()), {{"type", "null"}}}}}
	case t.Kind() == reflect.Struct:
		return s.ofStruct(t)
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8:
		return object{{"type", "string"}, {"contentEncoding", "base64"}}
	case t.Kind() == reflect.Slice || t.Kind() == reflect.Array:
		return object{{"type", "array"}, {"items", s.ofAnswer(t.Elem())}}
	case t.Kind() == reflect.Map:
		return object{{"type", "object"}, {"additionalProperties", s.ofAnswer(t.Elem())}}
	}
	o := object{{"type", jsonType(t)}}
	if k := t.Kind(); k == reflect.Int64 || k == reflect.Int32 {
		o = append(o, member{"format", k.String()})
	}
	return o
}

// ofStruct refers to a component, which it makes when it sees the type for the first time.
func (s *schemas) ofStruct(t reflect.Type) object {
	if t.Name() == "" {
		return s.structSchema(t)
	}
	name, known := s.names[t]
	if !known {
		name = componentName(t.Name())
		for base, i := name, 2; s.taken[name]; i++ {
			name = base + strconv.Itoa(i)
		}
		s.names[t], s.taken[name] = name, true // before its fields, which may lead back to it
		s.components = append(s.components, member{name, s.structSchema(t)})
	}
	return object{{"$ref", "#/components/schemas/" + name}}
}

// componentName is what a type is called in the document: page[path/to/api.friend] becomes PageOfFriend.
func componentName(goName string) string {
	name, argument, generic := strings.Cut(strings.TrimSuffix(goName, "]"), "[")
	name = strings.ToUpper(name[:1]) + name[1:]
	if !generic {
		return name
	}
	return name + "Of" + componentName(argument[strings.LastIndexByte(argument, '.')+1:])
}

func (s *schemas) structSchema(t reflect.Type) object {
	var properties object
	var required []string
	s.addFields(t, &properties, &required)
	return objectSchema(properties, required)
}

func (s *schemas) addFields(t reflect.Type, properties *object, required *[]string) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		words := strings.Split(options, ",")
		switch {
		case f.Anonymous && name == "" || slices.Contains(words, "inline"):
			inner := f.Type
			if inner.Kind() == reflect.Pointer {
				inner = inner.Elem()
			}
			s.addFields(inner, properties, required)
			continue
		case name == "-" || !f.IsExported():
			continue
		case name == "":
			name = f.Name
		}
		o := s.ofAnswer(f.Type)
		if slices.Contains(words, "string") {
			o = object{{"type", "string"}}
		}
		*properties = append(*properties, member{name, o.with("description", f.Tag.Get("about"))})
		if !slices.Contains(words, "omitempty") && !slices.Contains(words, "omitzero") {
			*required = append(*required, name)
		}
	}
}
