"""Score → stems → pre-master, written as they come: 24-bit FLAC, stereo, 48 kHz.

A song is made stretch by stretch: all parts of one are rendered, treated and summed before the next begins, so memory
does not grow with the song, and a finished stretch can be heard. What a part's fader is set to is known before: its
loudest bars are played once and measured. Stems are quantised before they are summed, so their sum is the pre-master
to the bit, in whatever order threads finish, and ceilings keep the sum under full scale.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from math import ceil
from pathlib import Path
from typing import Protocol

import numpy as np
import soundfile

from harmonia_composer.engine import Check, Listener, Stem
from harmonia_composer.engines.arranger import effects, render
from harmonia_composer.engines.arranger.channel import (
    BLOCK,
    LOUDEST_LUFS,
    QUIETEST_LUFS,
    SUNG_DB,
    TRIM_DB,
    Channel,
    Pulse,
    Stereo,
    recipe,
)
from harmonia_composer.engines.arranger.score import Part, Score
from harmonia_composer.engines.arranger.synth.kernels import RATE
from harmonia_composer.engines.arranger.synth.sound import Sound
from harmonia_composer.engines.arranger.synth.sounds import SOUNDS

THREADS = 2
FIRST_S, LONGEST_S = 5.0, 16.0
"""Of a stretch: somebody waits for the first."""
PROBE_S = 4.0
# What rings at the end of a loop has come round to its start after this long.
SETTLED_S = 8.0


@dataclass(frozen=True, slots=True)
class Desk:
    """What all tracks of a mix share. `keep`: stems are wanted as files."""

    score: Score
    folder: Path
    version: str
    listener: Listener
    sounds: Mapping[str, Sound]
    pulse: Pulse
    keep: bool
    singer: "Singer | None" = None

    @property
    def frames(self) -> int:
        return round(self.score.duration_seconds * RATE)

    def path(self, part: Part) -> Path | None:
        return self.folder / "stems" / f"{part.role}.flac" if self.keep else None


def mix(
    score: Score,
    folder: Path,
    *,
    stems: bool,
    version: str,
    listener: Listener,
    sounds: Mapping[str, Sound] = SOUNDS,
    singer: "Singer | None" = None,
) -> tuple[Path, dict[str, Stem]]:
    """Writes premaster.flac and stems/<role>.flac under `folder`, and previews as stretches are done.

    `singer`: of the part for a voice, where the score has one.
    """
    (folder / "stems").mkdir(parents=True, exist_ok=True)
    desk = Desk(score, folder, version, listener, sounds, Pulse.of(score), stems, singer)
    premaster = folder / "premaster.flac"
    with ExitStack() as open_files, ThreadPoolExecutor(THREADS, thread_name_prefix="arranger") as pool:
        tracks = [track(part, desk) for part in busiest_first(score)]
        for one in tracks:
            open_files.callback(one.close)
        whole = open_files.enter_context(flac(premaster))
        for start, end in stretches(score):
            sound = added(pool.map(partial(stretch, start, end), tracks))
            write(whole, sound, listener.check)
            preview(sound, start, desk)
            listener.progress(0.98 * end / desk.frames, "mixed")
    listener.progress(1.0, "mixed")
    made = {one.part.role: Stem(one.path, one.recipe) for one in tracks if one.path is not None}
    return premaster, {part.role: made[part.role] for part in score.parts if stems}


def stretch(start: int, end: int, track: "Track") -> Stereo:
    return track.stretch(start, end)


def busiest_first(score: Score) -> list[Part]:
    """So that both threads end together."""
    return sorted(score.parts, key=lambda part: -sum(note.length for note in part.notes) - len(part.notes))


def stretches(score: Score) -> list[tuple[int, int]]:
    """Frames from and to, at bar lines: sections, the long ones in parts, the first a short one."""
    last = round(score.duration_seconds * RATE)
    edges = [0]
    for section in score.sections:
        start, end = render.frame_at(score, section.tick), min(last, render.frame_at(score, section.end))
        most = LONGEST_S if edges[1:] else FIRST_S
        pieces = min(section.bars, ceil((end - start) / RATE / most))
        first = ceil(section.bars / max(1, pieces))
        bars = range(first, section.bars, max(first, int(LONGEST_S / (max(1, end - start) / RATE / section.bars))))
        edges += [start + (end - start) * bar // section.bars for bar in bars]
        edges.append(end)
    edges = sorted({edge - edge % 2 for edge in edges[:-1] if edge < last - RATE // 2} | {0})
    return list(zip(edges, [*edges[1:], last], strict=True))


def added(sounds: Iterator[Stereo]) -> Stereo:
    total = next(sounds).copy()
    for sound in sounds:
        total += sound
    return total


def flac(path: Path) -> soundfile.SoundFile:
    return soundfile.SoundFile(
        path, "w", samplerate=RATE, channels=2, format="FLAC", subtype="PCM_24", compression_level=0.0
    )


def write(file: soundfile.SoundFile, sound: Stereo, check: Check) -> None:
    for at in range(0, sound.shape[0], BLOCK):
        check()
        file.write(sound[at : at + BLOCK])


def preview(sound: Stereo, start: int, desk: Desk) -> None:
    path = desk.folder / "preview.flac"
    with flac(path) as file:
        write(file, sound, desk.listener.check)
    desk.listener.preview(path, start / RATE, sound.shape[0] / RATE)
    path.unlink(missing_ok=True)


class Singer(Protocol):
    """Sings a part of the style "vocals"."""

    def recipe(self, score: Score) -> str: ...

    def source(self, part: Part, score: Score) -> render.Source: ...


class Track(Protocol):
    part: Part
    path: Path | None
    recipe: str

    def stretch(self, start: int, end: int) -> Stereo:
        """The next frames of the stem."""

    def close(self) -> None: ...


def track(part: Part, desk: Desk) -> Track:
    desk.listener.check()
    sound = desk.sounds.get(part.instrument)
    version = desk.version + (desk.singer.recipe(desk.score) if desk.singer and part.style == "vocals" else "")
    made_from = recipe(part, desk.score, sound, desk.pulse, version=version)
    earlier = desk.listener.reusable(made_from)
    if earlier is not None and fits(earlier, desk.frames):
        return Kept(part, made_from, earlier, desk)
    return Made(part, made_from, sound, desk)


def fits(path: Path, frames: int) -> bool:
    found = soundfile.info(path)
    return bool((found.samplerate, found.channels, found.subtype, found.frames) == (RATE, 2, "PCM_24", frames))


class Kept:
    """A stem that an earlier song made from the same recipe."""

    def __init__(self, part: Part, made_from: str, earlier: Path, desk: Desk) -> None:
        self.part, self.recipe, self._check = part, made_from, desk.listener.check
        self.path = desk.path(part)
        if self.path:
            shutil.copyfile(earlier, self.path)
        self._file = soundfile.SoundFile(self.path or earlier)

    def stretch(self, start: int, end: int) -> Stereo:
        self._check()
        return np.asarray(self._file.read(end - start, dtype="int32", always_2d=True))

    def close(self) -> None:
        self._file.close()


class Made:
    """A stem in the making."""

    def __init__(self, part: Part, made_from: str, sound: Sound | None, desk: Desk) -> None:
        self.part, self.recipe, self._check = part, made_from, desk.listener.check
        self.path = desk.path(part)
        self._score, self._instrument, self._singer = desk.score, sound, desk.singer
        score = desk.score
        # The last time round is kept: by then the end rings on at the beginning.
        turns = ceil(SETTLED_S / score.duration_seconds) if score.loop else 0
        # Reverberation is made of pairs of frames: an odd loop goes round an even number of times before.
        passes = 1 + turns + turns % 2 * desk.frames % 2
        self._skipped = (passes - 1) * desk.frames
        self._played = performed(part, score, sound, render.everything(part), passes=passes, singer=desk.singer)
        self._channel = Channel(part, score, sound, Pulse.of(score, passes), passes=passes)
        self._gain = 0.0
        self._file = flac(self.path) if self.path else None

    def stretch(self, start: int, end: int) -> Stereo:
        if start == 0:
            self._gain = gain(self.part, self._score, self._instrument, self._check, self._singer)
            for at in range(0, self._skipped, BLOCK):
                self._sound(at, min(at + BLOCK, self._skipped))
        sound = self._sound(self._skipped + start, self._skipped + end)
        if self._file:
            write(self._file, sound, self._check)
        return sound

    def _sound(self, start: int, end: int) -> Stereo:
        block = self._played.block(start, end - start, self._check)
        self._channel.treat(block, start, self._check)
        return self._channel.finish(block, start, self._gain)

    def close(self) -> None:
        if self._file:
            self._file.close()


def performed(
    part: Part,
    score: Score,
    instrument: Sound | None,
    notes: Sequence[int],
    *,
    passes: int = 1,
    singer: Singer | None = None,
) -> render.Performance:
    if part.style != "vocals":
        return render.performance(part, score, instrument, notes, passes=passes)
    assert singer, "a score with a part for a voice comes with who sings it"
    return render.Performance(singer.source(part, score), score, notes, passes)


def gain(part: Part, score: Score, instrument: Sound | None, check: Check, singer: Singer | None = None) -> float:
    """Factor that brings the loudest bars of a part to the loudness its mix asks for."""
    sung = any(one.style == "vocals" for one in score.parts)
    target = min(LOUDEST_LUFS, max(QUIETEST_LUFS, part.mix.level_lufs + TRIM_DB)) + SUNG_DB * sung
    start, end = loudest(part, score)
    start = max(0, start - RATE // 2)
    numbers = beginning(part, score, start, end)
    if not numbers:
        return 1.0
    sound = performed(part, score, instrument, numbers, singer=singer).block(start, end - start, check)
    Channel(part, score, instrument, Pulse.of(score)).treat(sound, start, check)
    sums = np.zeros(ceil(sound.shape[0] / 4800))
    effects.weighed(sound, np.zeros(8), sums)
    return float(10 ** ((target - effects.gated_lufs(sums)) / 20))


def powers(
    score: Score,
    parts: Sequence[Part],
    spans: Sequence[tuple[int, int]],
    *,
    sounds: Mapping[str, Sound],
    check: Check,
    singer: Singer | None = None,
) -> effects.State:
    """How loud parts are together, of what begins between frames: K-weighted power in cells of 100 ms."""
    totals = [np.zeros((end - start, 2), dtype=np.float32) for start, end in spans]
    for part in parts:
        sound = sounds.get(part.instrument)
        fader = gain(part, score, sound, check, singer)
        for total, (start, end) in zip(totals, spans, strict=True):
            if numbers := beginning(part, score, start, end):
                block = performed(part, score, sound, numbers, singer=singer).block(start, end - start, check)
                channel = Channel(part, score, sound, Pulse.of(score))
                channel.treat(block, start, check)
                np.add(total, channel.finish(block, start, fader) / np.float32(1 << 31), out=total)
    cells = [np.zeros(ceil(total.shape[0] / 4800)) for total in totals]
    for total, sums in zip(totals, cells, strict=True):
        effects.weighed(total, np.zeros(8), sums)
    return np.concatenate(cells)


def beginning(part: Part, score: Score, start: int, end: int) -> list[int]:
    return [number for number, note in enumerate(part.notes) if start <= render.frame_at(score, note.start) < end]


def loudest(part: Part, score: Score) -> tuple[int, int]:
    """Frames from and to of the PROBE_S in which most is played, loudly."""
    last, half = round(score.duration_seconds * RATE), round(PROBE_S / 2 * RATE)
    cells = np.zeros(ceil(last / half) + 1)
    for note in part.notes:
        start = render.frame_at(score, note.start)
        end = min(max(render.ringing(note, score), start + RATE // 10), last)
        weight = (note.velocity / 127) ** 2.8 * 10 ** (0.1 * score.genre.depth_db * score.energy_at(note.start))
        for cell in range(start // half, max(start, end - 1) // half + 1):
            shared = min(end, (cell + 1) * half) - max(start, cell * half)
            cells[cell] += weight * (shared if part.style != "drums" else RATE)
    first = int(np.argmax(cells[:-1] + cells[1:])) * half
    first = max(0, min(first, last - 2 * half))
    return first - first % 2, min(last, first + 2 * half)
