// Harmonia's door for HTTP: JSON over grpc-gateway, events for watchers, files with ranges, sessions for browsers. It
// is a client of the gateway's public door like any other: it holds no right of its own and passes on the caller's.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
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
	startLogs(settings.Instance)
	stopping, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(stopping, settings); err != nil {
		slog.Error("stopped by an error", "error", err.Error())
		os.Exit(1)
	}
	slog.Info("stopped")
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
	listener, err := net.Listen("tcp", settings.Listen)
	if err != nil {
		return err
	}
	failed := make(chan error, 3)
	alive, err := serveHealth(settings.HealthListen, failed)
	if err != nil {
		return err
	}
	if err := serveMetrics(settings.MetricsListen, telemetry, failed); err != nil {
		return err
	}
	go func() { failed <- serveHTTP(server, listener, settings) }()
	if err := beReady(settings, listener.Addr().String(), alive, telemetry); err != nil {
		return err
	}
	select {
	case err = <-failed:
	case <-stopping.Done():
		slog.Info("draining")
	}
	alive.SetServingStatus("", grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	os.Remove(settings.ReadyFile)
	return errors.Join(err, drain(server, settings.DrainGrace), sendRest(endTraces))
}

func serveHTTP(server *http.Server, listener net.Listener, settings Settings) error {
	if settings.TLSCert != "" {
		return ended(server.ServeTLS(listener, settings.TLSCert, settings.TLSKey))
	}
	return ended(server.Serve(listener))
}

// serveHealth knows "" and "ready", as the other services do.
func serveHealth(listen string, failed chan<- error) (*health.Server, error) {
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return nil, err
	}
	server, alive := grpc.NewServer(), health.NewServer()
	alive.SetServingStatus("live", grpc_health_v1.HealthCheckResponse_SERVING)
	grpc_health_v1.RegisterHealthServer(server, alive)
	go func() { failed <- server.Serve(listener) }()
	return alive, nil
}

func serveMetrics(listen string, telemetry *Telemetry, failed chan<- error) error {
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: promhttp.HandlerFor(telemetry.registry, promhttp.HandlerOpts{}), ReadHeaderTimeout: 10 * time.Second}
	go func() { failed <- server.Serve(listener) }()
	return nil
}

func beReady(settings Settings, at string, alive *health.Server, telemetry *Telemetry) error {
	alive.SetServingStatus("", grpc_health_v1.HealthCheckResponse_SERVING)
	alive.SetServingStatus("ready", grpc_health_v1.HealthCheckResponse_SERVING)
	telemetry.ready.Set(1)
	slog.Info("ready", "http", at)
	if settings.ReadyFile == "" {
		return nil
	}
	part := fmt.Sprintf("%s.%d", settings.ReadyFile, os.Getpid())
	if err := os.WriteFile(part, fmt.Appendf(nil, "{\"service\": \"rest\", \"pid\": %d, \"http\": %q}\n", os.Getpid(), at), 0o600); err != nil {
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

// sendRest sends the spans that are left; a collector that is away does not keep the process from ending.
func sendRest(endTraces func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if err := endTraces(ctx); err != nil {
		slog.Warn("spans are lost", "error", err.Error())
	}
	return nil
}

func ended(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
