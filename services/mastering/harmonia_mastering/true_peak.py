"""Peaks between the samples: ITU-R BS.1770-4 annex 2, for the meter and, closer, for the limiter.

Pure: arrays in, arrays out. All kernels that call one another are here: numba's cache of one that is compiled does not
see that another file has changed.
"""

from functools import lru_cache

import numpy as np
from numba import njit
from numpy.typing import NDArray

Samples = NDArray[np.float32]
Blocks = NDArray[np.bool_]

# Taps of each of the three filters that interpolate 4×. The meter's are 97 in all, where the standard asks for 48, and
# read what other meters read; the limiter's are 193, and let nothing through that the meter would not see.
_METER_TAPS = 24
_TAPS = 48
_BLOCK = 256
_NEAR = 10 ** (-1 / 20)
# Twice as many, and 8× in the end: with noise up to half the rate (cymbals) every meter interpolates a little
# differently, and what one keeps at the ceiling the next reads 0.3 dB above it.
_FINE_TAPS = 96


def true_peak(samples: Samples) -> float:
    """Largest absolute value of the 4× interpolated signal, linear (BS.1770-4 annex 2)."""
    filters = _interpolator(taps=_METER_TAPS)
    return max((_true_peak(channel, filters, _most_gain(filters)) for channel in samples), default=0.0)


def peak_envelope(samples: Samples) -> Samples:
    """What the limiter needs to know of a recording, whatever the gain: float32 [n].

    The largest absolute value, over all channels, of each sample and of the 4× interpolated signal on both sides of it.
    samples: float32 [channels, n], C-contiguous.
    """
    wanted = np.ones(-(-samples.shape[1] // _BLOCK), dtype=np.bool_)
    return _peak_envelope(samples, _interpolator(), 0.0, np.inf, wanted)


def residue(samples: Samples, *, ceiling: float, changed: Blocks | None = None) -> Samples:
    """The envelope where it comes near the ceiling, interpolated 8×; elsewhere at least that of the samples.

    changed: the only blocks to look at; the envelope of the others is 0.
    """
    filters = _fine_interpolator()
    wanted = np.ones(-(-samples.shape[1] // _BLOCK), dtype=np.bool_) if changed is None else changed
    return _peak_envelope(samples, filters, ceiling / _most_gain(filters), ceiling * _NEAR, wanted)


def blocks_under(curve: Samples, limit: float) -> Blocks:
    """For `residue`: where the curve goes under the limit, and the blocks beside."""
    lowest = np.minimum.reduceat(curve, np.arange(0, curve.size, _BLOCK)) if curve.size else curve
    under = lowest < limit
    beside = under.copy()
    beside[1:] |= under[:-1]
    beside[:-1] |= under[1:]
    return np.asarray(beside)


@lru_cache(maxsize=1)
def _fine_interpolator() -> Samples:
    """Rows of the 4× interpolator, then of the eighths between them."""
    return np.concatenate(
        [_interpolator(taps=_FINE_TAPS), _interpolator((0.125, 0.375, 0.625, 0.875), taps=_FINE_TAPS)]
    )


@lru_cache(maxsize=8)
def _interpolator(places: tuple[float, ...] = (0.25, 0.5, 0.75), *, taps: int = _TAPS) -> NDArray[np.float32]:
    """Rows: the filter for each place on the way from one sample (0) to the next (1), unity gain at DC.

    Kaiser windows: flat within 0.01 dB up to 0.46 of the rate (22 kHz at 48 kHz) with 48 taps, 0.48 with 96.
    """
    position = np.arange(taps) - (taps // 2 - 1)
    rows = np.array([_windowed_sinc(position - place, taps // 2) for place in places])
    return np.asarray(rows / rows.sum(axis=1, keepdims=True), dtype=np.float32)


def _windowed_sinc(position: NDArray[np.floating], half: int) -> NDArray[np.floating]:
    window = np.i0(6.0 * np.sqrt(np.clip(1 - (position / half) ** 2, 0, None))) / np.i0(6.0)
    return np.asarray(np.sinc(position) * window)


def _most_gain(filters: NDArray[np.float32]) -> float:
    """No interpolated value exceeds the largest sample under the filters times this."""
    return float(np.abs(filters).sum(axis=1).max())


@njit(nogil=True, cache=True, fastmath={"contract", "nnan", "nsz"})
def _interpolate_block(padded: Samples, filters: Samples, out: Samples) -> None:
    """out[p, i]: the value at filter p's place after sample i; padded is what _load_block made."""
    for p in range(filters.shape[0]):
        for i in range(_BLOCK):
            out[p, i] = 0.0
        for k in range(0, filters.shape[1], 8):
            f0, f1, f2, f3 = filters[p, k], filters[p, k + 1], filters[p, k + 2], filters[p, k + 3]
            f4, f5, f6, f7 = filters[p, k + 4], filters[p, k + 5], filters[p, k + 6], filters[p, k + 7]
            x = padded[k : k + _BLOCK + 8]
            for i in range(_BLOCK):
                out[p, i] += (
                    f0 * x[i] + f1 * x[i + 1] + f2 * x[i + 2] + f3 * x[i + 3]
                    + f4 * x[i + 4] + f5 * x[i + 5] + f6 * x[i + 6] + f7 * x[i + 7]
                )  # fmt: skip


@njit(nogil=True, cache=True)
def _load_block(channel: Samples, start: int, padded: Samples) -> None:
    """A block with half the taps before and after it, zeros beyond the ends."""
    before = (padded.size - _BLOCK) // 2 - 1
    for j in range(padded.size):
        i = start + j - before
        padded[j] = channel[i] if 0 <= i < channel.size else np.float32(0.0)


@njit(nogil=True, cache=True, fastmath={"nnan", "nsz"})
def _block_peaks(channel: Samples) -> Samples:
    peaks = np.zeros(-(-channel.size // _BLOCK), dtype=np.float32)
    for block in range(peaks.size):
        peak = np.float32(0.0)
        for i in range(block * _BLOCK, min((block + 1) * _BLOCK, channel.size)):
            peak = max(peak, abs(channel[i]))
        peaks[block] = peak
    return peaks


@njit(nogil=True, cache=True)
def _block_reach(peaks: Samples, block: int) -> float:
    """The largest sample that an interpolator at work in this block can see."""
    return float(max(peaks[max(block - 1, 0)], peaks[block], peaks[min(block + 1, peaks.size - 1)]))


@njit(nogil=True, cache=True, fastmath={"nnan", "nsz"})
def _true_peak(channel: Samples, filters: Samples, filter_gain: float) -> float:
    peaks = _block_peaks(channel)
    padded = np.empty(_BLOCK + filters.shape[1], dtype=np.float32)
    points = np.empty((3, _BLOCK), dtype=np.float32)
    highest = np.float32(0.0)
    # Loudest blocks first: what they reach spares most of the others.
    for block in np.argsort(-peaks):
        highest = max(highest, peaks[block])
        if _block_reach(peaks, block) * filter_gain <= highest:
            continue
        _load_block(channel, block * _BLOCK, padded)
        _interpolate_block(padded, filters, points)
        for p in range(3):
            for i in range(_BLOCK):
                highest = max(highest, abs(points[p, i]))
    return float(highest)


@njit(nogil=True, cache=True, fastmath={"nnan", "nsz"})
def _peak_envelope(samples: Samples, filters: Samples, harmless: float, near: float, wanted: Blocks) -> Samples:
    n = samples.shape[1]
    envelope = np.zeros(n, dtype=np.float32)
    padded = np.empty(_BLOCK + filters.shape[1], dtype=np.float32)
    points = np.zeros((3, _BLOCK), dtype=np.float32)
    eighths = np.zeros((4, _BLOCK), dtype=np.float32)
    for channel in samples:
        peaks = _block_peaks(channel)
        before = np.float32(0.0)
        for block in range(peaks.size):
            if not wanted[block]:
                before = np.float32(0.0)
                continue
            start = block * _BLOCK
            width = min(_BLOCK, n - start)
            if _block_reach(peaks, block) <= harmless:
                points[:, :] = 0.0
            else:
                _load_block(channel, start, padded)
                _interpolate_block(padded, filters[:3], points)
            highest = np.float32(0.0)
            for i in range(_BLOCK):
                points[0, i] = max(abs(points[0, i]), abs(points[1, i]), abs(points[2, i]))
                highest = max(highest, points[0, i])
            if highest > near:
                _interpolate_block(padded, filters[3:], eighths)
                for p in range(eighths.shape[0]):
                    for i in range(_BLOCK):
                        points[0, i] = max(points[0, i], abs(eighths[p, i]))
            for i in range(1, width):
                peak = max(abs(channel[start + i]), points[0, i], points[0, i - 1])
                envelope[start + i] = max(envelope[start + i], peak)
            envelope[start] = max(envelope[start], abs(channel[start]), points[0, 0], before)
            before = points[0, width - 1]
    return envelope
