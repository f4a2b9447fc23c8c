package admin

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
)

// start runs an admin server for the test's time, and returns its URL.
func start(t *testing.T, ready *Readiness, metrics prometheus.Gatherer) string {
	t.Helper()
	s, err := Listen(t.Context(), "127.0.0.1:0", ready, metrics)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }() // the cleanup ends it
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	return "http://" + s.Addr()
}

func get(t *testing.T, url string) (status int, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func wantReport(t *testing.T, url string, status int, want Report) {
	t.Helper()
	gotStatus, body := get(t, url+"/readyz")
	got := Report{}
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatalf("/readyz answers %q: %v", body, err)
	}
	if gotStatus != status {
		t.Errorf("/readyz answers %d, want %d", gotStatus, status)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("/readyz (-want +got):\n%s", diff)
	}
}

func TestServer(t *testing.T) {
	t.Run("alive while it is not ready", func(t *testing.T) {
		ready := &Readiness{}
		ready.Set("nats", errors.New("connection refused"))
		if status, _ := get(t, start(t, ready, prometheus.NewRegistry())+"/healthz"); status != http.StatusOK {
			t.Errorf("/healthz answers %d, want 200", status)
		}
	})
	t.Run("metrics", func(t *testing.T) {
		metrics := prometheus.NewRegistry()
		drops := prometheus.NewCounter(prometheus.CounterOpts{Name: "drops_total", Help: "Drops."})
		metrics.MustRegister(drops)
		drops.Add(3)
		if _, body := get(t, start(t, &Readiness{}, metrics)+"/metrics"); !strings.Contains(body, "drops_total 3") {
			t.Errorf("/metrics answers %q, want a line with drops_total 3", body)
		}
	})
	t.Run("profiles on the machine itself", func(t *testing.T) {
		url := start(t, &Readiness{}, prometheus.NewRegistry())
		if status, _ := get(t, url+"/debug/pprof/goroutine?debug=1"); status != http.StatusOK {
			t.Errorf("/debug/pprof/goroutine answers %d, want 200", status)
		}
	})
	t.Run("no profiles elsewhere", func(t *testing.T) {
		for _, path := range []string{"/debug/pprof/", "/debug/pprof/cmdline", "/debug/pprof/heap"} {
			req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
			req.RemoteAddr = "192.0.2.7:4711"
			w := httptest.NewRecorder()
			handler(&Readiness{}, prometheus.NewRegistry()).ServeHTTP(w, req)
			if w.Code != http.StatusForbidden {
				t.Errorf("%s answers %d to another machine, want 403", path, w.Code)
			}
		}
	})
	t.Run("a taken address is named", func(t *testing.T) {
		addr := strings.TrimPrefix(start(t, &Readiness{}, prometheus.NewRegistry()), "http://")
		if _, err := Listen(t.Context(), addr, &Readiness{}, prometheus.NewRegistry()); err == nil || !strings.Contains(err.Error(), addr) {
			t.Errorf("got %v, want an error that names %s", err, addr)
		}
	})
}

func TestReadiness(t *testing.T) {
	ready := &Readiness{}
	url := start(t, ready, prometheus.NewRegistry())
	wantReport(t, url, http.StatusOK, Report{Ready: true})

	ready.Set("nats", errors.New("connection refused"))
	ready.Set("database", errors.New("not migrated"))
	wantReport(t, url, http.StatusServiceUnavailable, Report{
		Reasons: map[string]string{"nats": "connection refused", "database": "not migrated"},
	})

	ready.Set("nats", nil)
	ready.Doubt("nats", func(context.Context) error { return errors.New("acks prove less") })
	wantReport(t, url, http.StatusServiceUnavailable, Report{
		Reasons:  map[string]string{"database": "not migrated"},
		Warnings: map[string]string{"nats": "acks prove less"},
	})

	ready.Need("database", func(ctx context.Context) error { return ctx.Err() })
	ready.Doubt("nats", func(ctx context.Context) error { return ctx.Err() })
	wantReport(t, url, http.StatusOK, Report{Ready: true})
}

func TestReportDoesNotWaitForEver(t *testing.T) {
	ready := &Readiness{}
	ready.Need("nats", func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if report := ready.Report(ctx); report.Ready || report.Reasons["nats"] == "" {
		t.Errorf("a check that was given up counts as passed: %+v", report)
	}
}
