"""A real nats-server with the accounts and permissions of the mesh, and connections as each service has them."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from harmonia.job.v1 import job_pb2 as pb
from harmonia_chassis.job_stream import JobStream
from harmonia_chassis.nats_connection import Connection
from tests.real_nats import RealNats

LEASE = timedelta(seconds=1)


@pytest.fixture
async def real_nats(tmp_path: Path) -> AsyncIterator[RealNats]:
    real = await RealNats.start_in(tmp_path)
    yield real
    await real.kill()


Connect = Callable[[str], Awaitable[JobStream]]


@pytest.fixture
async def connect(real_nats: RealNats) -> AsyncIterator[Connect]:
    async with AsyncExitStack() as stack:

        async def connect_as(service: str) -> JobStream:
            connection = Connection(service, real_nats.credentials(service))
            await connection.open(real_nats.server.url)
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
