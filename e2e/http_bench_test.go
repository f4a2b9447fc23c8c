package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// BenchmarkHTTP asks the API of `whaleshark dev`, a process of its own whose Postgres holds a million messages, 16 requests at a time for 8 s
// each:
//
//	go test ./e2e -run XXX -bench HTTP -benchtime 1x
//
// It reports requests a second, how long they took, and the CPU time of the server, NATS and Postgres included, for each. An answer that is
// not good fails it.
func BenchmarkHTTP(b *testing.B) {
	const users = 40_000
	server := startDev(b, users)
	populate(b, server.database)
	for _, load := range []struct {
		name, path string
		body       func(n int64) map[string]any
	}{
		{"getUserInfo", "/v1/user/data/getUserInfo", func(n int64) map[string]any {
			return map[string]any{"operater": "alice", "userIds": []string{user(n % users), user((n * 7) % users)}}
		}},
		{"addFriend", "/v1/friendship/addFriend", func(n int64) map[string]any {
			from, to := n%(users-10), n%(users-10)+3+2*(n/(users-10)) // not one of those who are friends already
			return map[string]any{"operater": user(from), "fromId": user(from), "toItem": map[string]any{"toId": user(to)}}
		}},
		{"message/send", "/v1/message/send", func(n int64) map[string]any {
			from := 2 * (n % (users / 2))
			return map[string]any{
				"operater": user(from), "fromId": user(from), "toId": user(from + 1), "messageId": fmt.Sprint("h", n), "messageBody": "hello",
			}
		}},
		{"syncConversationList", "/v1/conversation/syncConversationList", func(int64) map[string]any {
			return map[string]any{"operater": "hub", "lastSequence": 1_000_000_000 + 950, "maxLimit": 100} // 50 of his 1,000 have changed
		}},
	} {
		b.Run(load.name, func(b *testing.B) {
			for b.Loop() {
				ask(b, server, load.path, load.body, 8*time.Second)
			}
		})
	}
}

func user(n int64) string { return fmt.Sprint("u", n+1) }

// ask sends requests for a while, 16 at a time.
func ask(b *testing.B, s *devServer, path string, body func(int64) map[string]any, length time.Duration) {
	b.Helper()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}}
	before, began := s.cpu(b), time.Now()
	var n atomic.Int64
	var mu sync.Mutex
	var took []time.Duration
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for time.Since(began) < length {
				start := time.Now()
				if err := post(b.Context(), client, s.http+path, body(n.Add(1)-1)); err != nil {
					b.Errorf("%s: %v", path, err)
					return
				}
				mu.Lock()
				took = append(took, time.Since(start))
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	all, cpu := time.Since(began), s.cpu(b)-before
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(len(took))/all.Seconds(), "requests/s")
	b.ReportMetric(float64(cpu.Microseconds())/float64(len(took)), "serverCPU-µs/request")
	quantiles(b, "answer", took)
}

func post(ctx context.Context, client *http.Client, url string, body map[string]any) error {
	body["appId"] = 10001
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(text))
	if err != nil {
		return err
	}
	res, err := client.Do(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err == nil && !bytes.Contains(answer, []byte(`"code":200`)) {
		err = fmt.Errorf("%s was answered %.300s", text, answer)
	}
	return err
}

// populate writes the rows of a user "hub" with 1,000 conversations, and of so many of others that there are a million messages. The hub's
// conversation number i has changed last at place 1_000_000_000 + i.
func populate(b *testing.B, url string) {
	b.Helper()
	db, err := pgx.Connect(b.Context(), url)
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close(context.WithoutCancel(b.Context()))
	for _, sql := range []string{
		`INSERT INTO app_user (app_id, user_id) VALUES (10001, 'hub') ON CONFLICT DO NOTHING`,
		`INSERT INTO conversation (app_id, token, head, last_place, changed, kind, a, b)
		SELECT 10001, '10001/p/' || a || '/' || b, 50, 1000000000 + i, 1000000000 + i, 0, a, b
		FROM (
			SELECT i, CASE WHEN i > 1000 THEN 'x' || i ELSE 'hub' END AS a, CASE WHEN i > 1000 THEN 'y' || i ELSE 'peer' || i END AS b
			FROM generate_series(1, 20000) AS i
		) AS pairs`,
		`INSERT INTO message (place, conversation_id, seq, message_time, created_at, identity, client_type, digest, sender, imei, message_id, body, extra)
		SELECT c.last_place - (50 - seq) * 10000000, conversation_id, seq, 0, now(), gen_random_uuid(), 1, '\x00'::bytea, c.b, 'imei', 'm' || seq,
			repeat('x', 100), ''
		FROM conversation AS c, generate_series(1, 50) AS seq WHERE c.a = 'hub' OR c.a LIKE 'x%'`,
		`INSERT INTO read_position (conversation_id, seq, place, user_id) SELECT conversation_id, 40, 2, 'hub' FROM conversation WHERE a = 'hub'`,
		`VACUUM ANALYZE`,
	} {
		if _, err := db.Exec(b.Context(), sql); err != nil {
			b.Fatalf("%s: %v", sql, err)
		}
	}
}
