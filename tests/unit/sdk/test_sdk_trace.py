"""Which trace a call belongs to."""

from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from harmonia_sdk.trace import one_trace, traceparent


def test_each_call_is_a_trace_of_its_own() -> None:
    assert traceparent().split("-")[1] != traceparent().split("-")[1]


def test_calls_of_one_block_belong_together() -> None:
    with one_trace():
        first, second = traceparent(), traceparent()

    assert first.split("-")[1] == second.split("-")[1]
    assert first.split("-")[2] != second.split("-")[2]


def test_the_span_of_the_program_goes_along() -> None:
    context = SpanContext(0xAB, 0xCD, is_remote=False, trace_flags=TraceFlags(1))
    with trace.use_span(NonRecordingSpan(context)), one_trace():
        assert traceparent() == f"00-{0xAB:032x}-{0xCD:016x}-01"
