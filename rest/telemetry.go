package main

import (
	"context"
	"log/slog"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc/codes"
)

// Telemetry says one line, counts one request and ends one span when it is over. Bodies, tokens and queries are in none.
type Telemetry struct {
	registry *prometheus.Registry
	tracer   trace.Tracer
	duration *prometheus.HistogramVec
	calls    *prometheus.HistogramVec
	refused  *prometheus.CounterVec
	open     prometheus.Gauge
	ready    prometheus.Gauge
	expiry   prometheus.Gauge
}

// about is what becomes known of a request on its way: its route, and why it was refused.
type about struct{ route, reason string }

type aboutKey struct{}

func note(r *http.Request, pattern string) {
	if one, ok := r.Context().Value(aboutKey{}).(*about); ok {
		one.route = pattern
	}
}

func noteRefusal(r *http.Request, reason string) {
	if one, ok := r.Context().Value(aboutKey{}).(*about); ok {
		one.reason = reason
	}
}

func newTelemetry(tracer trace.Tracer) *Telemetry {
	buckets := []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 60}
	t := &Telemetry{
		registry: prometheus.NewRegistry(),
		tracer:   tracer,
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "http_server_request_duration_seconds", Help: "By method, route and status; a stream counts until it ends.", Buckets: buckets,
		}, []string{"method", "route", "status"}),
		calls: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "rpc_client_call_duration_seconds", Help: "Calls of the gateway that have one answer.", Buckets: buckets,
		}, []string{"rpc_method", "rpc_response_status_code"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "harmonia_http_refused_total", Help: "Requests that were refused, by reason.",
		}, []string{"reason"}),
		open:  prometheus.NewGauge(prometheus.GaugeOpts{Name: "http_server_open_requests", Help: "Being answered now, streams included."}),
		ready: prometheus.NewGauge(prometheus.GaugeOpts{Name: "harmonia_ready", Help: "1 while the process takes work."}),
		expiry: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "harmonia_certificate_expiry_timestamp_seconds", Help: "When the certificate of this door ends; 0: it has none.",
		}),
	}
	t.registry.MustRegister(t.duration, t.calls, t.refused, t.open, t.ready, t.expiry,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return t
}

// startLogs writes lines as the other services do.
func startLogs(instance string) {
	named := func(groups []string, attribute slog.Attr) slog.Attr {
		switch {
		case len(groups) > 0:
		case attribute.Key == slog.MessageKey:
			attribute.Key = "event"
		case attribute.Key == slog.TimeKey:
			attribute.Key = "timestamp"
		case attribute.Key == slog.LevelKey:
			attribute.Value = slog.StringValue(levels[attribute.Value.String()])
		}
		return attribute
	}
	handler := slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{ReplaceAttr: named})
	slog.SetDefault(slog.New(handler).With("service", "rest", "instance", instance))
}

var levels = map[string]string{"INFO": "info", "WARN": "warning", "ERROR": "error"}

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
		noted, started, recorded := about{route: "other"}, time.Now(), &recorder{ResponseWriter: w}
		t.open.Inc()
		r, span := beginSpan(t.tracer, r.WithContext(context.WithValue(r.Context(), aboutKey{}, &noted)))
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
			t.report(r, noted, recorded.status, time.Since(started))
			endSpan(span, r, noted.route, recorded.status)
			if failure != nil {
				panic(http.ErrAbortHandler) // the client must see that this is not all
			}
		}()
		next.ServeHTTP(recorded, r)
	})
}

func (t *Telemetry) report(r *http.Request, noted about, status int, took time.Duration) {
	t.duration.WithLabelValues(method(r), noted.route, strconv.Itoa(status)).Observe(took.Seconds())
	if noted.reason != "" {
		t.refused.WithLabelValues(noted.reason).Inc()
	}
	level := slog.LevelInfo
	if status >= 500 {
		level = slog.LevelWarn
	}
	slog.Log(r.Context(), level, "http", "method", method(r), "route", noted.route, "status", status, "reason", noted.reason,
		"ms", float64(took.Microseconds())/1000, "request_id", r.Header.Get(requestIDHeader), "trace_id", spanContextOf(r.Header.Get("Traceparent")).TraceID().String())
}

// method keeps labels few: anybody may make one up.
func method(r *http.Request) string {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodDelete, http.MethodOptions, http.MethodPut, http.MethodPatch:
		return r.Method
	}
	return "other"
}
