package main

import (
	"context"
	"log/slog"

	"github.com/whaleshark-im/whaleshark/streams/broker"
)

type natsCmd struct {
	Config string `default:"nats.conf" env:"WHALESHARK_NATS_CONFIG" help:"Configuration file, as nats-server reads it."`
}

func (natsCmd) Help() string {
	return `Runs the NATS server that all roles meet in, until it is told to stop. It reads the same file as a stock nats-server, which may
take its place.

Examples:

    whaleshark nats --config nats.conf`
}

func (c natsCmd) Run(ctx context.Context, log *slog.Logger) error {
	config, err := broker.ReadConfig(c.Config, log)
	if err != nil {
		return err
	}
	own, err := takeFolder(config.Dir)
	if err != nil {
		return err
	}
	defer own.release()
	b, err := broker.Start(config)
	if err != nil {
		return err
	}
	defer b.Close()
	return b.Wait(ctx)
}
