"""How a note reaches a kernel: the few kinds of voices, each a kernel with its settings."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from harmonia_composer.engines.arranger.synth import kernels
from harmonia_composer.engines.arranger.synth.kernels import Buffer, Fm, Pluck, Tone, floats
from harmonia_composer.engines.arranger.synth.tables import Waveform, band_of, cycles, table


@dataclass(frozen=True, slots=True)
class Played:
    """One note as sound: frames, hertz, gains left and right, velocity 0..1, brightness as a factor, its own seed.

    `glide`: octaves from here to the note that leads into it, 0 when none does.
    """

    start: int
    held: int
    hz: float
    left: float
    right: float
    velocity: float
    bright: float
    seed: int
    glide: float = 0.0


Partials = NDArray[np.float64]
"""[count, 3]: hertz, level, seconds to fall by 1/e."""


class Voice(Protocol):
    def play(self, out: Buffer, note: Played) -> None:
        """Adds the note to `out`, float32 [frames, 2], 48 kHz."""

    def rings_s(self, hz: float) -> float:
        """How long it may sound after its release."""


@dataclass(frozen=True, slots=True)
class Waves:
    """A dark and a bright wave through a filter: synthesisers, and all that is bowed, blown or sung."""

    tone: Tone
    dark: Waveform
    light: Waveform | None = None
    touch: float = 0.7
    """Octaves of cutoff between a soft note and a hard one, times two."""
    octave: int = 0
    """Where the first partial of its tables lies."""

    def play(self, out: Buffer, note: Played) -> None:
        bright = note.bright * 2.0 ** (self.touch * 2.0 * (note.velocity - 0.6))
        blend = note.bright**0.4 * (0.15 + 1.25 * note.velocity)
        hz = note.hz * 2.0**self.octave
        band = band_of(hz)
        dark = table(self.dark, band)
        light = dark[:1] if self.light is None else table(self.light, band)
        tone = floats(self.tone._replace(cycles=cycles(self.dark, hz)))
        kernels.tone(
            out, note.start, note.held, hz, note.left, note.right, bright, blend, note.glide, note.seed,
            dark, light, tone,
        )  # fmt: skip

    def rings_s(self, _hz: float) -> float:
        return self.tone.release_s * 7.0


@dataclass(frozen=True, slots=True)
class Bent:
    fm: Fm

    def play(self, out: Buffer, note: Played) -> None:
        bright = note.bright**0.5 * (0.2 + 1.3 * note.velocity**1.5)
        # High bars are smaller and ring shorter.
        fm = self.fm._replace(decay_s=self.fm.decay_s * min(1.6, (262.0 / note.hz) ** 0.4))
        kernels.fm(out, note.start, note.held, note.hz, note.left, note.right, bright, floats(fm))

    def rings_s(self, _hz: float) -> float:
        return self.fm.release_s * 7.0


@dataclass(frozen=True, slots=True)
class String:
    pluck: Pluck

    def play(self, out: Buffer, note: Played) -> None:
        bright = note.bright**0.5 * (0.22 + 1.3 * note.velocity**1.3)
        kernels.pluck(out, note.start, note.held, note.hz, note.left, note.right, bright, note.seed, floats(self.pluck))

    def rings_s(self, _hz: float) -> float:
        return self.pluck.release_s * 7.0


@dataclass(frozen=True, slots=True)
class Struck:
    """Partials as (ratio, level, ring in seconds at 220 Hz; 0: held). Higher partials and notes ring shorter."""

    partials: tuple[tuple[float, float, float], ...]
    attack_s: float = 0.001
    release_s: float = 0.15
    touch: float = 1.0
    knock: float = 0.0
    knock_hz: float = 1500.0
    knock_s: float = 0.012
    stretch: float = 0.5
    """How much shorter higher notes ring."""

    def play(self, out: Buffer, note: Played) -> None:
        partials = np.array(self.partials, dtype=np.float64)
        softness = self.touch * (0.95 - note.velocity) - 0.35 * np.log2(note.bright)
        partials[:, 1] *= np.maximum(partials[:, 0], 0.5) ** -max(0.0, float(softness))
        self._strung(partials, note)
        kernels.modal(
            out, note.start, note.held, note.left, note.right, partials, float(self.attack_s), float(self.release_s),
            float(self.knock * note.velocity), self.knock_hz * (0.5 + note.velocity), float(self.knock_s), note.seed,
        )  # fmt: skip

    def _strung(self, partials: Partials, note: Played) -> None:
        partials[:, 0] *= note.hz
        partials[:, 2] *= (220.0 / note.hz) ** self.stretch

    def rings_s(self, _hz: float) -> float:
        return self.release_s * 7.0


@dataclass(frozen=True, slots=True)
class Hammered:
    """A piano: two strings a note, a little apart, stiff, struck at an eighth by felt that hardens with the blow.

    Fletcher and Rossing, The Physics of Musical Instruments, §12: inharmonicity, and a decay in two slopes from
    strings that first move together and then against each other.
    """

    release_s: float = 0.11
    felt_hz: float = 1500.0
    ring_s: float = 2.6
    knock: float = 0.5
    stiffness: float = 1.0

    def play(self, out: Buffer, note: Played) -> None:
        kernels.modal(
            out, note.start, note.held, note.left, note.right, self.partials(note), 0.0012, float(self.release_s),
            float(self.knock * (0.3 + note.velocity)), 900.0 + 1400.0 * note.velocity, 0.011, note.seed,
        )  # fmt: skip

    def partials(self, note: Played) -> Partials:
        count = int(min(28, 7000.0 // note.hz + 4))
        n = np.arange(1, count + 1, dtype=np.float64)
        octaves = np.log2(note.hz / 261.6)
        stiff = self.stiffness * 3.6e-4 * 2.0 ** (1.5 * max(-1.2, octaves))
        hz = note.hz * n * np.sqrt((1 + stiff * n * n) / (1 + stiff))
        felt = self.felt_hz * note.bright**0.6 * 2.0 ** (2.6 * (note.velocity - 0.5) + 0.45 * octaves)
        level = np.abs(np.sin(np.pi * n / 8.2)) ** 0.8 / n**0.85 / (1 + (hz / felt) ** 2)
        # The soundboard passes little below 80 Hz.
        level *= hz**2 / (hz**2 + 85.0**2)
        level *= 0.9 / np.sqrt(np.sum(level**2))
        ring = self.ring_s * 2.0 ** (-0.75 * octaves) / (1 + 0.12 * n + (hz / 2600.0) ** 1.2)
        apart = 2.0 ** (0.35 / 1200)
        first = np.column_stack((hz * apart, level * 0.62, ring * 0.55))
        second = np.column_stack((hz / apart, level * 0.38, ring * 1.7))
        return np.vstack((first, second[: max(1, count // 2)]))

    def rings_s(self, _hz: float) -> float:
        return self.release_s * 7.0
