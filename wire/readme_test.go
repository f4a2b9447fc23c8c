package wire

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/whaleshark-im/whaleshark/chat"
)

func TestReadmeTellsEveryCode(t *testing.T) {
	const path, begin, end = "README.md", "<!-- codes: checked against chat.Codes by the tests, written by `go test ./wire -rewrite` -->\n", "<!-- end of codes -->\n"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok1 := strings.Cut(string(text), begin)
	got, tail, ok2 := strings.Cut(rest, end)
	if !ok1 || !ok2 {
		t.Fatalf("%s has lost its marks", path)
	}
	want := codeTable()
	if *rewrite {
		if err := os.WriteFile(path, []byte(head+begin+want+end+tail), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the table of codes in %s (-want +got):\n%s", path, diff)
	}
}

func codeTable() string {
	yes := map[bool]string{true: "yes", false: ""}
	var b strings.Builder
	b.WriteString("\n| code | name | meaning | again | closes |\n| --- | --- | --- | --- | --- |\n")
	for _, c := range chat.Codes {
		fmt.Fprintf(&b, "| %d | %s | %s | %s | %s |\n", c.Code, c.Name, c.Meaning, yes[c.Retryable], yes[c.Closes])
	}
	b.WriteString("\n")
	return b.String()
}
