"""Songs of a caller by id, many at a time: what is not theirs, or was purged, is not there."""

import asyncio
from collections.abc import Collection, Mapping

from harmonia.job.v1 import job_pb2
from harmonia_chassis.identity import Principal
from harmonia_chassis.job_stream import JobStream, Stored
from harmonia_gateway.projection import Projection

_AT_ONCE = 16


class OwnSongs:
    def __init__(self, jobs: JobStream, projection: Projection) -> None:
        self._jobs = jobs
        self._projection = projection

    async def known(self, caller: Principal, ids: Collection[str]) -> Mapping[str, Stored]:
        """As this gateway has seen them; from the leader those that it has not."""
        seen = {song: stored for song in ids if (stored := self._projection.one(caller.tenant, song)) is not None}
        fresh = await self._fresh(caller, [song for song in ids if song not in seen])
        return {song: stored for song, stored in (seen | fresh).items() if is_of(caller, stored.job)}

    async def read(self, caller: Principal, ids: Collection[str]) -> Mapping[str, Stored]:
        """From the leader."""
        return {song: stored for song, stored in (await self._fresh(caller, ids)).items() if is_of(caller, stored.job)}

    async def _fresh(self, caller: Principal, ids: Collection[str]) -> dict[str, Stored]:
        at_once = asyncio.Semaphore(_AT_ONCE)

        async def one(song: str) -> Stored | None:
            async with at_once:
                return await self._jobs.read(caller.tenant, song)

        answers = await asyncio.gather(*(one(song) for song in ids))
        return {song: stored for song, stored in zip(ids, answers, strict=True) if stored is not None}


def is_of(caller: Principal, job: job_pb2.Job) -> bool:
    return job.owner == caller.owner and job.state != job_pb2.Job.PURGED
