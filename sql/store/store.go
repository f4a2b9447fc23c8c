package store

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/whaleshark-im/whaleshark/sql/store/internal/db"
)

// Store reads and writes one database through a pool of connections. Its methods may be called at once by many.
type Store struct {
	pool    *pgxpool.Pool
	queries *db.Queries
	wide    int
}

// Options tune a store.
type Options struct {
	MaxConns int    // connections at most; 0: 8
	Name     string // what the connections are called in pg_stat_activity; empty: whaleshark

	Tracer pgx.QueryTracer // sees every statement and batch; nil: nobody does

	// WideGroup is how many members a group may have before Apply no longer tells each of them what has changed; 0: 500.
	WideGroup int
}

// connectTimeout bounds one attempt to connect when the URL does not say otherwise.
const connectTimeout = 5 * time.Second

// wideGroup is the size up to which a row a member and batch is cheaper than what its readers would otherwise look through.
const wideGroup = 500

// Open returns the store of the database at url. It connects when a connection is first needed, so the server may come up later;
// [Store.Ready] tells.
func Open(ctx context.Context, url string, opts Options) (*Store, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	config.ConnConfig.Tracer = opts.Tracer
	config.MaxConns = int32(cmp.Or(opts.MaxConns, 8)) //nolint:gosec // a few
	config.ConnConfig.ConnectTimeout = cmp.Or(config.ConnConfig.ConnectTimeout, connectTimeout)
	if opts.Name != "" || config.ConnConfig.RuntimeParams["application_name"] == "" {
		config.ConnConfig.RuntimeParams["application_name"] = cmp.Or(opts.Name, "whaleshark")
	}
	return open(ctx, config, opts)
}

func open(ctx context.Context, config *pgxpool.Config, opts Options) (*Store, error) {
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	return &Store{pool: pool, queries: db.New(pool), wide: cmp.Or(opts.WideGroup, wideGroup)}, nil
}

// Close closes the pool, after the calls that are under way.
func (s *Store) Close() { s.pool.Close() }
