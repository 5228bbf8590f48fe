package main

import (
	"context"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/citel-pa/citel/pkcs/verify/command"
)

// measured counts answers by method and status, and their time.
func (s *server) measured(next http.Handler) http.Handler {
	count := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "citel_http_requests_total", Help: "Answers by method and status."}, []string{"method", "status"})
	seconds := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "citel_http_seconds", Help: "Time to answer."})
	s.registry.MustRegister(count, seconds, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begin := time.Now()
		rec := &recorder{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(rec, r)
		method := r.Method
		if method != http.MethodGet && method != http.MethodPost && method != http.MethodHead {
			method = "other"
		}
		count.WithLabelValues(method, strconv.Itoa(rec.status)).Inc()
		seconds.Observe(time.Since(begin).Seconds())
		s.log.Debug("request", "method", r.Method, "path", r.URL.Path, "status", rec.status, "time", time.Since(begin))
	})
}

type recorder struct {
	http.ResponseWriter
	status int
}

// WriteHeader remembers the status.
func (r *recorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

// Unwrap is for http.ResponseController.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// side serves health and metrics on an address of their own.
func (s *server) side(ctx context.Context, failed chan<- error) (*http.Server, error) {
	if s.flags.metrics == "" {
		return nil, nil
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", s.flags.metrics)
	if err != nil {
		return nil, exit(command.Unavailable, err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
		defer cancel()
		if !s.ready.Load() || s.store.PingContext(ctx) != nil {
			http.Error(w, "not ready", http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte("ready\n"))
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.registry, promhttp.HandlerOpts{}))
	hs := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, WriteTimeout: 30 * time.Second}
	go func() { failed <- hs.Serve(l) }()
	return hs, nil
}
