package main

import (
	"crypto/rand"
	"encoding/hex"
	"regexp"
)

var (
	idShape          = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)
	traceparentShape = regexp.MustCompile(`^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$`)
)

func isID(text string) bool { return idShape.MatchString(text) }

// isTraceparent: W3C Trace Context §3.2. One that is malformed starts a trace of our own.
func isTraceparent(text string) bool { return traceparentShape.MatchString(text) }

func newID() string { return hex.EncodeToString(random(16)) }

func newTraceparent() string {
	return "00-" + hex.EncodeToString(random(16)) + "-" + hex.EncodeToString(random(8)) + "-01"
}

func random(n int) []byte {
	bytes := make([]byte, n)
	rand.Read(bytes) // never fails
	return bytes
}
