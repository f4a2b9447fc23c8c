package store_test

import (
	"context"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/whaleshark-im/whaleshark/sql/store"
	"github.com/whaleshark-im/whaleshark/sql/storetest"
)

// TestGroupQueriesUseIndexes has a million members in 10,000 groups, one of which has half of them.
func TestGroupQueriesUseIndexes(t *testing.T) {
	url := storetest.URL(t)
	run(t, url,
		`INSERT INTO chat_group (app_id, group_id, owner_id, max_members) SELECT 10001, 'g' || n, 'u1', 1000000 FROM generate_series(1, 10000) AS n`,
		`INSERT INTO group_member (app_id, group_id, user_id) SELECT 10001, 'g1', 'u' || n FROM generate_series(1, 500000) AS n`,
		`INSERT INTO group_member (app_id, group_id, user_id, role)
		 SELECT 10001, 'g' || g, 'u' || n, CASE WHEN n = 1 THEN 2 ELSE 0 END FROM generate_series(2, 10000) AS g, generate_series(1, 50) AS n`,
		`UPDATE group_member SET role = 2 WHERE group_id = 'g1' AND user_id = 'u1'`,
		`INSERT INTO group_join_request (app_id, group_id, user_id, status)
		 SELECT 10001, 'g' || n % 50, 'x' || n, n % 3 FROM generate_series(1, 50000) AS n`,
		`INSERT INTO app_user (app_id, user_id) SELECT 10001, 'u' || n FROM generate_series(1, 20000) AS n`,
		`ANALYZE`)
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	for _, q := range []struct {
		name, sql string
		args      []any
		sorts     bool // of a few rows
	}{
		{"a group", store.GroupByID, []any{"u5", int32(app), "g2"}, false},
		{"groups", store.GroupsByID, []any{int32(app), []string{"g1", "g2"}}, true},
		{"first members", store.FirstMembers, []any{int32(1000), int32(app), "g1"}, true},
		{"a page of members", store.MembersAfter, []any{int32(app), "g1", "u5", int32(100)}, false},
		{"managers", store.Staff, []any{int32(app), "g1", int32(1000)}, true},
		{"members of a group", store.MembersByID, []any{int32(app), "g1", []string{"u1", "u2"}}, false},
		{"how many members", store.CountMembers, []any{int32(app), "g2"}, false},
		{"who exists", store.ExistingUsers, []any{int32(app), []string{"u1", "u2"}}, false},
		{"joined groups", store.JoinedGroups, []any{int32(app), "u60", []int16{}, int32(0), int32(100)}, true},
		{"how many joined groups", store.CountJoinedGroups, []any{int32(app), "u60", []int16{}}, false},
		{"requests", store.JoinRequests, []any{int32(app), "g1", int16(0), int64(1) << 40, int32(101)}, false},
	} {
		t.Run(q.name, func(t *testing.T) {
			for _, table := range scanned(t, conn, q.sql, q.args) {
				t.Errorf("reads all of %s:\n%s", table, q.sql)
			}
			if plan := planned(t, conn, q.sql, q.args); strings.Contains(plan, "Sort") && !q.sorts {
				t.Errorf("sorts what an index has in order:\n%s", plan)
			}
		})
	}
}

// planned returns how Postgres would carry out a query.
func planned(t *testing.T, conn *pgx.Conn, sql string, args []any) string {
	t.Helper()
	rows, err := conn.Query(t.Context(), "EXPLAIN (COSTS OFF) "+strings.TrimSpace(sql), args...)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(lines, "\n")
}
