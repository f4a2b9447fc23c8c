package broker

import (
	"fmt"
	"log/slog"
	"strings"

	"github.com/nats-io/nats-server/v2/server"
)

// logTo gives the server its log, and returns where the reason appears if it cannot start. A file that names a log of its own gets the
// server's own logger, which ends the process on a fatal error.
func logTo(srv *server.Server, opts *server.Options, c Config) <-chan error {
	l := newLogger(c)
	if opts.LogFile != "" || opts.Syslog || opts.RemoteSyslog != "" {
		srv.ConfigureLogger()
	} else {
		srv.SetLoggerV2(l, opts.Debug, opts.Trace, opts.TraceVerbose)
	}
	return l.fatal
}

// logger hands the server's lines to slog. They are free text, so they stand in an attribute.
type logger struct {
	log    *slog.Logger
	notice func(msg string, args ...any)
	fatal  chan error // holds the first fatal error
}

// newLogger takes the server's notices as news if the server was asked for by a file and runs alone, and as details otherwise.
func newLogger(c Config) *logger {
	l := &logger{log: c.Log, fatal: make(chan error, 1)}
	if l.log == nil {
		l.log = slog.New(slog.DiscardHandler)
	}
	l.notice = l.log.Debug
	if c.file != nil {
		l.notice = l.log.Info
	}
	return l
}

const lineMessage = "nats server"

func line(format string, v []any) slog.Attr {
	return slog.String("line", strings.TrimSpace(fmt.Sprintf(format, v...)))
}

// The methods of server.Logger.

func (l *logger) Noticef(format string, v ...any) { l.notice(lineMessage, line(format, v)) }
func (l *logger) Warnf(format string, v ...any)   { l.log.Warn(lineMessage, line(format, v)) }
func (l *logger) Errorf(format string, v ...any)  { l.log.Error(lineMessage, line(format, v)) }
func (l *logger) Debugf(format string, v ...any)  { l.log.Debug(lineMessage, line(format, v)) }
func (l *logger) Tracef(format string, v ...any)  { l.log.Debug(lineMessage, line(format, v)) }

func (l *logger) Fatalf(format string, v ...any) {
	select {
	case l.fatal <- fmt.Errorf(format, v...):
	default:
	}
}
