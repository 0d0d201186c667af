"""From a page to the last stage: one trace, and what the door itself tells of a request."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
import pytest_asyncio
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as pb
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as rpc

from harmonia_local.mesh import Mesh, running_mesh
from tests.integration.rest.conftest import COMMANDS
from tests.rest_door import built_rest

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

LONG_S = 60
TRACE, PAGE = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"

Traced = tuple[str, Any]  # the service, and a span as OTLP has it


class Collector(rpc.TraceServiceServicer):
    def __init__(self) -> None:
        self.spans: list[Traced] = []

    async def Export(self, request: pb.ExportTraceServiceRequest, context: object) -> pb.ExportTraceServiceResponse:
        for resource in request.resource_spans:
            names = {pair.key: pair.value.string_value for pair in resource.resource.attributes}
            self.spans += [(names["service.name"], span) for scope in resource.scope_spans for span in scope.spans]
        return pb.ExportTraceServiceResponse()

    def of(self, trace: str) -> list[Traced]:
        return [(service, span) for service, span in self.spans if span.trace_id.hex() == trace]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def collector() -> AsyncIterator[tuple[Collector, int]]:
    collecting, server = Collector(), grpc.aio.server()
    rpc.add_TraceServiceServicer_to_server(collecting, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield collecting, port
    await server.stop(None)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def traced(tmp_path_factory: pytest.TempPathFactory, collector: tuple[Collector, int]) -> AsyncIterator[Mesh]:
    environment = {"HARMONIA_OTLP_ENDPOINT": f"http://127.0.0.1:{collector[1]}"}
    home = tmp_path_factory.mktemp("traced")
    async with running_mesh(
        home, commands=COMMANDS, environment=environment, lease_s=2, rest=built_rest(), say=lambda _: None
    ) as mesh:
        yield mesh


@pytest_asyncio.fixture(loop_scope="module")
async def page(traced: Mesh) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"authorization": f"Bearer {Path(traced.info.token_file).read_text().strip()}"}
    async with httpx.AsyncClient(base_url=traced.info.rest or "", headers=headers, timeout=60) as client:
        yield client


def path_to(spans: Sequence[Traced], service: str, name: str) -> list[str]:
    """From the page's span, which is not ours to export, down to the first of this name."""
    by_id = {span.span_id: (owner, span) for owner, span in spans}
    above = min(
        (one for one in spans if one[0] == service and one[1].name.endswith(name)),
        key=lambda one: int(one[1].start_time_unix_nano),
    )
    path: list[str] = []
    while above is not None:
        path.insert(0, f"{above[0]} {above[1].name.rpartition('Service/')[2]}")
        if above[1].parent_span_id not in by_id:
            path.insert(0, above[1].parent_span_id.hex())
            return path
        above = by_id[above[1].parent_span_id]
    return path


def is_whole(spans: Sequence[Traced]) -> bool:
    """Each process exports its own in its time."""
    known = {span.span_id for _, span in spans} | {bytes.fromhex(PAGE)}
    names = [span.name for _, span in spans]
    watched = "GET /v1/{name=songs/*}:watch" in names
    return watched and names.count("stage") == 3 and {span.parent_span_id for _, span in spans} <= known


async def test_from_a_page_to_the_last_stage_it_is_one_trace(page: httpx.AsyncClient, collector) -> None:
    collecting, _ = collector
    headers = {"traceparent": f"00-{TRACE}-{PAGE}-01"}
    song = (await page.post("/v1/songs", json={"spec": {"prompt": "rain"}, "wait": "30s"}, headers=headers)).json()
    watched = await page.get(f"/v1/{song['name']}:watch", headers=headers)
    async with asyncio.timeout(LONG_S):
        while not is_whole(collecting.of(TRACE)):
            await asyncio.sleep(0.05)
    mine = collecting.of(TRACE)
    create = ["POST /v1/songs", "CreateSong"]
    root = next(span for service, span in mine if service == "rest" and span.name == "POST /v1/songs")
    told = {pair.key: pair.value.string_value or pair.value.int_value for pair in root.attributes}

    assert song["trace_id"] == TRACE
    assert watched.status_code == 200
    assert path_to(mine, "composer", "stage") == [
        PAGE, *(f"rest {name}" for name in create), "gateway CreateSong", "composer stage",
    ]  # fmt: skip
    assert path_to(mine, "gateway", "WatchSong") == [
        PAGE, "rest GET /v1/{name=songs/*}:watch", "rest WatchSong", "gateway WatchSong",
    ]  # fmt: skip
    assert told["http.route"] == "/v1/songs"
    assert told["http.response.status_code"] == 200
    assert "rain" not in str([span for _, span in mine])


async def test_a_request_without_a_trace_begins_one_and_all_its_spans_arrive(page: httpx.AsyncClient, collector):
    collecting, _ = collector
    answer = await page.post("/v1/songs", json={"spec": {"prompt": "rain"}, "wait": "30s"})
    trace = answer.json()["trace_id"]
    async with asyncio.timeout(LONG_S):
        while not any(one.name == "POST /v1/songs" for _, one in collecting.of(trace)):
            await asyncio.sleep(0.05)
    [(service, root)] = [(who, one) for who, one in collecting.of(trace) if not one.parent_span_id]

    assert (service, root.name) == ("rest", "POST /v1/songs")


async def test_a_trace_that_the_caller_does_not_record_is_not_recorded(page: httpx.AsyncClient, collector):
    collecting, _ = collector
    unrecorded, recorded = "1" * 32, "2" * 32
    for trace, flags in ((unrecorded, "00"), (recorded, "01")):
        await page.get("/v1/songs", headers={"traceparent": f"00-{trace}-{PAGE}-{flags}"})
    async with asyncio.timeout(LONG_S):
        while not any(service == "rest" for service, _ in collecting.of(recorded)):
            await asyncio.sleep(0.05)

    assert not [service for service, _ in collecting.of(unrecorded) if service == "rest"]


async def test_refusals_are_counted_by_reason_and_calls_by_status(traced: Mesh, page: httpx.AsyncClient) -> None:
    await page.get("/v1/songs/" + "0" * 32)
    await page.get("/v1/songs", params={"colour": "blue"})
    text = (await page.get(traced.info.service("rest").metrics)).text

    assert 'harmonia_http_refused_total{reason="SONG_NOT_FOUND"} 1' in text
    assert 'harmonia_http_refused_total{reason="UNKNOWN_FIELD"} 1' in text
    assert re.search(
        r'^rpc_client_call_duration_seconds_count\{rpc_method="harmonia\.song\.v1\.SongService/GetSong",'
        r'rpc_response_status_code="NOT_FOUND"\} 1$',
        text,
        re.MULTILINE,
    )


async def test_a_line_of_the_log_tells_of_each_request_and_of_no_secret(traced: Mesh, page: httpx.AsyncClient) -> None:
    token = page.headers["authorization"].removeprefix("Bearer ")
    answer = await page.get("/v1/songs", params={"filter": 'title = "hush"'}, headers={"x-request-id": "mine-7"})
    log = Path(traced.info.service("rest").log).read_text()
    [line] = [json.loads(one) for one in log.splitlines() if '"mine-7"' in one]

    assert answer.status_code == 200
    assert line.items() >= {
        "service": "rest", "event": "http", "level": "info", "method": "GET", "route": "/v1/songs", "status": 200,
    }.items()  # fmt: skip
    assert re.fullmatch("[0-9a-f]{32}", line["trace_id"])
    assert "hush" not in log
    assert token not in log
