"""A part of a score → sound, dry, from front to back in blocks. float32 [frames, 2], 48 kHz.

A note is rendered whole in the block it starts in; what reaches past the block waits for the next. So blocks of any
length give the same bits, and no song needs more memory than its longest note.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import cos, pi, sin
from typing import Protocol

import numpy as np

from harmonia_composer.engine import Check
from harmonia_composer.engines.arranger.percussion import DRUMS
from harmonia_composer.engines.arranger.score import Note, Part, Score
from harmonia_composer.engines.arranger.synth import kernels
from harmonia_composer.engines.arranger.synth.drums import KITS, PANS, Drum, tuned_to
from harmonia_composer.engines.arranger.synth.kernels import RATE, Buffer
from harmonia_composer.engines.arranger.synth.sound import Sound
from harmonia_composer.engines.arranger.synth.voice import Played

ROBINS = 4
"""Recordings of each drum at each strength, taken in turn."""
STRENGTHS = 6
# A note that begins this close to the end of the one before is slurred to it.
SLUR = round(0.03 * RATE)
TOGETHER = round(0.03 * RATE)
CLOSING = (DRUMS["hat"], DRUMS["pedal hat"], DRUMS["open hat"])


@dataclass(frozen=True, slots=True)
class Event:
    """Something that sounds from frame `start` to before `end`; `note` is its number in the part."""

    start: int
    end: int
    number: int
    note: Note
    held: int
    glide: float = 0.0


def frame_at(score: Score, tick: int) -> int:
    return round(score.seconds(tick) * RATE)


def frames_of(score: Score) -> int:
    return round(score.duration_seconds * RATE)


def gains(pan: float, level: float) -> tuple[float, float]:
    """Equal power; −1 left … 1 right."""
    angle = (max(-1.0, min(1.0, pan)) + 1.0) * pi / 4
    return level * cos(angle), level * sin(angle)


def seed_of(score: Score, *purpose: object) -> int:
    label = "/".join(str(part) for part in (score.seed, *purpose))
    return int.from_bytes(hashlib.sha256(label.encode()).digest()[:6], "big")


def ringing(note: Note, score: Score) -> int:
    """Frame of the release. What is held to the last beat is held as long as the song."""
    if note.tick + note.length >= score.ticks and not score.loop:
        return round(score.duration_seconds * RATE)
    return frame_at(score, note.start + note.length)


class Source(Protocol):
    """Who plays a part: when each of its notes sounds, and how."""

    def events(self, notes: Sequence[int]) -> Iterator[Event]:
        """Of the notes with these numbers."""

    def sound(self, event: Event, out: Buffer, start: int) -> None:
        """Adds it to `out` from frame `start` on."""


def performance(
    part: Part, score: Score, sound: Sound | None, notes: Sequence[int], *, passes: int = 1
) -> "Performance":
    """Of the notes with these numbers, played `passes` times in a row; what has no pitch has no `sound`."""
    return Performance(source(part, score, sound), score, notes, passes)


def source(part: Part, score: Score, sound: Sound | None) -> Source:
    if sound is not None:
        return Player(part, score, sound)
    return (Drummer if part.instrument in KITS else Weather)(part, score)


def everything(part: Part) -> range:
    return range(len(part.notes))


class Performance:
    """The queue of events, and the sound that waits for the next block."""

    def __init__(self, source: Source, score: Score, notes: Sequence[int], passes: int) -> None:
        self._source = source
        length = frames_of(score)
        self._last = length * passes
        once = sorted(source.events(notes), key=lambda event: (event.start, event.number))
        self._queue = [
            replace(one, start=one.start + turn * length, end=one.end + turn * length)
            for turn in range(passes)
            for one in once
        ]
        self._at = 0
        self._waiting: Buffer = np.zeros((0, 2), dtype=np.float32)

    def block(self, start: int, frames: int, check: Check) -> Buffer:
        """The next `frames`, from `start` on: what begins there and what still sounds. Blocks follow each other."""
        begins = self._beginning(start + frames)
        needed = max([frames, self._waiting.shape[0], *(min(one.end, self._last) - start for one in begins)])
        out = np.zeros((needed, 2), dtype=np.float32)
        out[: self._waiting.shape[0]] = self._waiting
        for event in begins:
            check()
            if event.start - start < needed:
                self._source.sound(event, out, event.start - start)
        self._waiting = out[frames:].copy()
        return out[:frames]

    def _beginning(self, before: int) -> list[Event]:
        first = self._at
        while self._at < len(self._queue) and self._queue[self._at].start < before:
            self._at += 1
        return self._queue[first : self._at]


class Player:
    """Everything that plays pitches."""

    def __init__(self, part: Part, score: Score, sound: Sound) -> None:
        self.part, self.score, self._instrument = part, score, sound
        self._middle = sum(note.pitch for note in part.notes) / max(1, len(part.notes))
        self._seed = seed_of(score, part.role)

    def events(self, notes: Sequence[int]) -> Iterator[Event]:
        glides = self._glides() if self._instrument.slurs else {}
        for number in notes:
            note = self.part.notes[number]
            start = frame_at(self.score, note.start)
            held = max(1, ringing(note, self.score) - start)
            tail = self._instrument.voice.rings_s(hertz(note.pitch)) + 0.05
            yield Event(start, start + held + int(tail * RATE), number, note, held, glides.get(number, 0.0))

    def _glides(self) -> dict[int, float]:
        """Octaves to the note before, of each that begins where another ends."""
        order = sorted(range(len(self.part.notes)), key=lambda number: (self.part.notes[number].start, number))
        found = {}
        for before, number in pairwise(order):
            one, other = self.part.notes[before], self.part.notes[number]
            gap = frame_at(self.score, other.start) - frame_at(self.score, one.start + one.length)
            if gap <= SLUR and other.start > one.start:
                found[number] = (one.pitch - other.pitch) / 12.0
        return found

    def sound(self, event: Event, out: Buffer, start: int) -> None:
        note, score, mix = event.note, self.score, self.part.mix
        velocity = note.velocity / 127.0
        hand = mix.hand_octaves * sin(2 * pi * note.start / (4 * score.metre.ticks))
        bright = 2.0 ** (score.brightness + 1.6 * (score.energy_at(note.start) - 0.65) + hand)
        seed = (self._seed + 7919 * event.number) & 0xFFFFFFFF
        pan = mix.pan + mix.width * max(-1.0, min(1.0, (note.pitch - self._middle) / 12.0))
        level = 0.3 * velocity**1.4
        takes = [(0, *gains(pan, level), seed)]
        if self._instrument.doubled:
            late = 290 + seed % 577
            takes = [(0, *gains(-0.85, level), seed), (late, *gains(0.85, level), seed ^ 0x5DEECE66)]
        for late, left, right, own in takes:
            if start + late < out.shape[0]:
                self._instrument.voice.play(
                    out,
                    Played(
                        start + late, event.held, hertz(note.pitch), left, right, velocity, bright, own, event.glide
                    ),
                )


def hertz(pitch: int) -> float:
    return float(440.0 * 2.0 ** ((pitch - 69) / 12.0))


class Drummer:
    """Each drum is struck once for every strength and turn, and then only copied."""

    def __init__(self, part: Part, score: Score) -> None:
        self.part, self.score = part, score
        self._kit = {DRUMS[name]: tuned_to(drum, score.key.tonic) for name, drum in KITS[part.instrument].items()}
        self._pans = {DRUMS[name]: pan for name, pan in PANS.items()}
        self._shots: dict[tuple[int, int, int], Buffer] = {}
        self._turns = turns(part.notes)

    def events(self, notes: Sequence[int]) -> Iterator[Event]:
        closings = sorted(frame_at(self.score, note.start) for note in self.part.notes if note.pitch in CLOSING)
        for number in notes:
            note = self.part.notes[number]
            start = frame_at(self.score, note.start)
            length = self._drum(note).frames
            if note.pitch == DRUMS["open hat"]:
                closed = next((frame for frame in closings if frame > start + TOGETHER), start + length)
                length = min(length, closed - start + 480)
            yield Event(start, start + length, number, note, length)

    def _drum(self, note: Note) -> Drum:
        return self._kit.get(note.pitch, self._kit[DRUMS["rim"]])

    def _shot(self, note: Note, number: int) -> Buffer:
        strength = note.velocity * STRENGTHS // 128
        recording = (note.pitch, strength, self._turns[number] % ROBINS)
        if recording not in self._shots:
            seed = seed_of(self.score, *recording) & 0xFFFFFFFF
            self._shots[recording] = self._drum(note).sound((strength + 0.5) / STRENGTHS, seed)[:, :1]
        return self._shots[recording]

    def sound(self, event: Event, out: Buffer, start: int) -> None:
        note, mix = event.note, self.part.mix
        shot = self._shot(note, event.number)[: min(event.held, out.shape[0] - start)]
        if event.held < self._shot(note, event.number).shape[0]:
            shot = shot.copy()
            fade = min(480, shot.shape[0])
            shot[-fade:] *= np.linspace(1, 0, fade, dtype=np.float32)[:, None]
        pan = mix.pan + mix.width * 2.0 * self._pans.get(note.pitch, 0.0)
        stereo = np.array(gains(pan, 0.5 * (note.velocity / 127.0) ** 1.5), dtype=np.float32)
        out[start : start + shot.shape[0]] += shot * stereo


def turns(notes: Sequence[Note]) -> list[int]:
    """How often each note's drum was struck before it."""
    counts: dict[int, int] = {}
    found = []
    for note in notes:
        counts[note.pitch] = counts.get(note.pitch, -1) + 1
        found.append(counts[note.pitch])
    return found


# Level, hertz at the start and the end, how much it rises, seconds to come and go, pops a second.
AIRS = {
    "noise riser": (0.3, 300.0, 9000.0, 1.0, 0.0, 0.0),
    "ocean waves": (0.3, 1400.0, 1400.0, 0.0, 9.0, 0.0),
    "rain": (0.3, 5200.0, 5200.0, 0.0, 0.0, 45.0),
    "vinyl crackle": (0.12, 2600.0, 2600.0, 0.0, 0.0, 7.0),
    "wind": (0.3, 900.0, 900.0, 0.0, 6.0, 0.0),
}


# What goes on for long is made in pieces that overlap; a whole number of swells each.
PIECE, OVERLAP = 18 * RATE, round(0.05 * RATE)


class Weather:
    """Textures."""

    def __init__(self, part: Part, score: Score) -> None:
        self.part, self.score = part, score

    def events(self, notes: Sequence[int]) -> Iterator[Event]:
        for number in notes:
            note = self.part.notes[number]
            start = frame_at(self.score, note.start)
            end = max(start + 1, ringing(note, self.score))
            while not self._rises and end - start > PIECE + 2 * OVERLAP:
                yield Event(start, start + PIECE + OVERLAP, number, note, PIECE + OVERLAP)
                start += PIECE
            yield Event(start, end, number, note, end - start)

    @property
    def _rises(self) -> bool:
        return AIRS[self.part.instrument][3] > 0.0

    def sound(self, event: Event, out: Buffer, start: int) -> None:
        seed = seed_of(self.score, self.part.role, event.number, event.start % frames_of(self.score)) & 0xFFFFFFFF
        kernels.air(out, start, event.held, *AIRS[self.part.instrument], seed)
