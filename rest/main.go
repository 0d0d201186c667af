// Harmonia's door for HTTP: JSON over grpc-gateway, events for watchers, files with ranges, sessions for browsers. It
// is a client of the gateway's public door like any other: it holds no right of its own and passes on the caller's.
package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
)

func main() {
	check := flag.Bool("check", false, "check the settings and exit")
	flag.Parse()
	settings, problems := readSettings(os.Environ())
	for _, problem := range problems {
		fmt.Fprintln(os.Stderr, "harmonia-rest: "+problem)
	}
	if len(problems) > 0 {
		os.Exit(2)
	}
	if *check {
		return
	}
	syscall.Umask(0o077)
	steadyMemory()
	startLogs(settings.Instance)
	stopping, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(stopping, settings); err != nil {
		slog.Error("stopped by an error", "error", err.Error())
		os.Exit(1)
	}
	slog.Info("stopped")
	runtime.KeepAlive(weight)
}

func run(stopping context.Context, settings Settings) error {
	tracer, endTraces, err := startTraces(settings)
	if err != nil {
		return err
	}
	telemetry := newTelemetry(tracer)
	door, err := openDoor(settings.Gateway, settings.CA, telemetry)
	if err != nil {
		return err
	}
	defer door.Close()
	table, err := readRoutes(openAPI)
	if err != nil {
		return err
	}
	api, err := newAPI(door, table, stopping.Done())
	if err != nil {
		return err
	}
	guard := guard{hosts: settings.Hosts, origins: settings.CORSOrigins, proxies: settings.TrustedProxies, secure: settings.TLSCert != ""}
	sessions, err := openSessions(settings, guard, door)
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler:           telemetry.observe(guard.protect(sessions.recognise(site(api, sessions)))),
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       60 * time.Second, // uploads move it
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(slog.Default().Handler(), slog.LevelWarn),
	}
	if settings.TLSCert != "" {
		certificate, err := openCertificate(settings.TLSCert, settings.TLSKey, telemetry.expiry)
		if err != nil {
			return err
		}
		server.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: certificate.show}
	}
	listener, err := net.Listen("tcp", settings.Listen)
	if err != nil {
		return err
	}
	failed := make(chan error, 3)
	alive, health, err := serveHealth(settings.HealthListen, failed)
	if err != nil {
		return err
	}
	metrics, err := serveMetrics(settings.MetricsListen, telemetry, failed)
	if err != nil {
		return err
	}
	go func() { failed <- serveHTTP(server, listener) }()
	doors := doors{HTTP: listener.Addr().String(), Health: health.String(), Metrics: metrics.String()}
	if err := beReady(settings, doors, alive, telemetry); err != nil {
		return err
	}
	select {
	case err = <-failed:
	case <-stopping.Done():
		slog.Info("draining")
	}
	alive.SetServingStatus("", grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	alive.SetServingStatus("ready", grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	telemetry.ready.Set(0)
	os.Remove(settings.ReadyFile)
	err = errors.Join(err, drain(server, settings.DrainGrace))
	sendLastSpans(endTraces)
	return err
}

func serveHTTP(server *http.Server, listener net.Listener) error {
	if server.TLSConfig != nil {
		return ended(server.ServeTLS(listener, "", ""))
	}
	return ended(server.Serve(listener))
}

// serveHealth knows "" and "ready", as the other services do.
func serveHealth(listen string, failed chan<- error) (*health.Server, net.Addr, error) {
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return nil, nil, err
	}
	server, alive := grpc.NewServer(), health.NewServer()
	alive.SetServingStatus("live", grpc_health_v1.HealthCheckResponse_SERVING)
	grpc_health_v1.RegisterHealthServer(server, alive)
	go func() { failed <- server.Serve(listener) }()
	return alive, listener.Addr(), nil
}

func serveMetrics(listen string, telemetry *Telemetry, failed chan<- error) (net.Addr, error) {
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return nil, err
	}
	server := &http.Server{Handler: promhttp.HandlerFor(telemetry.registry, promhttp.HandlerOpts{}), ReadHeaderTimeout: 10 * time.Second}
	go func() { failed <- server.Serve(listener) }()
	return listener.Addr(), nil
}

// doors are addresses, of which those of port 0 are known only now.
type doors struct {
	HTTP    string `json:"http"`
	Health  string `json:"health"`
	Metrics string `json:"metrics"`
}

func beReady(settings Settings, at doors, alive *health.Server, telemetry *Telemetry) error {
	alive.SetServingStatus("", grpc_health_v1.HealthCheckResponse_SERVING)
	alive.SetServingStatus("ready", grpc_health_v1.HealthCheckResponse_SERVING)
	telemetry.ready.Set(1)
	slog.Info("ready", "http", at.HTTP, "health", at.Health, "metrics", at.Metrics)
	if settings.ReadyFile == "" {
		return nil
	}
	part := fmt.Sprintf("%s.%d", settings.ReadyFile, os.Getpid())
	told, err := json.Marshal(struct {
		Service string `json:"service"`
		PID     int    `json:"pid"`
		doors
	}{"rest", os.Getpid(), at})
	if err != nil {
		panic(err) // four strings and a number
	}
	if err := os.WriteFile(part, append(told, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(part, settings.ReadyFile)
}

func drain(server *http.Server, grace time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	if err := server.Shutdown(ctx); errors.Is(err, context.DeadlineExceeded) {
		return server.Close() // their time was over
	} else {
		return err
	}
}

// sendLastSpans: a collector that is away does not keep the process from ending.
func sendLastSpans(endTraces func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if err := endTraces(ctx); err != nil {
		slog.Warn("spans are lost", "error", err.Error())
	}
}

func ended(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
