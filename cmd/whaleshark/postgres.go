package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/whaleshark-im/whaleshark/sql/postgres"
	"github.com/whaleshark-im/whaleshark/sql/store"
)

const (
	postgresStart = 2 * time.Minute  // the first start creates the cluster, one after a crash recovers it
	postgresStop  = 20 * time.Second // then it is ended at once, and recovers at its next start
)

type postgresCmd struct {
	dataFlags
	Migrate bool `help:"Create and migrate the database."`
	Seed    bool `help:"Migrate it, and add the demo data."`
}

func (postgresCmd) Help() string {
	return `Runs the private Postgres of the data folder, until it is told to stop. It listens on a Unix socket alone. PostgreSQL's binaries have to
be installed; if they are missing it says how.

Examples:

    whaleshark postgres --seed
    whaleshark postgres --data /srv/whaleshark --migrate`
}

func (c postgresCmd) Run(ctx context.Context, log *slog.Logger) error {
	instance, err := startPostgres(ctx, log, c.Data)
	if err != nil {
		return err
	}
	defer stopPostgres(ctx, log, instance)
	log.InfoContext(ctx, "postgres started", "url", instance.URL())
	if err := c.prepare(ctx, log, instance.URL()); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return nil
	case <-instance.Done():
		return instance.Err()
	}
}

func (c postgresCmd) prepare(ctx context.Context, log *slog.Logger, url string) error {
	switch {
	case c.Seed:
		return migrateAndSeed(ctx, log, url)
	case c.Migrate:
		return store.Migrate(ctx, url, log)
	}
	return nil
}

func startPostgres(ctx context.Context, log *slog.Logger, data string) (*postgres.Instance, error) {
	ctx, cancel := context.WithTimeout(ctx, postgresStart)
	defer cancel()
	return postgres.Start(ctx, postgres.Config{Dir: postgresFolder(data), Log: log})
}

func stopPostgres(ctx context.Context, log *slog.Logger, instance *postgres.Instance) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), postgresStop)
	defer cancel()
	if err := instance.Stop(ctx); err != nil {
		log.ErrorContext(ctx, "postgres did not stop in order", "cause", err)
	}
}

func migrateAndSeed(ctx context.Context, log *slog.Logger, url string) error {
	if err := store.Migrate(ctx, url, log); err != nil {
		return err
	}
	s, err := store.Open(ctx, url, store.Options{})
	if err != nil {
		return err
	}
	defer s.Close()
	return s.Seed(ctx)
}
