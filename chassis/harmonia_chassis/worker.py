"""The worker's side of jobs.md, once for all services: claim, work, commit, acknowledge.

Refuses to decide by acknowledgements: the record alone says what is true, and every write is a
compare-and-set that carries the claimed epoch.
"""

import asyncio
import random
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, TypeVar

import nats.errors
import structlog
from nats.aio.msg import Msg
from nats.js.errors import APIError

from harmonia.composer.v1 import composer_pb2
from harmonia.job.v1 import job_pb2 as pb
from harmonia.type.v1 import type_pb2
from harmonia_chassis import jobs as story
from harmonia_chassis import lanes as names
from harmonia_chassis import telemetry
from harmonia_chassis.errors import HarmoniaError, Internal, Reason
from harmonia_chassis.job_stream import JobStream, Refused, Unreadable, stored
from harmonia_chassis.node import Node
from harmonia_chassis.progress import ProgressTeller
from harmonia_chassis.pull import Pull
from harmonia_chassis.slots import Slots
from harmonia_chassis.status import to_problem
from harmonia_chassis.testing import Failpoint, never, reach

log = structlog.get_logger()

Request = TypeVar("Request")

# With full jitter: the first retry comes within 1 s, the fourth within 8 s.
_RETRY_BASE_S = 0.5
_RETRY_CAP_S = 60.0
# The server routes the notice of a cancel before the stream has stored it, and also when the stream
# refuses it: a notice is only a hint to read, at once and twice again.
_HINT_DELAYS_S = (0.0, 0.05, 0.2)
_READ_EVERY_S = 2.0
# Work that is done by then needs neither a heartbeat nor a second look at its record: the claim says it all.
_SHORT_S = 0.25


class Stopped(Exception):
    """The work is not wanted any more: cancelled, overtaken, or the worker is going away."""


class Work:
    """What a domain function is given besides its request; the same at both doors."""

    def __init__(
        self,
        *,
        job: str,
        tenant: str,
        owner: str,
        grant: str,
        on_progress: Callable[[float, str], None],
        on_preview: Callable[[composer_pb2.ComposeEvent.Preview], None] | None = None,
        on_checkpoint: Callable[[type_pb2.ArtifactRef], Awaitable[None]] | None = None,
        checkpoint_ref: type_pb2.ArtifactRef | None = None,
    ) -> None:
        self.job = job
        self.tenant = tenant
        self.owner = owner
        self.grant = grant
        self.checkpoint_ref = checkpoint_ref
        self.progress = on_progress
        self._on_preview = on_preview
        self._on_checkpoint = on_checkpoint
        self._stop = threading.Event()

    def check(self) -> None:
        """Thread-safe; raises Stopped. Call it at least every 0.3 s of work."""
        if self._stop.is_set():
            raise Stopped(self.job)

    def stop(self) -> None:
        self._stop.set()

    def preview(self, preview: composer_pb2.ComposeEvent.Preview) -> None:
        if self._on_preview:
            self._on_preview(preview)

    async def checkpoint(self, ref: type_pb2.ArtifactRef) -> None:
        """From here a later try goes on. Raises Stopped when the job is somebody else's by now."""
        if self._on_checkpoint:
            await self._on_checkpoint(ref)


Perform = Callable[[Request, Work], Awaitable[pb.StageResult]]


class Worker(Generic[Request]):
    """Serves lanes and their batch twins until the node drains."""

    def __init__(
        self,
        node: Node[Any],
        *,
        lanes: Sequence[str],
        request_from: Callable[[pb.Job], Request],
        perform: Perform[Request],
        slots: Slots,
        failpoint: Failpoint = never,
    ) -> None:
        self._node = node
        self._lanes = lanes
        self._request_from = request_from
        self._perform = perform
        self._slots = slots
        self._failpoint = failpoint
        self._held: dict[str, _Held] = {}
        node.metrics.slots.labels(lanes[0], "free").set_function(lambda: slots.free)
        node.metrics.slots.labels(lanes[0], "taken").set_function(lambda: slots.count - slots.free)

    async def run(self, ready: Callable[[], None]) -> None:
        jobs = await self._node.jobs()
        await jobs.wait_until_declared()
        for lane in self._lanes:
            for twin in (lane, names.batch_twin(lane)):
                await jobs.connection.nc.subscribe(names.cancelling_subject(twin), cb=self._on_cancel_notice)
        ready()
        async with asyncio.TaskGroup() as around:
            hurry = around.create_task(self._hand_back_after_grace())
            async with asyncio.TaskGroup() as handling, asyncio.TaskGroup() as pulling:
                for lane in self._lanes:
                    pulling.create_task(self._serve(jobs, lane, handling))
            hurry.cancel()

    async def _serve(self, jobs: JobStream, lane: str, handling: asyncio.TaskGroup) -> None:
        pull = await Pull.open(jobs)
        while not self._node.draining.is_set():
            await self._slots.wait()
            for message in await self._items(pull, lane):
                self._slots.take()
                handling.create_task(self._handle(jobs, message))

    async def _items(self, pull: Pull, lane: str) -> list[Msg]:
        try:
            return (
                await pull.waiting(lane, self._slots.free)
                or await pull.waiting(names.batch_twin(lane), self._slots.free)
                or await pull.next(lane)
            )
        except nats.errors.Error as error:
            log.info("pull failed", lane=lane, error=type(error).__name__)
            await asyncio.sleep(0.1)
            return []

    async def _hand_back_after_grace(self) -> None:
        await self._node.draining.wait()
        await asyncio.sleep(self._node.settings.drain_grace.total_seconds())
        for held in self._held.values():
            held.hand_back = True
            held.work.stop()

    async def _on_cancel_notice(self, message: Msg) -> None:
        if held := self._held.get(message.subject.split(".")[4]):
            held.hint.set()

    async def _handle(self, jobs: JobStream, message: Msg) -> None:
        stage = message.subject.rsplit(".", 1)[1].split("-")[0]
        try:
            await reach(self._failpoint, "after_fetch", stage)
            if held := await self._claim(jobs, message):
                await self._hold(held, stage)
        except Unreadable:
            log.error("record does not parse, item dropped", subject=message.subject)
            await _acknowledge(message)
        finally:
            self._slots.release()

    async def _claim(self, jobs: JobStream, message: Msg) -> "_Held | None":
        """The claimed job, or None when this delivery is not, or not yet, for us."""
        if self._node.draining.is_set():
            await message.nak()
            return None
        item, (tenant, job_id) = message.metadata.sequence.stream, message.subject.split(".")[3:5]
        # What is delivered for the first time is nearly always still the last record; if not, the write is refused.
        current = stored(message) if message.metadata.num_delivered == 1 else await jobs.read(tenant, job_id)
        while True:
            if current is None or not _is_about(current.seq, current.job, item):
                await _acknowledge(message)
                return None
            job, now = current.job, datetime.now(UTC)
            taken = job.state != story.QUEUED
            if taken and await self._holder_speaks(jobs, job):
                await _later(message, self._node.settings.lease / 3)
                return None
            if not taken and (delay := _until(story.stage_of(job), now)):
                await _later(message, delay)
                await reach(self._failpoint, "during_retry_delay", story.stage_of(job).name)
                return None
            outcome = _verdict(job, now, claim=story.Claim(item, self._node.instance))
            claimed = story.advance(job, outcome, now)
            try:
                seq = await jobs.write(current.seq, claimed)
            except Refused:
                current = await jobs.read(tenant, job_id)
                continue
            if not isinstance(outcome, story.Claim):
                await _acknowledge(message)
                return None
            return _Held(jobs, message, seq, claimed, self._failpoint)

    async def _holder_speaks(self, jobs: JobStream, job: pb.Job) -> bool:
        """A redelivery alone proves nothing: a paused worker, a server outage. The holder is silent only when
        its heartbeat is old and an outage that silenced everybody is a lease past."""
        lease_s, now = self._node.settings.lease.total_seconds(), time.time()
        beat = await jobs.heartbeat(job)
        return now - jobs.connected_since < lease_s or (
            beat is not None and now - beat.at.ToDatetime(UTC).timestamp() < lease_s * 2 / 3
        )

    async def _hold(self, held: "_Held", stage: str) -> None:
        self._held[held.job.id] = held
        self._observe_wait(held.job)
        lease_s = self._node.settings.lease.total_seconds()
        started = time.monotonic()
        try:
            async with asyncio.TaskGroup() as group:
                beside = [
                    group.create_task(held.beat(self._node.instance, lease_s / 3)),
                    group.create_task(held.watch()),
                    group.create_task(held.teller.run()),
                ]
                outcome = await self._outcome(held, stage)
                await self._end(held, outcome, stage)
                for task in beside:
                    task.cancel()
        finally:
            self._held.pop(held.job.id, None)
        lane = story.stage_of(held.job).lane
        outcome_name = "Stopped" if outcome is None else type(outcome).__name__
        self._node.metrics.run_seconds.labels(lane, outcome_name).observe(time.monotonic() - started)

    async def _outcome(self, held: "_Held", stage: str) -> story.Outcome | None:
        with telemetry.span(telemetry.SPAN_STAGE, parent=held.job.traceparent, attributes=_attributes(held.job)):
            try:
                await reach(self._failpoint, "after_claim", stage)
                held.work.check()
                result = await self._perform(self._request_from(held.job), held.work)
            except Stopped:
                await reach(self._failpoint, "during_cancel", stage)
                return story.HandBack() if held.hand_back else None
            except HarmoniaError as error:
                return self._after(error, held.job)
            except Exception:  # the bus consumer: one of the three places that may catch everything
                log.exception("stage failed", job=held.job.id, stage=stage)
                return self._after(Internal(f"{stage} failed unexpectedly", reason=Reason.INTERNAL), held.job)
        await reach(self._failpoint, "after_put", stage)
        return story.Done(result)

    def _after(self, error: HarmoniaError, job: pb.Job) -> story.Outcome:
        stage = story.stage_of(job)
        problem = to_problem(error)
        problem.metadata["stage"] = stage.name
        if not error.retryable:
            return story.Permanent(problem)
        self._node.metrics.retries.labels(stage.lane).inc()
        most_s = min(_RETRY_CAP_S, _RETRY_BASE_S * 2**stage.attempt)
        delay = timedelta(seconds=random.uniform(0, most_s))  # noqa: S311 (jitter, not a secret)
        return story.Retryable(problem, datetime.now(UTC) + delay)

    def _observe_wait(self, job: pb.Job) -> None:
        stage = story.stage_of(job)
        waited = stage.start_time.ToDatetime() - stage.queue_time.ToDatetime()
        self._node.metrics.queue_wait.labels(stage.lane).observe(max(waited.total_seconds(), 0.0))

    async def _end(self, held: "_Held", outcome: story.Outcome | None, stage: str) -> None:
        await reach(self._failpoint, "before_commit", stage)
        if not await held.commit(outcome):
            log.info("overtaken", job=held.job.id, epoch=held.epoch)
            return
        await reach(self._failpoint, "after_commit", stage)
        await _acknowledge(held.message)
        await reach(self._failpoint, "after_ack", stage)


class _Held:
    """One claimed job: its newest record as this worker wrote it, and what goes on beside the work."""

    def __init__(self, jobs: JobStream, message: Msg, seq: int, job: pb.Job, failpoint: Failpoint) -> None:
        self._jobs = jobs
        self._failpoint = failpoint
        self._halfway = False
        self.message = message
        self.item = job.item_seq
        self.epoch = job.epoch
        self.seq = seq
        self.job = job
        self.hint = asyncio.Event()
        self.hand_back = False
        stage = story.stage_of(job)
        self._stage = stage.name
        self.teller = ProgressTeller(self._send_progress, epoch=job.epoch, stage=stage.name)
        self.work = Work(
            job=job.id,
            tenant=job.tenant,
            owner=job.owner,
            grant=job.grant,
            on_progress=self._on_progress,
            on_preview=self.teller.preview,
            on_checkpoint=self._checkpoint,
            checkpoint_ref=stage.checkpoint if stage.HasField("checkpoint") else None,
        )

    def _on_progress(self, fraction: float, message: str = "") -> None:
        self.teller.tell(fraction, message)
        if fraction >= 0.5 and not self._halfway:
            self._halfway = True
            self._failpoint("mid_stage", self._stage)

    async def _send_progress(self, progress: pb.Progress) -> None:
        try:
            await self._jobs.send_progress(self.job.tenant, self.job.id, progress)
        except nats.errors.Error as error:  # progress may be lost, the work must not
            log.info("progress not sent", job=self.job.id, error=type(error).__name__)

    async def beat(self, worker: str, every_s: float) -> None:
        """Tells the server and the sweeper that the holder lives; goes on while draining."""
        await asyncio.sleep(min(_SHORT_S, every_s))
        while True:
            try:
                await self._jobs.send_heartbeat(self.job, worker, datetime.now(UTC))
                await self.message.in_progress()
            except nats.errors.Error as error:
                log.info("heartbeat not sent", job=self.job.id, error=type(error).__name__)
            await asyncio.sleep(every_s)

    async def watch(self) -> None:
        """Stops the work when the record is no longer this holder's."""
        wait_s = _SHORT_S
        while await self._still_wanted_after(wait_s):
            wait_s = _READ_EVERY_S
        self.work.stop()

    async def _still_wanted_after(self, wait_s: float) -> bool:
        """Looks when a hint comes, at the latest after `wait_s`."""
        try:
            async with asyncio.timeout(wait_s):
                await self.hint.wait()
        except TimeoutError:
            return await self._still_wanted()
        self.hint.clear()
        for delay_s in _HINT_DELAYS_S:
            await asyncio.sleep(delay_s)
            if not await self._still_wanted():
                return False
        return True

    async def _still_wanted(self) -> bool:
        current = await self._jobs.read(self.job.tenant, self.job.id)
        return current is not None and current.job.state == story.RUNNING and current.job.epoch == self.epoch

    async def _checkpoint(self, ref: type_pb2.ArtifactRef) -> None:
        kept = story.advance(self.job, story.Checkpoint(ref), datetime.now(UTC))
        try:
            self.seq = await self._jobs.write(self.seq, kept)
        except Refused:
            raise Stopped(self.job.id) from None  # why, commit finds out
        self.job = kept
        await reach(self._failpoint, "after_checkpoint", self._stage)

    async def commit(self, outcome: story.Outcome | None) -> bool:
        """Writes the outcome; None: the work was stopped and the record says why.

        True: written, or the item is past. False: another holds this very item, whose delivery any word
        of ours (ack, nak, term, in_progress) would now touch.
        """
        while True:
            if outcome and await self._written(outcome):
                return True
            current = await self._jobs.read(self.job.tenant, self.job.id)
            if current is None or current.job.state == story.QUEUED or not _is_about(0, current.job, self.item):
                return True
            if current.job.epoch != self.epoch:
                return False
            self.seq, self.job = current.seq, current.job
            if self.job.state == story.CANCELLING:
                outcome = story.Stopped()
            elif outcome is None:
                outcome = story.HandBack()

    async def _written(self, outcome: story.Outcome) -> bool:
        try:
            await self._jobs.write(self.seq, story.advance(self.job, outcome, datetime.now(UTC)))
        except Refused:
            return False
        return True


def _is_about(seq: int, job: pb.Job, item: int) -> bool:
    if job.state == story.QUEUED:
        return seq == item
    return job.state in {story.RUNNING, story.CANCELLING} and job.item_seq == item


def _verdict(job: pb.Job, now: datetime, *, claim: story.Claim) -> story.Outcome:
    if job.state == story.CANCELLING:
        return story.Stopped()
    if now > job.deadline.ToDatetime(UTC):
        return story.DeadlinePassed()
    stage = story.stage_of(job)
    if stage.attempt >= story.ATTEMPTS:
        return story.Exhausted(_exhausted(stage))
    return claim


def _exhausted(stage: pb.Stage) -> type_pb2.Problem:
    last = f": {stage.last_error.message}" if stage.HasField("last_error") else ", each ended without a word"
    problem = type_pb2.Problem(
        code="INTERNAL",
        reason=Reason.ATTEMPTS_EXHAUSTED,
        message=f"stage {stage.name} failed {stage.attempt} times{last}",
    )
    problem.metadata["stage"] = stage.name
    return problem


def _until(stage: pb.Stage, now: datetime) -> timedelta | None:
    delay = stage.not_before.ToDatetime(UTC) - now
    return delay if delay > timedelta(0) else None


def _attributes(job: pb.Job) -> dict[str, telemetry.Attribute]:
    stage = story.stage_of(job)
    return {
        telemetry.SONG: job.id,
        telemetry.STAGE: stage.name,
        telemetry.LANE: stage.lane,
        telemetry.ATTEMPT: stage.attempt,
    }


async def _acknowledge(message: Msg) -> None:
    for _ in range(3):  # giving up costs one redelivery, which the claim drops
        try:
            await message.ack_sync(timeout=1)
        except (nats.errors.Error, APIError, TimeoutError):
            continue
        return


async def _later(message: Msg, delay: timedelta) -> None:
    await message.nak(delay=delay.total_seconds())
