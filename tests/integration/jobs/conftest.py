"""A real nats-server with the accounts and permissions of the mesh, and connections as each service has them."""

import asyncio
import os
import socket
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from harmonia.job.v1 import job_pb2 as pb
from harmonia_chassis.job_stream import JobStream
from harmonia_chassis.lanes import accounts
from harmonia_chassis.nats_connection import Connection, Credentials
from harmonia_local.certificates import issue_stale, open_authority
from harmonia_local.nats_server import NatsServer, configuration, find_binary
from harmonia_local.ports import LOOPBACK

LEASE = timedelta(seconds=1)
TRUST_DOMAIN = "harmonia.local"


@dataclass
class RealNats:
    folder: Path
    server: NatsServer
    process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        with (self.folder / "nats.log").open("ab") as log:
            self.process = subprocess.Popen(self.server.argv, stdout=log, stderr=log)
        async with asyncio.timeout(20):
            while not await self.server.is_reached():
                await asyncio.sleep(0.02)

    def kill(self) -> None:
        assert self.process
        self.process.kill()
        self.process.wait()

    def credentials(self, service: str) -> Credentials:
        pki = self.folder / "pki"
        return Credentials(pki / f"{service}.pem", pki / f"{service}.key.pem", pki / "ca.pem")


def _free_port() -> int:
    with socket.create_server((LOOPBACK, 0)) as probe:
        return int(probe.getsockname()[1])


@pytest.fixture
async def nats(tmp_path: Path) -> AsyncIterator[RealNats]:
    (tmp_path / "pki").mkdir()
    now = datetime.now(UTC)
    authority = open_authority(tmp_path / "pki", now)
    issue_stale(authority, tmp_path / "pki", trust_domain=TRUST_DOMAIN, now=now, keep_keys=False)
    server = NatsServer(find_binary(), tmp_path / "nats.conf", _free_port(), _free_port())
    body = configuration(server, store=tmp_path / "js", pki=tmp_path / "pki", accounts=accounts(TRUST_DOMAIN))
    server.config.write_bytes(body)
    real = RealNats(tmp_path, server)
    await real.start()
    yield real
    real.kill()


Connect = Callable[[str], Awaitable[JobStream]]


@pytest.fixture
async def connect(nats: RealNats) -> AsyncIterator[Connect]:
    async with AsyncExitStack() as stack:

        async def connect_as(service: str) -> JobStream:
            connection = Connection(service, nats.credentials(service))
            await connection.open(nats.server.url)
            stack.push_async_callback(connection.close)
            return JobStream(connection)

        yield connect_as


@pytest.fixture
async def gateway(connect: Connect) -> JobStream:
    """The gateway's stream, declared."""
    jobs = await connect("gateway")
    await jobs.declare(lease=LEASE, max_bytes=64 << 20)
    return jobs


@pytest.fixture
def new_job() -> Callable[..., pb.Job]:
    def make(tenant: str = "t1") -> pb.Job:
        job = pb.Job(id=os.urandom(16).hex(), tenant=tenant, owner="o", kind="song", state=pb.Job.QUEUED, drive=1)
        for name, lane in (("write", "write"), ("compose", "compose-arranger"), ("master", "master")):
            job.stages.add(name=name, lane=lane, state=pb.Job.QUEUED)
        now = datetime.now(UTC)
        job.create_time.FromDatetime(now)
        job.update_time.FromDatetime(now)
        job.stages[0].queue_time.FromDatetime(now)
        job.deadline.FromDatetime(now + timedelta(hours=1))
        return job

    return make
