package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/store/internal/db"
)

// Friendship is one side of one: what a user holds of another. All changes of a user's sides are made under the lock of his sequences.
type Friendship struct {
	From, To      chat.UserID
	Remark        string // what From calls To
	AddSource     string
	Extra         string
	Deleted       bool // by From
	Stranger      bool // To is no friend, and never was: the row is there for the block alone
	Blocked       bool // by From
	Created       time.Time
	Sequence      int64 // From's, when the row changed last
	BlackSequence int64 // and when its block did
}

// Friends reports whether To is a friend of From's now.
func (f *Friendship) Friends() bool { return f != nil && !f.Deleted && !f.Stranger }

func friendshipOf(row *db.Friendship) Friendship {
	return Friendship{
		From: chat.UserID(row.FromID), To: chat.UserID(row.ToID), Remark: row.Remark, AddSource: row.AddSource, Extra: row.Extra,
		Deleted: row.Deleted, Stranger: row.Stranger, Blocked: row.Blocked, Created: row.CreatedAt, Sequence: row.FriendSequence,
		BlackSequence: row.BlackSequence,
	}
}

func friendshipsOf(rows []db.Friendship) []Friendship {
	list := make([]Friendship, len(rows))
	for i := range rows {
		list[i] = friendshipOf(&rows[i])
	}
	return list
}

// Friendships returns a user's sides, those that he has deleted too, in the order of the others' ids.
func (s *Store) Friendships(ctx context.Context, app chat.AppID, from chat.UserID, limit int) ([]Friendship, error) {
	rows, err := s.queries.FriendshipsOf(ctx, int32(app), string(from), int32(limit)) //nolint:gosec // a page
	if err != nil {
		return nil, fmt.Errorf("read the friends of %s: %w", from, err)
	}
	return friendshipsOf(rows), nil
}

// FriendshipsAfter returns a user's sides that have changed since a sequence, in the order of their own.
func (s *Store) FriendshipsAfter(ctx context.Context, user chat.UserKey, after int64, limit int) ([]Friendship, error) {
	rows, err := s.queries.FriendshipsAfter(ctx, db.FriendshipsAfterParams{
		AppID: int32(user.App), FromID: string(user.User), After: after, MaxRows: int32(limit), //nolint:gosec // a page
	})
	if err != nil {
		return nil, fmt.Errorf("read the friends of %s after %d: %w", user.User, after, err)
	}
	return friendshipsOf(rows), nil
}

// Side is whose side of a friendship with whom.
type Side struct{ From, To chat.UserID }

// Other is the other side.
func (s Side) Other() Side { return Side{s.To, s.From} }

// FriendshipsBetween returns those of the sides that are there.
func (s *Store) FriendshipsBetween(ctx context.Context, app chat.AppID, sides []Side) (map[Side]*Friendship, error) {
	there, err := between(ctx, s.queries, app, sides)
	if err != nil {
		return nil, fmt.Errorf("read %d friendships: %w", len(sides), err)
	}
	return there, nil
}

func between(ctx context.Context, q *db.Queries, app chat.AppID, sides []Side) (map[Side]*Friendship, error) {
	from, to := make([]string, len(sides)), make([]string, len(sides))
	for i, s := range sides {
		from[i], to[i] = string(s.From), string(s.To)
	}
	rows, err := q.FriendshipsByKey(ctx, from, to, int32(app))
	if err != nil {
		return nil, err
	}
	there := make(map[Side]*Friendship, len(rows))
	for _, f := range friendshipsOf(rows) {
		there[Side{f.From, f.To}] = &f
	}
	return there, nil
}

// FriendChange is what changes of a side; nil: nothing.
type FriendChange struct{ Remark, AddSource, Extra *string }

// UpdateFriend changes what a user holds of a friend, or returns [chat.RelationMissing]. Tell makes the event of it, as in all that follows;
// what it makes stale is seen to.
func (s *Store) UpdateFriend(
	ctx context.Context, app chat.AppID, side Side, change FriendChange, tell func(Friendship) chat.Event,
) error {
	return s.changeSide(ctx, "update friend", app, side, tell, func(q *db.Queries, sequence int64) (db.Friendship, error) {
		row, err := q.UpdateFriendship(ctx, db.UpdateFriendshipParams{
			AppID: int32(app), FromID: string(side.From), ToID: string(side.To), Sequence: sequence, Remark: textOrNull(change.Remark),
			AddSource: textOrNull(change.AddSource), Extra: textOrNull(change.Extra),
		})
		return row, orCode(err, chat.RelationMissing)
	})
}

// DeleteFriend deletes a user's friend: the other side stays. It returns [chat.NotFriends], or [chat.FriendDeleted] if he has done so before.
func (s *Store) DeleteFriend(ctx context.Context, app chat.AppID, side Side, tell func(Friendship) chat.Event) error {
	return s.changeSide(ctx, "delete friend", app, side, tell, func(q *db.Queries, sequence int64) (db.Friendship, error) {
		row, err := q.DeleteFriendship(ctx, db.DeleteFriendshipParams{
			AppID: int32(app), FromID: string(side.From), ToID: string(side.To), Sequence: sequence,
		})
		if !errors.Is(err, pgx.ErrNoRows) {
			return row, err
		}
		there, err := between(ctx, q, app, []Side{side})
		switch f := there[side]; {
		case err != nil:
			return row, err
		case f != nil && f.Deleted:
			return row, chat.Error{Code: chat.FriendDeleted}
		}
		return row, chat.Error{Code: chat.NotFriends}
	})
}

// Block keeps a user from speaking to another, who may be a stranger; [chat.FriendBlocked] if he has done so before.
func (s *Store) Block(ctx context.Context, app chat.AppID, side Side, tell func(Friendship) chat.Event) error {
	return s.changeSide(ctx, "block", app, side, tell, func(q *db.Queries, sequence int64) (db.Friendship, error) {
		if err := mustExist(ctx, q, app, side.From, side.To); err != nil {
			return db.Friendship{}, err
		}
		row, err := q.Block(ctx, db.BlockParams{AppID: int32(app), FromID: string(side.From), ToID: string(side.To), Sequence: sequence})
		return row, orCode(err, chat.FriendBlocked)
	})
}

// Unblock takes a block back, or returns [chat.NotBlocked].
func (s *Store) Unblock(ctx context.Context, app chat.AppID, side Side, tell func(Friendship) chat.Event) error {
	return s.changeSide(ctx, "unblock", app, side, tell, func(q *db.Queries, sequence int64) (db.Friendship, error) {
		row, err := q.Unblock(ctx, db.UnblockParams{AppID: int32(app), FromID: string(side.From), ToID: string(side.To), Sequence: sequence})
		return row, orCode(err, chat.NotBlocked)
	})
}

// changeSide carries out a change of one side under its user's next sequence.
func (s *Store) changeSide(
	ctx context.Context, what string, app chat.AppID, side Side, tell func(Friendship) chat.Event,
	write func(q *db.Queries, sequence int64) (db.Friendship, error),
) error {
	return s.change(ctx, fmt.Sprintf("%s %s of %s", what, side.To, side.From), func(q *db.Queries) ([]chat.Event, error) {
		now, err := bump(ctx, q, app, map[chat.UserID]Sequences{side.From: {Friendship: 1}})
		if err != nil {
			return nil, err
		}
		row, err := write(q, now[side.From].Friendship)
		if err != nil {
			return nil, err
		}
		e := tell(friendshipOf(&row))
		e.Stale.Relations = append(e.Stale.Relations, [2]chat.UserID{side.From, side.To})
		return []chat.Event{e}, nil
	})
}

// orCode says what it means for a client that there is no row.
func orCode(err error, code chat.Code) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return chat.Error{Code: code}
	}
	return err
}

func mustExist(ctx context.Context, q *db.Queries, app chat.AppID, users ...chat.UserID) error {
	exist, err := existing(ctx, q, app, users)
	if err != nil {
		return err
	}
	for _, u := range users {
		if !exist[u] {
			return chat.Errorf(chat.UserMissing, "user %s does not exist", u)
		}
	}
	return nil
}

// staleAtOnce is how many relations one event says are stale: an event must fit into a message of NATS.
const staleAtOnce = 500

// DeleteFriends deletes all of a user's friends; the other sides stay. Tell gets the sequence of the last.
func (s *Store) DeleteFriends(ctx context.Context, app chat.AppID, from chat.UserID, tell func(sequence int64) chat.Event) error {
	return s.change(ctx, fmt.Sprintf("delete all friends of %s", from), func(q *db.Queries) ([]chat.Event, error) {
		now, err := bump(ctx, q, app, map[chat.UserID]Sequences{from: {}}) // the lock
		if err != nil {
			return nil, err
		}
		gone, err := q.DeleteFriendships(ctx, now[from].Friendship, int32(app), string(from))
		if err != nil || len(gone) == 0 {
			return nil, err
		}
		if now, err = bump(ctx, q, app, map[chat.UserID]Sequences{from: {Friendship: int64(len(gone))}}); err != nil {
			return nil, err
		}
		events := []chat.Event{tell(now[from].Friendship)}
		for i, to := range gone {
			if i > 0 && i%staleAtOnce == 0 {
				events = append(events, chat.Event{App: app, Aggregate: chat.UserAggregate(from)})
			}
			last := &events[len(events)-1].Stale
			last.Relations = append(last.Relations, [2]chat.UserID{from, chat.UserID(to)})
		}
		return events, nil
	})
}

// ImportedFriend is a side that is taken over from elsewhere, as it is.
type ImportedFriend struct {
	To                         chat.UserID
	Remark, AddSource          string
	Deleted, Stranger, Blocked bool
}

// ImportFriends adds a user's sides, each once, and returns whose it has added: not those that are there, nor those of users who do not exist.
// If the user himself does not, that is [chat.UserMissing].
func (s *Store) ImportFriends(
	ctx context.Context, app chat.AppID, from chat.UserID, friends []ImportedFriend,
) (added []chat.UserID, err error) {
	users, sides := []chat.UserID{from}, make([]Side, len(friends))
	for i, f := range friends {
		users, sides[i] = append(users, f.To), Side{from, f.To}
	}
	err = s.change(ctx, fmt.Sprintf("import friends of %s", from), func(q *db.Queries) ([]chat.Event, error) {
		exist, err := existing(ctx, q, app, users)
		if err != nil {
			return nil, err
		}
		if !exist[from] {
			return nil, chat.Errorf(chat.UserMissing, "user %s does not exist", from)
		}
		now, err := bump(ctx, q, app, map[chat.UserID]Sequences{from: {}}) // the lock
		if err != nil {
			return nil, err
		}
		there, err := between(ctx, q, app, sides)
		if err != nil {
			return nil, err
		}
		fresh := slices.DeleteFunc(slices.Clone(friends), func(f ImportedFriend) bool { return !exist[f.To] || there[Side{from, f.To}] != nil })
		if len(fresh) == 0 {
			return nil, nil
		}
		added, err = importFriends(ctx, q, app, from, now[from].Friendship, fresh)
		if err != nil {
			return nil, err
		}
		e := chat.Event{App: app, Aggregate: chat.UserAggregate(from)}
		for _, to := range added {
			e.Stale.Relations = append(e.Stale.Relations, [2]chat.UserID{from, to})
		}
		return []chat.Event{e}, nil
	})
	return added, err
}

// importFriends writes sides with the sequences that follow one, and moves it on.
func importFriends(
	ctx context.Context, q *db.Queries, app chat.AppID, from chat.UserID, sequence int64, friends []ImportedFriend,
) (added []chat.UserID, err error) {
	arg := db.ImportFriendshipsParams{AppID: int32(app), FromID: string(from)}
	for _, f := range friends {
		sequence++
		var black int64
		if f.Blocked {
			black = sequence
		}
		added = append(added, f.To)
		arg.ToIds = append(arg.ToIds, string(f.To))
		arg.Remarks = append(arg.Remarks, f.Remark)
		arg.AddSources = append(arg.AddSources, f.AddSource)
		arg.Deleteds = append(arg.Deleteds, f.Deleted)
		arg.Strangers = append(arg.Strangers, f.Stranger)
		arg.Blockeds = append(arg.Blockeds, f.Blocked)
		arg.FriendSequences = append(arg.FriendSequences, sequence)
		arg.BlackSequences = append(arg.BlackSequences, black)
	}
	if err := q.ImportFriendships(ctx, arg); err != nil {
		return nil, err
	}
	_, err = bump(ctx, q, app, map[chat.UserID]Sequences{from: {Friendship: int64(len(friends))}})
	return added, err
}
