// Command whaleshark is the instant-messaging server: all its roles, and the tools that go with it. It alone reads flags and the
// environment, and it wires what the packages below it offer.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

// Exit codes.
const (
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	ctx, stop := untilSignal(context.Background())
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is main with its surroundings as parameters; it returns the exit code. When ctx ends, the command stops in order.
func run(ctx context.Context, args []string, in io.Reader, out, errs io.Writer) int {
	c := &cli{}
	parser := newParser(c, out, errs, os.Exit)
	command, err := parser.Parse(args)
	if err != nil {
		usage(parser, err)
		return exitUsage
	}
	command.BindTo(ctx, (*context.Context)(nil))
	command.BindTo(in, (*io.Reader)(nil))
	command.BindTo(out, (*io.Writer)(nil))
	command.Bind(&stderr{errs}, c.logger(command.Selected().Name == "dev", errs))
	err = command.Run()
	if stopped := ctx.Err() != nil && errors.Is(err, context.Canceled); err != nil && !stopped {
		fmt.Fprintf(errs, "%s: %v\n", command.Selected().FullPath(), err)
		return exitFailed
	}
	return 0
}

// stderr is where a command says what is no result, such as how far it is.
type stderr struct{ io.Writer }

func newParser(c *cli, out, errs io.Writer, exit func(int)) *kong.Kong {
	return kong.Must(c,
		kong.Name("whaleshark"),
		kong.Description("An instant-messaging server on NATS JetStream and Postgres."),
		kong.DefaultEnvars("WHALESHARK"),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Writers(out, errs),
		kong.Exit(exit),
		kong.Bind(slog.New(slog.DiscardHandler)),
	)
}

// usage says what is wrong with the command line, and in short what would be right.
func usage(parser *kong.Kong, err error) {
	parser.Errorf("%s", err)
	if parseErr, ok := errors.AsType[*kong.ParseError](err); ok {
		parseErr.Context.Stdout = parser.Stderr
		_ = parseErr.Context.PrintUsage(!parseErr.Context.Empty())
	}
}

// untilSignal returns a context that the first SIGINT or SIGTERM ends. The second one ends the process, at once.
func untilSignal(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}
