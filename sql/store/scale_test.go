package store_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/whaleshark-im/whaleshark/sql/store"
	"github.com/whaleshark-im/whaleshark/sql/storetest"
)

// populate writes a million rows: 200,000 users p1, p2, …; 600,000 sides of friendships, three of them each, and 3,000 of hub's; 200,000 requests,
// of which 1,000 are to hub and 1,000 by him.
func populate(t *testing.T, url string) {
	t.Helper()
	run(t, url,
		`INSERT INTO app_user (app_id, user_id) SELECT 10001 + i % 2, 'p' || i FROM generate_series(1, 200000) AS i`,
		`INSERT INTO friendship (app_id, from_id, to_id, friend_sequence)
		SELECT 10001 + i % 2, 'p' || i, 'p' || (i + 2 * k), k FROM generate_series(1, 200000) AS i, generate_series(1, 3) AS k`,
		`INSERT INTO friendship (app_id, from_id, to_id, friend_sequence) SELECT 10001, 'hub', 'p' || i, i FROM generate_series(1, 3000) AS i`,
		`INSERT INTO friend_request (app_id, from_id, to_id, from_sequence, to_sequence, read)
		SELECT 10001, 'p' || i, CASE WHEN i % 200 = 0 THEN 'hub' ELSE 'p' || (i + 1) END, 1, i, i % 2 = 0 FROM generate_series(1, 199000) AS i`,
		`INSERT INTO friend_request (app_id, from_id, to_id, from_sequence, to_sequence) SELECT 10001, 'hub', 'p' || i, i, 1 FROM generate_series(1, 1000) AS i`,
		`INSERT INTO friend_group (app_id, from_id, name, sequence) SELECT 10001, 'p' || i, 'g', 1 FROM generate_series(1, 50000) AS i`,
		`INSERT INTO friend_group_member (friend_group_id, to_id) SELECT friend_group_id, 'p1' FROM friend_group`,
		`INSERT INTO user_sequence (app_id, user_id, friendship) SELECT 10001, 'p' || i, 3 FROM generate_series(1, 50000) AS i`,
		`VACUUM ANALYZE`)
}

// TestQueriesOfPeopleUseIndexes looks at what Postgres does where there are a million rows.
func TestQueriesOfPeopleUseIndexes(t *testing.T) {
	url := storetest.URL(t)
	populate(t, url)
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	two := []string{"p1", "p2"}
	for _, q := range []struct {
		name, sql string
		args      []any
	}{
		{"profiles", store.Profiles, []any{10001, two}},
		{"existence", store.ExistingUsers, []any{10001, two}},
		{"sequences", store.SequencesOf, []any{10001, "p1"}},
		{"next sequences", store.BumpSequences, []any{10001, "p1", 1, 0, 0}},
		{"relations", store.FriendshipsByKey, []any{two, []string{"p2", "p1"}, 10001}},
		{"friends", store.FriendshipsOf, []any{10001, "hub", 10_000}},
		{"friends since", store.FriendshipsAfter, []any{10001, "hub", 1000, 101}},
		{"friends deleted", store.DeleteFriendships, []any{3, 10001, "p2"}},
		{"open requests", store.OpenFriendRequests, []any{"p1", "p2", 10001}},
		{"decided request", store.DecideFriendRequest, []any{1, 2, 3, 10001, 17}},
		{"requests", store.FriendRequestsTo, []any{10001, "hub", 1000}},
		{"requests since", store.FriendRequestsAfter, []any{10001, "hub", 500, 101}},
		{"requests read", store.ReadFriendRequests, []any{7, 10001, "hub"}},
		{"groups since", store.FriendGroupsAfter, []any{10001, "p7", 0, 101}},
		{"groups deleted", store.DeleteFriendGroups, []any{1, 10001, "p7", []string{"g"}}},
	} {
		t.Run(q.name, func(t *testing.T) {
			if tables := scanned(t, conn, q.sql, q.args); len(tables) > 0 {
				t.Errorf("reads all of %v:\n%s", tables, q.sql)
			}
		})
	}
}
