"""One take on its way through the master stage.

fetch → decode → master → lossy files → decoded and measured, again with lower peaks where they overshoot → store
               ↘ tempo, key    → lossless files, cover, waveform → provenance                              ↗
                               → before and after, where somebody asked for them
A recording that a person sent is decoded behind bars, and its files are the masters alone.
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ParamSpec, TypeVar

import numpy as np

from harmonia.mastering.v1 import mastering_pb2 as pb
from harmonia.store.v1 import store_pb2
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
from harmonia_mastering.loudness import decibels, integrated
from harmonia_mastering.master import Mastered, Status, Target, lower_peaks, master
from harmonia_mastering.peaks import waveform_json
from harmonia_mastering.preview import preview
from harmonia_mastering.provenance import Digests, Origin, digests, provenance_json
from harmonia_mastering.stereo import Stereo, stereo
from harmonia_mastering.tags import Tags
from harmonia_mastering.tempo import Tempo, tempo
from harmonia_mastering.together import together
from harmonia_mastering.true_peak import Samples, true_peak

P = ParamSpec("P")
T = TypeVar("T")

# A decoded MP3 is another wave with the same sound: its peaks may stand this far above the ceiling, and never reach 0.
_LOSSY_HEADROOM_DB = 0.6
_LOSSY_HIGHEST_DBTP = -0.3
LOSSY_TRIES = 4
# Of the 0.2 LU that are promised. MP3 takes the top octave off cymbals, which is some of the loudness: 0.13 LU of a
# techno track, and making up for that would cost a second encoding, a third of the whole stage.
_LOSSY_TOLERANCE_LU = 0.15
# The slowest first: the others are done on another core meanwhile.
_BY_DURATION = (Format.OPUS, Format.MP3, Format.OGG, Format.FLAC, Format.WAV16, Format.WAV, Format.WAV32F)
PREVIEW = store_pb2.StorageClass.PREVIEW
_EXTRAS = ("cover.png", "waveform.json", "provenance.json", "preview-before.flac", "preview-after.flac")


@dataclass(frozen=True, slots=True)
class Plan:
    """origin: None for a recording that somebody sent."""

    target: Target
    formats: list[Format]
    tags: Tags
    preview: bool
    origin: Origin | None


@dataclass(frozen=True, slots=True)
class Made:
    take: pb.MasterResult.Take
    warnings: list[str]
    cpu_s: float


@dataclass(frozen=True, slots=True)
class _Heard:
    tempo: Tempo
    key: Key
    stereo: Stereo | None


@dataclass(frozen=True, slots=True)
class Correction:
    """What is encoded in place of the master: it after the gain, its peaks under the ceiling."""

    samples: Samples
    gain_db: float
    ceiling_dbtp: float


class Take:
    def __init__(
        self,
        store: StoreClient,
        encoders: Encoders,
        plan: Plan,
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
        self._digests: dict[Format, Digests] = {}

    async def make(self) -> Made:
        with TemporaryDirectory(prefix="harmonia-master-") as folder:
            premaster = await self._fetched(Path(folder))
            listening = asyncio.ensure_future(self._listen(premaster))
            producing = asyncio.ensure_future(self._produce(premaster, Path(folder)))
            await together(listening, producing)
        heard, (mastered, files) = listening.result(), producing.result()
        analysis = wire.analysis_to_proto(
            self._plan.tags, self._plan.target, mastered, tempo=heard.tempo, key=heard.key, stereo=heard.stereo
        )
        if heard.stereo and mastered.status is not Status.UNMEASURABLE:
            self._warnings += [f"take {self._source.take}: {line}" for line in heard.stereo.warnings()]
        take = pb.MasterResult.Take(take=self._source.take, files=files, analysis=analysis)
        return Made(take, self._warnings, self._cpu_s)

    async def _fetched(self, folder: Path) -> Recording:
        self._tell(0.02, "fetching the mix")
        file = folder / "premaster"
        await self._store.fetch(self._source.premaster, self._work.grant, file)
        premaster = await decode(file) if self._source.uploaded else await self._thread(read_own, file)
        channels = premaster.samples.shape[0]
        lossy = " and ".join(one for one in self._plan.formats if one in LOSSY)
        if lossy and channels > LOSSY_CHANNELS:
            message = f"{lossy} have at most {LOSSY_CHANNELS} channels, not {channels}: ask for wav or flac"
            raise InvalidInput(message, reason=Reason.NOT_SUPPORTED, field="formats")
        return premaster

    async def _listen(self, premaster: Recording) -> _Heard:
        samples, rate_hz = premaster.samples, premaster.rate_hz
        with telemetry.span(telemetry.SPAN_LISTEN):
            tempo_heard = await self._thread(tempo, samples, rate_hz, expected_bpm=self._plan.tags.bpm or None)
            key_heard = await self._thread(key, samples, rate_hz)
            return _Heard(tempo_heard, key_heard, await self._thread(stereo, samples))

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
        making: list[Awaitable[pb.MasterResult.File]] = [self._encoded(one, recording, source) for one in encoding]
        if not self._source.uploaded:
            making += [self._picture(recording), self._waveform(recording)]
        if self._plan.preview:
            making += await self._before_and_after(premaster, mastered.samples, folder)
        kept = await together(*making)
        if self._plan.origin:
            kept.append(await self._provenance(self._plan.origin, mastered))
        self._tell(1.0, "mastered")
        return mastered, sorted(kept, key=lambda file: self._place(file.file))

    async def _encoded(self, to: Format, recording: Recording, source: Path) -> pb.MasterResult.File:
        order = Order(source, recording.rate_hz, to, self._plan.tags, source.with_name(to.file))
        with telemetry.span(telemetry.SPAN_ENCODE, attributes={telemetry.FORMAT: to}):
            self._cpu_s += await self._encoders.encode(order)
            if to in LOSSY:
                await self._correct(order, recording)
        if self._plan.origin:
            self._digests[to] = await self._thread(digests, order.to, to)
        ref = await self._store.put(order.to, MEDIA_TYPES[to], self._work.grant)
        seconds = recording.samples.shape[1] / recording.rate_hz
        return pb.MasterResult.File(role="master", file=order.to.name, ref=ref, duration_seconds=seconds)

    async def _correct(self, order: Order, recording: Recording) -> None:
        """Encodes again, peaks lowered and loudness lifted, until the decoded file is as the master is."""
        again = replace(order, samples=order.samples.with_name(f"lower-{order.format}.npy"))
        asked_dbtp = self._plan.target.ceiling_dbtp
        tried = Correction(recording.samples, 0.0, asked_dbtp)
        for _ in range(LOSSY_TRIES):
            better = await self._thread(correction, order.to, recording, tried, asked_dbtp=asked_dbtp)
            if better is None:
                return
            tried = better
            await self._thread(np.save, again.samples, tried.samples)
            self._cpu_s += await self._encoders.encode(again)
        over_db, _ = await self._thread(_lost, order.to, recording, highest_dbtp(asked_dbtp))
        if over_db > 0:
            most = f"{highest_dbtp(asked_dbtp):g} dBTP"
            self._warnings.append(f"take {self._source.take}: {order.to.name} peaks above {most}")

    async def _before_and_after(
        self, premaster: Recording, mastered: Samples, folder: Path
    ) -> list[Awaitable[pb.MasterResult.File]]:
        shown = await self._thread(preview, premaster.samples, mastered, premaster.rate_hz)
        return [
            self._preview_file(Recording(part, premaster.rate_hz), folder / f"preview-{name}.flac")
            for name, part in (("before", shown.before), ("after", shown.after))
        ]

    async def _preview_file(self, part: Recording, to: Path) -> pb.MasterResult.File:
        source = to.with_suffix(".npy")
        await self._thread(np.save, source, part.samples)
        self._cpu_s += await self._encoders.encode(Order(source, part.rate_hz, Format.FLAC, Tags(), to))
        ref = await self._store.put(to, "audio/flac", self._work.grant, storage_class=PREVIEW)
        seconds = part.samples.shape[1] / part.rate_hz
        return pb.MasterResult.File(role="preview", file=to.name, ref=ref, duration_seconds=seconds)

    async def _picture(self, recording: Recording) -> pb.MasterResult.File:
        tags, seed = self._plan.tags, self._source.seed
        png = await self._thread(cover_png, recording.samples, title=tags.title, genre=tags.genre, seed=seed)
        ref = await self._store.put(png, "image/png", self._work.grant)
        return pb.MasterResult.File(role="cover", file="cover.png", ref=ref)

    async def _waveform(self, recording: Recording) -> pb.MasterResult.File:
        text = await self._thread(waveform_json, recording.samples, recording.rate_hz)
        ref = await self._store.put(text, "application/json", self._work.grant)
        return pb.MasterResult.File(role="waveform", file="waveform.json", ref=ref)

    async def _provenance(self, origin: Origin, mastered: Mastered) -> pb.MasterResult.File:
        text = provenance_json(
            {one: self._digests[one] for one in self._plan.formats},
            premaster_sha256=self._source.premaster.sha256,
            seed=self._source.seed,
            origin=origin,
            tags=self._plan.tags,
            target=self._plan.target,
            mastered=mastered,
            versions=[("harmonia-mastering", version("harmonia-mastering"))],
        )
        ref = await self._store.put(text, "application/json", self._work.grant)
        return pb.MasterResult.File(role="provenance", file="provenance.json", ref=ref)

    def _place(self, file: str) -> int:
        return [*(one.file for one in self._plan.formats), *_EXTRAS].index(file)

    def _warn_of_target(self, mastered: Mastered) -> None:
        target, take = self._plan.target, f"take {self._source.take}"
        wanted = f"{target.loudness_lufs:g} LUFS under {target.ceiling_dbtp:g} dBTP" if target.loudness_lufs else ""
        if not mastered.reached:
            measured = mastered.loudness.integrated_lufs
            found = "there is nothing to hear" if measured is None else f"{measured:.1f} LUFS is as near as it gets"
            self._warnings.append(f"{take}: {wanted} cannot be met: {found}")
        elif mastered.status is Status.LIMITED:
            depth = f"{mastered.limiter_reduction_db:.1f} dB"
            what = f"{wanted} is met" if wanted else f"the ceiling of {target.ceiling_dbtp:g} dBTP is kept"
            self._warnings.append(f"{take}: {what}, but the limiter takes {depth} off its loudest moments")

    def _tell(self, fraction: float, message: str) -> None:
        self._work.progress((self._done + fraction) / self._count, message)

    async def _thread(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        result, cpu_s = await asyncio.to_thread(_timed, lambda: function(*args, **kwargs))
        self._cpu_s += cpu_s
        return result


def highest_dbtp(ceiling_dbtp: float) -> float:
    """Where the peaks of a decoded file may stand."""
    return min(ceiling_dbtp + _LOSSY_HEADROOM_DB, _LOSSY_HIGHEST_DBTP)


def correction(file: Path, recording: Recording, tried: Correction, *, asked_dbtp: float) -> Correction | None:
    """What to encode instead of what was tried; None when the file is as the master is."""
    over_db, missing_lu = _lost(file, recording, highest_dbtp(asked_dbtp))
    if over_db <= 0 and abs(missing_lu) <= _LOSSY_TOLERANCE_LU:
        return None
    ceiling_dbtp = min(tried.ceiling_dbtp, highest_dbtp(asked_dbtp)) - max(over_db, 0.0)
    gain_db = tried.gain_db + missing_lu
    samples = lower_peaks(recording.samples, recording.rate_hz, ceiling_dbtp=ceiling_dbtp, gain_db=gain_db)
    return Correction(samples, gain_db, ceiling_dbtp)


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
