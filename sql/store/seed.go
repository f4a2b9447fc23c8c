package store

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/sql/store/internal/db"
)

// The demo data: the original's app and users, and a few more to talk with. Everybody in a circle is everybody's friend.
const (
	DemoApp = chat.AppID(10001)
	demoKey = "bantanger"

	demoManager = chat.UserID("10001") // of the original's group

	anyoneMayBefriend = 1
	asksFirst         = 2
)

var (
	demoUsers = []string{
		"10001", "10002", "10003", "10004", "10005", "10006", "10007", "10008", "bantanger", "admin",
		"lld", "a", "b", "alice", "bob",
	}
	demoGroups = []NewGroup{
		{
			App: DemoApp, ID: "27a35ff2f9be4cc9a8d3db1ad3322804", Owner: "bantanger", Name: "bantanger's group", Type: PublicGroup, Joining: ApprovedJoin,
			Members: []chat.UserID{demoManager, "10002"},
		},
		{App: DemoApp, ID: "team", Owner: "alice", Name: "team", Joining: ApprovedJoin, Members: []chat.UserID{"lld", "a", "b", "bob"}},
	}
	demoCircles = [][]string{
		{"10001", "10002", "bantanger"},
		{"lld", "a", "b", "alice", "bob"},
	}
)

// Seed adds the demo data. What is there already stays as it is.
func (s *Store) Seed(ctx context.Context) error {
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		q := db.New(tx)
		if err := q.AddApp(ctx, int32(DemoApp), []string{demoKey}); err != nil {
			return err
		}
		if err := addDemoUsers(ctx, q); err != nil {
			return err
		}
		from, to := friends(demoCircles)
		if err := q.AddFriendships(ctx, int32(DemoApp), from, to); err != nil {
			return err
		}
		return addDemoGroups(ctx, tx)
	})
	if err != nil {
		return fmt.Errorf("seed: %w", err)
	}
	return nil
}

func addDemoGroups(ctx context.Context, tx pgx.Tx) error {
	for i, g := range demoGroups {
		err := pgx.BeginFunc(ctx, tx, func(savepoint pgx.Tx) error {
			q := db.New(savepoint)
			if _, err := createGroup(ctx, q, g, Acting{}); err != nil || i > 0 {
				return err
			}
			return decide(ctx, q, chat.GroupOf(g.App, g.ID), g.Owner, []chat.UserID{demoManager}, func(_ *db.Queries, d *decision) error {
				return d.setRole(demoManager, chat.Manager)
			})
		})
		if err != nil && !errors.Is(err, chat.Error{Code: chat.GroupExists}) {
			return err
		}
	}
	return nil
}

func addDemoUsers(ctx context.Context, q *db.Queries) error {
	users := db.AddUsersParams{
		AppID:            int32(DemoApp),
		UserIds:          demoUsers,
		UserTypes:        slices.Repeat([]int16{plainUser}, len(demoUsers)),
		FriendAllowTypes: slices.Repeat([]int16{anyoneMayBefriend}, len(demoUsers)),
	}
	users.UserTypes[slices.Index(demoUsers, "admin")] = adminUser
	users.FriendAllowTypes[slices.Index(demoUsers, "bantanger")] = asksFirst
	return q.AddUsers(ctx, users)
}

// friends returns both sides of every friendship within each circle.
func friends(circles [][]string) (from, to []string) {
	for _, circle := range circles {
		for _, a := range circle {
			for _, b := range circle {
				if a != b {
					from, to = append(from, a), append(to, b)
				}
			}
		}
	}
	return from, to
}

// seedStep is how many users are added between two reports of progress. It is even, so that no pair is torn.
const seedStep = 20_000

// SeedPairs adds the users u1 to u<n> to an app, befriended in pairs: u1 and u2, u3 and u4, and so on. What is there already stays as it
// is. Progress is told, where it is not nil, after each step.
func (s *Store) SeedPairs(ctx context.Context, app chat.AppID, n int, progress func(done, total int)) error {
	if _, err := s.App(ctx, app); err != nil {
		return err
	}
	for first := 1; first <= n; first += seedStep {
		last := min(first+seedStep-1, n)
		if err := s.seedPairs(ctx, app, int64(first), int64(last)); err != nil {
			return fmt.Errorf("seed users u%d to u%d: %w", first, last, err)
		}
		if progress != nil {
			progress(last, n)
		}
	}
	return nil
}

func (s *Store) seedPairs(ctx context.Context, app chat.AppID, first, last int64) error {
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		q := db.New(tx)
		if err := q.AddNumberedUsers(ctx, int32(app), first, last); err != nil {
			return err
		}
		return q.AddNumberedFriendships(ctx, int32(app), first, last)
	})
}

// SeedFriends befriends a user of an app and every step-th of its users u<first> to u<last>. Who is his friend already stays it.
func (s *Store) SeedFriends(ctx context.Context, app chat.AppID, user chat.UserID, first, last, step int) error {
	err := s.queries.BefriendNumbered(ctx, db.BefriendNumberedParams{
		AppID: int32(app), UserID: string(user), First: int64(first), Last: int64(last), Step: int64(step),
	})
	if err != nil {
		return fmt.Errorf("seed friends of %s: %w", user, err)
	}
	return nil
}

// seedMembers is how many members join between two reports of progress.
const seedMembers = 2_000

// SeedGroup adds the users u1 to u<n> and a group of theirs to an app, whose owner is one of them or joins them. Who is missing in a
// group that is there joins it. Progress is told, where it is not nil, after each step.
func (s *Store) SeedGroup(
	ctx context.Context, app chat.AppID, group string, owner chat.UserID, n int, progress func(done, total int),
) error {
	if _, err := s.App(ctx, app); err != nil {
		return err
	}
	if err := s.queries.AddNumberedUsers(ctx, int32(app), 1, int64(n)); err != nil {
		return fmt.Errorf("seed users u1 to u%d: %w", n, err)
	}
	if err := s.queries.AddUsers(ctx, db.AddUsersParams{
		AppID: int32(app), UserIds: []string{string(owner)}, UserTypes: []int16{plainUser}, FriendAllowTypes: []int16{anyoneMayBefriend},
	}); err != nil {
		return fmt.Errorf("seed user %s: %w", owner, err)
	}
	_, err := s.CreateGroup(ctx, NewGroup{
		App: app, ID: group, Owner: owner, Name: group, Joining: ApprovedJoin, MaxMembers: max(n+1, DefaultMaxMembers),
	})
	if err != nil && !errors.Is(err, chat.Error{Code: chat.GroupExists}) {
		return err
	}
	for first := 1; first <= n; first += seedMembers {
		last := min(first+seedMembers-1, n)
		users := make([]chat.UserID, 0, seedMembers)
		for u := first; u <= last; u++ {
			users = append(users, chat.UserID(fmt.Sprint("u", u)))
		}
		if _, err := s.AddMembers(ctx, chat.GroupOf(app, group), "", users); err != nil {
			return err
		}
		if progress != nil {
			progress(last, n)
		}
	}
	return nil
}
