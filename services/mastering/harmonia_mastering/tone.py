"""A tilt of the whole spectrum, where a mix is duller or brighter than recordings are.

Pure: arrays in, arrays out. It corrects and has no taste: what lies within the range of released music stays as it is.
"""

import math
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from harmonia_mastering.true_peak import Samples

# Released music falls by about 5 dB per octave from 100 Hz to 4 kHz in spectral density, 2 dB in octave bands, and
# styles differ by a decibel or two (Pestana, Ma, Reiss, Barbosa and Black, AES 135, 2013, paper 8960).
DULLEST_DB_PER_OCTAVE = -4.0
BRIGHTEST_DB_PER_OCTAVE = -0.5
MAX_TILT_DB = 3.0
_BANDS_HZ = (125.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0)
_OCTAVES = math.log2(10_000 / 100)
_WINDOW = 8192
_FRAMES = 400
# Three first-order shelves, 2.3 octaves apart, are a straight line within 0.1 dB at 3 dB.
_SHELVES_HZ = (200.0, 1000.0, 5000.0)


@dataclass(frozen=True, slots=True)
class Toned:
    """tilt_db: from 100 Hz to 10 kHz; over 0 it became brighter."""

    samples: Samples
    tilt_db: float


def tone(samples: Samples, rate_hz: int, *, intensity: float) -> Toned:
    """samples: float32 [channels, n]. intensity: 0 to 1, the share of what is amiss that is put right."""
    slope = octave_slope_db(samples, rate_hz) if intensity > 0 else None
    if slope is None:
        return Toned(samples, 0.0)
    wanted = min(max(slope, DULLEST_DB_PER_OCTAVE), BRIGHTEST_DB_PER_OCTAVE)
    tilt_db = intensity * max(-MAX_TILT_DB, min(MAX_TILT_DB, (wanted - slope) * _OCTAVES))
    if abs(tilt_db) < 0.1:
        return Toned(samples, 0.0)
    return Toned(_tilt(samples, _shelves(tilt_db, rate_hz)), round(tilt_db, 2))


def octave_slope_db(samples: Samples, rate_hz: int) -> float | None:
    """How the level of octave bands changes per octave, 125 Hz to 8 kHz; None for silence and for scraps."""
    if samples.shape[1] < _WINDOW or rate_hz < 2 * _BANDS_HZ[-1] * math.sqrt(2):
        return None
    levels = _octave_levels(samples, rate_hz)
    if levels.min() <= 0:
        return None
    return float(np.polyfit(np.arange(levels.size), 10 * np.log10(levels), 1)[0])


def _octave_levels(samples: Samples, rate_hz: int) -> NDArray[np.float64]:
    """Mean power in each octave band of at most 400 moments, evenly spread."""
    starts = np.unique(np.linspace(0, samples.shape[1] - _WINDOW, _FRAMES).astype(int))
    hz = np.fft.rfftfreq(_WINDOW, 1 / rate_hz)
    edges = np.searchsorted(hz, [_BANDS_HZ[0] / math.sqrt(2), *(band * math.sqrt(2) for band in _BANDS_HZ)])
    window = np.hanning(_WINDOW).astype(np.float32)
    total = np.zeros(len(_BANDS_HZ))
    for start in starts:
        power = np.abs(np.fft.rfft(samples[:, start : start + _WINDOW] * window, axis=1)) ** 2
        total += np.add.reduceat(power.sum(axis=0)[: edges[-1]], edges[:-1])
    return total


def _shelves(tilt_db: float, rate_hz: int) -> NDArray[np.float64]:
    """Rows of b0, b1, a1: shelves of the same height, cut at the bottom as much as lifted at the top."""
    g = 10 ** (tilt_db / len(_SHELVES_HZ) / 40)
    rows = []
    for hz in _SHELVES_HZ:
        k = math.tan(math.pi * hz / rate_hz)
        scale = 1 + g * k
        rows.append([(g + k) / scale, (k - g) / scale, (g * k - 1) / scale])
    return np.array(rows)


@njit(nogil=True, cache=True, fastmath={"contract"})
def _tilt(samples: Samples, shelves: NDArray[np.float64]) -> Samples:
    out = np.empty_like(samples)
    for channel in range(samples.shape[0]):
        s0 = s1 = s2 = 0.0
        for i in range(samples.shape[1]):
            x = np.float64(samples[channel, i])
            y = shelves[0, 0] * x + s0
            s0 = shelves[0, 1] * x - shelves[0, 2] * y + 1e-30
            x = shelves[1, 0] * y + s1
            s1 = shelves[1, 1] * y - shelves[1, 2] * x
            y = shelves[2, 0] * x + s2
            s2 = shelves[2, 1] * x - shelves[2, 2] * y
            out[channel, i] = y
    return out
