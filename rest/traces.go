package main

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	otelcodes "go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// spanQueue is that of the other services: the default of 2048 loses a part of a burst.
const spanQueue = 65536

// startTraces starts the export of spans where there is an endpoint; the result ends it and sends the rest. Without one
// nothing is recorded, and a caller's trace goes on to the gateway as it came.
func startTraces(s Settings) (trace.Tracer, func(context.Context) error, error) {
	if s.OTLPEndpoint == "" {
		return noop.NewTracerProvider().Tracer("harmonia"), func(context.Context) error { return nil }, nil
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { slog.Warn("spans are not exported", "error", err.Error()) }))
	exporter, err := otlptracegrpc.New(context.Background(), otlptracegrpc.WithEndpointURL(s.OTLPEndpoint))
	if err != nil {
		return nil, nil, err
	}
	provider := sdktrace.NewTracerProvider(
		sdktrace.WithResource(resource.NewSchemaless(
			attribute.String("service.name", "rest"),
			attribute.String("service.instance.id", s.Instance),
			attribute.String("service.namespace", "harmonia"),
		)),
		sdktrace.WithBatcher(exporter, sdktrace.WithMaxQueueSize(spanQueue), sdktrace.WithBatchTimeout(time.Second)),
	)
	return provider.Tracer("harmonia"), provider.Shutdown, nil
}

// beginSpan starts the span of a request, under the caller's. What it passes on to the gateway is then this span.
func beginSpan(tracer trace.Tracer, r *http.Request) (*http.Request, trace.Span) {
	ctx := trace.ContextWithRemoteSpanContext(r.Context(), spanContextOf(r.Header.Get("Traceparent")))
	ctx, span := tracer.Start(ctx, method(r), trace.WithSpanKind(trace.SpanKindServer))
	if told := span.SpanContext(); told.IsValid() {
		r.Header.Set("Traceparent", traceparentOf(told))
	}
	return r.WithContext(ctx), span
}

func endSpan(span trace.Span, r *http.Request, route string, status int) {
	span.SetName(method(r) + " " + route)
	span.SetAttributes(
		attribute.String("http.request.method", method(r)),
		attribute.String("http.route", route),
		attribute.Int("http.response.status_code", status),
	)
	if status >= 500 {
		span.SetStatus(otelcodes.Error, "")
	}
	span.End()
}

// callOnce is around each call of the gateway that has one answer.
func (t *Telemetry) callOnce(ctx context.Context, method string, request, reply any, line *grpc.ClientConn, invoke grpc.UnaryInvoker, options ...grpc.CallOption) error {
	began := time.Now()
	ctx, span := t.beginCall(ctx, method)
	err := invoke(ctx, method, request, reply, line, options...)
	endCall(span, err)
	t.calls.WithLabelValues(method[1:], statusName(err)).Observe(time.Since(began).Seconds())
	return err
}

// callStream is around each call whose answer is a stream; it is over when the stream is, or its context.
func (t *Telemetry) callStream(ctx context.Context, description *grpc.StreamDesc, line *grpc.ClientConn, method string, open grpc.Streamer, options ...grpc.CallOption) (grpc.ClientStream, error) {
	ctx, span := t.beginCall(ctx, method)
	stream, err := open(ctx, description, line, method, options...)
	if err != nil || !span.IsRecording() {
		endCall(span, err)
		return stream, err
	}
	context.AfterFunc(ctx, func() { span.End() })
	return tracedStream{stream, span}, nil
}

type tracedStream struct {
	grpc.ClientStream
	span trace.Span
}

func (s tracedStream) RecvMsg(message any) error {
	err := s.ClientStream.RecvMsg(message)
	if err != nil {
		endCall(s.span, err)
	}
	return err
}

func (t *Telemetry) beginCall(ctx context.Context, method string) (context.Context, trace.Span) {
	ctx, span := t.tracer.Start(ctx, method[1:], trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(attribute.String("rpc.system.name", "grpc"), attribute.String("rpc.method", method[1:])))
	if !span.IsRecording() {
		return ctx, span
	}
	told, _ := metadata.FromOutgoingContext(ctx)
	told = told.Copy()
	told.Set("traceparent", traceparentOf(span.SpanContext()))
	return metadata.NewOutgoingContext(ctx, told), span
}

func endCall(span trace.Span, err error) {
	name := statusName(err)
	span.SetAttributes(attribute.String("rpc.response.status_code", name))
	if name != "OK" {
		span.SetAttributes(attribute.String("error.type", name))
		span.SetStatus(otelcodes.Error, "")
	}
	span.End()
}

// statusName is as the other services write it: NOT_FOUND. The end of a stream is no error.
func statusName(err error) string {
	if err == io.EOF {
		err = nil
	}
	return code.Code(status.Code(err)).String()
}
