"""Names of spans and metrics, and the setup of logs, traces and metrics. Nothing here sees a payload:
prompts, lyrics and tokens are neither logged nor traced.

Traces leave the process only where an OTLP endpoint is set; the SDK is not even imported without one.
Trace ids travel all the same, so that logs and songs can name them.
"""

import logging
import random
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache

import structlog
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, SpanKind, Status, StatusCode, TraceFlags
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from structlog.types import EventDict, WrappedLogger

# Spans of the song's walk; an RPC's span has the name of the method: "harmonia.song.v1.SongService/CreateSong".
SPAN_COMMAND = "harmonia"  # one command of a user, from its first call to its last
SPAN_STAGE = "stage"  # one attempt of a worker at one stage; attributes below
SPAN_ENGINE = "engine"  # an engine at work; what it says of its progress are its events
SPAN_LISTEN = "listen"  # tempo and key of a pre-master
SPAN_MASTER = "master"  # from pre-master to the wanted loudness
SPAN_ENCODE = "encode"  # one file

# Attributes: semconv where it has one.
RPC_METHOD = "rpc.method"
RPC_SYSTEM = "rpc.system.name"
RPC_STATUS = "rpc.response.status_code"
ERROR_TYPE = "error.type"
SONG = "harmonia.song"
STAGE = "harmonia.stage"
LANE = "harmonia.lane"
ATTEMPT = "harmonia.attempt"
ENGINE = "harmonia.engine"
FORMAT = "harmonia.format"

TRACEPARENT = "traceparent"
# The default of 2048 loses 39 % of a burst.
SPAN_QUEUE = 65536

_RPC_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_WORK_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900)
_TRACEPARENT = re.compile(r"^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$")

Attribute = str | int | float | bool


class Metrics:
    """All metrics of a process, in a registry of its own. Durations in seconds."""

    def __init__(self) -> None:
        registry = CollectorRegistry()
        self.registry = registry
        rpc = ["rpc_method", "rpc_response_status_code"]
        self.server_calls = Histogram(
            "rpc_server_call_duration_seconds", "RPCs served", rpc, buckets=_RPC_BUCKETS, registry=registry
        )
        self.client_calls = Histogram(
            "rpc_client_call_duration_seconds", "RPCs made", rpc, buckets=_RPC_BUCKETS, registry=registry
        )
        self.open_calls = Gauge("harmonia_rpc_open", "RPCs being served", ["door"], registry=registry)
        self.jobs = Gauge("harmonia_jobs", "songs by where they are", ["state", "lane"], registry=registry)
        self.queue_wait = Histogram(
            "harmonia_queue_wait_seconds", "from queued to claimed", ["lane"], buckets=_WORK_BUCKETS, registry=registry
        )
        self.run_seconds = Histogram(
            "harmonia_run_seconds",
            "one attempt at a stage",
            ["lane", "outcome"],
            buckets=_WORK_BUCKETS,
            registry=registry,
        )
        self.retries = Counter("harmonia_retries", "stages handed back to try again", ["lane"], registry=registry)
        self.swept = Counter("harmonia_swept", "songs the sweeper moved", ["outcome"], registry=registry)
        self.slots = Gauge("harmonia_slots", "places to work", ["lane", "state"], registry=registry)
        self.projection_lag = Gauge(
            "harmonia_projection_lag_seconds", "age of the newest state folded in", registry=registry
        )
        self.certificate_expiry = Gauge(
            "harmonia_certificate_expiry_timestamp_seconds", "when this service's certificate ends", registry=registry
        )
        self.jwks_read = Gauge(
            "harmonia_jwks_read_timestamp_seconds", "when the token keys were read last", registry=registry
        )
        self.tokens_refused = Counter(
            "harmonia_tokens_refused",
            "people not let in; unread: before the token",
            ["kind", "reason"],
            registry=registry,
        )
        self.ready = Gauge("harmonia_ready", "1 while the service takes calls", registry=registry)
        ProcessCollector(registry=registry)


def start_logs(service: str, instance: str, *, level: str) -> None:
    """JSON lines on stderr, for structlog and for the logging of libraries from WARNING up."""
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            _named(service, instance),
            _add_trace,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(handlers=[_ToStructlog()], level=max(number, logging.WARNING), force=True)


def start_traces(service: str, instance: str, *, otlp_endpoint: str | None) -> Callable[[], None]:
    """Starts the export of spans, where there is an endpoint; the result ends it and sends the rest."""
    if otlp_endpoint is None:
        return _nothing
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    names = {"service.name": service, "service.instance.id": instance, "service.namespace": "harmonia"}
    provider = TracerProvider(resource=Resource(names))
    exporter = OTLPSpanExporter(otlp_endpoint, insecure=otlp_endpoint.startswith("http://"))
    provider.add_span_processor(
        BatchSpanProcessor(exporter, max_queue_size=SPAN_QUEUE, schedule_delay_millis=1000, max_export_batch_size=2048)
    )
    trace.set_tracer_provider(provider)
    return provider.shutdown


@contextmanager
def span(
    name: str,
    *,
    parent: str | None = None,
    kind: SpanKind = SpanKind.INTERNAL,
    attributes: Mapping[str, Attribute] | None = None,
) -> Iterator[Span]:
    """A span around the block, and the current one inside it. `parent`: a traceparent from elsewhere; None:
    the current span. An exception marks it as failed by its class and leaves its text out."""
    started = start_span(name, parent=parent, kind=kind, attributes=attributes or {})
    with trace.use_span(started, end_on_exit=True, record_exception=False, set_status_on_exception=False):
        try:
            yield started
        except BaseException as error:
            fail(started, type(error).__name__)
            raise


def start_span(
    name: str, *, parent: str | None = None, kind: SpanKind = SpanKind.INTERNAL, attributes: Mapping[str, Attribute]
) -> Span:
    context = None if parent is None else trace.set_span_in_context(NonRecordingSpan(_context(parent)))
    started = _tracer().start_span(name, context, kind, attributes)
    if started.is_recording():
        return started
    above = started.get_span_context()
    # A trace that begins where nothing is exported is for the next service to record.
    flags = above.trace_flags if above.is_valid else TraceFlags(TraceFlags.SAMPLED)
    trace_id = above.trace_id if above.is_valid else random.getrandbits(128)
    return NonRecordingSpan(SpanContext(trace_id, random.getrandbits(64), is_remote=False, trace_flags=flags))


def fail(failed: Span, kind: str) -> None:
    failed.set_attribute(ERROR_TYPE, kind)
    failed.set_status(Status(StatusCode.ERROR))


def traceparent() -> str:
    """W3C traceparent of the current span; empty when there is none."""
    return traceparent_of(trace.get_current_span())


def traceparent_of(traced: Span) -> str:
    context = traced.get_span_context()
    if not context.is_valid:
        return ""
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def trace_id() -> str:
    """32 hex digits; empty outside a trace."""
    context = trace.get_current_span().get_span_context()
    return f"{context.trace_id:032x}" if context.is_valid else ""


@cache
def _tracer() -> trace.Tracer:
    return trace.get_tracer("harmonia")  # without the cache each span would look into the environment


def _context(parent: str) -> SpanContext:
    found = _TRACEPARENT.match(parent)
    if found is None:
        return trace.INVALID_SPAN_CONTEXT
    ids = (int(found[1], 16), int(found[2], 16))
    return SpanContext(*ids, is_remote=True, trace_flags=TraceFlags(int(found[3], 16)))


def _named(service: str, instance: str) -> Callable[[WrappedLogger, str, EventDict], EventDict]:
    def add(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        return {"service": service, "instance": instance, **event}

    return add


def _add_trace(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    found = trace_id()
    return {**event, "trace_id": found} if found else event


class _ToStructlog(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        structlog.get_logger(record.name).log(record.levelno, record.getMessage(), exc_info=record.exc_info)


def _nothing() -> None:
    return None
