package history_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/whaleshark-im/whaleshark/chat"
	"github.com/whaleshark-im/whaleshark/history"
	"github.com/whaleshark-im/whaleshark/sql/store"
	"github.com/whaleshark-im/whaleshark/sql/storetest"
	"github.com/whaleshark-im/whaleshark/streams"
	"github.com/whaleshark-im/whaleshark/streams/streamstest"
)

// populate writes the rows of a user "hub" with so many conversations (a tenth of them groups, and of those a tenth wide), and of as many
// pairs of others as it takes, with 50 messages each. The hub's conversation number i has changed last at place 1_000_000_000 + i. A third of
// all conversations have settings of both users that are older.
func populate(tb testing.TB, db *pgx.Conn, conversations, messages int) {
	tb.Helper()
	all := messages / 50
	for _, sql := range []string{
		`INSERT INTO app (app_id, keys) VALUES (10001, '{k}')`,
		fmt.Sprintf(`
		INSERT INTO conversation (app_id, token, head, last_place, changed, version, group_place, kind, a, b, wide)
		SELECT 10001, CASE WHEN i > %[1]d THEN '10001/p/a' || i || '/b' || i WHEN i %% 10 = 0 THEN '10001/g/g' || i
			WHEN i %% 10 < 5 THEN '10001/p/hub/peer' || i ELSE '10001/p/abe' || i || '/hub' END,
			50, 1000000000 + i, 1000000000 + i, 1, 1000000000 + i, (i <= %[1]d AND i %% 10 = 0)::integer,
			CASE WHEN i > %[1]d THEN 'a' || i WHEN i %% 10 = 0 THEN 'g' || i WHEN i %% 10 < 5 THEN 'hub' ELSE 'abe' || i END,
			CASE WHEN i > %[1]d THEN 'b' || i WHEN i %% 10 = 0 THEN '' WHEN i %% 10 < 5 THEN 'peer' || i ELSE 'hub' END,
			i <= %[1]d AND i %% 100 = 0
		FROM generate_series(1, %[2]d) AS i`, conversations, all),
		`INSERT INTO message (place, conversation_id, seq, message_time, created_at, identity, client_type, digest, sender, imei, message_id, body, extra)
		SELECT c.last_place - (50 - seq) * 10000000, conversation_id, seq, 0, now(), gen_random_uuid(), 1, '\x00'::bytea,
			CASE WHEN seq % 2 = 0 THEN 'hub' ELSE 'somebody' END, 'imei', 'm' || seq, repeat('x', 100), ''
		FROM conversation AS c, generate_series(1, 50) AS seq`,
		`INSERT INTO membership (conversation_id, app_id, user_id, joined, place, changed, role, wide)
		SELECT conversation_id, app_id, u, 1, 1, CASE WHEN wide THEN 1 ELSE changed END, 0, wide
		FROM conversation, unnest('{hub,ann,bob,cy}'::text[]) AS u WHERE kind = 1`,
		`INSERT INTO read_position (conversation_id, seq, place, user_id)
		SELECT conversation_id, 40, 2, 'hub' FROM conversation WHERE a = 'hub' OR b = 'hub' OR kind = 1`,
		`INSERT INTO conversation_setting (conversation_id, app_id, user_id, muted, cleared, place)
		SELECT conversation_id, app_id, u, true, 4, 5 + conversation_id
		FROM conversation, unnest(CASE WHEN kind = 1 THEN '{hub,ann}'::text[] ELSE ARRAY[a, b] END) AS u WHERE conversation_id % 3 = 0`,
		`VACUUM ANALYZE`,
	} {
		if _, err := db.Exec(tb.Context(), sql); err != nil {
			tb.Fatalf("%s: %v", sql, err)
		}
	}
}

func scaled(tb testing.TB, conversations, messages int) (*history.History, *pgx.Conn) {
	tb.Helper()
	url := storetest.URL(tb)
	db, err := pgx.Connect(tb.Context(), url)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { db.Close(context.Background()) })
	populate(tb, db, conversations, messages)
	conn, err := streams.Connect(tb.Context(), streams.Config{
		InProcess: streamstest.Server(tb), Name: tb.Name(), Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(conn.Close)
	return history.New(history.Config{}, conn, storetest.Open(tb, url)), db
}

var hub = chat.UserKey{App: 10001, User: "hub"}

// plan is a node of what Postgres has done for a query.
type plan struct {
	Type    string  `json:"Node Type"`
	Table   string  `json:"Relation Name"`
	Rows    float64 `json:"Actual Rows"`
	Loops   float64 `json:"Actual Loops"`
	Removed float64 `json:"Rows Removed by Filter"`
	Plans   []plan  `json:"Plans"`
}

// visited returns how many rows were read from tables, and which tables were read from end to end.
func (p *plan) visited() (rows float64, scanned []string) {
	if p.Table != "" {
		rows = (p.Rows + p.Removed) * p.Loops
		if p.Type == "Seq Scan" {
			scanned = append(scanned, p.Table)
		}
	}
	for i := range p.Plans {
		n, tables := p.Plans[i].visited()
		rows, scanned = rows+n, append(scanned, tables...)
	}
	return rows, scanned
}

func explain(t *testing.T, db *pgx.Conn, query string, args ...any) *plan {
	t.Helper()
	var out string
	if err := db.QueryRow(t.Context(), "EXPLAIN (ANALYZE, FORMAT JSON) "+query, args...).Scan(&out); err != nil {
		t.Fatal(err)
	}
	var plans []struct{ Plan plan }
	if err := json.Unmarshal([]byte(out), &plans); err != nil {
		t.Fatal(err)
	}
	return &plans[0].Plan
}

// TestTheCostFollowsWhatHasChanged looks at what Postgres reads for a user with 1,000 conversations among many others.
func TestTheCostFollowsWhatHasChanged(t *testing.T) {
	h, db := scaled(t, 1000, 100_000)
	for _, changed := range []int{0, 1, 10, 100} {
		t.Run(fmt.Sprint(changed), func(t *testing.T) {
			after := chat.Place(1_000_000_000 + 1000 - changed)
			page, err := h.Changes(t.Context(), hub, after, 0)
			if err != nil || len(page.Summaries) != changed || !page.Completed {
				t.Fatalf("got %d conversations, completed %v, %v; want %d", len(page.Summaries), page.Completed, err, changed)
			}
			for _, s := range page.Summaries {
				if s.Unread != 5 || s.Newest.Record.Seq != 50 || s.Read != 40 || s.Head != 50 || s.Place != s.Newest.Place {
					t.Fatalf("got %+v", s)
				}
			}
			// Every way of finding conversations looks at what has changed, and the wide groups, of which there are ten, at each.
			p := explain(t, db, store.ChangedTalks, "hub", 101, 10001, int64(after), []int64{})
			rows, scanned := p.visited()
			if limit := float64(8*changed + 40); rows > limit || len(scanned) > 0 {
				t.Errorf("for %d changed conversations Postgres reads %.0f rows, and %v from end to end; want %.0f at most", changed, rows, scanned, limit)
			}
			// A tenth of the conversations are groups.
			groups, err := h.Groups(t.Context(), hub, after, 0)
			if want := (changed + 9) / 10; err != nil || len(groups.Groups) != want {
				t.Fatalf("got %d groups, %v; want %d", len(groups.Groups), err, want)
			}
			p = explain(t, db, store.ChangedGroups, 101, 10001, "hub", int64(after), []int64{})
			rows, scanned = p.visited()
			if limit := float64(changed + 40); rows > limit || len(scanned) > 0 {
				t.Errorf("for %d changed groups Postgres reads %.0f rows, and %v from end to end; want %.0f at most", changed/10, rows, scanned, limit)
			}
		})
	}
	t.Run("settings", func(t *testing.T) {
		if _, err := db.Exec(t.Context(), `UPDATE conversation_setting SET place = 2000000000 + place WHERE user_id = 'hub' AND conversation_id <= 30`); err != nil {
			t.Fatal(err)
		}
		const after = 1_500_000_000
		page, err := h.Changes(t.Context(), hub, after, 0)
		if err != nil || len(page.Summaries) != 10 || !page.Completed || !page.Summaries[0].Muted {
			t.Fatalf("got %+v, %v; want the 10 conversations that were muted", page, err)
		}
		rows, scanned := explain(t, db, store.ChangedTalks, "hub", 101, 10001, after, []int64{}).visited()
		if limit := float64(8*10 + 40); rows > limit || len(scanned) > 0 {
			t.Errorf("for 10 settings Postgres reads %.0f rows, and %v from end to end; want %.0f at most", rows, scanned, limit)
		}
	})
	t.Run("the newest places", func(t *testing.T) {
		// Of groups, of which there are 100, each is looked at.
		p := explain(t, db, store.NewestPlaces, 10001, "hub")
		if rows, scanned := p.visited(); rows > 250 || len(scanned) > 0 {
			t.Errorf("Postgres reads %.0f rows, and %v from end to end", rows, scanned)
		}
	})
	t.Run("pages", func(t *testing.T) {
		ids := []int64{1, 2, 10, 100}
		lows, highs := []int64{0, 0, 0, 0}, slices.Repeat([]int64{1 << 53}, 4)
		for name, p := range map[string]*plan{
			"unread":   explain(t, db, store.UnreadOf, ids, lows, highs, []int64{40, 40, 40, 40}, "hub", []int64{}, 10_000),
			"newest":   explain(t, db, store.NewestMessages, ids, lows, highs),
			"messages": explain(t, db, store.MessagesDown, ids, lows, highs, "", 0, "", 10),
		} {
			if rows, scanned := p.visited(); rows > 60 || len(scanned) > 0 {
				t.Errorf("%s: of 4 conversations Postgres reads %.0f rows, and %v from end to end", name, rows, scanned)
			}
		}
	})
}

// TestWhoOnlySendsHasLittleToCount looks at what Postgres reads of a conversation whose 50 messages are all the user's own, to count at most 10.
func TestWhoOnlySendsHasLittleToCount(t *testing.T) {
	_, db := scaled(t, 100, 5000)
	if _, err := db.Exec(t.Context(), `UPDATE message SET sender = 'hub' WHERE conversation_id = 3`); err != nil {
		t.Fatal(err)
	}
	p := explain(t, db, store.UnreadOf, []int64{3}, []int64{0}, []int64{1 << 53}, []int64{0}, "hub", []int64{}, 10)
	if rows, scanned := p.visited(); rows > 15 || len(scanned) > 0 {
		t.Errorf("Postgres reads %.0f rows, and %v from end to end", rows, scanned)
	}
}

// BenchmarkChanges asks what has changed for a user with 1,000 conversations among 1,000,000 messages.
func BenchmarkChanges(b *testing.B) {
	h, _ := scaled(b, 1000, 1_000_000)
	for _, changed := range []int{0, 1, 10, 100, 1000} {
		b.Run(fmt.Sprint(changed), func(b *testing.B) {
			for b.Loop() {
				after, n := chat.Place(1_000_000_000+1000-changed), 0
				for completed := false; !completed; {
					page, err := h.Changes(b.Context(), hub, after, 100)
					if err != nil {
						b.Fatal(err)
					}
					n, after, completed = n+len(page.Summaries), page.Cursor, page.Completed
				}
				if n != changed {
					b.Fatalf("got %d conversations, want %d", n, changed)
				}
			}
		})
	}
}
