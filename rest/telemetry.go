package main

import (
	"context"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"google.golang.org/grpc/codes"
)

// Telemetry says one line and counts one request when it is over. Bodies, tokens and queries are never logged.
type Telemetry struct {
	registry *prometheus.Registry
	duration *prometheus.HistogramVec
	open     prometheus.Gauge
	ready    prometheus.Gauge
}

type routeKey struct{}

// note says which route a request took, once it is known.
func note(r *http.Request, pattern string) {
	if name, ok := r.Context().Value(routeKey{}).(*string); ok {
		*name = pattern
	}
}

func newTelemetry() *Telemetry {
	t := &Telemetry{
		registry: prometheus.NewRegistry(),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "http_server_request_duration_seconds", Help: "By method, route and status; a stream counts until it ends.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 60},
		}, []string{"method", "route", "status"}),
		open:  prometheus.NewGauge(prometheus.GaugeOpts{Name: "http_server_open_requests", Help: "Being answered now, streams included."}),
		ready: prometheus.NewGauge(prometheus.GaugeOpts{Name: "harmonia_ready", Help: "1 while the process takes work."}),
	}
	t.registry.MustRegister(t.duration, t.open, t.ready, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return t
}

type recorder struct {
	http.ResponseWriter
	status int
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(body []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.ResponseWriter.Write(body)
}

func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

func (t *Telemetry) observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		route, started, recorded := "other", time.Now(), &recorder{ResponseWriter: w}
		t.open.Inc()
		r = r.WithContext(context.WithValue(r.Context(), routeKey{}, &route))
		defer func() {
			t.open.Dec()
			failure := recover()
			if failure != nil && failure != http.ErrAbortHandler {
				slog.Error("unexpected error", "error", failure, "request_id", r.Header.Get(requestIDHeader))
			}
			if failure != nil && failure != http.ErrAbortHandler && recorded.status == 0 {
				refusal(codes.Internal, "INTERNAL", "", "internal error; the request id leads to the log line").write(recorded, r)
				failure = nil
			}
			t.report(r, route, recorded.status, time.Since(started))
			if failure != nil {
				panic(http.ErrAbortHandler) // the client must see that this is not all
			}
		}()
		next.ServeHTTP(recorded, r)
	})
}

func (t *Telemetry) report(r *http.Request, route string, status int, took time.Duration) {
	t.duration.WithLabelValues(method(r), route, strconv.Itoa(status)).Observe(took.Seconds())
	level := slog.LevelInfo
	if status >= 500 {
		level = slog.LevelWarn
	}
	trace := r.Header.Get("Traceparent")
	if len(trace) >= 35 {
		trace = trace[3:35]
	}
	slog.Log(r.Context(), level, "http", "method", method(r), "route", route, "status", status,
		"ms", float64(took.Microseconds())/1000, "request_id", r.Header.Get(requestIDHeader), "trace_id", trace)
}

// method keeps labels few: anybody may make one up.
func method(r *http.Request) string {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodDelete, http.MethodOptions, http.MethodPut, http.MethodPatch:
		return r.Method
	}
	return "other"
}
