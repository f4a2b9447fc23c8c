package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"github.com/whaleshark-im/whaleshark/sql/migrations"
	"github.com/whaleshark-im/whaleshark/sql/store/internal/db"
)

// Version is the version of the schema that this binary needs: its newest migration.
var Version = func() int64 {
	files, err := fs.Glob(migrations.FS, "*.sql")
	if err != nil || len(files) == 0 {
		panic("store: no migrations")
	}
	version, err := goose.NumericComponent(files[len(files)-1])
	if err != nil {
		panic(fmt.Sprintf("store: name of a migration: %v", err))
	}
	return version
}()

const (
	schemaLock      = 0x7768616c65 // the advisory lock of whoever migrates: "whale"
	schemaLockRetry = 50 * time.Millisecond
	undefinedTable  = "42P01"
)

// Ready returns nil when Postgres answers and its schema is at least at [Version], and otherwise what is missing. A newer schema is
// fine: migrations only add, so that the processes of the version before can go on while a new one is rolled out.
func (s *Store) Ready(ctx context.Context) error {
	have, err := schemaVersion(ctx, s.queries)
	if err != nil {
		return err
	}
	if have < Version {
		return fmt.Errorf("the database has schema version %d; this binary needs %d: run `whaleshark migrate`", have, Version)
	}
	return nil
}

// schemaVersion returns 0 for a database that was never migrated.
func schemaVersion(ctx context.Context, q *db.Queries) (int64, error) {
	version, err := q.SchemaVersion(ctx)
	if refusal, ok := errors.AsType[*pgconn.PgError](err); ok && refusal.Code == undefinedTable {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read schema version: %w", err)
	}
	return version, nil
}

// Migrate brings the database at url to [Version]. Several processes may do it at once: one does, the others wait for it.
func Migrate(ctx context.Context, url string, log *slog.Logger) error {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx)) // its end releases the lock, however it ends

	q := db.New(conn)
	have, err := schemaVersion(ctx, q)
	if err != nil || have >= Version {
		return err
	}
	if err := lockSchema(ctx, q); err != nil {
		return err
	}
	return migrate(ctx, config, log)
}

func lockSchema(ctx context.Context, q *db.Queries) error {
	retry := time.NewTicker(schemaLockRetry)
	defer retry.Stop()
	for {
		locked, err := q.TryLockSchema(ctx, schemaLock)
		if err != nil {
			return fmt.Errorf("lock schema: %w", err)
		}
		if locked {
			return nil
		}
		select {
		case <-retry.C:
		case <-ctx.Done():
			return fmt.Errorf("lock schema: %w", ctx.Err())
		}
	}
}

func migrate(ctx context.Context, config *pgx.ConnConfig, log *slog.Logger) error {
	conn := stdlib.OpenDB(*config)
	defer conn.Close() // nothing is left in it
	provider, err := goose.NewProvider(goose.DialectPostgres, conn, migrations.FS,
		goose.WithDisableGlobalRegistry(true), goose.WithSlog(slog.New(slog.DiscardHandler)))
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	results, err := provider.Up(ctx)
	for _, r := range results {
		log.InfoContext(ctx, "schema migrated", "version", r.Source.Version, "duration", r.Duration.String())
	}
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return nil
}
