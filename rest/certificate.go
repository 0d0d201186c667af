package main

import (
	"crypto/tls"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// certificate is what the HTTP door shows, read again when its file is new: leaves of the mesh live a day.
type certificate struct {
	chain, key string
	expiry     prometheus.Gauge
	mu         sync.Mutex
	written    time.Time
	current    *tls.Certificate
}

func openCertificate(chain, key string, expiry prometheus.Gauge) (*certificate, error) {
	c := &certificate{chain: chain, key: key, expiry: expiry}
	return c, c.read()
}

// show is asked at each handshake. A pair that does not fit, as in the middle of an exchange, leaves the last one.
func (c *certificate) show(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if about, err := os.Stat(c.chain); err == nil && !about.ModTime().Equal(c.written) {
		if err := c.read(); err != nil {
			slog.Warn("certificate is not taken", "error", err.Error())
		} else {
			slog.Info("certificate renewed")
		}
	}
	return c.current, nil
}

func (c *certificate) read() error {
	about, err := os.Stat(c.chain)
	if err != nil {
		return err
	}
	pair, err := tls.LoadX509KeyPair(c.chain, c.key)
	if err != nil {
		return err
	}
	c.current, c.written = &pair, about.ModTime()
	c.expiry.Set(float64(pair.Leaf.NotAfter.Unix()))
	return nil
}
