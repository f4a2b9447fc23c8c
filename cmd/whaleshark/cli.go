package main

import (
	"io"
	"log/slog"
	"os"
)

// cli is the command line. Each command's struct is the config of its process; kong gives every flag --x-y the environment
// variable WHALESHARK_X_Y.
type cli struct {
	LogLevel  slog.Level `default:"info" help:"What is logged at least: debug, info, warn or error."`
	LogFormat string     `default:"auto" enum:"auto,json,text" help:"json, text, or auto: text for dev on a terminal, and json otherwise."`

	NATS    natsCmd    `cmd:"" name:"nats" help:"Run the NATS server."`
	Version versionCmd `cmd:"" help:"Print the version."`
}

// logger logs to w as the flags say.
func (c *cli) logger(dev bool, w io.Writer) *slog.Logger {
	opts := &slog.HandlerOptions{Level: c.LogLevel}
	if c.LogFormat == "text" || c.LogFormat == "auto" && dev && isTerminal(w) {
		return slog.New(slog.NewTextHandler(w, opts))
	}
	return slog.New(slog.NewJSONHandler(w, opts))
}

func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
