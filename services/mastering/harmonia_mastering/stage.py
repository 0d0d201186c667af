"""The master stage, the same at both doors: a pre-master from the store becomes files in the store (take.py says how).

And the ear: what is heard in any recording that somebody sent.
"""

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory

from harmonia.audio.v1 import audio_pb2
from harmonia.job.v1 import job_pb2
from harmonia.mastering.v1 import mastering_pb2 as pb
from harmonia.store.v1 import store_pb2
from harmonia_chassis.store import StoreClient
from harmonia_chassis.worker import Work
from harmonia_mastering import wire
from harmonia_mastering.decode import decode
from harmonia_mastering.encoders import Encoders
from harmonia_mastering.reading import drawn, read
from harmonia_mastering.take import Plan, Take
from harmonia_mastering.together import while_wanted

PREVIEW = store_pb2.StorageClass.PREVIEW


class MasterStage:
    def __init__(self, store: StoreClient, encoders: Encoders) -> None:
        self._store = store
        self._encoders = encoders

    async def perform(self, request: pb.MasterRequest, work: Work) -> job_pb2.StageResult:
        """Raises InvalidInput for what cannot be mastered, Unavailable when an encoder dies, Stopped."""
        return await while_wanted(work.check, self._perform(request, work))

    async def analyze(self, request: pb.AnalyzeRequest, grant: str) -> audio_pb2.AnalyzeResponse:
        """Any recording, from anybody; raises InvalidInput as decode does."""
        with TemporaryDirectory(prefix="harmonia-analyze-") as folder:
            file = Path(folder) / "recording"
            await self._store.fetch(request.source, grant, file)
            recording = await decode(file)
        reading = await asyncio.to_thread(read, recording)
        response = wire.reading_to_proto(reading)
        if request.picture:
            png = await asyncio.to_thread(drawn, recording, reading)
            kept = await self._store.put(png, "image/png", grant, storage_class=PREVIEW)
            response.picture = f"artifacts/{kept.sha256}"
        return response

    async def _perform(self, request: pb.MasterRequest, work: Work) -> job_pb2.StageResult:
        plan = await self._plan(request, work)
        result, cpu_s, count = pb.MasterResult(), 0.0, len(request.sources)
        for done, source in enumerate(request.sources):
            take = Take(self._store, self._encoders, plan, source, work, done=done, count=count)
            made = await take.make()
            result.takes.append(made.take)
            result.warnings.extend(made.warnings)
            cpu_s += made.cpu_s
        return job_pb2.StageResult(master=result, cpu_seconds=cpu_s)

    async def _plan(self, request: pb.MasterRequest, work: Work) -> Plan:
        wire.check_sources(request)
        target, formats = wire.target_from_proto(request.mastering), wire.formats_from_proto(request.formats)
        tags = wire.tags_from_proto(request.tags)
        if request.HasField("lyrics"):
            words = await self._store.get(request.lyrics, work.grant)
            tags = wire.with_lyrics(tags, words.decode("utf-8", errors="replace"))
        origin = wire.origin_from_proto(request.origin) if request.HasField("origin") else None
        return Plan(target, formats, tags, preview=request.preview, origin=origin)
