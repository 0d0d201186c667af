"""The composer's one function, behind both its doors: a request becomes takes in the store."""

import asyncio
import shutil
import tempfile
import time
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath

import structlog

from harmonia.composer.v1 import composer_pb2 as pb
from harmonia.job.v1 import job_pb2
from harmonia.song.v1 import brief_pb2
from harmonia.type.v1 import type_pb2
from harmonia_chassis import telemetry
from harmonia_chassis.errors import FailedPrecondition, InvalidInput, NotFound, Reason
from harmonia_chassis.worker import Work
from harmonia_composer import source, wire
from harmonia_composer.daw.make import MEDIA_TYPES, session_files
from harmonia_composer.engine import Engine, Listener, Order, Source, Take, Unplayable
from harmonia_composer.listening import CHECKPOINT, CHECKPOINT_EVERY_S, MADE, Store, WorkListener

log = structlog.get_logger()

# Where it lies, and its media type.
File = tuple[Path, str]


class Composer:
    """Raises InvalidInput when an engine refuses the brief, and what `work.check` raises."""

    def __init__(
        self,
        engines: Mapping[str, Engine],
        store: Store,
        scratch: Path,
        *,
        checkpoint_every_s: float = CHECKPOINT_EVERY_S,
    ) -> None:
        self.engines = engines
        self._store = store
        self._scratch = scratch
        self._checkpoint_every_s = checkpoint_every_s
        # As many as may compose at once: asyncio's own threads are few on a small machine, and the store needs them
        # while every composer waits for it.
        self._threads = {
            name: ThreadPoolExecutor(engine.slots, thread_name_prefix=name) for name, engine in engines.items()
        }

    async def perform(self, request: pb.ComposeRequest, work: Work) -> job_pb2.StageResult:
        started = time.process_time()
        kept = await self._kept(request, work)
        if kept.HasField("result"):
            return job_pb2.StageResult(compose=kept.result)
        engine = self.engine(request.engine)
        order = wire.order_from_proto(request, await self._lyrics(request, work), kept.engine)
        folder = await asyncio.to_thread(self._new_folder)
        try:
            order = replace(order, source=await self._source(request, folder, work))
            takes = await self._composed(engine, order, folder, request, work)
            result = await self._stored(engine, takes, order, folder, work)
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        work.progress(1.0, "composed")
        gpu_seconds = sum(take.gpu_seconds for take in takes)
        return job_pb2.StageResult(compose=result, cpu_seconds=time.process_time() - started, gpu_seconds=gpu_seconds)

    def engine(self, name: str) -> Engine:
        engine = self.engines.get(name or "arranger")
        if engine is None:
            message = f"no engine {name!r} here: there are {', '.join(self.engines)}"
            raise InvalidInput(message, reason=Reason.UNKNOWN_VALUE, field="engine")
        return engine

    async def _kept(self, request: pb.ComposeRequest, work: Work) -> pb.ComposeCheckpoint:
        """What an earlier try stored; empty when there was none, or when it is no longer kept."""
        if not request.HasField("checkpoint"):
            return pb.ComposeCheckpoint()
        try:
            return pb.ComposeCheckpoint.FromString(await self._store.get(request.checkpoint, work.grant))
        except NotFound:
            log.info("checkpoint is gone, composing again", job=work.job)
            return pb.ComposeCheckpoint()

    async def _lyrics(self, request: pb.ComposeRequest, work: Work) -> brief_pb2.Lyrics:
        if not request.HasField("lyrics"):
            return request.brief.lyrics
        return brief_pb2.Lyrics.FromString(await self._store.get(request.lyrics, work.grant))

    async def _source(self, request: pb.ComposeRequest, folder: Path, work: Work) -> Source | None:
        if not request.HasField("continue_from"):
            return None
        source.check_size(request.continue_from)
        file = folder / "source"
        try:
            await self._store.fetch(request.continue_from, work.grant, file)
        except NotFound as error:
            message = f"{source.FIELD}: the recording is no longer there"
            raise FailedPrecondition(message, reason=Reason.ARTIFACT_NOT_FOUND, field=source.FIELD) from error
        start_s = request.start_seconds if request.HasField("start_seconds") else None
        song_s = request.brief.duration_seconds
        found = await source.source_of(file, request.continue_from, start_s=start_s, song_s=song_s)
        return replace(found, licence=request.continue_licence)

    def _new_folder(self) -> Path:
        self._scratch.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix="compose-", dir=self._scratch))

    async def _composed(
        self, engine: Engine, order: Order, folder: Path, request: pb.ComposeRequest, work: Work
    ) -> Sequence[Take]:
        with telemetry.span(telemetry.SPAN_ENGINE, attributes={telemetry.ENGINE: engine.name}) as traced:
            listener = WorkListener(
                work,
                self._store,
                folder,
                request.reusable,
                on_message=traced.add_event,
                checkpoint_every_s=self._checkpoint_every_s,
            )
            return await self._in_a_thread(engine, order, folder, listener, work)

    async def _in_a_thread(
        self, engine: Engine, order: Order, folder: Path, listener: Listener, work: Work
    ) -> Sequence[Take]:
        """The thread has ended when this returns or raises, so that nobody writes into a folder that goes."""
        compose = partial(copy_context().run, engine.compose, order, folder=folder, listener=listener)
        composing = asyncio.get_running_loop().run_in_executor(self._threads[engine.name], compose)
        try:
            return await asyncio.shield(composing)
        except asyncio.CancelledError:
            work.stop()
            await asyncio.wait([composing])
            raise
        except Unplayable as refusal:
            raise InvalidInput(str(refusal), reason=Reason.NOT_SUPPORTED, field=f"brief.{refusal.field}") from refusal

    async def _stored(
        self, engine: Engine, takes: Sequence[Take], order: Order, folder: Path, work: Work
    ) -> pb.ComposeResult:
        work.check()
        work.progress(MADE, "storing")
        stored = []
        for number, take in enumerate(takes, start=1):
            sessions = await asyncio.to_thread(session_files, take, order.brief, order.daw, folder / f"daw-{number}")
            stored.append(await self._put_take(take, sessions, work))
        weights = takes[0].weights
        result = pb.ComposeResult(
            takes=stored,
            engine=engine.name,
            engine_version=engine.version,
            model_digest=weights.digest if weights else "",
            licence=licence_of(weights.licence if weights else engine.licence, order.source),
            numerics=takes[0].numerics,
            warnings=dict.fromkeys(warning for take in takes for warning in take.warnings),
        )
        kept = await self._store.put(
            pb.ComposeCheckpoint(result=result).SerializeToString(deterministic=True),
            "application/octet-stream",
            work.grant,
            storage_class=CHECKPOINT,
        )
        await work.checkpoint(kept)
        return result

    async def _put_take(self, take: Take, sessions: Mapping[str, Path], work: Work) -> pb.ComposeResult.Take:
        files = {
            "premaster": (take.premaster, "audio/flac"),
            "midi": (take.midi, "audio/midi"),
            "lyrics_text": (take.lyrics_text, "text/plain"),
            "lyrics_lrc": (take.lyrics_lrc, "text/x-lrc"),
            "karaoke": (take.karaoke, "application/json"),
        }
        plain = {name: (path, media_type) for name, (path, media_type) in files.items() if path is not None}
        stems = {role: (stem.path, "audio/flac") for role, stem in take.stems.items()}
        own = {file: path for file, path in sessions.items() if (path, "audio/flac") not in stems.values()}
        shown = {file: (path, MEDIA_TYPES[path.suffix]) for file, path in own.items()}
        also_in = {str(PurePosixPath(file).parent) for file in sessions.keys() - own.keys()}
        refs = await self._put_all({*plain.values(), *stems.values(), *shown.values()}, work)
        stored = pb.ComposeResult.Take(
            seed=take.seed,
            duration_seconds=take.duration_seconds,
            stems=[
                pb.ComposeResult.Stem(role=role, ref=refs[stems[role]], recipe=stem.recipe)
                for role, stem in take.stems.items()
            ],
            sections=[
                pb.ComposeResult.PlacedSection(name=one.name, start_seconds=one.start_seconds, bars=one.bars)
                for one in take.sections
            ],
            daw=[pb.ComposeResult.File(file=file, ref=refs[content]) for file, content in shown.items()],
            stems_also_in=next(iter(also_in), ""),
        )
        for name, content in plain.items():
            getattr(stored, name).CopyFrom(refs[content])
        return stored

    async def _put_all(self, files: Collection[File], work: Work) -> dict[File, type_pb2.ArtifactRef]:
        """All at once; the first that fails ends the others, and is what is raised."""
        try:
            async with asyncio.TaskGroup() as group:
                puts = {file: group.create_task(self._store.put(*file, work.grant)) for file in files}
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from failures
        return {file: put.result() for file, put in puts.items()}


def licence_of(own: str, source: Source | None) -> str:
    """SPDX expression of a song that begins with the source: all that is in it holds."""
    theirs = source.licence.split(" AND ") if source and source.licence else []
    return " AND ".join(dict.fromkeys([*own.split(" AND "), *theirs]))
