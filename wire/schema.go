package wire

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/bufbuild/protocompile/linker"
	"github.com/bufbuild/protocompile/parser"
	"github.com/bufbuild/protocompile/reporter"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/whaleshark-im/whaleshark/chat"
)

//go:embed whaleshark.proto
var protoSource string

// schema is what whaleshark.proto says, as translating needs it.
type schema struct {
	up, down map[Command]*message
	envelope *message
}

// message is a protobuf message, which is a JSON object with the same names.
type message struct {
	fields   []*field // as the source has them
	byName   map[string]*field
	byNumber map[protowire.Number]*field
}

// field is a field of a message. Those that whaleshark.proto has are of the kinds that a JSON member of ours can have: string, int32, int64,
// bool, message, and lists of them; bytes are the envelope's alone.
type field struct {
	name    string // in JSON
	number  protowire.Number
	at      int // in message.fields
	kind    protoreflect.Kind
	list    bool
	message *message // of the message kind
}

// theSchema is compiled at first use: a server without protobuf clients never needs it.
var theSchema = sync.OnceValue(func() *schema {
	s, err := compile(protoSource)
	if err != nil {
		panic("wire: whaleshark.proto: " + err.Error())
	}
	return s
})

// describe returns what the source says as protobuf libraries have it.
func describe(source string) (protoreflect.FileDescriptor, error) {
	h := reporter.NewHandler(nil)
	tree, err := parser.Parse("whaleshark.proto", strings.NewReader(source), h)
	if err != nil {
		return nil, err
	}
	parsed, err := parser.ResultFromAST(tree, true, h)
	if err != nil {
		return nil, err
	}
	return linker.Link(parsed, nil, nil, h)
}

// compile reads the source. The message SendUp is what the command COMMAND_SEND has for a payload up, and SendDown for one down.
func compile(source string) (*schema, error) {
	file, err := describe(source)
	if err != nil {
		return nil, err
	}
	s := &schema{up: make(map[Command]*message), down: make(map[Command]*message)}
	c := compiler{done: make(map[protoreflect.FullName]*message)}
	s.envelope = c.message(file.Messages().ByName("Envelope"))
	commands := file.Enums().ByName("Command").Values()
	for i := range commands.Len() {
		v := commands.Get(i)
		command, name := Command(v.Number()), messageName(v.Name())
		up, down := file.Messages().ByName(name+"Up"), file.Messages().ByName(name+"Down")
		if up != nil {
			s.up[command] = c.message(up)
		}
		if down != nil {
			s.down[command] = c.message(down)
		}
		if up == nil && down == nil && command != 0 {
			return nil, fmt.Errorf("%s has neither a message %sUp nor %sDown", v.Name(), name, name)
		}
	}
	return s, c.err
}

// messageName returns Send for COMMAND_SEND.
func messageName(command protoreflect.Name) protoreflect.Name {
	var b strings.Builder
	for word := range strings.SplitSeq(strings.TrimPrefix(string(command), "COMMAND_"), "_") {
		b.WriteString(word[:1] + strings.ToLower(word[1:]))
	}
	return protoreflect.Name(b.String())
}

// compiler makes each message once.
type compiler struct {
	done map[protoreflect.FullName]*message
	err  error
}

func (c *compiler) message(d protoreflect.MessageDescriptor) *message {
	if m := c.done[d.FullName()]; m != nil {
		return m
	}
	m := &message{byName: make(map[string]*field), byNumber: make(map[protowire.Number]*field)}
	c.done[d.FullName()] = m
	for i := range d.Fields().Len() {
		fd := d.Fields().Get(i)
		f := &field{name: fd.JSONName(), number: fd.Number(), at: i, kind: fd.Kind(), list: fd.IsList()}
		if !slices.Contains(kinds, f.kind) || fd.IsMap() || f.list && f.kind != protoreflect.StringKind && f.kind != protoreflect.MessageKind {
			c.err = fmt.Errorf("%s is of a kind that is not translated", fd.FullName())
		}
		if f.kind == protoreflect.MessageKind {
			f.message = c.message(fd.Message())
		}
		m.fields = append(m.fields, f)
		m.byName[f.name], m.byNumber[f.number] = f, f
	}
	return m
}

// kinds are those that are translated. Lists of numbers are not: protobuf would pack them.
var kinds = []protoreflect.Kind{
	protoreflect.StringKind, protoreflect.Int32Kind, protoreflect.Int64Kind, protoreflect.BoolKind, protoreflect.MessageKind,
	protoreflect.BytesKind,
}

// of returns the message of a command.
func of(messages map[Command]*message, c Command) (*message, error) {
	if m := messages[c]; m != nil {
		return m, nil
	}
	return nil, chat.Errorf(chat.UnknownCommand, "no protobuf message is known for command %d", int32(c))
}
