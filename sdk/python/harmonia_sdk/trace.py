"""Where a trace begins: each call says which it belongs to, so that logs, spans and songs of one command meet.

In a program that uses OpenTelemetry its current span goes along; elsewhere each call, or each block of `one_trace`,
is a trace of its own. Nothing is exported here.
"""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from opentelemetry import trace

TRACEPARENT = "traceparent"

_trace_id: ContextVar[str] = ContextVar("trace_id", default="")


@contextmanager
def one_trace() -> Iterator[None]:
    """All calls inside belong together."""
    token = _trace_id.set(secrets.token_hex(16))
    try:
        yield
    finally:
        _trace_id.reset(token)


def traceparent() -> str:
    """W3C traceparent for a call that is made now. Sampled: whether to keep it is for who exports it to say."""
    current = trace.get_current_span().get_span_context()
    if current.is_valid:
        return f"00-{current.trace_id:032x}-{current.span_id:016x}-{current.trace_flags:02x}"
    return f"00-{_trace_id.get() or secrets.token_hex(16)}-{secrets.token_hex(8)}-01"
