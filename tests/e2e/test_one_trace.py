"""One command, one trace: from the client's call through every service to the last file of the song."""

import asyncio
import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as pb
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as rpc

from tests.e2e.cli.command import HARMONIA, environment

pytestmark = pytest.mark.timeout(180)


Traced = tuple[str, Any]  # the service, and a span as OTLP has it
SHOWN = {"harmonia.stage", "harmonia.engine", "harmonia.format"}


class Collector(rpc.TraceServiceServicer):
    """Spans of all processes, each with the name of its service."""

    def __init__(self) -> None:
        self.spans: list[Traced] = []

    async def Export(self, request: pb.ExportTraceServiceRequest, context: object) -> pb.ExportTraceServiceResponse:
        for resource in request.resource_spans:
            names = {pair.key: pair.value.string_value for pair in resource.resource.attributes}
            scopes = [span for scope in resource.scope_spans for span in scope.spans]
            self.spans += [(names["service.name"], span) for span in scopes]
        return pb.ExportTraceServiceResponse()


def tree(spans: Sequence[Traced], parent: bytes, depth: int = 0) -> list[str]:
    """Lines of "service name ms", children under their parent, in the order of their starts."""
    lines = []
    for service, span in sorted(spans, key=lambda one: one[1].start_time_unix_nano):
        if span.parent_span_id == parent:
            milliseconds = (span.end_time_unix_nano - span.start_time_unix_nano) / 1e6
            told = " ".join(pair.value.string_value for pair in span.attributes if pair.key in SHOWN)
            lines.append(f"{'  ' * depth}{service:<9} {' '.join((span.name, told)).strip()} {milliseconds:.1f} ms")
            lines += [f"{'  ' * (depth + 1)}· {event.name}" for event in span.events]
            lines += tree(spans, span.span_id, depth + 1)
    return lines


async def composed(folder: Path) -> list[Traced]:
    """What a collector hears of `harmonia compose`; the mesh is the command's own, so all have told all at its end."""
    collector, server = Collector(), grpc.aio.server()
    rpc.add_TraceServiceServicer_to_server(collector, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        command = [HARMONIA, "compose", "folk", "--duration", "5", "--out", "song"]
        traced = {**environment(folder / "home"), "HARMONIA_OTLP_ENDPOINT": f"http://127.0.0.1:{port}"}
        done = await asyncio.to_thread(
            subprocess.run, command, cwd=folder, env=traced, capture_output=True, text=True, timeout=150, check=False
        )
    finally:
        await server.stop(None)
    assert done.returncode == 0, done.stderr
    return collector.spans


def names_above(spans: Sequence[Traced], name: str) -> list[str]:
    """From the root to the last span of this name: "composer stage"."""
    by_id = {span.span_id: (service, span) for service, span in spans}
    last = max((one for _, one in spans if one.name.endswith(name)), key=lambda one: one.start_time_unix_nano)
    path: list[str] = []
    above = by_id.get(last.span_id)
    while above is not None:
        path.insert(0, f"{above[0]} {above[1].name.rpartition('/')[2]}")
        above = by_id.get(above[1].parent_span_id)
    return path


async def test_a_command_is_one_trace_through_every_service(tmp_path: Path) -> None:
    spans = await composed(tmp_path)
    root = next(span for service, span in spans if service == "cli")
    mine = [(service, span) for service, span in spans if span.trace_id == root.trace_id]
    lines = tree(mine, b"")
    print("\n".join(lines))
    song = json.loads((tmp_path / "song" / "song.json").read_text())
    engine = next(span for _, span in mine if span.name == "engine")
    to_stage = ["cli harmonia", "gateway CreateSong"]

    assert song["trace_id"] == root.trace_id.hex()
    assert {service for service, _ in mine} == {"cli", "gateway", "lyricist", "composer", "mastering", "artifacts"}
    assert {span.parent_span_id for _, span in mine} <= {b"", *(span.span_id for _, span in mine)}, "a span is lost"
    assert names_above(mine, "engine") == [*to_stage, "composer stage", "composer engine"]
    assert [event.name for event in engine.events][-1] == "mixed"
    assert names_above(mine, "encode") == [*to_stage, "mastering stage", "mastering encode"]
    assert names_above(mine, "StoreService/Put") == [
        *to_stage, "mastering stage", "mastering Put", "artifacts Put",
    ]  # fmt: skip
    assert names_above(mine, "DownloadArtifact") == ["cli harmonia", "gateway DownloadArtifact"]
    assert sorted(line.split()[2] for line in lines if " stage " in line) == ["compose", "master", "write"]
