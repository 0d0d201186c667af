"""Loudness and true peak of a recording: ITU-R BS.1770-4, EBU Tech 3341 and 3342.

Pure: arrays in, numbers out. It refuses layouts beyond 5.1 and rates outside 8 to 384 kHz (InvalidInput); samples that
are not finite are the business of whoever decodes.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numba import njit
from numpy.typing import NDArray

from harmonia_mastering.layout import check_layout
from harmonia_mastering.true_peak import Samples, true_peak

# BS.1770-4 table 3: surrounds weigh 1.41, the LFE is left out. Orders are those of WAVE files.
_WEIGHTS = {
    1: (1.0,),
    2: (1.0, 1.0),
    3: (1.0, 1.0, 1.0),
    4: (1.0, 1.0, 1.41, 1.41),
    5: (1.0, 1.0, 1.0, 1.41, 1.41),
    6: (1.0, 1.0, 1.0, 0.0, 1.41, 1.41),
}

# Hops of 10 ms: at 100 ms the momentary maximum misses Tech 3341 tests 13 and 14.
HOPS_PER_SECOND = 100
_MOMENTARY_HOPS = 40
_SHORT_TERM_HOPS = 300
# Gating blocks overlap by 75 % (BS.1770-4). Those of the range overlap by 2.9 s since Tech 3342 of 2016; libebur128
# still takes one a second, and reads up to 0.3 LU otherwise on a song of a minute.
_GATING_HOPS = 10
_ABSOLUTE_GATE_LUFS = -70.0
_NO_GAINS = np.empty(0, dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Loudness:
    """None where silence or shortness leaves nothing to measure."""

    integrated_lufs: float | None
    range_lu: float | None
    true_peak_dbtp: float | None
    max_momentary_lufs: float | None
    max_short_term_lufs: float | None


def measure(samples: Samples, rate_hz: int, *, peak: float | None = None) -> Loudness:
    """All readings of one recording.

    samples: float32 [channels, n], C-contiguous, full scale ±1. peak: the true peak, where it is known already.
    """
    energies = hop_energies(samples, rate_hz)
    momentary = _window_means(energies, _MOMENTARY_HOPS)
    short_term = _window_means(energies, _SHORT_TERM_HOPS)
    return Loudness(
        integrated_lufs=_integrated(momentary),
        range_lu=_range(short_term),
        true_peak_dbtp=decibels(true_peak(samples) if peak is None else peak),
        max_momentary_lufs=_loudest(momentary),
        max_short_term_lufs=_loudest(short_term),
    )


def integrated(samples: Samples, rate_hz: int, *, gains: Samples = _NO_GAINS) -> float | None:
    """Gated programme loudness in LUFS (BS.1770-4 §5).

    samples: float32 [channels, n], C-contiguous, full scale ±1. gains: what each is multiplied by first, float32 [n].
    """
    return integrated_of(hop_energies(samples, rate_hz, gains=gains))


def integrated_of(energies: NDArray[np.float64]) -> float | None:
    """The same, from what hop_energies returned."""
    return _integrated(_window_means(energies, _MOMENTARY_HOPS))


def range_lu(samples: Samples, rate_hz: int, *, hops: int = _GATING_HOPS) -> float | None:
    """Loudness range in LU (EBU Tech 3342). hops: 10 ms each between two readings; the standard asks for 10 at most."""
    return _range(_window_means(hop_energies(samples, rate_hz), _SHORT_TERM_HOPS), hops)


def momentary_lufs(samples: Samples, rate_hz: int) -> NDArray[np.float64]:
    """Loudness of each 400 ms window, one every 10 ms; -inf where it is silent."""
    return _lufs(_window_means(hop_energies(samples, rate_hz), _MOMENTARY_HOPS))


def short_term_lufs(samples: Samples, rate_hz: int) -> NDArray[np.float64]:
    """Loudness of each 3 s window, one every 10 ms; -inf where it is silent."""
    return _lufs(_window_means(hop_energies(samples, rate_hz), _SHORT_TERM_HOPS))


def hop_energies(samples: Samples, rate_hz: int, *, gains: Samples = _NO_GAINS) -> NDArray[np.float64]:
    """K-weighted mean square of each whole 10 ms, summed over the channels by their weights."""
    check_layout(samples.shape[0], rate_hz)
    weights = np.array(_WEIGHTS[samples.shape[0]])
    return _hop_energies(samples, gains, weights, k_weighting(rate_hz), round(rate_hz / HOPS_PER_SECOND))


def decibels(linear: float) -> float | None:
    return 20 * math.log10(linear) if linear > 0 else None


@lru_cache(maxsize=16)
def k_weighting(rate_hz: int) -> NDArray[np.float64]:
    """Two biquads as rows of b0, b1, b2, a1, a2: the shelf of the head, then the high-pass.

    BS.1770-4 lists coefficients for 48 kHz only; these are the analogue filters they come from, by the bilinear
    transform, and at 48 kHz they agree with its tables 1 and 2 to 1e-8.
    """
    return np.array([_shelf(rate_hz), _high_pass(rate_hz)])


def _shelf(rate_hz: int) -> list[float]:
    k = math.tan(math.pi * 1681.974450955533 / rate_hz)
    q = 0.7071752369554196
    high = 10 ** (3.999843853973347 / 20)
    band = high**0.4996667741545416
    scale = 1 + k / q + k * k
    return [
        (high + band * k / q + k * k) / scale,
        2 * (k * k - high) / scale,
        (high - band * k / q + k * k) / scale,
        2 * (k * k - 1) / scale,
        (1 - k / q + k * k) / scale,
    ]


def _high_pass(rate_hz: int) -> list[float]:
    k = math.tan(math.pi * 38.13547087602444 / rate_hz)
    q = 0.5003270373238773
    scale = 1 + k / q + k * k
    return [1.0, -2.0, 1.0, 2 * (k * k - 1) / scale, (1 - k / q + k * k) / scale]


def _window_means(energies: NDArray[np.float64], hops: int) -> NDArray[np.float64]:
    if energies.size < hops:
        return np.empty(0)
    sums = np.concatenate(([0.0], np.cumsum(energies)))
    return np.maximum((sums[hops:] - sums[:-hops]) / hops, 0.0)


def _lufs(energies: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(divide="ignore"):
        return np.asarray(-0.691 + 10 * np.log10(energies))


def _level(energy: float) -> float:
    return -0.691 + 10 * math.log10(energy)


def _energy(lufs: float) -> float:
    return float(10 ** ((lufs + 0.691) / 10))


def _integrated(momentary: NDArray[np.float64]) -> float | None:
    blocks = momentary[::_GATING_HOPS]
    blocks = blocks[blocks > _energy(_ABSOLUTE_GATE_LUFS)]
    if not blocks.size:
        return None
    blocks = blocks[blocks > blocks.mean() / 10]
    return _level(float(blocks.mean()))


def _range(short_term: NDArray[np.float64], hops: int = _GATING_HOPS) -> float | None:
    blocks = short_term[::hops]
    blocks = blocks[blocks > _energy(_ABSOLUTE_GATE_LUFS)]
    if not blocks.size:
        return None
    blocks = np.sort(blocks[blocks > blocks.mean() / 100])
    low, high = (round((blocks.size - 1) * share) for share in (0.10, 0.95))
    return _level(blocks[high]) - _level(blocks[low])


def _loudest(energies: NDArray[np.float64]) -> float | None:
    loudest = float(energies.max(initial=0.0))
    return _level(loudest) if loudest > 0 else None


@njit(nogil=True, cache=True, fastmath={"contract"})
def _hop_energies(
    samples: Samples, gains: Samples, weights: NDArray[np.float64], filters: NDArray[np.float64], hop: int
) -> NDArray[np.float64]:
    hops = samples.shape[1] // hop
    energies = np.zeros(hops)
    b0, b1, b2, a1, a2 = filters[0]
    _, _, _, c1, c2 = filters[1]
    for channel in range(samples.shape[0]):
        s1 = s2 = h1 = h2 = 0.0
        for index in range(hops):
            total = 0.0
            for i in range(index * hop, (index + 1) * hop):
                x = np.float64(samples[channel, i])
                if gains.size:
                    x *= gains[i]
                shelf = b0 * x + s1
                s1 = b1 * x - a1 * shelf + s2
                s2 = b2 * x - a2 * shelf
                y = shelf + h1
                h1 = -2.0 * shelf - c1 * y + h2
                h2 = shelf - c2 * y
                total += y * y
            energies[index] += weights[channel] * total / hop
            # Denormal numbers, where a filter rings out into digital silence, are a hundred times slower.
            if abs(h1) + abs(h2) + abs(s1) + abs(s2) < 1e-30:
                s1 = s2 = h1 = h2 = 0.0
    return energies
