"""ListenSong: one listener's way through a song, from previews over the mix to the master.

The position is counted in frames and only ever grows, whatever file the next block comes from, so nothing is heard
twice and nothing is left out: not when a killed stage makes its previews again, and not when the master replaces them.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, aclosing
from types import TracebackType
from typing import Self

import numpy as np
import structlog

from harmonia.job.v1 import job_pb2
from harmonia.song.v1 import song_pb2 as pb
from harmonia_chassis import jobs as story
from harmonia_chassis.errors import FailedPrecondition, InvalidInput, NotFound, Reason
from harmonia_chassis.job_stream import Stored
from harmonia_gateway import rules
from harmonia_gateway.hub import Hub, Token, WatchEvent
from harmonia_gateway.level import NO_RAMP, RATE, Ramp, Sound, lifted, pcm, preview_gain_db, step_db
from harmonia_gateway.recordings import Recording, Recordings
from harmonia_gateway.sounding import Piece, Previews, frame, length_of, longest, piece_at

log = structlog.get_logger()

BLOCK = RATE // 4
# A listener is at most so far ahead of the clock while previews sound: soon after the master is there, it is heard.
LEAD_S = 4.0
# What of the last preview is compared with the master.
_COMPARED = RATE
_SILENT_S = 15.0
_LATEST_S = 86_400.0  # no song is so long; frames of more are no number any longer
_LOST = (job_pb2.Job.FAILED, job_pb2.Job.CANCELLED, job_pb2.Job.EXPIRED, job_pb2.Job.DELETED, job_pb2.Job.PURGED)

MASTER = pb.AudioChunk.MASTER


def check_request(request: pb.ListenSongRequest, job: job_pb2.Job) -> None:
    """Raises InvalidInput for a place or a take that the song does not have."""
    rules.refuse_unknown_fields(request)
    if not 0 <= request.from_seconds <= _LATEST_S:
        message = f"from_seconds is {request.from_seconds}: it must be 0 or more, and before the song ends"
        raise InvalidInput(message, reason=Reason.OUT_OF_RANGE, field="from_seconds")
    most = job.resolved.variations or 1
    if not 0 <= request.take <= most:
        message = f"take is {request.take}: the song has {most}"
        raise InvalidInput(message, reason=Reason.OUT_OF_RANGE, field="take")


class Listening:
    """Of one song by one listener. `grant` opens the store whenever it is asked."""

    def __init__(self, hub: Hub, recordings: Recordings, *, grant: Callable[[], str]) -> None:
        self._hub = hub
        self._recordings = recordings
        self._grant = grant

    async def listen(self, newest: Stored, request: pb.ListenSongRequest) -> AsyncGenerator[pb.AudioChunk, None]:
        """Raises FailedPrecondition when the song will never sound, InvalidInput when it ends before from_seconds."""
        job, take = newest.job, request.take or 1
        watching = self._hub.watch(job.tenant, job.id, str(Token(newest.seq - 1)))
        async with aclosing(watching) as events, _News(events, job) as news:
            way = _Way(self._recordings, self._grant, take, frame(request.from_seconds))
            async with aclosing(way.chunks(news)) as chunks:
                async for chunk in chunks:
                    yield chunk


class _News:
    """The newest of a job: taken in between two blocks, or waited for."""

    def __init__(self, events: AsyncGenerator[WatchEvent, None], job: job_pb2.Job) -> None:
        self._events = events
        self.job = job
        self.previews: Previews = ()
        self.over = False
        self._next = self._ask()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._next.cancel()
        await asyncio.wait([self._next])

    async def wait(self, most_s: float) -> None:
        """Until something has happened, or that time is over."""
        await asyncio.wait([self._next], timeout=most_s)
        self._take()

    def _ask(self) -> "asyncio.Future[WatchEvent | None]":
        return asyncio.ensure_future(anext(self._events, None))

    def _take(self) -> None:
        if self.over or not self._next.done():
            return
        if (event := self._next.result()) is None:
            self.over = True
            return
        if isinstance(event.what, Stored):
            self.job = event.what.job
        elif event.what is not None and event.what.stage == "compose":
            self.previews = event.what.previews
        self._next = self._ask()


class _Way:
    def __init__(self, recordings: Recordings, grant: Callable[[], str], take: int, position: int) -> None:
        self._recordings = recordings
        self._grant = grant
        self._take = take
        self._position = position
        self._begun = position
        self._started = 0.0
        self._gone: set[str] = set()
        self._heard: Sound = np.zeros((0, 2), dtype=np.float32)
        self._ramp = NO_RAMP
        self._spoke = time.monotonic()

    async def chunks(self, news: _News) -> AsyncGenerator[pb.AudioChunk, None]:
        while True:
            await news.wait(0)
            self._refuse_lost(news.job)
            self._refuse_beyond(news.job)
            if (length := length_of(news.job, self._take)) and self._position >= length:
                return
            piece = piece_at(self._position, news.job, news.previews, self._take)
            if piece is None and news.over:
                message = f"songs/{news.job.id} has no take {self._take}"
                raise FailedPrecondition(message, reason=Reason.WRONG_STATE)
            if piece is None or piece.ref.sha256 in self._gone:
                await news.wait(self._silence_left_s())
                if self._silence_left_s() <= 0:
                    yield self._said(pb.AudioChunk(position=self._position, length=length))
                continue
            before = self._position
            async with aclosing(self._of(piece, news)) as chunks:
                async for chunk in chunks:
                    yield self._said(chunk)
            if piece.source == MASTER:
                return
            if self._position == before and piece.ref.sha256 not in self._gone:
                await news.wait(self._wait_s(piece) or 0.05)

    async def _of(self, piece: Piece, news: _News) -> AsyncGenerator[pb.AudioChunk, None]:
        """Blocks of one file, until it ends or there is something better."""
        async with AsyncExitStack() as stack:
            try:
                recording = await stack.enter_async_context(self._recordings.opened(piece.ref, self._grant()))
            except NotFound:
                if piece.source == MASTER or piece.start == 0 < piece.length:
                    raise
                self._gone.add(piece.ref.sha256)  # previews are kept for a day; the mix comes when it is made
                return
            if piece.source == MASTER and len(self._heard):
                self._ramp = Ramp(self._position, await self._step(recording))
            gain_db = 0.0 if piece.source == MASTER else preview_gain_db(news.job.resolved.mastering)
            while piece_at(self._position, news.job, news.previews, self._take) == piece:
                if wait_s := self._wait_s(piece):
                    await news.wait(wait_s)
                    self._refuse_lost(news.job)
                    continue
                sound = await recording.read(self._position - piece.start, BLOCK)
                if not len(sound):
                    return
                yield self._chunk(sound, piece, gain_db, piece.length or 0)
                await news.wait(0)
                self._refuse_lost(news.job)

    def _chunk(self, sound: Sound, piece: Piece, gain_db: float, length: int) -> pb.AudioChunk:
        position = self._position
        self._started = self._started or time.monotonic()
        self._position += len(sound)
        if piece.source == MASTER:
            gain_db, played = self._ramp.gain_db(position), self._ramp.over(sound, position)
        else:
            played = lifted(sound, gain_db)
            self._heard = np.concatenate((self._heard, played))[-_COMPARED:]
        return pb.AudioChunk(position=position, pcm=pcm(played), source=piece.source, gain_db=gain_db, length=length)

    async def _step(self, master: Recording) -> float:
        """Between what was heard last and the master at the same place."""
        same = await master.read(self._position - len(self._heard), len(self._heard))
        return step_db(self._heard[: len(same)], same) if len(same) else 0.0

    def _wait_s(self, piece: Piece) -> float:
        """Until the next block of a preview may go out; the master goes as fast as it is taken."""
        if piece.source == MASTER or not self._started:
            return 0.0
        ahead_s = (self._position - self._begun) / RATE - (time.monotonic() - self._started)
        return max(0.0, ahead_s - LEAD_S)

    def _said(self, chunk: pb.AudioChunk) -> pb.AudioChunk:
        self._spoke = time.monotonic()
        return chunk

    def _silence_left_s(self) -> float:
        return max(0.0, self._spoke + _SILENT_S - time.monotonic())

    def _refuse_beyond(self, job: job_pb2.Job) -> None:
        most = longest(job, self._take)
        if most is not None and self._position == self._begun and self._position > frame(most):
            message = f"from_seconds is {self._position / RATE:g}: the song ends at {most:g} s"
            raise InvalidInput(message, reason=Reason.OUT_OF_RANGE, field="from_seconds")

    def _refuse_lost(self, job: job_pb2.Job) -> None:
        """What will not be heard to its end."""
        if job.state not in _LOST:
            return
        state = job_pb2.Job.State.Name(job.state)
        at = "" if job.state == job_pb2.Job.DELETED else f" at {story.stage_of(job).name}"
        why = f": {job.error.message}" if job.error.message else ""
        message = f"songs/{job.id} is {state}{at}, there is no more of it to hear{why}"
        raise FailedPrecondition(message, reason=Reason.WRONG_STATE, retry_after=None, state=state)
