package store

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/whaleshark-im/whaleshark/sql/store/internal/db"
)

// OpenTraced opens a store whose statements and batches the tracer sees.
func OpenTraced(ctx context.Context, url string, tracer pgx.QueryTracer) (*Store, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	config.ConnConfig.Tracer = tracer
	return open(ctx, config, Options{})
}

// The hot queries.
const (
	AppsByID           = db.AppsByID
	UsersByKey         = db.UsersByKey
	RelationsByKey     = db.RelationsByKey
	HeadsByToken       = db.HeadsByToken
	MessagesByIdentity = db.MessagesByIdentity
	MoveMark           = db.MoveMark
	Messages           = db.Messages
	KnownIDs           = db.KnownIDs
)
