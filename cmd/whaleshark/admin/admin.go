// Package admin answers an operator's questions about a process, over HTTP:
//
//	/healthz      200 as long as the process answers at all; nothing else is looked at
//	/readyz       200 or 503, and as JSON what the process still waits for, and what is worth a warning
//	/metrics      for Prometheus
//	/debug/pprof  to callers on the same machine only
package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const (
	headerTimeout = 5 * time.Second // for a request's header to come in
	closeTimeout  = 2 * time.Second // for the answers under way when the server stops
)

// Server is a process's admin server.
type Server struct {
	listener net.Listener
	http     *http.Server
}

// Listen takes the address; [Server.Run] answers there. Port 0 picks a free one.
func Listen(ctx context.Context, addr string, ready *Readiness, metrics prometheus.Gatherer) (*Server, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return &Server{l, &http.Server{Handler: handler(ready, metrics), ReadHeaderTimeout: headerTimeout}}, nil
}

// Addr returns the address that the server listens on.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Run answers until ctx is done.
func (s *Server) Run(ctx context.Context) error {
	stopped := make(chan struct{})
	unhook := context.AfterFunc(ctx, func() {
		defer close(stopped)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
		defer cancel()
		if s.http.Shutdown(ctx) != nil {
			_ = s.http.Close() // an answer is still under way, such as a profile of half a minute
		}
	})
	err := s.http.Serve(s.listener)
	if !unhook() {
		<-stopped
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serve admin on %s: %w", s.Addr(), err)
}

func handler(ready *Readiness, metrics prometheus.Gatherer) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.Handle("GET /readyz", ready)
	mux.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}))
	mux.HandleFunc("/debug/pprof/", localOnly(pprof.Index))
	mux.HandleFunc("/debug/pprof/cmdline", localOnly(pprof.Cmdline))
	mux.HandleFunc("/debug/pprof/profile", localOnly(pprof.Profile))
	mux.HandleFunc("/debug/pprof/symbol", localOnly(pprof.Symbol))
	mux.HandleFunc("/debug/pprof/trace", localOnly(pprof.Trace))
	return mux
}

// localOnly answers callers on this machine alone: a profile shows what is in memory, and costs time.
func localOnly(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		from, err := netip.ParseAddrPort(r.RemoteAddr)
		if err != nil || !from.Addr().Unmap().IsLoopback() {
			http.Error(w, "only on the machine itself", http.StatusForbidden)
			return
		}
		h(w, r)
	}
}

// ServeHTTP answers /readyz.
func (r *Readiness) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	report := r.Report(req.Context())
	w.Header().Set("Content-Type", "application/json")
	if !report.Ready {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	_ = enc.Encode(report) // it fails only when the caller has gone
}
