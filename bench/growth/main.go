// Command growth measures how the cost of a server's work grows with the load, with its processes and with what it keeps, and draws charts of it.
// It starts servers of its own, drives `bin/whaleshark bench`, and believes no run whose verdict is not ok.
//
// A [series] is a function that returns points (roles.go, load.go and so on); [house] is the server it measures; [result] is what is written
// of it, as JSON and as a chart (chart.go, pure).
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
)

type command struct {
	Series []string `arg:"" optional:"" enum:"${series}" help:"What is measured: ${series}. Without it: all of them."`
	Short  bool     `help:"Seconds instead of minutes: little of everything, once. Its figures are worth nothing."`
	Times  int      `placeholder:"N" help:"How often each point is measured; the median of each figure counts. Without it: 3, with --short 1."`
	Out    string   `default:"bench/growth" help:"Where <series>.json and <series>.svg go."`
	Binary string   `default:"bin/whaleshark" help:"The server's program; make build makes it."`
	In     string   `type:"path" placeholder:"DIR" help:"Where the servers' folders are made; its disk is what is measured. Without it: where temporary files go."`
}

const description = `Measures how cost grows, and draws charts of it. It takes under 25 minutes on two cores, and measures whatever else
the machine does as well.

Examples:

    go run ./bench/growth
    go run ./bench/growth load takeover --times 5
    go run ./bench/growth partitions --short --out /tmp/growth`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	err := run(ctx, os.Args[1:], os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "growth:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, errs io.Writer) error {
	var c command
	parser, err := kong.New(&c, kong.Name("growth"), kong.Description(description), kong.Vars{"series": namesOf(all())})
	if err != nil {
		return err
	}
	if _, err := parser.Parse(args); err != nil {
		return err
	}
	chosen := choose(all(), c.Series)
	l := &lab{short: c.Short, times: c.Times, in: c.In, progress: &progress{out: errs, began: time.Now()}}
	if l.times <= 0 {
		l.times = 3
		if l.short {
			l.times = 1
		}
	}
	if l.binary, err = filepath.Abs(c.Binary); err != nil {
		return err
	}
	if _, err := os.Stat(l.binary); err != nil {
		return fmt.Errorf("%w; make build makes it, and this program is started from the top folder", err)
	}
	if err := os.MkdirAll(c.Out, 0o755); err != nil { //nolint:gosec // charts are for everybody
		return err
	}
	return l.runAll(ctx, chosen, c.Out)
}

// runAll measures one series after the other. One that fails is told of, and the others go on.
func (l *lab) runAll(ctx context.Context, chosen []series, out string) error {
	var errs []error
	for i := range chosen {
		s := &chosen[i]
		l.progress.begin(s, chosen[i+1:], l)
		points, err := s.run(ctx, l)
		if ctx.Err() != nil {
			return errors.New("it was stopped")
		}
		if err == nil {
			err = l.resultOf(s, points).write(filepath.Join(out, s.name))
		}
		if err != nil {
			err = fmt.Errorf("%s: %w", s.name, err)
			l.progress.say("%v", err)
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
