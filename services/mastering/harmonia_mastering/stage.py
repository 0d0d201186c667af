"""The master stage, the same at both doors: a pre-master from the store becomes files in the store.

fetch → decode → master → MP3 → decoded and measured, again with lower peaks where it overshoots → store
               ↘ tempo, key      → FLAC, WAV, cover, waveform                                   ↗
"""

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ParamSpec, TypeVar

import numpy as np

from harmonia.audio.v1 import audio_pb2
from harmonia.job.v1 import job_pb2
from harmonia.mastering.v1 import mastering_pb2 as pb
from harmonia.type.v1 import type_pb2
from harmonia_chassis import telemetry
from harmonia_chassis.errors import InvalidInput, Reason
from harmonia_chassis.store import StoreClient
from harmonia_chassis.worker import Work
from harmonia_mastering import wire
from harmonia_mastering.cover import cover_png
from harmonia_mastering.decode import Recording, decode, read_own
from harmonia_mastering.encode import LOSSY, LOSSY_CHANNELS, MEDIA_TYPES, Format, Order
from harmonia_mastering.encoders import Encoders
from harmonia_mastering.key import Key, key
from harmonia_mastering.loudness import decibels, integrated, measure
from harmonia_mastering.master import Mastered, Target, lower_peaks, master
from harmonia_mastering.peaks import waveform_json
from harmonia_mastering.tags import Tags
from harmonia_mastering.tempo import Tempo, tempo
from harmonia_mastering.together import together, while_wanted
from harmonia_mastering.true_peak import true_peak

P = ParamSpec("P")
T = TypeVar("T")

# A decoded MP3 is another wave with the same sound: its peaks may stand this far above the ceiling, and never reach 0.
_LOSSY_HEADROOM_DB = 0.6
_LOSSY_HIGHEST_DBTP = -0.3
_LOSSY_TRIES = 4
# Of the 0.2 LU that are promised. MP3 takes the top octave off cymbals, which is some of the loudness: 0.13 LU of a
# techno track, and making up for that would cost a second encoding, a third of the whole stage.
_LOSSY_TOLERANCE_LU = 0.15
# The slowest first: the others are done on another core meanwhile.
_BY_DURATION = (Format.OPUS, Format.MP3, Format.OGG, Format.FLAC, Format.WAV16, Format.WAV, Format.WAV32F)


@dataclass(frozen=True, slots=True)
class _Plan:
    target: Target
    formats: list[Format]
    tags: Tags


@dataclass(frozen=True, slots=True)
class _Made:
    take: pb.MasterResult.Take
    warnings: list[str]
    cpu_s: float


class MasterStage:
    def __init__(self, store: StoreClient, encoders: Encoders) -> None:
        self._store = store
        self._encoders = encoders

    async def perform(self, request: pb.MasterRequest, work: Work) -> job_pb2.StageResult:
        """Raises InvalidInput for what cannot be mastered, Unavailable when an encoder dies, Stopped."""
        return await while_wanted(work.check, self._perform(request, work))

    async def analyze(self, source: type_pb2.ArtifactRef, grant: str) -> audio_pb2.AnalyzeResponse:
        """Any recording, from anybody; raises InvalidInput as decode does."""
        with TemporaryDirectory(prefix="harmonia-analyze-") as folder:
            file = Path(folder) / "recording"
            await self._store.fetch(source, grant, file)
            recording = await decode(file)
        return await asyncio.to_thread(_reading, recording)

    async def _perform(self, request: pb.MasterRequest, work: Work) -> job_pb2.StageResult:
        plan = await self._plan(request, work)
        result, cpu_s, count = pb.MasterResult(), 0.0, len(request.sources)
        for done, source in enumerate(request.sources):
            take = _Take(self._store, self._encoders, plan, source, work, done=done, count=count)
            made = await take.make()
            result.takes.append(made.take)
            result.warnings.extend(made.warnings)
            cpu_s += made.cpu_s
        return job_pb2.StageResult(master=result, cpu_seconds=cpu_s)

    async def _plan(self, request: pb.MasterRequest, work: Work) -> _Plan:
        wire.check_sources(request)
        target, formats = wire.target_from_proto(request.mastering), wire.formats_from_proto(request.formats)
        tags = wire.tags_from_proto(request.tags)
        if request.HasField("lyrics"):
            words = await self._store.get(request.lyrics, work.grant)
            tags = wire.with_lyrics(tags, words.decode("utf-8", errors="replace"))
        return _Plan(target, formats, tags)


class _Take:
    """One take on its way through the stage."""

    def __init__(
        self,
        store: StoreClient,
        encoders: Encoders,
        plan: _Plan,
        source: pb.MasterRequest.Source,
        work: Work,
        *,
        done: int,
        count: int,
    ) -> None:
        self._store = store
        self._encoders = encoders
        self._plan = plan
        self._source = source
        self._work = work
        self._done = done
        self._count = count
        self._cpu_s = 0.0
        self._warnings: list[str] = []

    async def make(self) -> _Made:
        with TemporaryDirectory(prefix="harmonia-master-") as folder:
            premaster = await self._fetched(Path(folder))
            listening = asyncio.ensure_future(self._listen(premaster))
            producing = asyncio.ensure_future(self._produce(premaster, Path(folder)))
            await together(listening, producing)
        (tempo_heard, key_heard), (mastered, files) = listening.result(), producing.result()
        analysis = wire.analysis_to_proto(
            self._plan.tags,
            tempo_heard,
            key_heard,
            mastered.loudness,
            gain_reduction_db=mastered.gain_reduction_db,
        )
        take = pb.MasterResult.Take(take=self._source.take, files=files, analysis=analysis)
        return _Made(take, self._warnings, self._cpu_s)

    async def _fetched(self, folder: Path) -> Recording:
        self._tell(0.02, "fetching the mix")
        file = folder / "premaster.flac"
        await self._store.fetch(self._source.premaster, self._work.grant, file)
        premaster = await self._thread(read_own, file)
        channels = premaster.samples.shape[0]
        lossy = [one for one in self._plan.formats if one in LOSSY]
        if lossy and channels > LOSSY_CHANNELS:
            message = (
                f"{' and '.join(lossy)} have at most {LOSSY_CHANNELS} channels, not {channels}: ask for wav or flac"
            )
            raise InvalidInput(message, reason=Reason.NOT_SUPPORTED, field="formats")
        return premaster

    async def _listen(self, premaster: Recording) -> tuple[Tempo, Key]:
        samples, rate_hz = premaster.samples, premaster.rate_hz
        with telemetry.span(telemetry.SPAN_LISTEN):
            tempo_heard = await self._thread(tempo, samples, rate_hz, expected_bpm=self._plan.tags.bpm or None)
            return tempo_heard, await self._thread(key, samples, rate_hz)

    async def _produce(self, premaster: Recording, folder: Path) -> tuple[Mastered, list[pb.MasterResult.File]]:
        self._tell(0.1, "mastering")
        with telemetry.span(telemetry.SPAN_MASTER):
            mastered = await self._thread(
                master, premaster.samples, premaster.rate_hz, self._plan.target, check=self._work.check
            )
        self._warn_of_target(mastered)
        self._tell(0.3, "encoding")
        recording = Recording(mastered.samples, premaster.rate_hz)
        source = folder / "master.npy"
        await self._thread(np.save, source, recording.samples)
        encoding = sorted(self._plan.formats, key=_BY_DURATION.index)
        kept = await together(
            *(self._encoded(one, recording, source) for one in encoding),
            self._picture(recording),
            self._waveform(recording),
        )
        self._tell(1.0, "mastered")
        return mastered, sorted(kept, key=lambda file: self._place(file.file))

    async def _encoded(self, to: Format, recording: Recording, source: Path) -> pb.MasterResult.File:
        order = Order(source, recording.rate_hz, to, self._plan.tags, source.with_name(to.file))
        with telemetry.span(telemetry.SPAN_ENCODE, attributes={telemetry.FORMAT: to}):
            self._cpu_s += await self._encoders.encode(order)
            if to in LOSSY:
                await self._correct(order, recording)
        ref = await self._store.put(order.to, MEDIA_TYPES[to], self._work.grant)
        seconds = recording.samples.shape[1] / recording.rate_hz
        return pb.MasterResult.File(role="master", file=order.to.name, ref=ref, duration_seconds=seconds)

    async def _correct(self, order: Order, recording: Recording) -> None:
        """Encodes again, peaks lowered and loudness lifted, until the decoded file is as the master is."""
        again = replace(order, samples=order.samples.with_name(f"lower-{order.format}.npy"))
        ceiling_dbtp = self._plan.target.ceiling_dbtp
        allowed_dbtp = min(ceiling_dbtp + _LOSSY_HEADROOM_DB, _LOSSY_HIGHEST_DBTP)
        gain_db = 0.0
        for _ in range(_LOSSY_TRIES):
            over_db, missing_lu = await self._thread(_lost, order.to, recording, allowed_dbtp)
            if over_db <= 0 and abs(missing_lu) <= _LOSSY_TOLERANCE_LU:
                return
            ceiling_dbtp = min(ceiling_dbtp, allowed_dbtp) - max(over_db, 0.0)
            gain_db += missing_lu
            samples, rate_hz = recording.samples, recording.rate_hz
            lowered = await self._thread(lower_peaks, samples, rate_hz, ceiling_dbtp=ceiling_dbtp, gain_db=gain_db)
            await self._thread(np.save, again.samples, lowered)
            self._cpu_s += await self._encoders.encode(again)
        over_db, missing_lu = await self._thread(_lost, order.to, recording, allowed_dbtp)
        if over_db > 0:
            self._warnings.append(f"take {self._source.take}: {order.to.name} peaks above {allowed_dbtp:g} dBTP")

    async def _picture(self, recording: Recording) -> pb.MasterResult.File:
        tags, seed = self._plan.tags, self._source.seed
        png = await self._thread(cover_png, recording.samples, title=tags.title, genre=tags.genre, seed=seed)
        ref = await self._store.put(png, "image/png", self._work.grant)
        return pb.MasterResult.File(role="cover", file="cover.png", ref=ref)

    async def _waveform(self, recording: Recording) -> pb.MasterResult.File:
        text = await self._thread(waveform_json, recording.samples, recording.rate_hz)
        ref = await self._store.put(text, "application/json", self._work.grant)
        return pb.MasterResult.File(role="waveform", file="waveform.json", ref=ref)

    def _place(self, file: str) -> int:
        return [*(one.file for one in self._plan.formats), "cover.png", "waveform.json"].index(file)

    def _warn_of_target(self, mastered: Mastered) -> None:
        if mastered.reached:
            return
        measured = mastered.loudness.integrated_lufs
        found = "there is nothing to hear" if measured is None else f"{measured:.1f} LUFS is as near as it gets"
        wanted = f"{self._plan.target.loudness_lufs:g} LUFS under {self._plan.target.ceiling_dbtp:g} dBTP"
        self._warnings.append(f"take {self._source.take}: {wanted} cannot be met: {found}")

    def _tell(self, fraction: float, message: str) -> None:
        self._work.progress((self._done + fraction) / self._count, message)

    async def _thread(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        result, cpu_s = await asyncio.to_thread(_timed, lambda: function(*args, **kwargs))
        self._cpu_s += cpu_s
        return result


def _timed(function: Callable[[], T]) -> tuple[T, float]:
    started = time.thread_time()
    return function(), time.thread_time() - started


def _lost(file: Path, recording: Recording, allowed_dbtp: float) -> tuple[float, float]:
    """How far the decoded file's peaks are above what is allowed, in dB, and how much less loud it is, in LU."""
    decoded = read_own(file)
    peak_dbtp = decibels(true_peak(decoded.samples))
    wanted, found = (integrated(one.samples, one.rate_hz) for one in (recording, decoded))
    over_db = -math.inf if peak_dbtp is None else peak_dbtp - allowed_dbtp
    return over_db, 0.0 if wanted is None or found is None else wanted - found


def _reading(recording: Recording) -> audio_pb2.AnalyzeResponse:
    samples, rate_hz = recording.samples, recording.rate_hz
    channels, length = samples.shape
    return wire.reading_to_proto(
        measure(samples, rate_hz),
        tempo(samples, rate_hz),
        key(samples, rate_hz),
        channels=channels,
        length=length,
        rate_hz=rate_hz,
    )
