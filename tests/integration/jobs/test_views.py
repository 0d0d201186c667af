"""What the gateway keeps of the streams: the projection, the hub and the sweeper, on a real nats-server."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from harmonia.job.v1 import job_pb2 as pb
from harmonia_chassis import jobs as story
from harmonia_chassis.errors import InvalidInput, NotFound
from harmonia_chassis.job_stream import JobStream, Stored
from harmonia_chassis.telemetry import Metrics
from harmonia_gateway.hub import Hub, Token, WatchEvent
from harmonia_gateway.projection import Projection
from harmonia_gateway.sweeper import Sweeper
from tests.real_nats import RealNats

Connect = Callable[[str], Awaitable[JobStream]]
NewJob = Callable[..., pb.Job]
LEASE = timedelta(seconds=0.2)


def now() -> datetime:
    return datetime.now(UTC)


@asynccontextmanager
async def views(jobs: JobStream, folder: Path) -> AsyncIterator[tuple[Projection, Hub]]:
    hub = Hub(jobs)
    projection = Projection(folder, jobs, on_change=hub.publish, metrics=Metrics())
    ready = [asyncio.Event(), asyncio.Event()]
    async with asyncio.TaskGroup() as group:
        running = [group.create_task(projection.run(ready[0].set)), group.create_task(hub.run(ready[1].set))]
        for event in ready:
            await asyncio.wait_for(event.wait(), 60)
        yield projection, hub
        for task in running:
            task.cancel()
    projection.close()


async def write_over(jobs: JobStream, job: pb.Job, outcome: story.Outcome) -> Stored:
    changed = await jobs.change(job.tenant, job.id, lambda _current: outcome, now=now)
    assert changed
    return changed


def mine(projection: Projection, *, deleted: bool = False) -> list[str]:
    rows, _total = projection.songs(
        tenant="t1", owner="o", where="", params=(), order_by="create_time", limit=100, offset=0, deleted=deleted
    )
    return [row.job.id for row in rows]


async def test_the_projection_knows_the_newest_of_each_job(gateway: JobStream, new_job: NewJob, tmp_path: Path) -> None:
    before = await gateway.create(new_job())
    async with views(gateway, tmp_path) as (projection, _hub):
        live = await gateway.create(new_job())
        cancelled = await write_over(gateway, live.job, story.Cancel())
        assert await projection.wait_for(cancelled.seq, 60)

        assert set(mine(projection)) == {before.job.id, live.job.id}
        assert projection.unfinished("t1", batch=False) == 1
        assert [row.job.state for row in projection.in_states([pb.Job.CANCELLED])] == [pb.Job.CANCELLED]


async def test_queue_positions_count_what_is_ahead_in_the_lane(
    gateway: JobStream, new_job: NewJob, tmp_path: Path
) -> None:
    stored = [await gateway.create(new_job()) for _ in range(3)]
    async with views(gateway, tmp_path) as (projection, _hub):
        assert await projection.wait_for(stored[-1].seq, 60)

        assert [projection.queue_position(one.job) for one in stored] == [1, 2, 3]


async def test_a_projection_that_slept_catches_up_and_one_of_another_stream_starts_over(
    real_nats: RealNats, gateway: JobStream, new_job: NewJob, tmp_path: Path
) -> None:
    first = await gateway.create(new_job())
    async with views(gateway, tmp_path) as (projection, _hub):
        assert await projection.wait_for(first.seq, 60)
    second = await gateway.create(new_job())
    async with views(gateway, tmp_path) as (projection, _hub):
        assert mine(projection) == [first.job.id, second.job.id]

    await gateway.js.delete_stream("HM_JOBS")
    await gateway.declare(lease=LEASE, max_bytes=1 << 20)
    async with views(gateway, tmp_path) as (projection, _hub):
        assert mine(projection) == []
    del real_nats


async def collect(events: AsyncIterator[WatchEvent]) -> list[WatchEvent]:
    return [event async for event in events]


async def test_a_watcher_sees_every_record_once_and_resumes_behind_its_token(
    gateway: JobStream, new_job: NewJob, tmp_path: Path
) -> None:
    stored = await gateway.create(new_job())
    async with views(gateway, tmp_path) as (_projection, hub):
        watching = asyncio.create_task(collect(hub.watch("t1", stored.job.id, "")))
        await write_over(gateway, stored.job, story.Claim(stored.seq, "w"))
        await write_over(gateway, stored.job, story.Cancel())
        await write_over(gateway, stored.job, story.Stopped())
        events = await asyncio.wait_for(watching, 60)
        resumed = await collect(hub.watch("t1", stored.job.id, str(events[1].token)))
        foreign = await collect(hub.watch("t1", stored.job.id, str(Token(seq=10**6))))

    states = [event.what.job.state for event in events if isinstance(event.what, Stored)]
    assert states == [pb.Job.QUEUED, pb.Job.RUNNING, pb.Job.CANCELLING, pb.Job.CANCELLED]
    assert [event.what for event in resumed] == [event.what for event in events[2:]]
    assert [(event.what, event.resync) for event in foreign] == [(events[-1].what, True)]


async def test_watching_nothing_and_with_nonsense_is_refused(gateway: JobStream, tmp_path: Path) -> None:
    async with views(gateway, tmp_path) as (_projection, hub):
        with pytest.raises(NotFound, match="no song"):
            await collect(hub.watch("t1", "0" * 32, ""))
        with pytest.raises(InvalidInput, match="resume_token"):
            await collect(hub.watch("t1", "0" * 32, "yesterday"))


async def test_progress_is_heard_again_after_the_server_was_killed(
    real_nats: RealNats, gateway: JobStream, new_job: NewJob, tmp_path: Path
) -> None:
    job = new_job()
    async with views(gateway, tmp_path) as (_projection, hub):
        await real_nats.kill()
        await real_nats.start_again()
        async with asyncio.timeout(60):
            while (heard := hub.progress(job.id)) is None:
                await gateway.send_progress("t1", job.id, pb.Progress(epoch=1, n=1))
                await asyncio.sleep(0.05)

    assert (heard.epoch, heard.n) == (1, 1)


async def test_the_sweeper_queues_again_what_nobody_holds_and_leaves_what_is_held(
    gateway: JobStream, connect: Connect, new_job: NewJob, tmp_path: Path
) -> None:
    holder = await connect("lyricist")
    dead, live = await gateway.create(new_job()), await gateway.create(new_job())
    for stored in (dead, live):
        await write_over(gateway, stored.job, story.Claim(stored.seq, "w"))
    cancelling = await gateway.create(new_job())
    await write_over(gateway, cancelling.job, story.Claim(cancelling.seq, "w"))
    await write_over(gateway, cancelling.job, story.Cancel())
    late = new_job()
    late.deadline.FromDatetime(now() - timedelta(seconds=1))
    expired = await gateway.create(late)

    async with views(gateway, tmp_path) as (projection, _hub):
        sweeper = Sweeper(gateway, projection, metrics=Metrics(), lease=LEASE, every=timedelta(hours=1))
        await asyncio.sleep(3 * LEASE.total_seconds() + 0.05)
        held = await gateway.read("t1", live.job.id)
        assert held
        await holder.send_heartbeat(held.job, "w", now())
        await holder.connection.nc.flush()
        assert await projection.wait_for(expired.seq, 60)
        await sweeper.sweep()

    after = [await gateway.read("t1", one.job.id) for one in (dead, live, cancelling, expired)]
    assert [(one.job.state, one.job.why) for one in after if one] == [
        (pb.Job.QUEUED, pb.Job.SWEPT),
        (pb.Job.RUNNING, pb.Job.CLAIM),
        (pb.Job.CANCELLED, pb.Job.STOPPED),
        (pb.Job.EXPIRED, pb.Job.DEADLINE),
    ]


async def test_deleted_songs_are_purged_and_their_tombstones_removed(
    gateway: JobStream, new_job: NewJob, tmp_path: Path
) -> None:
    stored = await gateway.create(new_job())
    await write_over(gateway, stored.job, story.Delete())
    async with views(gateway, tmp_path) as (projection, _hub):
        at_once = timedelta(0)
        sweeper = Sweeper(
            gateway,
            projection,
            metrics=Metrics(),
            lease=LEASE,
            every=timedelta(hours=1),
            deleted_kept=at_once,
            tombstone_kept=timedelta(seconds=0.5),
        )
        await sweeper.sweep()
        purged = await gateway.read("t1", stored.job.id)
        assert purged
        assert await projection.wait_for(purged.seq, 60)
        await sweeper.sweep()
        tombstone = await gateway.history("t1", stored.job.id)
        await asyncio.sleep(0.55)
        await sweeper.sweep()

        assert [one.job.state for one in tombstone] == [pb.Job.PURGED]
        assert await gateway.read("t1", stored.job.id) is None
        assert mine(projection, deleted=True) == []
