"""Waves as tables, made from their partials: band-limited by construction, with formants where the body puts them."""

from dataclasses import dataclass
from functools import lru_cache
from math import log2

import numpy as np
from numpy.typing import NDArray

from harmonia_composer.engines.arranger.synth.kernels import RATE, Table, compiled

SIZE = 4096
HIGHEST_HZ = 19_500.0
# Notes share a table within this many semitones: partials end at most so far below the highest.
BAND = 2
ENSEMBLE_SIZE = 1 << 16
Spectrum = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Waveform:
    """Partials of a wave. `formants`: hertz, width in hertz, gain in dB. `corner_hz`: above it `slope_db` an octave.

    `cents` above 0 makes an ensemble: each partial a hump so wide instead of a line (Nasca's PADsynth), in a table of
    many waves.
    """

    shape: str = "saw"
    """saw, sine, or partials."""
    width: float = 0.0
    """Of a pulse, made of two saws; 0: a saw."""
    partials: tuple[float, ...] = ()
    formants: tuple[tuple[float, float, float], ...] = ()
    corner_hz: float = 20_000.0
    slope_db: float = 0.0
    even: float = 1.0
    """Level of the even partials."""
    cents: float = 0.0
    tilt: float = 1.0
    """Partial n of a saw is n to the minus this."""

    def levels(self, hz: float) -> Spectrum:
        count = max(1, int(HIGHEST_HZ / (hz * 2 ** (BAND / 12))))
        n = np.arange(1, count + 1, dtype=np.float64)
        levels = self._source(n)
        levels[1::2] *= self.even
        at = n * hz
        levels *= (1.0 + (at / self.corner_hz) ** 2) ** (-self.slope_db / 12.04)
        for centre, wide, gain_db in self.formants:
            levels *= 1.0 + (10 ** (gain_db / 20) - 1.0) * np.exp(-(((at - centre) / wide) ** 2))
        return levels

    def _source(self, n: Spectrum) -> Spectrum:
        if self.shape == "sine":
            return np.where(n == 1, 1.0, 0.0)
        if self.shape == "partials":
            levels = np.zeros(n.size)
            given = np.array(self.partials[: n.size])
            levels[: given.size] = given
            return levels
        levels = n**-self.tilt
        return levels * 2 * np.sin(np.pi * n * self.width) if self.width else levels


@lru_cache(maxsize=600)
def table(wave: Waveform, band: int) -> Table:
    """For notes of MIDI pitches band * BAND and the few above it; RMS 0.3."""
    hz = 440.0 * 2 ** ((band * BAND - 69) / 12)
    levels = wave.levels(hz)
    made = _ensemble(levels, hz, wave.cents) if wave.cents else _wave(levels)
    made *= 0.3 / np.sqrt(np.mean(made**2))
    return np.append(made, made[0]).astype(np.float32)


def band_of(hz: float) -> int:
    return int((69 + 12 * log2(hz / 440.0)) // BAND)


def _wave(levels: Spectrum) -> Spectrum:
    spectrum = np.zeros(SIZE // 2 + 1, dtype=np.complex128)
    count = min(levels.size, SIZE // 2 - 1)
    spectrum[1 : count + 1] = -1j * levels[:count]
    return np.asarray(np.fft.irfft(spectrum))


def cycles(wave: Waveform, hz: float) -> int:
    """Waves in a table: an ensemble's bring the widest humps to a width that many bins make smooth."""
    low = 440.0 * 2 ** ((band_of(hz) * BAND - 69) / 12)
    return max(1, round(ENSEMBLE_SIZE * low / RATE)) if wave.cents else 1


def _ensemble(levels: Spectrum, hz: float, cents: float) -> Spectrum:
    count = max(1, round(ENSEMBLE_SIZE * hz / RATE))
    bins = np.zeros(ENSEMBLE_SIZE // 2 + 1)
    _humped(bins, levels, count, 2 ** (cents / 1200) - 1)
    return np.asarray(np.fft.irfft(bins * np.roll(_turns(), round(hz * 1000) % bins.size)))


@compiled()
def _humped(bins, levels, count, width):  # type: ignore[no-untyped-def]
    for number in range(1, levels.shape[0] + 1):
        centre, level = number * count, levels[number - 1]
        wide = max(0.6, centre * width)
        # -84 dB at its feet.
        low, high = max(1, int(centre - 3.1 * wide)), min(bins.size, int(centre + 3.1 * wide) + 2)
        for at in range(low, high):
            bins[at] += level / np.sqrt(wide) * np.exp(-(((at - centre) / wide) ** 2))
        # A line in the hump keeps the sum from fading out now and then.
        bins[min(centre, bins.size - 1)] += 1.2 * level


@lru_cache(maxsize=1)
def _turns() -> NDArray[np.complex128]:
    phases = np.random.default_rng(1).uniform(0, 2 * np.pi, ENSEMBLE_SIZE // 2 + 1)
    return np.asarray(np.exp(1j * phases))
