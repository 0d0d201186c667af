"""Compare-and-set on a real nats-server: one writer wins, the others are told so."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from harmonia.job.v1 import job_pb2 as pb
from harmonia_chassis import jobs as story
from harmonia_chassis.job_stream import JobStream, Refused
from harmonia_chassis.lanes import JOBS, subjects_of
from tests.real_nats import RealNats

NewJob = Callable[..., pb.Job]


async def test_a_job_is_read_back_as_it_was_written(gateway: JobStream, new_job: NewJob) -> None:
    job = new_job()

    stored = await gateway.create(job)

    assert await gateway.read(job.tenant, job.id) == stored
    assert await gateway.read(job.tenant, "0" * 32) is None


async def test_a_create_is_one_word_to_the_server(gateway: JobStream, new_job: NewJob) -> None:
    await gateway.create(new_job())  # the first also opens the inbox for answers
    said = gateway.connection.nc.stats["out_msgs"]

    await gateway.create(new_job())

    assert gateway.connection.nc.stats["out_msgs"] == said + 1


async def test_the_second_create_of_an_id_is_refused(gateway: JobStream, new_job: NewJob) -> None:
    job = new_job()
    await gateway.create(job)

    with pytest.raises(Refused, match=job.id):
        await gateway.create(job)


async def test_of_many_writers_at_the_same_record_one_wins(gateway: JobStream, new_job: NewJob) -> None:
    first = await gateway.create(new_job())
    now = datetime.now(UTC)
    claims = [story.advance(first.job, story.Claim(first.seq, f"worker-{n}"), now) for n in range(20)]

    written = await asyncio.gather(*(gateway.write(first.seq, claim) for claim in claims), return_exceptions=True)

    assert sum(isinstance(result, int) for result in written) == 1
    assert sum(isinstance(result, Refused) for result in written) == 19
    assert len(await gateway.history(first.job.tenant, first.job.id)) == 2


async def test_a_write_whose_answer_was_lost_is_found_to_have_landed(gateway: JobStream, new_job: NewJob) -> None:
    first = await gateway.create(new_job())

    class LosesTheFirstAnswer(JobStream):
        lost = False

        async def _publish(self, expected: int, job: pb.Job, body: bytes) -> int:
            seq = await super()._publish(expected, job, body)
            if not self.lost:
                self.lost = True
                raise TimeoutError
            return seq

    claim = story.advance(first.job, story.Claim(first.seq, "w"), datetime.now(UTC))
    seq = await LosesTheFirstAnswer(gateway.connection).write(first.seq, claim)

    history = await gateway.history(first.job.tenant, first.job.id)
    assert [stored.seq for stored in history] == [first.seq, seq]


async def test_change_decides_again_when_somebody_was_faster(gateway: JobStream, new_job: NewJob) -> None:
    first = await gateway.create(new_job())

    results = await asyncio.gather(
        *(
            gateway.change(
                first.job.tenant,
                first.job.id,
                lambda current: story.Cancel() if current.job.state == pb.Job.QUEUED else None,
                now=lambda: datetime.now(UTC),
            )
            for _ in range(5)
        )
    )

    assert sum(result is not None for result in results) == 1
    assert [stored.job.state for stored in await gateway.history(first.job.tenant, first.job.id)] == [
        pb.Job.QUEUED,
        pb.Job.CANCELLED,
    ]


async def test_a_purge_leaves_the_tombstone_alone(gateway: JobStream, new_job: NewJob) -> None:
    first = await gateway.create(new_job())
    now = datetime.now(UTC)
    deleted = story.advance(first.job, story.Delete(), now)
    seq = await gateway.write(first.seq, deleted)
    seq = await gateway.write(seq, story.advance(deleted, story.Purge(), now))

    await gateway.purge_before(first.job.tenant, first.job.id, seq)

    (left,) = await gateway.history(first.job.tenant, first.job.id)
    assert (left.seq, left.job.state) == (seq, pb.Job.PURGED)


async def test_reads_and_writes_wait_out_a_killed_server(
    real_nats: RealNats, gateway: JobStream, new_job: NewJob
) -> None:
    first = await gateway.create(new_job())
    await real_nats.kill()
    claim = story.advance(first.job, story.Claim(first.seq, "w"), datetime.now(UTC))
    writing = asyncio.create_task(gateway.write(first.seq, claim))

    await real_nats.start_again()

    assert await asyncio.wait_for(writing, 60) > first.seq
    info = await gateway.js.stream_info(JOBS, subjects_filter=subjects_of(first.job.tenant, first.job.id))
    assert sum((info.state.subjects or {}).values()) == 2
