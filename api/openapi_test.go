package api

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// TestDescription holds the OpenAPI document against what such documents must be.
func TestDescription(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromData(describe((&API{}).endpoints()))
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Error(err)
	}
	for _, e := range (&API{}).endpoints() {
		switch p := doc.Paths.Find(e.path); {
		case p == nil:
			t.Errorf("%s is not in it", e.path)
		case e.about == "" || e.noun == "":
			t.Errorf("%s has no noun, or nobody says what it is for", e.path)
		case !strings.HasSuffix(e.about, "."):
			t.Errorf("%s: what it is for is no sentence", e.path)
		}
	}
}

// TestExamplesAreTrue holds the examples of the document against its schemas: people copy them.
func TestExamplesAreTrue(t *testing.T) {
	for path, o := range operations() {
		if err := o.request.Validate(o.exampleIn); err != nil {
			t.Errorf("%s: the example of a body: %v", path, err)
		}
		if err := o.answer.Validate(o.exampleOut); err != nil {
			t.Errorf("%s: the example of an answer: %v", path, err)
		}
	}
}

// operation is what the document says of an endpoint, ready to check what is said to it, and what it says.
type operation struct {
	request, answer       *jsonschema.Schema
	exampleIn, exampleOut any
}

// operations are read once, from a document that is stricter about answers, where every member has to be told of, and more lenient about
// requests, as the reader of bodies is.
var operations = sync.OnceValue(func() map[string]operation {
	text := describe((&API{}).endpoints())
	read, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		panic(err)
	}
	doc := read.(map[string]any)
	closeObjects(doc["components"])
	compiler := jsonschema.NewCompiler()
	all := make(map[string]operation)
	for _, methods := range doc["paths"].(map[string]any) {
		for _, o := range methods.(map[string]any) {
			closeObjects(o.(map[string]any)["responses"])
			loosen(content(o, "requestBody")["schema"])
		}
	}
	if err := compiler.AddResource("openapi.json", doc); err != nil {
		panic(err)
	}
	for path, methods := range doc["paths"].(map[string]any) {
		for method, o := range methods.(map[string]any) {
			at := "openapi.json#/paths/" + strings.ReplaceAll(path, "/", "~1") + "/" + method
			all[path] = operation{
				request:    compiler.MustCompile(at + "/requestBody/content/application~1json/schema"),
				answer:     compiler.MustCompile(at + "/responses/200/content/application~1json/schema"),
				exampleIn:  content(o, "requestBody")["example"],
				exampleOut: content(o, "responses", "200")["example"],
			}
		}
	}
	return all
})

// content is the JSON content of a part of an operation.
func content(o any, names ...string) map[string]any {
	for _, name := range append(names, "content", "application/json") {
		o = o.(map[string]any)[name]
	}
	return o.(map[string]any)
}

// closeObjects lets no object of a schema have members that it does not tell of.
func closeObjects(x any) {
	switch x := x.(type) {
	case []any:
		for _, y := range x {
			closeObjects(y)
		}
	case map[string]any:
		_, told := x["properties"].(map[string]any)
		if _, open := x["additionalProperties"]; told && !open && x["type"] == "object" {
			x["additionalProperties"] = false
		}
		for _, y := range x {
			closeObjects(y)
		}
	}
}

// loosen lets a schema take what the lenient reader takes: numbers as strings and the other way round, and nothing in place of a value.
func loosen(x any) {
	schema, ok := x.(map[string]any)
	if !ok {
		return
	}
	switch schema["type"] {
	case "string", "integer", "boolean":
		schema["type"] = []any{"string", "number", "boolean", "null"}
		if enum, ok := schema["enum"].([]any); ok {
			for _, v := range slices.Clone(enum) {
				enum = append(enum, fmt.Sprint(v))
			}
			schema["enum"] = append(enum, nil, "")
		}
	case "array":
		schema["type"] = []any{"array", "null"}
		loosen(schema["items"])
	case "object":
		schema["type"] = []any{"object", "null"}
		for _, p := range schema["properties"].(map[string]any) {
			loosen(p)
		}
	}
}

// holds checks an exchange against the document: an answer always, a request if it was carried out.
func holds(t testing.TB, path, request string, status int, answer []byte, ok bool) {
	t.Helper()
	path, _, _ = strings.Cut(path, "?")
	o, known := operations()[path]
	if !known {
		return
	}
	said, err := jsonschema.UnmarshalJSON(bytes.NewReader(answer))
	if err == nil {
		err = o.answer.Validate(said)
	}
	if err != nil {
		t.Errorf("%s answers %s\nwhich /openapi.json does not tell of: %v", path, answer, err)
	}
	if !ok || strings.TrimSpace(request) == "" {
		return
	}
	if status != http.StatusOK {
		t.Errorf("%s answers well with status %d", path, status)
	}
	asked, err := jsonschema.UnmarshalJSON(strings.NewReader(request))
	if err == nil {
		err = o.request.Validate(asked)
	}
	if err != nil {
		t.Errorf("%s takes %s\nwhich /openapi.json says it does not: %v", path, request, err)
	}
}
