"""Puts what nobody holds into the queue again, ends what is past its deadline, removes what was deleted long ago.

Safe to run in every gateway at once: it writes over the record it judged, and item_seq and epoch fence
whoever comes back.
"""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import structlog

from harmonia.job.v1 import job_pb2
from harmonia_chassis.errors import HarmoniaError
from harmonia_chassis.job_stream import JobStream, Refused, Stored
from harmonia_chassis.jobs import (
    TERMINAL,
    UNFINISHED,
    DeadlinePassed,
    Delete,
    Outcome,
    Purge,
    Stopped,
    Swept,
    advance,
    stage_of,
)
from harmonia_chassis.telemetry import Metrics
from harmonia_gateway.projection import Projection

log = structlog.get_logger()

DELETED_KEPT = timedelta(days=30)
TOMBSTONE_KEPT = timedelta(days=7)
# Longer than any election or restart of the job store; the next round does what this one could not.
_ROUND_S = 60.0


class Sweeper:
    def __init__(
        self,
        jobs: JobStream,
        projection: Projection,
        metrics: Metrics,
        *,
        lease: timedelta,
        every: timedelta,
        deleted_kept: timedelta = DELETED_KEPT,
        tombstone_kept: timedelta = TOMBSTONE_KEPT,
    ) -> None:
        self._jobs = jobs
        self._projection = projection
        self._metrics = metrics
        self._silence_s = 3 * lease.total_seconds()
        self._every = every
        self._deleted_kept = deleted_kept
        self._tombstone_kept = tombstone_kept
        self._cleared: set[str] = set()

    async def run(self, ready: Callable[[], None]) -> None:
        ready()
        while True:
            await asyncio.sleep(self._every.total_seconds())
            try:
                async with asyncio.timeout(_ROUND_S):
                    await self.sweep()
            except (HarmoniaError, TimeoutError) as error:
                log.warning("sweep not finished", error=type(error).__name__)

    async def sweep(self) -> None:
        """One round over what the projection knows."""
        delivered: dict[str, int] = {}
        for record in self._projection.in_states(sorted(UNFINISHED)):
            if outcome := await self._verdict(record, delivered):
                await self._write(record, outcome)
        for record in self._projection.in_states(sorted(TERMINAL)):
            if record.job.delete_requested:
                await self._write(record, Delete())
        await self._reap()

    async def _verdict(self, record: Stored, delivered: dict[str, int]) -> Outcome | None:
        job = record.job
        if datetime.now(UTC) > job.deadline.ToDatetime(UTC):
            return DeadlinePassed()
        if not self._is_silent(job):
            return None
        if job.state == job_pb2.Job.QUEUED:
            lane = stage_of(job).lane
            if lane not in delivered:
                delivered[lane] = await self._jobs.delivered(lane)
            return Swept() if record.seq <= delivered[lane] and self._is_silent(job) else None
        # Asked again after the heartbeat was read: that read may have waited for a server.
        if await self._jobs.heartbeat(job) or not self._is_silent(job):
            return None
        return Swept() if job.state == job_pb2.Job.RUNNING else Stopped()

    def _is_silent(self, job: job_pb2.Job) -> bool:
        newest = max(
            job.update_time.ToDatetime(UTC).timestamp(),
            stage_of(job).not_before.ToDatetime(UTC).timestamp(),
            self._jobs.connected_since,
        )
        return time.time() - newest > self._silence_s

    async def _write(self, judged: Stored, outcome: Outcome) -> None:
        try:
            await self._jobs.write(judged.seq, advance(judged.job, outcome, datetime.now(UTC)))
        except Refused:
            return  # somebody was faster; the next round judges what they wrote
        self._metrics.swept.labels(type(outcome).__name__).inc()
        log.info("swept", job=judged.job.id, outcome=type(outcome).__name__)

    async def _reap(self) -> None:
        now = datetime.now(UTC)
        for record in self._projection.in_states([job_pb2.Job.DELETED]):
            if now - record.job.delete_time.ToDatetime(UTC) > self._deleted_kept:
                await self._write(record, Purge())
        for record in self._projection.in_states([job_pb2.Job.PURGED]):
            await self._bury(record, now)

    async def _bury(self, record: Stored, now: datetime) -> None:
        """The tombstone first, then everything before it, and a week later the tombstone: whatever was cut
        short is done again, to the same end."""
        job = record.job
        if job.id not in self._cleared:
            await self._jobs.purge_before(job.tenant, job.id, record.seq)
            self._cleared.add(job.id)
        if now - job.update_time.ToDatetime(UTC) > self._tombstone_kept:
            await self._jobs.purge_before(job.tenant, job.id, record.seq + 1)
            self._projection.forget(job.id)
            self._cleared.discard(job.id)
