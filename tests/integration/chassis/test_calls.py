"""What a call takes along to the next service, and what is done again."""

import asyncio
import urllib.request
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from harmonia.store.v1 import store_pb2 as pb
from harmonia.store.v1 import store_pb2_grpc as rpc
from harmonia_chassis import telemetry
from harmonia_chassis.access import current_request_id
from harmonia_chassis.errors import Conflict, DeadlineExceeded, Reason, Unavailable
from harmonia_chassis.interceptors import deadline_in, time_remaining_s
from harmonia_chassis.status import rpc_errors
from tests.integration.chassis.small_mesh import Mesh, Shelf, until


async def stat(mesh: Mesh, stub: "rpc.StoreServiceAsyncStub", timeout_s: float | None = None) -> None:
    with rpc_errors():
        await stub.Stat(pb.StatRequest(), metadata=(("hm-grant", mesh.grant()),), timeout=timeout_s)


async def start(mesh: Mesh) -> tuple[Shelf, "rpc.StoreServiceAsyncStub"]:
    shelf = await mesh.start_shelf()
    return shelf, rpc.StoreServiceStub((await mesh.client("composer")).channel("artifacts"))


async def observed(shelf: Shelf, call: Callable[[], Any], observe: Callable[[], Any]) -> Any:
    """What the servicer sees during the call."""
    seen = []

    async def look(_context: Any) -> None:
        seen.append(observe())

    shelf.behave = look
    await call()
    return seen[0]


async def test_a_call_made_while_serving_one_ends_no_later_than_it(mesh: Mesh) -> None:
    shelf, stub = await start(mesh)

    with deadline_in(timedelta(seconds=25)):
        remaining = await observed(shelf, lambda: stat(mesh, stub), time_remaining_s)
        explicit = await observed(shelf, lambda: stat(mesh, stub, 100), time_remaining_s)
        sooner = await observed(shelf, lambda: stat(mesh, stub, 10), time_remaining_s)

    # The wire rounds a deadline up by at most a hundredth.
    assert 10 < remaining <= 25.25
    assert 10 < explicit <= 25.25
    assert 0 < sooner <= 10.1


async def test_a_unary_call_without_any_deadline_gets_thirty_seconds(mesh: Mesh) -> None:
    shelf, stub = await start(mesh)

    assert 20 < await observed(shelf, lambda: stat(mesh, stub), time_remaining_s) <= 30.3


async def test_the_deadline_reaches_the_third_service(mesh: Mesh) -> None:
    shelf, stub = await start(mesh)
    inner = rpc.StoreServiceStub((await mesh.client("mastering")).channel("artifacts"))
    seen: list[float | None] = []

    async def call_on(_context: Any) -> None:
        if not seen:
            seen.append(time_remaining_s())
            await stat(mesh, inner)
        seen.append(time_remaining_s())

    shelf.behave = call_on
    await stat(mesh, stub, 20)

    assert len(seen) == 3
    assert all(5 < (remaining or 0) <= 20.2 for remaining in seen)


async def test_a_call_with_no_time_left_is_not_made(mesh: Mesh) -> None:
    shelf, stub = await start(mesh)
    await stat(mesh, stub)
    made = len(shelf.callers)

    with pytest.raises(DeadlineExceeded), deadline_in(timedelta(seconds=-1)):
        await stat(mesh, stub)

    assert len(shelf.callers) == made


async def test_trace_and_request_id_go_along(mesh: Mesh) -> None:
    shelf, stub = await start(mesh)

    with telemetry.span("test", parent="00-" + "ab" * 16 + "-" + "cd" * 8 + "-01"):
        trace = await observed(shelf, lambda: stat(mesh, stub), telemetry.trace_id)
    request_id = await observed(shelf, lambda: stat(mesh, stub), current_request_id)

    assert trace == "ab" * 16
    assert len(request_id) == 32


async def test_what_fails_unavailable_before_its_first_byte_is_tried_again_and_nothing_else(mesh: Mesh) -> None:
    """On the token service: the store's calls are StoreClient's to retry."""
    shelf, stub = await start(mesh)

    async def starting(_context: Any) -> None:
        raise Unavailable("starting", reason=Reason.NOT_READY)

    async def conflict(_context: Any) -> None:
        raise Conflict("taken", reason=Reason.ETAG_MISMATCH)

    shelf.behave = starting
    with pytest.raises(Unavailable, match="starting"):
        await stat(mesh, stub)
    assert len(shelf.callers) == 1

    mesh.tokens.behave = starting
    lyricist = await mesh.client("lyricist")
    with pytest.raises(Unavailable, match="starting"):
        await stat(mesh, rpc.StoreServiceStub(lyricist.channel("artifacts")))
    assert mesh.tokens.exchanges >= 1 + 4

    before = mesh.tokens.exchanges
    mesh.tokens.behave = conflict
    with pytest.raises(Conflict, match="taken"):
        await stat(mesh, rpc.StoreServiceStub((await mesh.client("mastering")).channel("artifacts")))
    assert mesh.tokens.exchanges >= before + 1


async def test_a_stream_that_is_left_stops_at_the_server(mesh: Mesh) -> None:
    shelf, stub = await start(mesh)
    ended = asyncio.Event()

    async def hang(_context: Any) -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            ended.set()

    shelf.behave = hang
    call = stub.Get(pb.GetRequest(), metadata=(("hm-grant", mesh.grant()),))
    async with asyncio.TaskGroup() as tasks:
        reading = tasks.create_task(_first(call))
        await until(lambda: bool(shelf.callers))
        reading.cancel()

    async with asyncio.timeout(60):
        await ended.wait()


async def _first(call: Any) -> None:
    try:
        async for _ in call:
            return
    finally:
        call.cancel()


async def test_the_metrics_of_a_process_are_served_over_http(mesh: Mesh) -> None:
    await mesh.start_shelf()
    composer = await mesh.client("composer")
    await stat(mesh, rpc.StoreServiceStub(composer.channel("artifacts")))

    def read() -> str:
        with urllib.request.urlopen(f"http://{composer.at['metrics']}/metrics", timeout=60) as answer:
            return str(answer.read().decode())

    text = await asyncio.to_thread(read)
    call = 'rpc_method="harmonia.store.v1.StoreService/Stat",rpc_response_status_code="OK"'
    assert f"rpc_client_call_duration_seconds_count{{{call}}} 1.0" in text
    assert "harmonia_ready 1.0" in text
    assert "harmonia_certificate_expiry_timestamp_seconds 1." in text
