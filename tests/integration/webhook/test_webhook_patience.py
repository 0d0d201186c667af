"""A receiver that is down for a minute and then comes back, by a clock that needs no minute."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path

import pytest

from harmonia.job.v1 import job_pb2
from harmonia_chassis.entities import Entities
from harmonia_chassis.job_stream import JobStream, Stored
from harmonia_chassis.nats_connection import Connection
from harmonia_gateway.outside import Outside
from harmonia_gateway.projection import Projection
from harmonia_gateway.webhooks import Delivery, Webhook, Webhooks
from tests.real_nats import RealNats
from tests.receiver import Receiver, make_certificate, receiving

pytestmark = pytest.mark.timeout(120)

LONG_S = 60
START = datetime(2026, 11, 21, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.now = START.timestamp()

    def __call__(self) -> float:
        return self.now


class OneSong(Projection):
    """One song of alice's, which ended right after the start. Counts how often it is looked at."""

    def __init__(self) -> None:
        job = job_pb2.Job(id="0" * 32, tenant="acme", owner="alice", kind="song", state=job_pb2.Job.SUCCEEDED)
        job.create_time.FromDatetime(START)
        job.update_time.FromDatetime(START + timedelta(seconds=1))
        self._song = Stored(7, job)
        self.looks = 0

    def ended_since(self, tenant: str, owner: str, since: float) -> list[Stored]:
        self.looks += 1
        return [self._song] if self._song.job.update_time.ToSeconds() > since else []

    def one(self, tenant: str, job_id: str) -> Stored | None:
        return self._song


@asynccontextmanager
async def entities_in(folder: Path) -> AsyncIterator[Entities]:
    nats = await RealNats.start_in(folder)
    connection = Connection("gateway", nats.credentials("gateway"))
    await connection.open(nats.server.url)
    jobs = JobStream(connection)
    await jobs.declare(lease=timedelta(seconds=1), max_bytes=64 << 20)
    try:
        yield Entities(jobs)
    finally:
        await connection.close()
        await nats.kill()


async def tried(webhooks: Webhooks, webhook: Webhook, *, at: float) -> Delivery:
    """The one delivery, once what came of the try at that time is kept."""
    async with asyncio.timeout(LONG_S):
        while True:
            for delivery in await webhooks.deliveries(webhook):
                if delivery.last_time == at:
                    return delivery
            await asyncio.sleep(0.02)


async def looked(song: OneSong, times: int) -> None:
    until = song.looks + times
    async with asyncio.timeout(LONG_S):
        while song.looks < until:
            await asyncio.sleep(0.02)


async def test_a_receiver_that_is_down_for_a_minute_gets_its_event_once_when_it_returns(tmp_path: Path) -> None:
    certificate, clock, song = tmp_path / "receiver.pem", Clock(), OneSong()
    make_certificate(certificate)
    async with receiving(Receiver(), certificate) as receiver:
        pass  # its port is known, and nobody listens
    outside = Outside((ip_network("127.0.0.0/8"),), authorities=certificate.read_text())
    async with entities_in(tmp_path) as entities, asyncio.TaskGroup() as tasks:
        webhooks = Webhooks(entities, song, outside, now=clock, chance=lambda: 0.5)
        webhook = await webhooks.create("acme", "alice", f"https://127.0.0.1:{receiver.port}/end")
        clock.now += 1
        running = tasks.create_task(webhooks.run(lambda: None))
        began, tries = clock.now, []
        while clock.now - began < 60:
            failed = await tried(webhooks, webhook, at=clock.now)
            tries.append(failed.outcome)
            assert failed.next_time is not None
            clock.now = failed.next_time
        async with receiving(receiver, certificate):
            delivered = await tried(webhooks, webhook, at=clock.now)
            for hours in (1, 12, 24):
                clock.now += hours * 3600
                await looked(song, 2)
        running.cancel()
    await outside.aclose()
    waited_s = delivered.last_time - began if delivered.last_time else 0.0

    assert tries == ["no connection: ConnectError"] * 5
    assert waited_s == pytest.approx((2 + 4 + 8 + 16 + 32) * 1.125)
    assert (delivered.state, delivered.outcome, delivered.attempts) == ("DELIVERED", "204", 6)
    assert [headers["harmonia-delivery"] for headers, _ in receiver.received] == [delivered.id]
