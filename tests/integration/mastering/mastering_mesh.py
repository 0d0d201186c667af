"""A mesh of one real mastering process, for tests."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from harmonia.mastering.v1 import mastering_pb2_grpc as rpc
from harmonia.store.v1 import store_pb2_grpc
from harmonia_chassis.job_stream import JobStream
from harmonia_chassis.nats_connection import Connection
from harmonia_chassis.node import Node
from harmonia_chassis.settings import ServiceSettings
from harmonia_chassis.store import StoreClient
from tests.integration.chassis.small_mesh import Authority, Mesh, Shelf
from tests.real_nats import RealNats

RATE_HZ = 48_000
LEASE = timedelta(seconds=2)


@dataclass
class MasteringMesh:
    """A gateway that gives tokens, a shelf of artifacts, a real nats-server and a real mastering process."""

    mesh: Mesh
    jobs: JobStream
    gateway: Node[ServiceSettings]
    process: asyncio.subprocess.Process

    @property
    def store(self) -> StoreClient:
        return StoreClient(self.gateway.channel("artifacts"))

    @property
    def stub(self) -> "rpc.MasteringServiceAsyncStub":
        return rpc.MasteringServiceStub(self.gateway.channel("mastering"))


@pytest.fixture
async def mastering(tmp_path: Path) -> AsyncIterator[MasteringMesh]:
    nats = await RealNats.start_in(tmp_path)
    mesh = Mesh(Authority(tmp_path / "unused"))

    def own(service: str) -> dict[str, Any]:
        pki = tmp_path / "pki"
        files = {"tls_cert": pki / f"{service}.pem", "tls_key": pki / f"{service}.key.pem", "tls_ca": pki / "ca.pem"}
        return files | {"nats_url": nats.server.url}

    async def shelve(node: Node[ServiceSettings]) -> None:
        node.serve(store_pb2_grpc.add_StoreServiceServicer_to_server, Shelf())  # type: ignore[abstract]  # the calls it lacks answer UNIMPLEMENTED

    async with AsyncExitStack() as stack:
        stack.push_async_callback(nats.kill)
        stack.push_async_callback(mesh.stop)
        connection = Connection("gateway", nats.credentials("gateway"))
        await connection.open(nats.server.url)
        stack.push_async_callback(connection.close)
        jobs = JobStream(connection)
        await jobs.declare(lease=LEASE, max_bytes=64 << 20)
        await mesh.start_gateway(**own("gateway"))
        await mesh.start("artifacts", shelve, **own("artifacts"))
        process, ready = await start_process(mesh.settings("mastering", **own("mastering")), tmp_path)
        stack.push_async_callback(end, process)
        mesh.at["mastering"] = ready["grpc"]

        # The addresses are known now: the gateway as a client of all of them.
        async def nothing(node: Node[ServiceSettings]) -> None:
            node.sign_with(mesh.signer)

        gateway = await mesh.start("gateway", nothing, **own("gateway"))
        yield MasteringMesh(mesh, jobs, gateway, process)


async def start_process(settings: ServiceSettings, folder: Path) -> tuple[asyncio.subprocess.Process, dict[str, Any]]:
    ready = folder / "mastering.ready"
    given = {name: value for name, value in settings.model_dump(mode="json").items() if value is not None}
    given |= {"lease_s": LEASE.total_seconds(), "drain_grace_s": 3, "ready_file": str(ready)}
    del given["lease"], given["drain_grace"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HARMONIA_")}
    environment |= {f"HARMONIA_{name.upper()}": str(value) for name, value in given.items()}
    with (folder / "mastering.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "harmonia_mastering", env=environment, stdout=log, stderr=log
        )
    async with asyncio.timeout(60):
        while not ready.exists():
            assert process.returncode is None, (folder / "mastering.log").read_text()[-3000:]
            await asyncio.sleep(0.05)
    return process, json.loads(ready.read_text())


async def end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(60):
        await process.wait()
