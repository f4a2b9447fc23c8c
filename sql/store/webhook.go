package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/store/internal/db"
)

// HookEvents is the source of the webhooks beside the log's partitions.
const HookEvents = -1

// HookMark returns how far the webhooks have heard a source. One that they hear for the first time is begun at a position: what was before
// it is told to nobody.
func (s *Store) HookMark(ctx context.Context, source int, begin func(context.Context) (uint64, error)) (uint64, error) {
	mark, err := s.queries.WebhookMark(ctx, int32(source)) //nolint:gosec // partitions are few
	if errors.Is(err, pgx.ErrNoRows) {
		var at uint64
		if at, err = begin(ctx); err != nil {
			return 0, err
		}
		if err := s.queries.AddWebhookMark(ctx, int32(source), int64(at)); err != nil { //nolint:gosec // as above; a revision is below 2^43
			return 0, fmt.Errorf("begin the webhooks' mark %d: %w", source, err)
		}
		mark, err = s.queries.WebhookMark(ctx, int32(source)) //nolint:gosec // as above
	}
	if err != nil {
		return 0, fmt.Errorf("read the webhooks' mark %d: %w", source, err)
	}
	return uint64(mark), nil //nolint:gosec // it was written from one
}

// Heard is a piece of a source that the webhooks have heard.
type Heard struct {
	Source   int
	From, To uint64
	Left     []chat.Attempt        // the calls of it that have not succeeded
	Recalled []chat.Call           // calls that tell of messages which were recalled since, by app and event
	Erase    func(b []byte) []byte // returns such a call's body without what the message said
}

// Hear moves the mark of a source, and in the same transaction lets the calls that are left wait; [ErrMarkMoved] if another has been there.
func (s *Store) Hear(ctx context.Context, h Heard) error {
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		q := db.New(tx)
		moved, err := q.MoveWebhookMark(ctx, int64(h.To), int32(h.Source), int64(h.From)) //nolint:gosec // as above
		if err != nil {
			return err
		}
		if moved == 0 {
			return ErrMarkMoved
		}
		if err := addCalls(ctx, q, h.Left); err != nil {
			return err
		}
		return eraseCalls(ctx, q, h.Recalled, h.Erase)
	})
	return explain(fmt.Sprintf("move the webhooks' mark %d", h.Source), err)
}

func addCalls(ctx context.Context, q *db.Queries, calls []chat.Attempt) error {
	if len(calls) == 0 {
		return nil
	}
	var p db.AddWebhookCallsParams
	for i := range calls {
		c := &calls[i]
		p.Waits = append(p.Waits, c.Wait.Seconds())
		p.AppIds = append(p.AppIds, int32(c.Call.App))
		p.Attempts = append(p.Attempts, int16(c.Attempts)) //nolint:gosec // few
		p.Dead = append(p.Dead, c.Dead)
		p.EventIds = append(p.EventIds, c.Call.Event)
		p.Commands = append(p.Commands, c.Call.Command)
		p.Causes = append(p.Causes, c.Cause)
		p.Bodies = append(p.Bodies, c.Call.Body)
	}
	return q.AddWebhookCalls(ctx, p)
}

// eraseCalls erases what waiting calls tell of messages that were recalled.
func eraseCalls(ctx context.Context, q *db.Queries, recalled []chat.Call, erase func([]byte) []byte) error {
	if len(recalled) == 0 {
		return nil
	}
	apps, events := make([]int32, len(recalled)), make([]string, len(recalled))
	for i := range recalled {
		apps[i], events[i] = int32(recalled[i].App), recalled[i].Event
	}
	rows, err := q.WebhookCallsOfEvents(ctx, apps, events)
	if err != nil || len(rows) == 0 {
		return err
	}
	ids, bodies := make([]int64, len(rows)), make([][]byte, len(rows))
	for i, row := range rows {
		ids[i], bodies[i] = row.WebhookCallID, erase(row.Body)
	}
	return q.SetWebhookCallBodies(ctx, ids, bodies)
}

// TakeCalls takes calls that are due, of each app perApp at most and of resting apps none. They are the caller's for the lease; then
// anybody's, unless he has said what became of them.
func (s *Store) TakeCalls(ctx context.Context, resting []chat.AppID, perApp int, lease time.Duration) ([]chat.Attempt, error) {
	apps := make([]int32, len(resting))
	for i, app := range resting {
		apps[i] = int32(app)
	}
	rows, err := s.queries.TakeWebhookCalls(ctx, lease.Seconds(), int32(perApp), apps) //nolint:gosec // few
	if err != nil {
		return nil, fmt.Errorf("take due webhook calls: %w", err)
	}
	calls := make([]chat.Attempt, len(rows))
	for i, row := range rows {
		calls[i] = chat.Attempt{
			ID: row.WebhookCallID, Attempts: int(row.Attempts), Cause: row.Cause,
			Call: chat.Call{App: chat.AppID(row.AppID), Event: row.EventID, HookCall: chat.HookCall{Command: row.Command, Body: row.Body}},
		}
	}
	return calls, nil
}

// DropCalls forgets calls that have succeeded.
func (s *Store) DropCalls(ctx context.Context, ids []int64) error {
	if len(ids) == 0 {
		return nil
	}
	if err := s.queries.DropWebhookCalls(ctx, ids); err != nil {
		return fmt.Errorf("forget webhook calls: %w", err)
	}
	return nil
}

// PutOffCalls lets calls wait that have failed once more.
func (s *Store) PutOffCalls(ctx context.Context, calls []chat.Attempt) error {
	if len(calls) == 0 {
		return nil
	}
	var p db.PutOffWebhookCallsParams
	for i := range calls {
		c := &calls[i]
		p.WebhookCallIds = append(p.WebhookCallIds, c.ID)
		p.Waits = append(p.Waits, c.Wait.Seconds())
		p.Attempts = append(p.Attempts, int16(c.Attempts)) //nolint:gosec // few
		p.Dead = append(p.Dead, c.Dead)
		p.Causes = append(p.Causes, c.Cause)
	}
	if err := s.queries.PutOffWebhookCalls(ctx, p); err != nil {
		return fmt.Errorf("put webhook calls off: %w", err)
	}
	return nil
}

// CallFilter says which waiting calls are meant.
type CallFilter struct {
	App     chat.AppID // 0: every app's
	Waiting bool       // those that are tried again
	Dead    bool       // those that are not
	After   int64      // an id; 0: from the first
	Limit   int
}

// WaitingCalls returns waiting calls in the order of their ids, without their bodies.
func (s *Store) WaitingCalls(ctx context.Context, f CallFilter) ([]chat.WaitingCall, error) {
	rows, err := s.queries.WebhookCalls(ctx, db.WebhookCallsParams{
		After: f.After, WithDead: f.Dead, WithWaiting: f.Waiting, AppID: int32(f.App), MaxRows: int32(f.Limit), //nolint:gosec // a page
	})
	if err != nil {
		return nil, fmt.Errorf("read webhook calls: %w", err)
	}
	calls := make([]chat.WaitingCall, len(rows))
	for i, row := range rows {
		calls[i] = chat.WaitingCall{
			Call: chat.Call{App: chat.AppID(row.AppID), Event: row.EventID, HookCall: chat.HookCall{Command: row.Command}},
			ID:   row.WebhookCallID, Attempts: int(row.Attempts), Since: row.CreatedAt, Next: row.NextAt, Dead: row.Dead, Cause: row.Cause,
		}
	}
	return calls, nil
}

// RetryCalls lets calls be tried now, dead ones as well, and returns how many of them there are.
func (s *Store) RetryCalls(ctx context.Context, ids []int64) (int64, error) {
	n, err := s.queries.RetryWebhookCalls(ctx, ids)
	if err != nil {
		return 0, fmt.Errorf("retry webhook calls: %w", err)
	}
	return n, nil
}

// RetryDeadCalls lets all dead calls of an app be tried now; app 0: of all apps.
func (s *Store) RetryDeadCalls(ctx context.Context, app chat.AppID) (int64, error) {
	n, err := s.queries.RetryDeadWebhookCalls(ctx, int32(app))
	if err != nil {
		return 0, fmt.Errorf("retry dead webhook calls: %w", err)
	}
	return n, nil
}

// PurgeDeadCalls forgets calls that have been dead for so long.
func (s *Store) PurgeDeadCalls(ctx context.Context, age time.Duration) (int64, error) {
	n, err := s.queries.PurgeDeadWebhookCalls(ctx, age.Seconds())
	if err != nil {
		return 0, fmt.Errorf("purge dead webhook calls: %w", err)
	}
	return n, nil
}

// CountCalls returns how many calls wait and how many are dead, each up to a limit.
func (s *Store) CountCalls(ctx context.Context, limit int) (waiting, dead int64, err error) {
	row, err := s.queries.CountWebhookCalls(ctx, int32(limit)) //nolint:gosec // a limit
	if err != nil {
		return 0, 0, fmt.Errorf("count webhook calls: %w", err)
	}
	return row.Waiting, row.Dead, nil
}

// ToldOnline returns the users whose apps were told that they are online.
func (s *Store) ToldOnline(ctx context.Context) (map[chat.UserKey]bool, error) {
	rows, err := s.queries.WebhookOnline(ctx)
	if err != nil {
		return nil, fmt.Errorf("read who was told to be online: %w", err)
	}
	told := make(map[chat.UserKey]bool, len(rows))
	for _, row := range rows {
		told[chat.UserKey{App: chat.AppID(row.AppID), User: chat.UserID(row.UserID)}] = true
	}
	return told, nil
}

// TellPresence notes who has come and who has gone, and lets the calls that tell of it wait: of those alone that were not noted yet.
func (s *Store) TellPresence(ctx context.Context, changes []chat.Presence) error {
	var came, went users
	calls := make(map[chat.UserKey]*chat.Call, len(changes))
	for i := range changes {
		c := &changes[i]
		calls[c.User] = c.Call
		if c.Online {
			came.add(c.User)
		} else {
			went.add(c.User)
		}
	}
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		q := db.New(tx)
		added, err := q.AddWebhookOnline(ctx, came.apps, came.ids)
		if err != nil {
			return err
		}
		dropped, err := q.DropWebhookOnline(ctx, went.apps, went.ids)
		if err != nil {
			return err
		}
		for _, row := range dropped {
			added = append(added, db.AddWebhookOnlineRow(row))
		}
		var tell []chat.Attempt
		for _, row := range added {
			if c := calls[chat.UserKey{App: chat.AppID(row.AppID), User: chat.UserID(row.UserID)}]; c != nil {
				tell = append(tell, chat.Attempt{Call: *c})
			}
		}
		return addCalls(ctx, q, tell)
	})
	return explain("note who is online", err)
}

// users are keys as columns.
type users struct {
	apps []int32
	ids  []string
}

func (u *users) add(k chat.UserKey) {
	u.apps, u.ids = append(u.apps, int32(k.App)), append(u.ids, string(k.User))
}
