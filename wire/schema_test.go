package wire

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// sources returns the package's own files, without tests.
func sources(t *testing.T) map[string]*ast.File {
	t.Helper()
	paths, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	files := make(map[string]*ast.File)
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		if files[path], err = parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// commandsInCode returns the constants of type Command, by their names.
func commandsInCode(t *testing.T) map[string]Command {
	t.Helper()
	commands := make(map[string]Command)
	for _, file := range sources(t) {
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || len(spec.Values) != 1 {
				return true
			}
			kind, _ := spec.Type.(*ast.Ident)
			value, ok := spec.Values[0].(*ast.BasicLit)
			if !ok || kind == nil || kind.Name != "Command" {
				return true
			}
			number, err := strconv.Atoi(value.Value)
			if err != nil {
				t.Fatal(err)
			}
			commands[spec.Names[0].Name] = Command(number)
			return true
		})
	}
	if len(commands) < 30 {
		t.Fatalf("only %d commands were found in the code", len(commands))
	}
	return commands
}

func TestEveryCommandHasAMessage(t *testing.T) {
	s := theSchema()
	for name, c := range commandsInCode(t) {
		if s.up[c] == nil && s.down[c] == nil {
			t.Errorf("%s = %d is not in whaleshark.proto: name it in its enum Command, and its payloads in messages", name, c)
		}
	}
}

func TestCommandsGoTheirWay(t *testing.T) {
	s := theSchema()
	for _, x := range allShown(t) {
		if x.up && s.up[x.command] == nil || !x.up && s.down[x.command] == nil {
			t.Errorf("%s: whaleshark.proto has no message for it", x.name)
		}
	}
}

// Every member that the package writes must have a field, and be shown in testdata, so that the test of their round trip sees it.
func TestEveryMemberIsInTheSchema(t *testing.T) {
	known := make(map[string]bool)
	add := func(m *message) {
		for name := range m.byName {
			known[name] = true
		}
	}
	var walk func(m *message)
	walk = func(m *message) {
		add(m)
		for _, f := range m.fields {
			if f.message != nil {
				walk(f.message)
			}
		}
	}
	s := theSchema()
	for _, m := range s.up {
		walk(m)
	}
	for _, m := range s.down {
		walk(m)
	}
	var text strings.Builder
	for _, x := range allShown(t) {
		text.Write(x.payload)
	}

	member := regexp.MustCompile(`"(\w+)":`)
	for path, file := range sources(t) {
		ast.Inspect(file, func(n ast.Node) bool {
			literal, ok := n.(*ast.BasicLit)
			if !ok || literal.Kind != token.STRING {
				return true
			}
			for _, match := range member.FindAllStringSubmatch(literal.Value, -1) {
				name := match[1]
				if !known[name] {
					t.Errorf("%s writes %s, which no message of whaleshark.proto has", path, name)
				}
				if !strings.Contains(text.String(), `"`+name+`":`) {
					t.Errorf("%s writes %s, which no frame in testdata shows", path, name)
				}
			}
			return true
		})
	}
}

func TestNoFieldHasAnotherNameInJSON(t *testing.T) {
	if strings.Contains(protoSource, "json_name") {
		t.Error("whaleshark.proto gives a field a name in JSON: it must be the field's own in lower camel case, as every library makes it")
	}
}

func TestSchemaThatIsWrong(t *testing.T) {
	const head = `syntax = "proto3"; package x; message Envelope {} `
	for _, test := range []struct{ source, want string }{
		{`enum Command { COMMAND_CONNECTION = 0; COMMAND_SEND = 1; }`, "COMMAND_SEND has neither a message SendUp nor SendDown"},
		{`enum Command { COMMAND_CONNECTION = 0; COMMAND_SEND = 1; } message SendUp { double x = 1; }`, "x.SendUp.x is of a kind that is not translated"},
		{`enum Command { COMMAND_CONNECTION = 0; COMMAND_SEND = 1; } message SendUp { repeated int32 x = 1; }`, "x.SendUp.x is of a kind that is not translated"},
		{`enum Command {`, "syntax error"},
	} {
		if _, err := compile(head + test.source); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v; want %q", test.source, err, test.want)
		}
	}
}
