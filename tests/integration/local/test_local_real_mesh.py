"""The mesh with its five real services: up, found, killed here and there, and gone without a trace."""

import asyncio
import json
import os
import signal
import sys
import time
import urllib.request
from pathlib import Path

import grpc
import psutil
import pytest

from harmonia_local.certificates import SERVICES
from harmonia_local.mesh import find_mesh, running_mesh
from harmonia_local.mesh_info import MeshInfo, from_json
from tests.processes import LONG_S, all_gone, group_of

pytestmark = pytest.mark.timeout(300)


async def public_door_answers(info: MeshInfo) -> None:
    """TLS with the home's CA, as any client would."""
    credentials = grpc.ssl_channel_credentials(Path(info.ca).read_bytes())
    async with grpc.aio.secure_channel(info.grpc, credentials) as channel:
        async with asyncio.timeout(LONG_S):
            await channel.channel_ready()


def metrics_of(url: str) -> str:
    with urllib.request.urlopen(url, timeout=LONG_S) as answer:
        text: str = answer.read().decode()
        return text


async def start_up(home: Path) -> asyncio.subprocess.Process:
    command = [str(Path(sys.executable).parent / "harmonia"), "up", "--home", str(home), "--json"]
    return await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)


async def mesh_json_of(process: asyncio.subprocess.Process) -> MeshInfo:
    assert process.stdout
    async with asyncio.timeout(LONG_S):
        return from_json((await process.stdout.readline()).decode())


async def test_all_five_services_become_ready_and_answer_at_their_doors(tmp_path: Path) -> None:
    async with running_mesh(tmp_path) as mesh:
        await public_door_answers(mesh.info)
        for service in mesh.info.services:
            assert psutil.pid_exists(service.pid)
            assert "harmonia_ready" in await asyncio.to_thread(metrics_of, service.metrics)
        members = group_of(mesh.info.service("composer").pid)

    assert len(members) >= 7  # five services, nats-server and the guard; and the encoders
    await all_gone(members)


async def test_every_process_may_be_killed_and_comes_back_at_its_door(tmp_path: Path) -> None:
    async with running_mesh(tmp_path, say=lambda _: None) as mesh:
        before = mesh.info
        for name in [*SERVICES, "nats"]:
            await mesh.kill(name)
        for name in [*SERVICES, "nats"]:
            await mesh.ready(name)
        after = find_mesh(tmp_path)

        assert after is not None
        assert {service.pid for service in after.services}.isdisjoint({service.pid for service in before.services})
        assert [service.grpc for service in after.services] == [service.grpc for service in before.services]
        await public_door_answers(after)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_harmonia_up_drains_and_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    process = await start_up(tmp_path)
    info = await mesh_json_of(process)
    members = psutil.Process(process.pid).children(recursive=True)
    began = time.monotonic()
    process.send_signal(number)
    await process.communicate()
    logs = {service.name: last_event(Path(service.log)) for service in info.services}

    assert process.returncode == 0
    assert time.monotonic() - began < LONG_S
    await all_gone(members)
    assert logs == dict.fromkeys(logs.keys() | SERVICES, "stopped")


def last_event(log: Path) -> str:
    event: str = json.loads(log.read_text().splitlines()[-1])["event"]
    return event


async def test_a_killed_harmonia_up_leaves_nothing_and_the_home_starts_again(tmp_path: Path) -> None:
    process = await start_up(tmp_path)
    await mesh_json_of(process)
    members = psutil.Process(process.pid).children(recursive=True)
    os.kill(process.pid, signal.SIGKILL)
    await process.communicate()

    async with running_mesh(tmp_path) as mesh:
        await all_gone(members)
        await public_door_answers(mesh.info)
