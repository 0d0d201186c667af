package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
)

// streamsPerConnection stays under the 100 streams that the public door gives one connection.
const streamsPerConnection = 90

// longestConnect is how long a call waits for a gateway that is being started again before it is told to come back.
const longestConnect = 5 * time.Second

var reconnect = backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second}

// Door is the gateway's public door: TLS, trusting one authority. It opens another connection whenever the ones it has
// carry as many streams as the door allows, so that watchers do not keep short calls waiting.
type Door struct {
	address string
	options []grpc.DialOption
	mu      sync.Mutex
	lines   []*line
}

type line struct {
	connection *grpc.ClientConn
	open       int
}

func openDoor(address, ca string, telemetry *Telemetry) (*Door, error) {
	pem, err := os.ReadFile(ca)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", ca)
	}
	door := &Door{address: address, options: []grpc.DialOption{
		grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS13})),
		grpc.WithDefaultServiceConfig(`{"loadBalancingConfig": [{"round_robin": {}}]}`),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(16 << 20)),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: reconnect, MinConnectTimeout: longestConnect}),
		grpc.WithUserAgent("harmonia-rest"),
		grpc.WithUnaryInterceptor(telemetry.callOnce),
		grpc.WithStreamInterceptor(telemetry.callStream),
	}}
	_, err = door.dial()
	return door, err
}

func (d *Door) Invoke(ctx context.Context, method string, request, reply any, options ...grpc.CallOption) error {
	line, err := d.take()
	if err != nil {
		return err
	}
	line.connect(ctx)
	defer d.give(line)
	return line.connection.Invoke(ctx, method, request, reply, options...)
}

// NewStream needs a context that is cancelled when the caller has done with the stream: that is when its place is free.
func (d *Door) NewStream(ctx context.Context, description *grpc.StreamDesc, method string, options ...grpc.CallOption) (grpc.ClientStream, error) {
	line, err := d.take()
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, func() { d.give(line) })
	line.connect(ctx)
	return line.connection.NewStream(ctx, description, method, options...)
}

// connect waits; when it was in vain, the call itself says so.
func (l *line) connect(ctx context.Context) {
	if l.connection.GetState() == connectivity.Ready {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, longestConnect)
	defer cancel()
	for state := l.connection.GetState(); state != connectivity.Ready; state = l.connection.GetState() {
		l.connection.Connect()
		if !l.connection.WaitForStateChange(ctx, state) {
			return
		}
	}
}

func (d *Door) Close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, line := range d.lines {
		line.connection.Close()
	}
}

func (d *Door) take() (*line, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, line := range d.lines {
		if line.open < streamsPerConnection {
			line.open++
			return line, nil
		}
	}
	line, err := d.dial()
	if err == nil {
		line.open++
	}
	return line, err
}

func (d *Door) give(line *line) {
	d.mu.Lock()
	defer d.mu.Unlock()
	line.open--
}

func (d *Door) dial() (*line, error) {
	connection, err := grpc.NewClient(d.address, d.options...)
	if err != nil {
		return nil, err
	}
	opened := &line{connection: connection}
	d.lines = append(d.lines, opened)
	return opened, nil
}
