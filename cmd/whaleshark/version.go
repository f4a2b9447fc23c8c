package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/nats-io/nats-server/v2/server"
)

// version is set by the linker; see the Makefile.
var version string

// versionText is the version of this binary: what the Makefile has set, or what `go install` knows.
func versionText() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}

type versionCmd struct{}

func (versionCmd) Help() string {
	return `Examples:

    whaleshark version`
}

func (versionCmd) Run(out io.Writer) error {
	_, err := fmt.Fprintf(out, "whaleshark %s (nats-server %s, %s, %s/%s)\n",
		versionText(), server.VERSION, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}
