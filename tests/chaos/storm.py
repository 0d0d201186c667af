"""Many songs, many kills: `accepted=… terminal=… lost=0 doubled=0 missing_outputs=0`, from what is really there."""

import asyncio
import random
import signal
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from harmonia.job.v1 import job_pb2
from harmonia.song.v1 import song_pb2, spec_pb2
from harmonia_chassis.errors import FailedPrecondition, HarmoniaError
from harmonia_chassis.jobs import TERMINAL
from harmonia_local.mesh import Mesh
from harmonia_sdk.client import AsyncClient
from tests.chaos.invariants import outputs, violations
from tests.chaos.mesh import chaos_mesh
from tests.chaos.raw import is_whole, observe

VICTIMS = ("lyricist", "composer", "mastering", "gateway", "artifacts", "nats")
PATIENCE_S = 1200.0


@dataclass(slots=True)
class Report:
    accepted: int = 0
    terminal: int = 0
    lost: int = 0
    doubled: int = 0
    missing_outputs: int = 0
    kills: int = 0
    drains: int = 0
    states: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)

    @property
    def held(self) -> bool:
        return not (self.lost or self.doubled or self.missing_outputs or self.violations)

    def __str__(self) -> str:
        return (
            f"accepted={self.accepted} terminal={self.terminal} lost={self.lost} doubled={self.doubled} "
            f"missing_outputs={self.missing_outputs} kills={self.kills}"
        )


class Storm:
    def __init__(self, home: Path, *, songs: int, kills: int, seed: int) -> None:
        self._home = home
        self._songs = songs
        self._kills = kills
        self._rng = random.Random(seed)
        self._names: dict[str, str] = {}  # request id → name, from the client's own history
        self._doubled = 0
        self._cancelled: set[str] = set()

    async def run(self) -> Report:
        report = Report()
        async with chaos_mesh(self._home) as mesh, AsyncClient(home=self._home) as client:
            async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as group:
                group.create_task(self._kill(mesh, report))
                for number in range(self._songs):
                    group.create_task(self._one(client, number))
            await self._judge(report)
        return report

    async def _one(self, client: AsyncClient, number: int) -> None:
        rng = random.Random(self._rng.random())
        await asyncio.sleep(rng.uniform(0, self._songs * 0.5))
        spec = spec_pb2.SongSpec(
            prompt=rng.choice(["techno", "folk", "lo-fi hip-hop"]), duration_seconds=5, seed=number
        )
        spec.outputs.formats.append("wav")
        # A racing duplicate: the same request twice at once.
        names = await asyncio.gather(*(self._create(client, spec, f"storm-{number}") for _ in range(2)))
        self._doubled += len(set(names)) - 1
        self._names[f"storm-{number}"] = names[0]
        if rng.random() < 0.15:
            await asyncio.sleep(rng.uniform(0, 3))
            await self._cancel(client, names[0])
        await self._until_ended(client, names[0])

    async def _create(self, client: AsyncClient, spec: spec_pb2.SongSpec, request_id: str) -> str:
        song = await _answered(lambda: client.create(spec, request_id=request_id))
        return str(song.name)

    async def _cancel(self, client: AsyncClient, name: str) -> None:
        try:
            await _answered(lambda: client.cancel(name))
        except FailedPrecondition:
            return  # it had ended
        self._cancelled.add(name)

    async def _until_ended(self, client: AsyncClient, name: str) -> None:
        terminal = {song_pb2.Song.SUCCEEDED, song_pb2.Song.FAILED, song_pb2.Song.CANCELLED, song_pb2.Song.EXPIRED}
        while (await _answered(lambda: client.get(name))).state not in terminal:
            await asyncio.sleep(0.5)

    async def _kill(self, mesh: Mesh, report: Report) -> None:
        every_s = self._songs * 0.5 / max(self._kills, 1)
        for number in range(self._kills):
            await asyncio.sleep(self._rng.uniform(0.5, 1.5) * every_s)
            victim = VICTIMS[number % len(VICTIMS)]
            await mesh.ready(victim)
            await mesh.kill(victim)
            report.kills += 1
            if self._rng.random() < 0.3:
                drained = self._rng.choice(VICTIMS[:3])
                await mesh.ready(drained)
                await mesh.kill(drained, signal.SIGTERM)
                report.drains += 1

    async def _judge(self, report: Report) -> None:
        observer = await observe(self._home)
        report.accepted, report.doubled = len(self._names), self._doubled
        for name in self._names.values():
            history = await observer.history("local", name.removeprefix("songs/"))
            if not history:
                report.lost += 1
                continue
            last = history[-1].job
            report.states[job_pb2.Job.State.Name(last.state)] += 1
            report.terminal += last.state in TERMINAL
            report.lost += last.state not in TERMINAL
            found = violations(history, cancelled_by_user=name in self._cancelled)
            report.doubled += any("ends by drive" in one or "landed twice" in one for one in found)
            report.violations += [f"{name}: {one}" for one in found]
            missing = [ref for ref in outputs(last) if not is_whole(self._home, last.tenant, ref.sha256)]
            report.missing_outputs += len(missing)
        await observer.close()


async def _answered(call):
    """As a client does: again until there is an answer."""
    while True:
        try:
            return await call()
        except HarmoniaError as error:
            if not error.retryable:
                raise
            await asyncio.sleep(0.2)
