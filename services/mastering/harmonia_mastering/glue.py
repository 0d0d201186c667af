"""A slow compressor over the whole band: what stands out of its own three seconds is drawn in a little.

Pure: arrays in, arrays out. Its threshold moves with the short-term loudness, so a chorus keeps what it has over a
verse; it holds drums and chords together and leaves form and dynamics alone.
"""

import math
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from harmonia_mastering.loudness import HOPS_PER_SECOND
from harmonia_mastering.true_peak import Samples

# At full intensity; at none the ratio is 1.
_RATIO = 2.5
_KNEE_LU = 6.0
_ATTACK_S = 0.02
_RELEASE_S = 0.25
_AROUND_HOPS = 3 * HOPS_PER_SECOND
# Nothing is worked on in what is nearly silent.
_FLOOR = 10 ** (-60 / 10)


@dataclass(frozen=True, slots=True)
class Glued:
    samples: Samples
    reduction_db: float


def glue(samples: Samples, energies: NDArray[np.float64], rate_hz: int, *, intensity: float) -> Glued:
    """samples: float32 [channels, n]; energies: their K-weighted mean squares per 10 ms. intensity: 0 to 1."""
    if intensity <= 0 or energies.size < 2:
        return Glued(samples, 0.0)
    reduction_db = _smoothed(_wanted_db(energies, intensity))
    deepest = float(reduction_db.max())
    if deepest < 0.05:
        return Glued(samples, 0.0)
    gains = 10 ** (-reduction_db / 20)
    return Glued(_applied(samples, gains.astype(np.float32), round(rate_hz / HOPS_PER_SECOND)), round(deepest, 2))


def _wanted_db(energies: NDArray[np.float64], intensity: float) -> NDArray[np.float64]:
    """How far each 10 ms would be turned down at once: soft knee around the level of the 3 s about it."""
    around = np.maximum(_around(energies), _FLOOR)
    over_db = 10 * np.log10(np.maximum(energies, _FLOOR * 1e-3) / around)
    into_knee = np.clip(over_db + _KNEE_LU / 2, 0, _KNEE_LU)
    above = np.where(over_db > _KNEE_LU / 2, over_db, into_knee**2 / (2 * _KNEE_LU))
    ratio = 1 + (_RATIO - 1) * intensity
    return np.asarray(above * (1 - 1 / ratio) * (energies > _FLOOR))


def _around(energies: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over the 3 s around each 10 ms, less of it at the ends."""
    sums = np.concatenate(([0.0], np.cumsum(energies)))
    at = np.arange(energies.size)
    low, high = np.maximum(at - _AROUND_HOPS // 2, 0), np.minimum(at + _AROUND_HOPS // 2, energies.size)
    return np.asarray(np.maximum(sums[high] - sums[low], 0) / (high - low))


def _smoothed(wanted_db: NDArray[np.float64]) -> NDArray[np.float64]:
    attack, release = (1 - math.exp(-1 / (seconds * HOPS_PER_SECOND)) for seconds in (_ATTACK_S, _RELEASE_S))
    return np.asarray(_followed(wanted_db, attack, release))


@njit(nogil=True, cache=True)
def _followed(wanted: NDArray[np.float64], attack: float, release: float) -> NDArray[np.float64]:
    out = np.empty_like(wanted)
    level = 0.0
    for i in range(wanted.size):
        level += (attack if wanted[i] > level else release) * (wanted[i] - level)
        out[i] = level
    return out


@njit(nogil=True, cache=True)
def _applied(samples: Samples, gains: Samples, hop: int) -> Samples:
    """A straight line from the middle of each 10 ms to the middle of the next."""
    out = np.empty_like(samples)
    for channel in range(samples.shape[0]):
        for part in range(gains.size + 1):
            before, after = gains[max(part - 1, 0)], gains[min(part, gains.size - 1)]
            start = part * hop - hop // 2
            step = (after - before) / np.float32(hop)
            last = start + hop if part < gains.size else samples.shape[1]
            for i in range(max(start, 0), min(last, samples.shape[1])):
                out[channel, i] = samples[channel, i] * (before + step * np.float32(min(i - start, hop)))
    return out
