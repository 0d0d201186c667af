"""A node that is told to go: nothing new, streams told, work finished, and out in time."""

import asyncio
import json
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from harmonia.store.v1 import store_pb2 as pb
from harmonia.store.v1 import store_pb2_grpc as rpc
from harmonia_chassis.errors import Reason, Unavailable
from harmonia_chassis.node import Node
from harmonia_chassis.settings import ServiceSettings, variables
from harmonia_chassis.status import rpc_errors
from tests.integration.chassis.small_mesh import Mesh, Shelf, until


async def health(address: str, name: str) -> str:
    async with grpc.aio.insecure_channel(address) as channel:
        answer = await health_pb2_grpc.HealthStub(channel).Check(
            health_pb2.HealthCheckRequest(service=name), timeout=60, wait_for_ready=True
        )
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))


async def serve_shelf(mesh: Mesh, shelf: Shelf, **changes: object) -> Node[ServiceSettings]:
    async def start(node: Node[ServiceSettings]) -> None:
        node.serve(rpc.add_StoreServiceServicer_to_server, shelf)

    await mesh.start_gateway()
    return await mesh.start("artifacts", start, **changes)


async def test_a_silent_stream_is_told_to_resume_elsewhere_and_a_working_call_ends_by_itself(mesh: Mesh) -> None:
    shelf = Shelf()  # type: ignore[abstract]  # the calls it lacks answer UNIMPLEMENTED
    artifacts = await serve_shelf(mesh, shelf, drain_grace=120)
    stub = rpc.StoreServiceStub((await mesh.client("composer")).channel("artifacts"))
    finish = asyncio.Event()
    methods: list[str] = []

    async def wait(_context: Any) -> None:
        methods.append("")
        await (finish.wait() if len(methods) == 1 else asyncio.sleep(3600))

    shelf.behave = wait
    metadata = (("hm-grant", mesh.grant()),)
    working = stub.Stat(pb.StatRequest(), metadata=metadata)
    await until(lambda: len(methods) == 1)
    watching = stub.Get(pb.GetRequest(), metadata=metadata)
    silent = asyncio.ensure_future(watching.read())
    await until(lambda: len(methods) == 2)

    began = time.monotonic()
    artifacts.draining.set()
    with pytest.raises(Unavailable, match="resume") as raised, rpc_errors():
        await silent
    assert raised.value.reason is Reason.RESTARTING
    assert time.monotonic() - began < 60  # half of the grace is for streams that are busy

    finish.set()
    assert await working == pb.StatResponse()


async def test_a_busy_stream_has_half_of_the_grace(mesh: Mesh) -> None:
    shelf = Shelf()  # type: ignore[abstract]  # the calls it lacks answer UNIMPLEMENTED
    artifacts = await serve_shelf(mesh, shelf, drain_grace=2)
    stub = rpc.StoreServiceStub((await mesh.client("composer")).channel("artifacts"))

    shelf.kept["endless"] = b"x" * (400 * 256 * 1024)
    shelf.pause_s = 0.05
    call = stub.Get(pb.GetRequest(sha256="endless"), metadata=(("hm-grant", mesh.grant()),))
    await call.read()
    began = time.monotonic()
    artifacts.draining.set()

    with pytest.raises(Unavailable, match="resume"), rpc_errors():
        async for _ in call:
            pass

    assert time.monotonic() - began > 0.8


async def test_live_and_ready_are_told_apart_at_start_and_at_the_end(mesh: Mesh) -> None:
    go_on, leave = asyncio.Event(), asyncio.Event()
    seen: dict[str, str] = {}

    async def work(ready: Callable[[], None], node: Node[ServiceSettings]) -> None:
        seen["starting"] = await health(node.at["health"], "ready") + " " + await health(node.at["health"], "live")
        ready()
        await node.draining.wait()
        seen["draining"] = await health(node.at["health"], "") + " " + await health(node.at["health"], "live")
        leave.set()

    async def start(node: Node[ServiceSettings]) -> None:
        node.background("work", lambda ready: work(ready, node), drains=True)

    await mesh.start_gateway()
    node = await mesh.start("composer", start)
    seen["running"] = await health(node.at["health"], "ready") + " " + await health(node.at["health"], "")
    go_on.set()
    node.draining.set()
    await leave.wait()

    assert seen == {
        "starting": "NOT_SERVING SERVING",
        "running": "SERVING SERVING",
        "draining": "NOT_SERVING SERVING",
    }


async def test_work_that_does_not_end_is_cancelled_when_the_grace_is_over(mesh: Mesh) -> None:
    ended: list[float] = []

    async def deaf(ready: Callable[[], None]) -> None:
        ready()
        try:
            await asyncio.sleep(3600)
        finally:
            ended.append(time.monotonic())

    async def start(node: Node[ServiceSettings]) -> None:
        node.background("deaf", deaf, drains=True)

    await mesh.start_gateway()
    node = await mesh.start("composer", start, drain_grace=1)
    began = time.monotonic()
    node.draining.set()
    await mesh.stop()

    assert 0.9 < ended[0] - began < 60


async def test_a_background_task_that_fails_takes_the_node_down(mesh: Mesh) -> None:
    async def breaks(ready: Callable[[], None]) -> None:
        ready()
        raise RuntimeError("the stream is gone")

    async def start(node: Node[ServiceSettings]) -> None:
        node.background("breaks", breaks)

    with pytest.RaisesGroup(pytest.RaisesExc(RuntimeError, match="the stream is gone")):
        await Node("composer", mesh.settings("composer")).live(start)


MAIN = """
import asyncio, sys
from harmonia_chassis.node import run_service
from harmonia_chassis.settings import ServiceSettings

async def start(node):
    async def work(ready):
        if "hang" in sys.argv:
            await asyncio.sleep(3600)
        ready()
        if "fail" in sys.argv:
            raise RuntimeError("broken")
        await node.draining.wait()
    if "stuck" in sys.argv:
        await asyncio.sleep(3600)
    node.background("work", work, drains=True)

run_service("composer", ServiceSettings, start, [])
"""


class Process:
    def __init__(self, process: asyncio.subprocess.Process, ready_file: Path) -> None:
        self.process = process
        self.ready_file = ready_file

    async def end(self) -> tuple[int, str]:
        async with asyncio.timeout(60):
            _, errors = await self.process.communicate()
        return self.process.returncode or 0, errors.decode()


Spawn = Callable[..., Awaitable[Process]]


@pytest.fixture
def spawn(mesh: Mesh, tmp_path: Path) -> Spawn:
    async def start(*arguments: str) -> Process:
        settings = mesh.settings("composer", ready_file=tmp_path / "composer.ready")
        names = variables(ServiceSettings)
        given = {names[name]: str(value) for name, value in settings.model_dump(exclude_none=True).items()}
        given |= {"HARMONIA_LEASE_S": "10", "HARMONIA_DRAIN_GRACE_S": "2"}
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", MAIN, *arguments, env=given, stderr=asyncio.subprocess.PIPE
        )
        return Process(process, tmp_path / "composer.ready")

    return start


async def test_a_process_reports_its_ports_and_sigterm_ends_it_with_0(mesh: Mesh, spawn: Spawn) -> None:
    await mesh.start_gateway()
    service = await spawn()
    await until(service.ready_file.exists)
    report = json.loads(service.ready_file.read_text())

    assert set(report) == {"service", "instance", "pid", "public", "grpc", "health", "metrics", "ready_s"}
    assert (report["service"], report["pid"], report["public"]) == ("composer", service.process.pid, None)
    assert await health(report["health"], "ready") == "SERVING"
    assert service.ready_file.stat().st_mode & 0o077 == 0

    service.process.send_signal(signal.SIGTERM)
    code, log = await service.end()

    assert code == 0
    assert not service.ready_file.exists()
    lines = [json.loads(line) for line in log.splitlines()]
    assert [line["event"] for line in lines] == ["ready", "draining", "stopped"]
    assert {line["service"] for line in lines} == {"composer"}


@pytest.mark.parametrize("where", ["hang", "stuck"])
async def test_sigterm_during_a_start_that_does_not_end_still_ends_the_process(spawn: Spawn, where: str) -> None:
    service = await spawn(where)
    await asyncio.sleep(0)
    await until(lambda: _handles_sigterm(service.process.pid))

    service.process.send_signal(signal.SIGTERM)

    assert (await service.end())[0] == 0


def _handles_sigterm(pid: int) -> bool:
    """SigCgt of /proc/pid/status has the bit of SIGTERM."""
    status = Path(f"/proc/{pid}/status").read_text()
    caught = int(status.partition("SigCgt:\t")[2].partition("\n")[0], 16)
    return bool(caught >> (signal.SIGTERM - 1) & 1)


async def test_a_process_whose_work_fails_exits_1_and_says_why_in_its_log(spawn: Spawn) -> None:
    code, log = await (await spawn("fail")).end()

    assert code == 1
    assert "RuntimeError: broken" in log
    assert all(line.startswith("{") for line in log.splitlines())
