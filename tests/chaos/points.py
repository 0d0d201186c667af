"""Every point × stage × victim, one at a time on one mesh: strike, and see the song end as if nothing had been."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from harmonia.song.v1 import song_pb2, spec_pb2
from harmonia_chassis.errors import HarmoniaError
from harmonia_chassis.job_stream import JobStream
from harmonia_chassis.testing import POINTS
from harmonia_sdk.client import AsyncClient
from tests.chaos.invariants import outputs, violations
from tests.chaos.mesh import chaos_mesh
from tests.chaos.raw import is_whole, observe
from tests.chaos.strike import Strike, Striker

STAGES = {"write": "lyricist", "compose": "composer", "master": "mastering"}
VICTIMS = ("self", "gateway", "artifacts", "nats")
ENDED = {song_pb2.Song.SUCCEEDED, song_pb2.Song.FAILED, song_pb2.Song.CANCELLED, song_pb2.Song.EXPIRED}
PATIENCE_S = 90.0


@dataclass(frozen=True, slots=True)
class Case:
    point: str
    stage: str
    victim: str

    def __str__(self) -> str:
        return f"{self.point:19}{self.stage or '-':9}{self.victim:10}"


def all_cases() -> list[Case]:
    creates = [Case(point, "", victim) for point in POINTS if "create" in point for victim in VICTIMS[1:]]
    return creates + [
        Case(point, stage, victim)
        for point in POINTS
        if "create" not in point
        for stage in STAGES
        # The arranger alone makes checkpoints.
        if point != "after_checkpoint" or stage == "compose"
        for victim in VICTIMS
    ]


def a_tenth(seed: int) -> list[Case]:
    """Every point at least once."""
    rng = random.Random(seed)
    cases = all_cases()
    return [rng.choice([case for case in cases if case.point == point]) for point in POINTS]


@asynccontextmanager
async def struck_mesh(home: Path) -> AsyncIterator["Range"]:
    async with chaos_mesh(home):
        observer = await observe(home)
        async with AsyncClient(home=home) as client:
            yield Range(home, client, Striker(home), observer)
        await observer.close()


class Range:
    """Where cases are shot one after the other."""

    def __init__(self, home: Path, client: AsyncClient, striker: Striker, observer: JobStream) -> None:
        self._home = home
        self._client = client
        self._striker = striker
        self._observer = observer

    async def shoot(self, case: Case) -> tuple[list[str], float]:
        """Violations, and how long the song took to end."""
        cancels = case.point == "during_cancel"
        strike = Strike(
            case.point,
            case.stage,
            case.victim,
            slow_s=1.5 if cancels else 0.0,
            fails_once=case.point == "during_retry_delay",
        )
        self._striker.arm(strike)
        began = time.monotonic()
        song = await self._create(f"{case.point}-{case.stage}-{case.victim}-{time.time_ns()}")
        if cancels:
            await self._cancel_at(song.name, case.stage)
        ended = await self._end(song.name)
        took = time.monotonic() - began
        struck = self._striker.has_struck()
        self._striker.disarm()
        found = [] if struck else ["the failpoint never struck"]
        found += await self._violations(ended, cancelled=cancels)
        return found, took

    async def _create(self, request_id: str) -> song_pb2.Song:
        """As a client does: the same request id until there is an answer."""
        spec = spec_pb2.SongSpec(prompt="techno, 130 bpm", duration_seconds=5, seed=7)
        spec.outputs.formats.append("wav")
        async with asyncio.timeout(PATIENCE_S):
            while True:
                try:
                    return await self._client.create(spec, request_id=request_id[-64:])
                except HarmoniaError as error:
                    if not error.retryable:
                        raise
                    await asyncio.sleep(0.2)

    async def _cancel_at(self, name: str, stage: str) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                song = await self._get(name)
                at = next((s for s in song.stages if s.name == stage), None)
                if at and at.state == song_pb2.Song.RUNNING:
                    break
                await asyncio.sleep(0.02)
            await self._retried(lambda: self._client.cancel(name))

    async def _end(self, name: str) -> song_pb2.Song:
        async with asyncio.timeout(PATIENCE_S):
            while (song := await self._get(name)).state not in ENDED:
                await asyncio.sleep(0.1)
        return song

    async def _get(self, name: str) -> song_pb2.Song:
        return await self._retried(lambda: self._client.get(name))

    async def _retried(self, call: Callable[[], Awaitable[song_pb2.Song]]) -> song_pb2.Song:
        while True:
            try:
                return await call()
            except HarmoniaError as error:
                if not error.retryable:
                    raise
                await asyncio.sleep(0.1)

    async def _violations(self, song: song_pb2.Song, *, cancelled: bool) -> list[str]:
        history = await self._observer.history("local", song.name.removeprefix("songs/"))
        found = violations(history, cancelled_by_user=cancelled)
        newest = history[-1].job
        if not cancelled and song.state != song_pb2.Song.SUCCEEDED:
            found.append(f"ended as {song_pb2.Song.State.Name(song.state)}: {song.error.message}")
        missing = [ref.sha256 for ref in outputs(newest) if not is_whole(self._home, "local", ref.sha256)]
        return found + ([f"{len(missing)} outputs missing"] if missing else [])
