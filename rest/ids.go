package main

import (
	"crypto/rand"
	"encoding/hex"
	"regexp"

	"go.opentelemetry.io/otel/trace"
)

var (
	idShape          = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)
	traceparentShape = regexp.MustCompile(`^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$`)
)

func isID(text string) bool { return idShape.MatchString(text) }

func newID() string { return hex.EncodeToString(random(16)) }

// spanContextOf reads W3C Trace Context §3.2; what is malformed is no span, and starts a trace of our own.
func spanContextOf(traceparent string) trace.SpanContext {
	found := traceparentShape.FindStringSubmatch(traceparent)
	if found == nil {
		return trace.SpanContext{}
	}
	traceID, _ := trace.TraceIDFromHex(found[1]) // all zeros: no id
	spanID, _ := trace.SpanIDFromHex(found[2])
	flags, _ := hex.DecodeString(found[3])
	return trace.NewSpanContext(trace.SpanContextConfig{TraceID: traceID, SpanID: spanID, TraceFlags: trace.TraceFlags(flags[0]), Remote: true})
}

func isTraceparent(text string) bool { return spanContextOf(text).IsValid() }

func traceparentOf(span trace.SpanContext) string {
	return "00-" + span.TraceID().String() + "-" + span.SpanID().String() + "-" + span.TraceFlags().String()
}

func newTraceparent() string {
	return "00-" + hex.EncodeToString(random(16)) + "-" + hex.EncodeToString(random(8)) + "-01"
}

func random(n int) []byte {
	bytes := make([]byte, n)
	rand.Read(bytes) // never fails
	return bytes
}
