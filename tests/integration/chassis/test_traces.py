"""Spans as a collector gets them, and trace ids where there is none."""

import asyncio
import sys
from typing import Any

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as pb
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as rpc

from harmonia_chassis.telemetry import SPAN_QUEUE, span, trace_id, traceparent

PARENT = "00-" + "ab" * 16 + "-" + "cd" * 8 + "-01"

PROGRAM = """
import sys
from harmonia_chassis.telemetry import span, start_traces, traceparent

end = start_traces("composer", "composer-1", otlp_endpoint=sys.argv[1])
with span("stage", attributes={"harmonia.lane": "compose"}):
    print(traceparent(), flush=True)
    try:
        with span("perform"):
            raise ValueError("a secret lyric")
    except ValueError:
        pass
    for _ in range(int(sys.argv[2])):
        with span("step"):
            pass
with span("later", parent="00-" + "ab" * 16 + "-" + "cd" * 8 + "-01"):
    pass
end()
"""


class Collector(rpc.TraceServiceServicer):
    def __init__(self) -> None:
        self.requests: list[pb.ExportTraceServiceRequest] = []

    async def Export(
        self, request: pb.ExportTraceServiceRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.ExportTraceServiceResponse:
        self.requests.append(request)
        return pb.ExportTraceServiceResponse()

    def spans(self) -> list[Any]:
        resources = [resource for request in self.requests for resource in request.resource_spans]
        return [one for resource in resources for scope in resource.scope_spans for one in scope.spans]


async def collect(steps: int) -> tuple[Collector, str]:
    """What the program above exports, and what it printed."""
    collector = Collector()
    server = grpc.aio.server()
    rpc.add_TraceServiceServicer_to_server(collector, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        endpoint = f"http://127.0.0.1:{port}"
        program = await asyncio.create_subprocess_exec(
            sys.executable, "-c", PROGRAM, endpoint, str(steps), stdout=asyncio.subprocess.PIPE
        )
        async with asyncio.timeout(60):
            printed, _ = await program.communicate()
    finally:
        await server.stop(None)
    assert program.returncode == 0
    return collector, printed.decode().strip()


async def test_spans_reach_the_collector_as_a_tree_with_failures_and_without_texts() -> None:
    collector, printed = await collect(0)

    found = {one.name: one for one in collector.spans()}
    stage, perform, later = found["stage"], found["perform"], found["later"]
    assert printed.split("-")[1:3] == [stage.trace_id.hex(), stage.span_id.hex()]
    assert (perform.trace_id, perform.parent_span_id) == (stage.trace_id, stage.span_id)
    assert (later.trace_id.hex(), later.parent_span_id.hex()) == ("ab" * 16, "cd" * 8)
    assert (stage.status.code, perform.status.code) == (0, 2)
    assert "secret" not in str(collector.requests)
    resource = {
        pair.key: pair.value.string_value for pair in collector.requests[0].resource_spans[0].resource.attributes
    }
    assert (resource["service.name"], resource["service.instance.id"]) == ("composer", "composer-1")


async def test_a_burst_of_20000_spans_arrives_whole() -> None:
    collector, _ = await collect(20_000)

    assert SPAN_QUEUE > 20_000
    assert sum(one.name == "step" for one in collector.spans()) == 20_000


def test_without_a_collector_ids_travel_all_the_same() -> None:
    with span("root"):
        outer = traceparent()
        with span("inner"):
            inner, inside = traceparent(), trace_id()

    assert outer.split("-")[1] == inner.split("-")[1] == inside
    assert outer != inner
    # Sampled: a service downstream that exports must not drop it.
    assert outer.endswith("-01")
    assert (traceparent(), trace_id()) == ("", "")


@pytest.mark.parametrize("flags", ["00", "01"])
def test_the_sampling_decision_of_the_caller_is_kept(flags: str) -> None:
    with span("served", parent=PARENT[:-2] + flags):
        assert traceparent().endswith(flags)
        assert trace_id() == "ab" * 16


@pytest.mark.parametrize(
    "text", ["", "garbage", "00-" + "0" * 32 + "-" + "0" * 16 + "-01", PARENT + "-x", "01" + PARENT[2:]]
)
def test_a_malformed_parent_begins_a_trace(text: str) -> None:
    with span("served", parent=text):
        assert trace_id() not in ("", "ab" * 16, "0" * 32)
