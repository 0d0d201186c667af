"""How a note reaches a kernel: the few kinds of voices, each a kernel with its settings."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from harmonia_composer.engines.arranger.synth import kernels
from harmonia_composer.engines.arranger.synth.kernels import Buffer, Fm, Pluck, Tone, floats


@dataclass(frozen=True, slots=True)
class Played:
    """One note as sound: frames, hertz, gains left and right, velocity 0..1, brightness as a factor, its own seed."""

    start: int
    held: int
    hz: float
    left: float
    right: float
    velocity: float
    bright: float
    seed: int


class Voice(Protocol):
    def play(self, out: Buffer, note: Played) -> None:
        """Adds the note to `out`, float32 [frames, 2], 48 kHz."""


@dataclass(frozen=True, slots=True)
class Subtractive:
    tone: Tone
    touch: float = 0.7
    """Octaves of cutoff between a soft note and a hard one, times two."""

    def play(self, out: Buffer, note: Played) -> None:
        bright = note.bright * 2.0 ** (self.touch * 2.0 * (note.velocity - 0.6))
        kernels.tone(out, note.start, note.held, note.hz, note.left, note.right, bright, note.seed, floats(self.tone))


@dataclass(frozen=True, slots=True)
class Bent:
    fm: Fm

    def play(self, out: Buffer, note: Played) -> None:
        bright = note.bright**0.5 * (0.25 + 1.2 * note.velocity**1.5)
        kernels.fm(out, note.start, note.held, note.hz, note.left, note.right, bright, floats(self.fm))


@dataclass(frozen=True, slots=True)
class String:
    pluck: Pluck

    def play(self, out: Buffer, note: Played) -> None:
        bright = note.bright**0.25 * (0.55 + 0.65 * note.velocity)
        kernels.pluck(out, note.start, note.held, note.hz, note.left, note.right, bright, note.seed, floats(self.pluck))


@dataclass(frozen=True, slots=True)
class Struck:
    """Partials as (ratio, level, ring in seconds at 220 Hz; 0: held). Higher partials and notes ring shorter."""

    partials: tuple[tuple[float, float, float], ...]
    attack_s: float = 0.001
    release_s: float = 0.15
    touch: float = 1.0

    def play(self, out: Buffer, note: Played) -> None:
        ratios, levels, rings = (np.array(column, dtype=np.float64) for column in zip(*self.partials, strict=True))
        softness = self.touch * (0.9 - note.velocity) - 0.35 * np.log2(note.bright)
        levels = levels * ratios ** -max(0.0, float(softness))
        rings = rings * (220.0 / note.hz) ** 0.5
        kernels.modal(
            out, note.start, note.held, note.hz, note.left, note.right, ratios, levels, rings,
            float(self.attack_s), float(self.release_s),
        )  # fmt: skip
