package main

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

func parser(t *testing.T, out io.Writer) *kong.Kong {
	t.Helper()
	return newParser(&cli{}, out, out, func(int) {})
}

// commands returns the path of every command that runs: "nats", "worker", "app set" and so on.
func commands(t *testing.T) [][]string {
	t.Helper()
	var paths [][]string
	for _, leaf := range parser(t, io.Discard).Model.Leaves(false) {
		paths = append(paths, strings.Fields(leaf.FullPath())[1:])
	}
	return paths
}

func TestEveryCommandHasHelpWithExamples(t *testing.T) {
	for _, path := range commands(t) {
		t.Run(strings.Join(path, " "), func(t *testing.T) {
			var out bytes.Buffer
			_, _ = parser(t, &out).Parse(append(path, "--help")) // what is required is missing; help is asked for
			for _, want := range []string{"Usage: whaleshark " + path[0], "Example", "whaleshark " + strings.Join(path, " ")} {
				if !strings.Contains(out.String(), want) {
					t.Errorf("the help has no %q:\n%s", want, out.String())
				}
			}
		})
	}
}

func TestEveryFlagHasAnEnvironmentVariable(t *testing.T) {
	p := parser(t, io.Discard)
	flags := p.Model.Flags
	for _, leaf := range p.Model.Leaves(false) {
		flags = append(flags, leaf.Flags...)
	}
	for _, flag := range flags {
		switch {
		case flag.Name == "help":
		case len(flag.Envs) != 1 || !strings.HasPrefix(flag.Envs[0], "WHALESHARK_"):
			t.Errorf("--%s has the environment variables %q, want one that begins with WHALESHARK_", flag.Name, flag.Envs)
		}
	}
}

func TestUnknownFlagIsAnError(t *testing.T) {
	for _, path := range commands(t) {
		var out, errs bytes.Buffer
		if code := run(t.Context(), append(path, "--bogus"), strings.NewReader(""), &out, &errs); code != exitUsage {
			t.Errorf("whaleshark %s --bogus exits with %d, want %d", strings.Join(path, " "), code, exitUsage)
		}
		if got := errs.String(); !strings.Contains(got, "--bogus") || !strings.Contains(got, "--help") {
			t.Errorf("it says %q, want the flag's name and where help is", got)
		}
	}
}

func TestVersion(t *testing.T) {
	var out, errs bytes.Buffer
	if code := run(t.Context(), []string{"version"}, nil, &out, &errs); code != 0 || !strings.HasPrefix(out.String(), "whaleshark ") {
		t.Errorf("exits with %d and prints %q %q", code, &out, &errs)
	}
}
