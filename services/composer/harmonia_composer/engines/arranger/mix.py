"""Score → stems → pre-master, written as they come: 24-bit FLAC, stereo, 48 kHz.

Each part is rendered, treated and brought to the loudness of its role by measuring it. Stems are quantised before
they are summed, so their sum is the pre-master to the bit, in whatever order threads finish. Each has a ceiling, and
the ceilings together stay under full scale, so the sum cannot clip.
"""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from harmonia_composer.engine import Check, Progress
from harmonia_composer.engines.arranger import effects, render
from harmonia_composer.engines.arranger.form import tail_seconds
from harmonia_composer.engines.arranger.genres.genre import Mix
from harmonia_composer.engines.arranger.groove import DRUMS
from harmonia_composer.engines.arranger.score import Part, Score
from harmonia_composer.engines.arranger.synth.kernels import RATE, Buffer

Sums = NDArray[np.int32]
BLOCK = 1 << 18
"""Frames between two calls of check: 5.5 s of sound, some 15 ms of work."""
THREADS = 2
# Of every part, so that peaks seldom reach their ceiling; mastering sets the loudness of the whole.
TRIM_DB = -3.0
QUIETEST = -30.0
FULL = 0.95
# Peaks over loudness that a part of this style is left, as a factor.
CREST = {"drums": 6.0, "bass": 5.0, "comp": 4.5, "pad": 3.5, "melody": 4.0, "texture": 4.0}


def mix(score: Score, folder: Path, *, stems: bool, progress: Progress, check: Check) -> tuple[Path, dict[str, Path]]:
    """Writes premaster.flac and stems/<role>.flac under `folder`."""
    frames = round(score.duration_seconds * RATE)
    desk = Desk(score, frames, folder, stems=stems, progress=progress, check=check)
    (folder / "stems").mkdir(parents=True, exist_ok=True)
    # The busiest first, so that both threads end together.
    order = sorted(score.parts, key=lambda part: -sum(note.length for note in part.notes) - len(part.notes))
    with ThreadPoolExecutor(THREADS, thread_name_prefix="arranger") as pool:
        paths = dict(zip([part.role for part in order], pool.map(desk.stem, order), strict=True))
    premaster = folder / "premaster.flac"
    write(premaster, blocks(desk.sums), check)
    progress(1.0, "mixed")
    return premaster, {part.role: paths[part.role] for part in score.parts} if stems else {}


def write(path: Path, parts: Iterator[Sums], check: Check) -> None:
    with soundfile.SoundFile(
        path, "w", samplerate=RATE, channels=2, format="FLAC", subtype="PCM_24", compression_level=0.0
    ) as file:
        for part in parts:
            check()
            file.write(part)


def blocks(samples: Sums) -> Iterator[Sums]:
    for start in range(0, samples.shape[0], BLOCK):
        yield samples[start : start + BLOCK]


def ceilings(parts: Sequence[Part]) -> dict[str, float]:
    weights = {part.role: 10 ** (part.mix.level_lufs / 20) * CREST[part.style] for part in parts}
    total = sum(weights.values())
    return {role: FULL * weight / total for role, weight in weights.items()}


def level_points(score: Score) -> NDArray[np.float64]:
    """Frame and gain: each section at its energy, 40 ms from one to the next."""
    depth = score.genre.depth_db
    points: list[tuple[float, float]] = []
    for section in score.sections:
        start, end = render.frame_at(score, section.tick), render.frame_at(score, section.end)
        points.append((start + (0.01 * RATE if points else 0), 10 ** ((section.energy - 1) * depth / 20)))
        points.append((end - 0.03 * RATE, 10 ** ((section.energy_end - 1) * depth / 20)))
    points.append((points[-1][0] + 1.0, points[-1][1]))
    return np.array(points)


def kick_frames(score: Score) -> NDArray[np.int64]:
    notes = [note for part in score.parts if part.style == "drums" for note in part.notes]
    frames = sorted({render.frame_at(score, note.start) for note in notes if note.pitch == DRUMS["kick"]})
    return np.array(frames, dtype=np.int64)


class Desk:
    """One mix in the making: what its threads share."""

    def __init__(
        self, score: Score, frames: int, folder: Path, *, stems: bool, progress: Progress, check: Check
    ) -> None:
        self.score, self.frames, self.folder, self.stems = score, frames, folder, stems
        self.progress, self.check = progress, check
        self.sums: Sums = np.zeros((frames, 2), dtype=np.int32)
        self._lock = threading.Lock()
        self._ceilings = ceilings(score.parts)
        self._points = level_points(score)
        self._kicks = kick_frames(score)
        self._done = 0

    def stem(self, part: Part) -> Path:
        sound = render.render(part, self.score, self.frames, self.check)
        loudness = treat(sound, part.mix, self.score, points=self._points, kicks=self._kicks, check=self.check)
        path = self.folder / "stems" / f"{part.role}.flac"
        finished = self._finished(sound, part, 10 ** ((max(QUIETEST, part.mix.level_lufs + TRIM_DB) - loudness) / 20))
        if self.stems:
            write(path, finished, self.check)
        else:
            for _ in finished:
                self.check()
        self._report(part)
        return path

    def _finished(self, sound: Buffer, part: Part, gain: float) -> Iterator[Sums]:
        fade = max(1, int(min(2.0, tail_seconds(self.score.duration_seconds)) * RATE))
        offset = np.zeros(2)
        for start in range(0, self.frames, BLOCK):
            with self._lock:
                made = effects.finish(
                    sound[start : start + BLOCK],
                    start,
                    gain,
                    self._ceilings[part.role],
                    self.frames,
                    fade,
                    self.sums,
                    offset,
                )
            yield made

    def _report(self, part: Part) -> None:
        with self._lock:
            self._done += 1
            fraction = 0.95 * self._done / len(self.score.parts)
        self.progress(fraction, f"{part.role} rendered")


def treat(
    sound: Buffer, mix: Mix, score: Score, *, points: NDArray[np.float64], kicks: NDArray[np.int64], check: Check
) -> float:
    """Effects in place, block by block; returns the loudness of what comes out, LUFS."""
    strip_state, echo_state, room_state = np.zeros(9), np.zeros(2), np.zeros(10)
    chorus_line, echo_line = np.zeros((4096, 2)), np.zeros((1 << 17, 2))
    lines = np.zeros((10, 2048))
    lengths, room_gains = effects.room_gains(score.genre.room_s * (0.7 + 0.3 * score.reverb))
    delay = min(int(0.75 * 60.0 / score.bpm * RATE), echo_line.shape[0] - 1)
    weighing, cells = np.zeros(8), sound.shape[0] // 4800 + 1
    sums, counts = np.zeros(cells), np.zeros(cells, dtype=np.int64)
    for start in range(0, sound.shape[0], BLOCK):
        check()
        block = sound[start : start + BLOCK]
        effects.strip(
            block, start, strip_state, float(mix.low_cut_hz), 10 ** (mix.high_db / 20), float(mix.drive),
            points, kicks, 10 ** (-mix.duck_db / 20),
        )  # fmt: skip
        if mix.chorus:
            effects.chorus(block, start, chorus_line, float(mix.chorus))
        if mix.delay:
            effects.echo(block, start, echo_line, delay, float(mix.delay), echo_state)
        if mix.reverb:
            effects.room(block, start, lines, lengths, room_gains, room_state, float(mix.reverb * score.reverb))
        effects.weighed(block, weighing, sums, counts, start)
    return effects.integrated_lufs(sums, counts)
