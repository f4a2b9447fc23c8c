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

	Dev devCmd `cmd:"" set:"hook_private=true" help:"Run everything in one process."`

	Edge     edgeCmd     `cmd:"" help:"Run an edge, which clients connect to."`
	API      apiCmd      `cmd:"" name:"api" help:"Run the HTTP API, which app servers ask."`
	Worker   workerCmd   `cmd:"" help:"Run workers: sequence, fanout, persist, webhook."`
	NATS     natsCmd     `cmd:"" name:"nats" help:"Run the NATS server."`
	Postgres postgresCmd `cmd:"" help:"Run a private Postgres."`

	Status statusCmd `cmd:"" help:"Print who is there, who owns what, and how far it is."`
	Audit  auditCmd  `cmd:"" help:"Check the log, and tell what happened."`
	Bench  benchCmd  `cmd:"" help:"Measure how fast a server is, and check that it keeps its promises."`

	Migrate migrateCmd `cmd:"" help:"Bring the database to this binary's schema."`
	Seed    seedCmd    `cmd:"" help:"Add demo data."`
	App     appCmd     `cmd:"" help:"Add and change apps."`
	Webhook webhookCmd `cmd:"" help:"See what webhooks have not heard, and tell it again."`
	Sign    signCmd    `cmd:"" help:"Mint a userSign."`
	Send    sendCmd    `cmd:"" help:"Send a message as a user."`
	Listen  listenCmd  `cmd:"" help:"Print what arrives for a user."`
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
