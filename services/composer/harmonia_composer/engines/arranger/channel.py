"""What a part goes through on the desk: its instrument's own amplifier and body, then the mix its genre gives it.

Block by block, in place; what outlives a block is kept here. Everything a stem is made from is named in its recipe.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harmonia_composer.engine import Check
from harmonia_composer.engines.arranger import effects, render
from harmonia_composer.engines.arranger.effects import State
from harmonia_composer.engines.arranger.form import tail_seconds
from harmonia_composer.engines.arranger.percussion import DRUMS
from harmonia_composer.engines.arranger.score import Part, Score
from harmonia_composer.engines.arranger.synth.drums import KITS
from harmonia_composer.engines.arranger.synth.kernels import RATE, Buffer
from harmonia_composer.engines.arranger.synth.sound import Band, Sound, coefficients

Stereo = NDArray[np.int32]
Frames = NDArray[np.int64]
BLOCK = 1 << 15
"""Frames between two calls of check: 0.7 s of sound, some 2 ms of work, and small enough for the processor's cache."""
DAMPING = 0.25
"""Of the room, a pass: as much of each frame comes a frame later."""
KICKS = (DRUMS["low kick"], DRUMS["kick"])
HITS = (*KICKS, DRUMS["snare"], DRUMS["clap"], DRUMS["other snare"])
# How much the whole band gives way when the drummer strikes.
GLUE_DB = 0.9
# Below the levels that genres give, so that peaks seldom reach their ceiling; mastering sets the loudness of the whole.
TRIM_DB = -4.0
# With a voice before the band all of it is lower: a voice has higher peaks for its loudness than anything else here.
SUNG_DB = -3.8
QUIETEST_LUFS, LOUDEST_LUFS = -27.5, -15.0
FULL = 0.95
# Peak that a part of this style may have when a whole band plays: drums, bass, two comps, tune, pad and texture.
CEILINGS = {
    "drums": 0.31, "bass": 0.19, "comp": 0.13, "melody": 0.12, "counter": 0.08, "pad": 0.07, "texture": 0.03,
    "riser": 0.03, "vocals": 0.5,
}  # fmt: skip
# Strings and pads of code are duller than a microphone would hear them.
AIR_DB = 4.0
WIDTHS = {"bass": 0.4, "drums": 0.9, "melody": 0.8, "pad": 1.25, "texture": 1.2}


@dataclass(frozen=True, slots=True)
class Pulse:
    """Frames at which the kick strikes, and at which anything strikes that the band breathes with."""

    kicks: Frames
    hits: Frames

    @classmethod
    def of(cls, score: Score, passes: int = 1) -> "Pulse":
        notes = [note for part in score.parts if part.style == "drums" for note in part.notes]
        kicks, hits = (
            {render.frame_at(score, one.start) for one in notes if one.pitch in set_} for set_ in (KICKS, HITS)
        )
        return cls(_repeated(kicks, score, passes), _repeated(hits, score, passes))


def _repeated(frames: set[int], score: Score, passes: int) -> Frames:
    once, length = np.array(sorted(frames), dtype=np.int64), round(score.duration_seconds * RATE)
    return np.concatenate([once + turn * length for turn in range(passes)])


def level_points(score: Score, passes: int = 1) -> State:
    """Frame and gain: each section at its energy, 40 ms from one to the next."""
    points: list[tuple[float, float]] = []
    for turn in range(passes):
        offset = turn * round(score.duration_seconds * RATE)
        for section in score.sections:
            start, end = render.frame_at(score, section.tick), render.frame_at(score, section.end)
            points.append((offset + start + 0.01 * RATE * bool(points), _gain(score, section.energy)))
            points.append((offset + end - 0.03 * RATE, _gain(score, section.energy_end)))
    points.append((points[-1][0] + 1.0, points[-1][1]))
    return np.array(points)


def _gain(score: Score, energy: float) -> float:
    return float(10 ** ((energy - 1) * score.genre.depth_db / 20))


def ceiling(part: Part, score: Score) -> float:
    """So that the ceilings of all parts stay under full scale: players beyond a whole band make each a little lower.

    The same whoever else plays what: only a second player of a role counts.
    """
    seats = {"drums": 1, "bass": 1, "comp": 2, "melody": 1, "pad": 1, "texture": 1}
    total = sum(CEILINGS[style] * max(seats.get(style, 0), _players(score, style)) for style in CEILINGS)
    return FULL / max(FULL, total) * CEILINGS[part.style]


def _players(score: Score, style: str) -> int:
    return sum(part.style == style for part in score.parts)


def fade_frames(score: Score) -> int:
    """Of the last fade; a loop has none."""
    if score.loop:
        return 0
    long = 8.0 if score.ending == "fade" else 2.0
    return max(
        1, int(min(long, (3.0 if score.ending == "fade" else 1.0) * tail_seconds(score.duration_seconds)) * RATE)
    )


class Channel:
    """`treat` is everything up to the fader, `finish` the fader and the rest. While nothing sounds nothing is done."""

    def __init__(self, part: Part, score: Score, sound: Sound | None, pulse: Pulse, *, passes: int = 1) -> None:
        self.part, self.score, self._pulse = part, score, pulse
        self._sound = sound
        self._last = round(score.duration_seconds * RATE) * passes
        self._fade = fade_frames(score)
        self._ceiling = ceiling(part, score)
        self._points = level_points(score, passes)
        mix = part.mix
        self._before = coefficients(self._sound.before if self._sound else ())
        self._body = coefficients(self._sound.body if self._sound else ())
        high_db = mix.high_db + AIR_DB * (part.style not in {"drums", "texture"})
        self._tone = coefficients((Band("low cut", max(25.0, mix.low_cut_hz)), Band("high shelf", 4500, high_db)))
        self._states = [np.zeros((bands.shape[0], 4)) for bands in (self._before, self._body, self._tone)]
        self._amp, self._strip = np.zeros((2, 7), dtype=np.float32), np.zeros(7)
        self._chorus = np.zeros((effects.REACH, 2), dtype=np.float32)
        self._delay = int(0.75 * 60.0 / score.bpm * RATE) if mix.delay else 0
        self._echo = np.zeros((1 << (self._delay + 1).bit_length(), 2), dtype=np.float32)
        self._echo_dark, self._room, self._final = np.zeros(2), np.zeros(4), np.zeros(4)
        self._lines = np.zeros((14, effects.PAST + BLOCK // 2 + 1), dtype=np.float32)
        self._quiet = self._rests = self._delay + 2 * effects.PAST

    def treat(self, sound: Buffer, start: int, check: Check) -> None:
        """In place. `start` is even."""
        for at in range(0, sound.shape[0], BLOCK):
            block = sound[at : at + BLOCK]
            if self._quiet >= self._rests and effects.silent(block):
                continue
            if self._quiet >= self._rests:
                self._wake()
            check()
            self._instrument(block)
            self._desk(block, start + at)
            self._quiet = self._quiet + block.shape[0] if effects.silent(block) else 0

    def _wake(self) -> None:
        """What was left when it fell silent is far below anything heard."""
        for state in (*self._states, self._strip, self._echo_dark, self._room, self._final):
            state.fill(0.0)
        for line in (self._amp, self._chorus, self._echo, self._lines):
            line.fill(0.0)

    def _instrument(self, block: Buffer) -> None:
        sound = self._sound
        if sound is None:
            return
        effects.equalize(block, self._before, self._states[0])
        if sound.drive:
            effects.amplify(block, self._amp, float(sound.drive))
        effects.equalize(block, self._body, self._states[1])

    def _desk(self, block: Buffer, start: int) -> None:
        mix, score, sound = self.part.mix, self.score, self._sound
        tremolo, tremolo_hz = (sound.tremolo, sound.tremolo_hz) if sound else (0.0, 1.0)
        effects.strip(
            block, start, self._strip, float(mix.drive), float(tremolo), self._turning(tremolo_hz),
            self._points, self._pulse.kicks, 10 ** (-mix.duck_db / 20), self._pulse.hits, 10 ** (-GLUE_DB / 20),
        )  # fmt: skip
        effects.equalize(block, self._tone, self._states[2])
        chorus = min(0.9, mix.chorus + (sound.chorus if sound else 0.0))
        if chorus:
            effects.chorus(block, start, self._chorus, float(chorus), self._turning(0.6))
        if mix.delay:
            effects.echo(block, start, self._echo, self._delay, float(mix.delay), self._echo_dark)
        if mix.reverb:
            lengths, room = effects.room_gains(score.genre.room_s * (0.7 + 0.3 * score.reverb))
            effects.room(
                block, self._lines, lengths, room, self._room, float(mix.reverb * score.reverb), DAMPING
            )  # fmt: skip

    def _turning(self, hz: float) -> float:
        """In a loop, a whole number of turns: its end meets its beginning."""
        length_s = self.score.duration_seconds
        return max(1, round(hz * length_s)) / length_s if self.score.loop else float(hz)

    def finish(self, sound: Buffer, start: int, gain: float) -> Stereo:
        """Changes `sound`."""
        made, wide = np.zeros(sound.shape, dtype=np.int32), WIDTHS.get(self.part.style, 1.0)
        for at in range(0, sound.shape[0], BLOCK):
            block = sound[at : at + BLOCK]
            if not effects.silent(block):
                left = self._last - start - at
                effects.finish(
                    block, made[at : at + BLOCK], float(gain), self._ceiling, wide, left, self._fade, self._final
                )
        return made


def has_pitch(part: Part) -> bool:
    return any(drum.hz for drum in KITS.get(part.instrument, {}).values())


def recipe(part: Part, score: Score, sound: Sound | None, pulse: Pulse, *, version: str) -> str:
    """SHA-256 of all that a stem is made from, in hexadecimal."""
    made_from = (
        version, part, sound, KITS.get(part.instrument), score.key.tonic if has_pitch(part) else 0, score.seed,
        score.bpm, score.duration_seconds, score.ticks, score.loop, score.ending, score.brightness, score.reverb,
        score.genre.room_s, score.genre.depth_db, ceiling(part, score),
        [(section.tick, section.end, section.energy, section.energy_end) for section in score.sections],
        pulse.kicks.tolist() if part.mix.duck_db else (), pulse.hits.tolist(),
    )  # fmt: skip
    return hashlib.sha256(repr(made_from).encode()).hexdigest()
