package store

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/store/internal/db"
)

// MaxFriendGroup is how many users one friend group may hold: its row is told whole.
const MaxFriendGroup = 1000

// FriendGroup is a user's own sorting of his friends.
type FriendGroup struct {
	Name             string
	Members          []chat.UserID
	Deleted          bool
	Sequence         int64 // the user's, when it changed last
	Created, Updated time.Time
}

// Grouped is what became of a change of a user's friend group.
type Grouped struct {
	Name     string
	Members  []chat.UserID // who came in, or went
	Sequence int64
}

// AddFriendGroup adds a friend group with those of the members that exist; [chat.FriendGroupThere] if there is one of this name. The name of a
// deleted one is free. Tell makes the event of it, as in all that follows.
func (s *Store) AddFriendGroup(
	ctx context.Context, user chat.UserKey, name string, members []chat.UserID, tell func(*Grouped) chat.Event,
) (Grouped, error) {
	return s.changeFriendGroup(ctx, "add", user, name, tell, func(q *db.Queries, g *Grouped) error {
		if err := mustExist(ctx, q, user.App, user.User); err != nil {
			return err
		}
		id, err := q.AddFriendGroup(ctx, db.AddFriendGroupParams{
			AppID: int32(user.App), FromID: string(user.User), Name: name, Sequence: g.Sequence,
		})
		if err != nil {
			return orCode(err, chat.FriendGroupThere)
		}
		g.Members, err = addToFriendGroup(ctx, q, user.App, id, members)
		return err
	})
}

// AddFriendGroupMembers puts users into a friend group, or returns [chat.NoFriendGroup]. Those that are in it count as put there; those that do
// not exist do not.
func (s *Store) AddFriendGroupMembers(
	ctx context.Context, user chat.UserKey, name string, members []chat.UserID, tell func(*Grouped) chat.Event,
) (Grouped, error) {
	return s.changeFriendGroup(ctx, "add members to", user, name, tell, func(q *db.Queries, g *Grouped) error {
		id, err := touchFriendGroup(ctx, q, user, g)
		if err != nil {
			return err
		}
		g.Members, err = addToFriendGroup(ctx, q, user.App, id, members)
		return err
	})
}

// DeleteFriendGroupMembers takes users out of a friend group, or returns [chat.NoFriendGroup].
func (s *Store) DeleteFriendGroupMembers(
	ctx context.Context, user chat.UserKey, name string, members []chat.UserID, tell func(*Grouped) chat.Event,
) (Grouped, error) {
	return s.changeFriendGroup(ctx, "delete members of", user, name, tell, func(q *db.Queries, g *Grouped) error {
		id, err := touchFriendGroup(ctx, q, user, g)
		if err != nil {
			return err
		}
		gone, err := q.DeleteFriendGroupMembers(ctx, id, texts(members))
		g.Members = userIDs(gone)
		return err
	})
}

// changeFriendGroup carries out a change of one friend group under its user's next sequence.
func (s *Store) changeFriendGroup(
	ctx context.Context, what string, user chat.UserKey, name string, tell func(*Grouped) chat.Event, write func(*db.Queries, *Grouped) error,
) (g Grouped, err error) {
	err = s.change(ctx, fmt.Sprintf("%s friend group %q of %s", what, name, user.User), func(q *db.Queries) ([]chat.Event, error) {
		now, err := bump(ctx, q, user.App, map[chat.UserID]Sequences{user.User: {FriendGroup: 1}})
		if err != nil {
			return nil, err
		}
		g = Grouped{Name: name, Sequence: now[user.User].FriendGroup}
		if err := write(q, &g); err != nil {
			return nil, err
		}
		return []chat.Event{tell(&g)}, nil
	})
	return g, err
}

func touchFriendGroup(ctx context.Context, q *db.Queries, user chat.UserKey, g *Grouped) (int64, error) {
	id, err := q.TouchFriendGroup(ctx, db.TouchFriendGroupParams{
		AppID: int32(user.App), FromID: string(user.User), Name: g.Name, Sequence: g.Sequence,
	})
	return id, orCode(err, chat.NoFriendGroup)
}

// addToFriendGroup returns those of the users that are in the group then.
func addToFriendGroup(ctx context.Context, q *db.Queries, app chat.AppID, id int64, users []chat.UserID) ([]chat.UserID, error) {
	if len(users) == 0 {
		return nil, nil
	}
	exist, err := existing(ctx, q, app, users)
	if err != nil {
		return nil, err
	}
	there := slices.DeleteFunc(slices.Clone(users), func(u chat.UserID) bool { return !exist[u] })
	if err := q.AddFriendGroupMembers(ctx, id, texts(there)); err != nil {
		return nil, err
	}
	n, err := q.CountFriendGroupMembers(ctx, id)
	if err == nil && n > MaxFriendGroup {
		return nil, chat.Errorf(chat.BadParameter, "a friend group holds at most %d users", MaxFriendGroup)
	}
	return there, err
}

// goneAtOnce is how many deleted friend groups one event tells of: it must fit into a message of NATS.
const goneAtOnce = 100

// DeleteFriendGroups deletes those friend groups of a user that are there, or returns [chat.NoFriendGroup] if none is. Tell makes the events of
// them, one of a few each.
func (s *Store) DeleteFriendGroups(ctx context.Context, user chat.UserKey, names []string, tell func([]Grouped) chat.Event) error {
	return s.change(ctx, fmt.Sprintf("delete friend groups of %s", user.User), func(q *db.Queries) ([]chat.Event, error) {
		now, err := bump(ctx, q, user.App, map[chat.UserID]Sequences{user.User: {}}) // the lock
		if err != nil {
			return nil, err
		}
		rows, err := q.DeleteFriendGroups(ctx, db.DeleteFriendGroupsParams{
			AppID: int32(user.App), FromID: string(user.User), Names: names, Sequence: now[user.User].FriendGroup,
		})
		if err != nil {
			return nil, err
		}
		if len(rows) == 0 {
			return nil, chat.Error{Code: chat.NoFriendGroup}
		}
		ids, gone := make([]int64, len(rows)), make([]Grouped, len(rows))
		for i, row := range rows {
			ids[i], gone[i] = row.FriendGroupID, Grouped{Name: row.Name, Sequence: row.Sequence}
		}
		if err := q.EmptyFriendGroups(ctx, ids); err != nil {
			return nil, err
		}
		if _, err := bump(ctx, q, user.App, map[chat.UserID]Sequences{user.User: {FriendGroup: int64(len(rows))}}); err != nil {
			return nil, err
		}
		var events []chat.Event
		for few := range slices.Chunk(gone, goneAtOnce) {
			events = append(events, tell(few))
		}
		return events, nil
	})
}

// FriendGroupsAfter returns a user's friend groups that have changed since a sequence, in the order of their own.
func (s *Store) FriendGroupsAfter(ctx context.Context, user chat.UserKey, after int64, limit int) ([]FriendGroup, error) {
	rows, err := s.queries.FriendGroupsAfter(ctx, db.FriendGroupsAfterParams{
		AppID: int32(user.App), FromID: string(user.User), After: after, MaxRows: int32(limit), //nolint:gosec // a page
	})
	if err != nil {
		return nil, fmt.Errorf("read the friend groups of %s after %d: %w", user.User, after, err)
	}
	groups := make([]FriendGroup, len(rows))
	for i, row := range rows {
		groups[i] = FriendGroup{
			Name: row.Name, Members: userIDs(row.ToIds), Deleted: row.Deleted, Sequence: row.Sequence, Created: row.CreatedAt, Updated: row.UpdatedAt,
		}
	}
	return groups, nil
}
