"""Brings every transition and the newest progress of a job to all who watch it.

One follower per stream serves all watchers: a consumer per watcher would stay in the server long after
the watcher has gone.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass, replace

import structlog
from google.protobuf.message import DecodeError
from nats.js.errors import NotFoundError

from harmonia.job.v1 import job_pb2
from harmonia_chassis import lanes
from harmonia_chassis.errors import InvalidInput, NotFound, Reason
from harmonia_chassis.follow import follow
from harmonia_chassis.job_stream import JobStream, Stored
from harmonia_chassis.jobs import stage_of
from harmonia_gateway.states import has_ended

log = structlog.get_logger()

_HEARTBEAT_S = 15.0
# A job has some ten records; whoever lags behind by more reads them from the stream again.
_BACKLOG = 64
# Words on jobs that have ended meanwhile are not worth more memory than this.
_PROGRESS_KEPT = 10_000


@dataclass(frozen=True, slots=True)
class Token:
    """Where a watcher stands: the last record it saw, and the last progress."""

    seq: int = 0
    epoch: int = 0
    n: int = 0

    @classmethod
    def parse(cls, text: str) -> "Token":
        """ "" is the beginning. Raises InvalidInput."""
        if not text:
            return cls()
        try:
            seq, epoch, n = (int(part) for part in text.split("."))
        except ValueError:
            message = "resume_token is not one that WatchSong gave: leave it out to see the whole history"
            raise InvalidInput(message, reason=Reason.MALFORMED, field="resume_token") from None
        return cls(seq, epoch, n)

    def __str__(self) -> str:
        return f"{self.seq}.{self.epoch}.{self.n}"


@dataclass(frozen=True, slots=True)
class WatchEvent:
    token: Token
    resync: bool
    # A record, progress, or None: nothing has happened for a while.
    what: Stored | job_pb2.Progress | None


class _Watcher:
    """Progress is conflated, records are not: whoever falls behind reads them from the stream."""

    def __init__(self) -> None:
        self.behind = True
        self._records: deque[Stored] = deque()
        self._progress: job_pb2.Progress | None = None
        self._news = asyncio.Event()

    def add(self, record: Stored) -> None:
        if len(self._records) >= _BACKLOG:
            self._records.clear()
            self.behind = True
        self._records.append(record)
        self._news.set()

    def tell(self, progress: job_pb2.Progress) -> None:
        self._progress = progress
        self._news.set()

    def take_records(self, *, after: int) -> list[Stored]:
        taken = [record for record in self._records if record.seq > after]
        self._records.clear()
        return taken

    def take_progress(self, token: Token, job: job_pb2.Job) -> job_pb2.Progress | None:
        """News of the stage that the watcher knows to run. What is ahead of the records it has seen waits for
        them, what is behind them is dropped."""
        progress = self._progress
        if progress is None or progress.epoch > job.epoch:
            return None
        self._progress = None
        known = (progress.epoch, progress.n) <= (token.epoch, token.n)
        runs = job.state == job_pb2.Job.RUNNING and (progress.epoch, progress.stage) == (job.epoch, stage_of(job).name)
        return progress if runs and not known else None

    async def wait(self) -> bool:
        """False when nothing has happened for the length of a heartbeat."""
        try:
            async with asyncio.timeout(_HEARTBEAT_S):
                await self._news.wait()
        except TimeoutError:
            return False
        self._news.clear()
        return True


class Hub:
    def __init__(self, jobs: JobStream, *, replicas: int = 1) -> None:
        self._jobs = jobs
        self._replicas = replicas
        self._watchers: defaultdict[str, set[_Watcher]] = defaultdict(set)
        self._progress: dict[str, job_pb2.Progress] = {}

    def publish(self, record: Stored) -> None:
        """Called by the projection with every record, in order."""
        for watcher in self._watchers.get(record.job.id, ()):
            watcher.add(record)
        if has_ended(record.job):
            self._progress.pop(record.job.id, None)

    def progress(self, job_id: str) -> job_pb2.Progress | None:
        """The newest known of an unfinished job."""
        return self._progress.get(job_id)

    async def run(self, ready: Callable[[], None]) -> None:
        while True:
            try:
                await self._follow(ready)
            except NotFoundError:
                await self._jobs.declare_progress(replicas=self._replicas)

    async def _follow(self, ready: Callable[[], None]) -> None:
        async for batch in follow(
            self._jobs, lanes.PROGRESS, f"{lanes.PROGRESS_SUBJECTS}.>", after=0, last_per_subject=True
        ):
            if not batch:
                ready()
            for message in batch:
                self._take(message.subject.rsplit(".", 1)[1], message.data)

    def _take(self, job_id: str, body: bytes) -> None:
        try:
            progress = job_pb2.Progress.FromString(body)
        except DecodeError:
            log.error("progress does not parse", job=job_id)
            return
        self._progress[job_id] = progress
        if len(self._progress) > _PROGRESS_KEPT:
            del self._progress[next(iter(self._progress))]
        for watcher in self._watchers.get(job_id, ()):
            watcher.tell(progress)

    async def watch(self, tenant: str, job_id: str, resume_token: str) -> AsyncGenerator[WatchEvent, None]:
        """Every record behind the token, then what comes, until the job has ended.

        A token of another stream gives the newest record alone, marked resync. Raises NotFound, InvalidInput.
        """
        token = Token.parse(resume_token)
        watcher = _Watcher()
        self._watchers[job_id].add(watcher)  # before the history is read: nothing falls between
        try:
            async for event in self._watch(watcher, tenant, job_id, token):
                yield event
        finally:
            self._watchers[job_id].discard(watcher)
            if not self._watchers[job_id]:
                del self._watchers[job_id]

    async def _watch(self, watcher: _Watcher, tenant: str, job_id: str, token: Token) -> AsyncIterator[WatchEvent]:
        newest = await self._jobs.read(tenant, job_id)
        if newest is None:
            raise NotFound(f"no song {job_id}", reason=Reason.SONG_NOT_FOUND, field="name")
        resync = token.seq > newest.seq
        if resync:
            token = Token(newest.seq - 1)
        if known := self.progress(job_id):
            watcher.tell(known)
        while True:
            for record in await self._records(watcher, tenant, job_id, token.seq):
                newest, token = record, replace(token, seq=record.seq)
                yield WatchEvent(token, resync, record)
                resync = False
            if has_ended(newest.job):
                return
            if progress := watcher.take_progress(token, newest.job):
                token = replace(token, epoch=progress.epoch, n=progress.n)
                yield WatchEvent(token, False, progress)
            if not await watcher.wait():
                yield WatchEvent(token, False, None)

    async def _records(self, watcher: _Watcher, tenant: str, job_id: str, after: int) -> list[Stored]:
        past: list[Stored] = []
        if watcher.behind:
            watcher.behind = False
            past = await self._jobs.history(tenant, job_id, after=after)
        return past + watcher.take_records(after=past[-1].seq if past else after)
