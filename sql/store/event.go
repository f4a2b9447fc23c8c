package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/store/internal/db"
)

// change carries out a change in one transaction together with the events that tell of it: both happen, or neither. What says what is being
// done, for errors.
func (s *Store) change(ctx context.Context, what string, f func(*db.Queries) ([]chat.Event, error)) error {
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		q := db.New(tx)
		events, err := f(q)
		if err != nil {
			return err
		}
		return addEvents(ctx, q, events)
	})
	return explain(what, err)
}

// explain says what was being done, unless the error is for a client.
func explain(what string, err error) error {
	if _, told := errors.AsType[chat.Error](err); told || err == nil {
		return err
	}
	return fmt.Errorf("%s: %w", what, err)
}

// Tell tells of what is not kept here.
func (s *Store) Tell(ctx context.Context, events ...chat.Event) error {
	return explain("add events", addEvents(ctx, s.queries, events))
}

func addEvents(ctx context.Context, q *db.Queries, events []chat.Event) error {
	if len(events) == 0 {
		return nil
	}
	apps, aggregates, encoded := make([]int32, len(events)), make([]string, len(events)), make([][]byte, len(events))
	for i := range events {
		e := &events[i]
		if e.Time == 0 {
			e.Time = time.Now().UnixMilli()
		}
		b, err := json.Marshal(e)
		if err != nil {
			return fmt.Errorf("encode an event of %s: %w", e.Aggregate, err)
		}
		if len(b) > chat.MaxEvent {
			return chat.Errorf(chat.TooLarge, "there would be %d bytes to tell at once; %d is the most: do it in parts", len(b), chat.MaxEvent)
		}
		apps[i], aggregates[i], encoded[i] = int32(e.App), e.Aggregate, b
	}
	return q.AddEvents(ctx, apps, aggregates, encoded)
}

// Events returns the oldest events that are still to be told, at most limit of them.
func (s *Store) Events(ctx context.Context, limit int) ([]chat.Event, error) {
	rows, err := s.queries.Events(ctx, int32(limit)) //nolint:gosec // a page
	if err != nil {
		return nil, fmt.Errorf("read the outbox of events: %w", err)
	}
	events := make([]chat.Event, len(rows))
	for i, row := range rows {
		if err := json.Unmarshal(row.Event, &events[i]); err != nil {
			return nil, fmt.Errorf("read event %d: %w", row.EventID, err)
		}
		events[i].ID = row.EventID
	}
	return events, nil
}

// ForgetEvents deletes events that the stream has.
func (s *Store) ForgetEvents(ctx context.Context, ids []int64) error {
	if err := s.queries.ForgetEvents(ctx, ids); err != nil {
		return fmt.Errorf("forget events: %w", err)
	}
	return nil
}
