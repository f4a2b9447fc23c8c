package api

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/whaleshark-im/whaleshark/chat"
)

// The description of the API for people and tools is made of the table of endpoints and of its types, and so cannot say anything else.

// describe returns the OpenAPI document.
func describe(endpoints []endpoint) []byte {
	s := newSchemas()
	var paths object
	for i := range endpoints {
		e := &endpoints[i]
		paths = append(paths, member{e.path, object{{e.method(), s.operation(e)}}})
	}
	doc := object{
		{"openapi", "3.1.0"},
		{"info", object{
			{"title", "WhaleShark"},
			{"version", "1"},
			{"description", aboutAPI},
			{"license", object{{"name", "Apache 2.0"}, {"identifier", "Apache-2.0"}}},
		}},
		{"servers", []object{{{"url", "/"}}}},
		{"tags", tagsOf(endpoints)},
		{"x-codes", codeTable(endpoints)},
		{"paths", paths},
		{"components", object{
			{"securitySchemes", object{{"userSign", object{
				{"type", "apiKey"},
				{"in", "query"},
				{"name", "userSign"},
				{"description", "Proves to be the identifier; the app's server mints it with the app's key, or asks /v1/user/sign/issue for it."},
			}}}},
			{"parameters", parameters},
			{"schemas", append(object{{"Failure", failure()}}, s.components...)},
		}},
	}
	b, err := json.Marshal(doc, jsontext.EscapeForHTML(false))
	if err != nil {
		panic("api: describe the endpoints: " + err.Error())
	}
	return b
}

const aboutAPI = `The HTTP API of WhaleShark, for app servers. Bodies are JSON objects; members that an endpoint does not know are passed over.

**Who asks**: the query's ` + "`appId`, `identifier` and `userSign`" + `, or else the body's ` + "`appId` and `operater`" + `. Where userSigns are required nobody acts for
anybody else; an administrator of the app may act for all of its users: he is the identifier, and names the user as operater.

**Answers** are an envelope with a ` + "`code`" + `: 200 is success. They come with HTTP status 200 whatever the code, because older clients expect it. A
request with the header ` + "`Whaleshark-Errors: http`" + ` gets the status that goes with the code. An answer that is no success has a ` + "`requestId`" + `,
which is also in the header X-Request-Id, and in the server's log.`

// parameters are what every request may have in its query and its header.
var parameters = object{
	{"appId", object{
		{"name", "appId"},
		{"in", "query"},
		{"description", "The app; comes before the body's."},
		{"schema", object{{"type", "integer"}, {"format", "int32"}}},
		{"example", 10001},
	}},
	{"identifier", object{
		{"name", "identifier"},
		{"in", "query"},
		{"description", "Who asks, and whom the userSign belongs to; comes before the body's operater."},
		{"schema", object{{"type", "string"}, {"maxLength", chat.MaxUserID}}},
		{"example", "alice"},
	}},
	{"errors", object{
		{"name", headerErrors},
		{"in", "header"},
		{"description", "http: an answer that is no success has the HTTP status of its code."},
		{"schema", object{{"type", "string"}, {"enum", []string{"http"}}}},
	}},
}

func tagsOf(endpoints []endpoint) []object {
	var tags []object
	var seen []string
	for i := range endpoints {
		if noun := endpoints[i].noun; !slices.Contains(seen, noun) {
			seen = append(seen, noun)
			tags = append(tags, object{{"name", noun}})
		}
	}
	return tags
}

// method is the one by which an endpoint is documented.
func (e *endpoint) method() string {
	if e.verbs == onlyGet {
		return "get"
	}
	return "post"
}

// operation describes an endpoint.
func (s *schemas) operation(e *endpoint) object {
	body := s.ofBody(e.in)
	o := object{
		{"operationId", strings.ReplaceAll(strings.TrimPrefix(e.path, "/v1/"), "/", "_")},
		{"tags", []string{e.noun}},
		{"summary", e.about},
		{"description", e.description()},
		{"parameters", []object{refTo("appId"), refTo("identifier"), refTo("errors")}},
		{"requestBody", object{
			{"required", hasRequired(body)},
			{"content", object{{"application/json", object{{"schema", body}, {"example", s.exampleBody(e)}}}}},
		}},
		{"responses", s.responses(e)},
		{"x-common", commonMembers(e.in)},
		{"x-access", e.access.String()},
		{"x-any-method", e.verbs == anyVerb},
		{"x-codes", e.allCodes()},
		{"x-own-codes", slices.Sorted(slices.Values(e.codes))},
	}
	if e.access != forAnybody {
		o = append(o, member{"security", []object{{{"userSign", []string{}}}}})
	}
	return o
}

// commonMembers are those of a body that every request may have.
func commonMembers(in *shape) []string {
	var names []string
	for _, f := range claimsShape.flat() {
		if !slices.ContainsFunc(in.flat(), func(own flatField) bool { return own.name == f.name }) {
			names = append(names, f.name)
		}
	}
	return names
}

func refTo(parameter string) object {
	return object{{"$ref", "#/components/parameters/" + parameter}}
}

func hasRequired(schema object) bool {
	return slices.ContainsFunc(schema, func(m member) bool { return m.name == "required" })
}

// String says who may call an endpoint.
func (a access) String() string {
	return [...]string{"anybody, without a userSign", "users", "administrators", "administrators, always with a userSign"}[a]
}

func (e *endpoint) description() string {
	var b strings.Builder
	fmt.Fprintf(&b, "For %s.", e.access)
	if e.verbs == anyVerb {
		b.WriteString(" Any HTTP method will do.")
	}
	own := slices.Sorted(slices.Values(e.codes))
	if len(own) > 0 {
		b.WriteString("\n\n| code | name | meaning | status |\n| --- | --- | --- | --- |\n")
	} else {
		b.WriteString("\n\n")
	}
	for _, c := range own {
		info := c.Info()
		fmt.Fprintf(&b, "| %d | %s | %s | %d |\n", c, info.Name, info.Meaning, statusOf(c))
	}
	b.WriteString("\nLike others it may also answer with")
	for _, c := range e.allCodes() {
		if !slices.Contains(own, c) {
			fmt.Fprintf(&b, " %d", c)
		}
	}
	b.WriteString("; x-codes of this document tells what each means.")
	return b.String()
}

// codeTable tells of every code what it means.
func codeTable(endpoints []endpoint) []object {
	codes := []chat.Code{chat.NoEndpoint}
	for i := range endpoints {
		codes = append(codes, endpoints[i].allCodes()...)
	}
	slices.Sort(codes)
	var list []object
	for _, c := range slices.Compact(codes) {
		info := c.Info()
		list = append(list, object{
			{"code", c}, {"name", info.Name}, {"meaning", info.Meaning}, {"retryable", info.Retryable}, {"status", statusOf(c)},
		})
	}
	return list
}

func (s *schemas) responses(e *endpoint) object {
	data := s.ofAnswer(e.out)
	success := objectSchema(object{
		{"code", object{{"type", "integer"}, {"const", int(chat.OK)}}},
		{"msg", object{{"type", "string"}}},
		{"data", data},
		{"ok", object{{"type", "boolean"}, {"const", true}}},
	}, []string{"code", "msg", "data", "ok"})
	refused := object{{"$ref", "#/components/schemas/Failure"}}
	example := object{{"code", chat.OK}, {"msg", chat.OK.Info().Meaning}, {"data", s.example(e.out, "", nil)}, {"ok", true}}
	return object{
		{"200", object{
			{"description", "The answer, good or bad."},
			{"content", object{{"application/json", object{
				{"schema", object{{"oneOf", []object{success, refused}}}}, {"example", example},
			}}}},
		}},
		{"default", object{
			{"description", "A bad answer, if the request has the header " + headerErrors + ": http."},
			{"content", object{{"application/json", object{{"schema", refused}}}}},
		}},
	}
}

// failure is the schema of the envelope of what did not succeed.
func failure() object {
	return objectSchema(object{
		{"code", object{{"type", "integer"}, {"not", object{{"const", int(chat.OK)}}}, {"description", "What went wrong; the endpoint's x-codes are those that there may be."}}},
		{"msg", object{{"type", "string"}, {"description", "The same in words, for the client's developer."}}},
		{"data", object{
			{"type", []string{"object", "null"}}, {"description", "What is known nevertheless, such as the messageId of a message that was refused."},
		}},
		{"ok", object{{"type", "boolean"}, {"const", false}}},
		{"requestId", object{{"type", "string"}, {"description", "The number of the request in the server's log."}}},
	}, []string{"code", "msg", "data", "ok", "requestId"})
}

// serveDescription answers with the OpenAPI document.
func serveDescription(doc []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		_, _ = w.Write(doc) // who has gone misses it
	}
}
