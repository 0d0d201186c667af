"""The worker's protocol on a real nats-server: one holder, one end, whatever happens in between."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from harmonia.job.v1 import job_pb2 as pb
from harmonia.lyricist.v1 import lyricist_pb2
from harmonia.type.v1 import type_pb2
from harmonia_chassis import jobs as story
from harmonia_chassis.errors import InvalidInput, Reason, Unavailable
from harmonia_chassis.job_stream import JobStream, Stored
from harmonia_chassis.lanes import SERVES
from harmonia_chassis.node import Node
from harmonia_chassis.slots import Slots
from harmonia_chassis.telemetry import Metrics
from harmonia_chassis.worker import Work, Worker

Connect = Callable[[str], Awaitable[JobStream]]
NewJob = Callable[..., pb.Job]
Perform = Callable[[pb.Job, Work], Awaitable[pb.StageResult]]

LEASE = timedelta(seconds=1)
RESULT = pb.StageResult(write=lyricist_pb2.WriteResult(warnings=["done"]))


async def succeed(_job: pb.Job, _work: Work) -> pb.StageResult:
    return RESULT


def now() -> datetime:
    return datetime.now(UTC)


@asynccontextmanager
async def working(connect: Connect, service: str, perform: Perform) -> AsyncIterator[Any]:
    """A worker of the service in this process; drains at the end."""
    jobs, ready = await connect(service), asyncio.Event()

    async def open_jobs() -> JobStream:
        return jobs

    node = SimpleNamespace(
        service=service,
        instance=f"{service}-test",
        settings=SimpleNamespace(lease=LEASE, drain_grace=timedelta(seconds=0.2)),
        draining=asyncio.Event(),
        metrics=Metrics(),
        jobs=open_jobs,
    )
    worker = Worker(
        cast("Node[Any]", node), lanes=SERVES[service], request_from=lambda job: job, perform=perform, slots=Slots(2)
    )
    async with asyncio.TaskGroup() as group:
        group.create_task(worker.run(ready.set))
        await asyncio.wait_for(ready.wait(), 60)
        yield node
        node.draining.set()


async def until(jobs: JobStream, job: pb.Job, wanted: Callable[[Stored], bool]) -> Stored:
    async with asyncio.timeout(60):
        while True:
            current = await jobs.read(job.tenant, job.id)
            if current and wanted(current):
                return current
            await asyncio.sleep(0.02)


def in_state(state: "pb.Job.State.ValueType") -> Callable[[Stored], bool]:
    return lambda stored: stored.job.state == state


async def write_over(jobs: JobStream, job: pb.Job, outcome: story.Outcome) -> Stored:
    """What another writer does meanwhile."""
    changed = await jobs.change(job.tenant, job.id, lambda _current: outcome, now=now)
    assert changed
    return changed


async def test_three_workers_carry_a_job_to_its_end(connect: Connect, gateway: JobStream, new_job: NewJob) -> None:
    stored = await gateway.create(new_job())

    async with (
        working(connect, "lyricist", succeed),
        working(connect, "composer", succeed),
        working(connect, "mastering", succeed),
    ):
        done = await until(gateway, stored.job, in_state(pb.Job.SUCCEEDED))

    assert [stage.attempt for stage in done.job.stages] == [1, 1, 1]
    causes = [pb.Job.Cause.Name(record.job.why) for record in await gateway.history(stored.job.tenant, stored.job.id)]
    assert causes == ["CAUSE_UNSPECIFIED", "CLAIM", "ADVANCE", "CLAIM", "ADVANCE", "CLAIM", "ADVANCE"]


async def test_a_retryable_failure_is_tried_again_and_a_permanent_one_is_not(
    connect: Connect, gateway: JobStream, new_job: NewJob
) -> None:
    flaky, broken = await gateway.create(new_job()), await gateway.create(new_job())
    tries: list[str] = []

    async def perform(job: pb.Job, _work: Work) -> pb.StageResult:
        tries.append(job.id)
        if job.id == broken.job.id:
            raise InvalidInput("no such key", reason=Reason.UNKNOWN_VALUE, field="spec.key")
        if tries.count(job.id) == 1:
            raise Unavailable("store away", reason=Reason.UNREACHABLE)
        return RESULT

    async with working(connect, "lyricist", perform):
        done = await until(gateway, flaky.job, lambda record: record.job.stages[0].state == pb.Job.SUCCEEDED)
        failed = await until(gateway, broken.job, in_state(pb.Job.FAILED))

    assert done.job.stages[0].attempt == 2
    assert (failed.job.error.reason, failed.job.error.field) == ("UNKNOWN_VALUE", "spec.key")
    assert tries.count(broken.job.id) == 1


async def test_a_stage_that_fails_five_times_fails_the_job(
    connect: Connect, gateway: JobStream, new_job: NewJob
) -> None:
    job = new_job()
    job.stages[0].attempt = story.ATTEMPTS
    job.stages[0].last_error.CopyFrom(type_pb2.Problem(message="out of notes"))
    stored = await gateway.create(job)

    async with working(connect, "lyricist", succeed):
        failed = await until(gateway, stored.job, in_state(pb.Job.FAILED))

    assert failed.job.error.reason == "ATTEMPTS_EXHAUSTED"
    assert "out of notes" in failed.job.error.message


async def test_cancel_stops_the_work_and_the_worker_says_so(
    connect: Connect, gateway: JobStream, new_job: NewJob
) -> None:
    stored = await gateway.create(new_job())
    steps = 0

    async def endless(_job: pb.Job, work: Work) -> pb.StageResult:
        nonlocal steps
        while True:
            work.check()
            steps += 1
            await asyncio.sleep(0.01)

    async with working(connect, "lyricist", endless):
        await until(gateway, stored.job, in_state(pb.Job.RUNNING))
        await write_over(gateway, stored.job, story.Cancel())
        ended = await until(gateway, stored.job, in_state(pb.Job.CANCELLED))
        stopped_at = steps
        await asyncio.sleep(0.1)

    assert ended.job.why == pb.Job.STOPPED
    assert steps == stopped_at


async def test_a_drained_worker_hands_back_and_the_try_does_not_count(
    connect: Connect, gateway: JobStream, new_job: NewJob
) -> None:
    stored = await gateway.create(new_job())

    async def slow(_job: pb.Job, work: Work) -> pb.StageResult:
        while True:
            work.check()
            await asyncio.sleep(0.01)

    async with working(connect, "lyricist", slow):
        await until(gateway, stored.job, in_state(pb.Job.RUNNING))

    back = await gateway.read(stored.job.tenant, stored.job.id)
    assert back
    assert (back.job.state, back.job.why, back.job.stages[0].attempt) == (pb.Job.QUEUED, pb.Job.HANDBACK, 0)


@pytest.mark.parametrize("ends", ["with a result", "with an error"])
async def test_fencing_an_overtaken_worker_writes_nothing(
    connect: Connect, gateway: JobStream, new_job: NewJob, ends: str
) -> None:
    """Another worker has claimed the same item: its epoch is higher."""
    stored = await gateway.create(new_job())
    finish = asyncio.Event()

    async def paused(_job: pb.Job, _work: Work) -> pb.StageResult:
        await finish.wait()
        if ends == "with an error":
            raise Unavailable("too late anyway", reason=Reason.UNREACHABLE)
        return RESULT

    async with working(connect, "lyricist", paused):
        running = await until(gateway, stored.job, in_state(pb.Job.RUNNING))
        taken = await write_over(gateway, stored.job, story.Claim(running.job.item_seq, "another"))
        finish.set()

    newest = await gateway.read(stored.job.tenant, stored.job.id)
    assert newest == taken
    assert newest.job.epoch == running.job.epoch + 1


async def test_item_seq_a_worker_whose_item_is_past_writes_nothing(
    connect: Connect, gateway: JobStream, new_job: NewJob
) -> None:
    """Swept and claimed anew: a record of the same epoch number, as a forgetful writer would leave it, but of
    another item."""
    stored = await gateway.create(new_job())
    finish = asyncio.Event()

    async def paused(_job: pb.Job, _work: Work) -> pb.StageResult:
        await finish.wait()
        return RESULT

    async with working(connect, "lyricist", paused):
        running = await until(gateway, stored.job, in_state(pb.Job.RUNNING))
        other = pb.Job()
        other.CopyFrom(running.job)
        other.item_seq += 1000
        seq = await gateway.write(running.seq, other)
        finish.set()

    newest = await gateway.read(stored.job.tenant, stored.job.id)
    assert newest
    assert newest.seq == seq


async def test_a_delivery_about_the_past_is_dropped(connect: Connect, gateway: JobStream, new_job: NewJob) -> None:
    """Cancelled and retried before any worker came: two items wait, one is about the present."""
    stored = await gateway.create(new_job())
    await write_over(gateway, stored.job, story.Cancel())
    await write_over(gateway, stored.job, story.Retry(now() + timedelta(hours=1), ""))
    performed = 0

    async def count(_job: pb.Job, _work: Work) -> pb.StageResult:
        nonlocal performed
        performed += 1
        return RESULT

    async with working(connect, "lyricist", count):
        await until(gateway, stored.job, lambda record: record.job.stages[0].state == pb.Job.SUCCEEDED)
        async with asyncio.timeout(60):
            while (await gateway.js.consumer_info("HM_JOBS", "write")).num_ack_pending:
                await asyncio.sleep(0.05)

    assert performed == 1
    history = await gateway.history(stored.job.tenant, stored.job.id)
    assert sum(record.job.why == pb.Job.CLAIM for record in history) == 1


async def test_a_short_stage_costs_a_claim_a_commit_and_an_ack(
    connect: Connect, gateway: JobStream, new_job: NewJob
) -> None:
    async with working(connect, "lyricist", succeed) as node:
        nc, pulls = (await node.jobs()).connection.nc, "CONSUMER.MSG.NEXT"
        said: list[str] = []
        publish = nc.publish

        async def overheard(subject: str, *args: Any, **kwargs: Any) -> None:
            said.append(subject)
            await publish(subject, *args, **kwargs)

        nc.publish = overheard
        stored = await gateway.create(new_job())
        await until(gateway, stored.job, lambda record: record.job.stages[0].state == pb.Job.SUCCEEDED)
        async with asyncio.timeout(10):
            while (await gateway.js.consumer_info("HM_JOBS", "write")).num_ack_pending:
                await asyncio.sleep(0.02)

    words = [subject.split(".")[0 if subject.startswith("$") else 5] for subject in said if pulls not in subject]
    assert words == ["running", "queued", "$JS"]


async def test_a_job_past_its_deadline_expires_instead_of_running(
    connect: Connect, gateway: JobStream, new_job: NewJob
) -> None:
    job = new_job()
    job.deadline.FromDatetime(now() - timedelta(seconds=1))
    stored = await gateway.create(job)

    async with working(connect, "lyricist", succeed):
        expired = await until(gateway, stored.job, lambda record: record.job.state != pb.Job.QUEUED)

    assert expired.job.state == pb.Job.EXPIRED
