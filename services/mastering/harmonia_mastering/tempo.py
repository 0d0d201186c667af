"""The tempo of a recording, from when its sounds begin.

Pure: arrays in, numbers out. Spectral flux in bands, its autocorrelation under a prior, then the same beat looked for
many beats later, which makes the reading as exact as the song is long: one frame off over 32 beats is 0.1 %.
It takes the song to have one tempo.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Envelope = NDArray[np.float32]

MIN_BPM = 40.0
MAX_BPM = 240.0

_FRAMES_PER_SECOND = 100
_WINDOW_S = 0.04
_BANDS = 24
_LOWEST_HZ = 40.0
_HIGHEST_HZ = 10_000.0
# Under a request the octaves next to it weigh a fifth; without one, 130 is likely and 40 or 240 less so.
_ASKED_OCTAVES = 0.55
_FREE_OCTAVES = 1.2
_FREE_CENTRE_BPM = 130.0
_CANDIDATES = np.exp2(np.arange(np.log2(MIN_BPM), np.log2(MAX_BPM), 1 / 120))
_FARTHEST_S = 24.0
# Of the mean over all bands: what a band in which next to nothing happens is measured by.
_HARDLY = 0.02


@dataclass(frozen=True, slots=True)
class Tempo:
    """confidence: 0 to 1, how much of the onsets comes back one beat later. bpm 0: nothing recurs."""

    bpm: float
    confidence: float
    alternatives_bpm: tuple[float, ...]


def tempo(samples: NDArray[np.float32], rate_hz: int, *, expected_bpm: float | None = None) -> Tempo:
    """samples: float32 [channels, n]. The expected bpm decides between octaves; the reading itself is free of it."""
    onsets = onset_strength(samples, rate_hz)
    recurrence = _autocorrelation(onsets)
    if recurrence.size < 60 / MIN_BPM * _FRAMES_PER_SECOND:
        return Tempo(0.0, 0.0, ())
    scores = _scores(recurrence)
    best = float(_CANDIDATES[np.argmax(scores * _prior(expected_bpm))])
    bpm = 60 * _FRAMES_PER_SECOND / _refined(recurrence, 60 * _FRAMES_PER_SECOND / best)
    return Tempo(round(bpm, 3), _confidence(recurrence, bpm), _octaves(bpm))


def onset_strength(samples: NDArray[np.float32], rate_hz: int) -> Envelope:
    """How much begins at each moment, 100 a second: rises of the logarithmic spectrum, over bands."""
    skip = max(1, rate_hz // 22_000)
    mono = _thinned(samples.mean(axis=0, dtype=np.float32), skip)
    rate = rate_hz / skip
    levels = np.log1p(1000 * _band_levels(mono, rate))
    in_bands = np.maximum(np.diff(levels, axis=0), 0)
    if not in_bands.size:
        return np.zeros(0, dtype=np.float32)
    # Each band by what is usual in it: wind and hiss rise all the time and say nothing, a bell rises when it is struck.
    usual = in_bands.mean(axis=0) + _HARDLY * in_bands.mean()
    rises = (in_bands / np.maximum(usual, 1e-9)).mean(axis=1)
    return np.asarray(rises - _running_mean(rises, _FRAMES_PER_SECOND), dtype=np.float32)


def _thinned(mono: NDArray[np.float32], skip: int) -> NDArray[np.float32]:
    whole = mono[: mono.size // skip * skip]
    return np.asarray(whole.reshape(-1, skip).mean(axis=1), dtype=np.float32)


def _band_levels(mono: NDArray[np.float32], rate_hz: float) -> NDArray[np.float32]:
    hop, size = rate_hz / _FRAMES_PER_SECOND, 2 ** round(math.log2(_WINDOW_S * rate_hz))
    starts = np.arange(0, max(0.0, mono.size - size), hop).astype(int)
    bins = np.fft.rfftfreq(size, 1 / rate_hz)
    edges = np.searchsorted(bins, np.geomspace(_LOWEST_HZ, min(_HIGHEST_HZ, rate_hz / 2), _BANDS + 1))
    edges = np.maximum.accumulate(np.maximum(edges, np.arange(edges.size) + edges[0]))
    window = np.hanning(size).astype(np.float32) / size
    levels = np.empty((starts.size, _BANDS), dtype=np.float32)
    # A thousand frames at a time: their spectra stay in the cache.
    for first in range(0, starts.size, 1000):
        frames = mono[starts[first : first + 1000, None] + np.arange(size)] * window
        spectra = np.abs(np.fft.rfft(frames, axis=1)).astype(np.float32)
        levels[first : first + 1000] = np.add.reduceat(spectra[:, : edges[-1]], edges[:-1], axis=1)
    return levels


def _running_mean(values: NDArray[np.float32], width: int) -> NDArray[np.float64]:
    if values.size < width:
        return np.full(values.size, float(values.mean()) if values.size else 0.0)
    return np.asarray(np.convolve(values, np.ones(width) / width, "same"))


def _autocorrelation(onsets: Envelope) -> NDArray[np.float64]:
    """By lag in frames, from 0 to 24 s or half the song; 1 at lag 0."""
    size = 1 << max(1, (2 * onsets.size - 1).bit_length())
    spectrum = np.fft.rfft(onsets.astype(np.float64), size)
    raw = np.fft.irfft(np.abs(spectrum) ** 2, size)[: min(onsets.size // 2, int(_FARTHEST_S * _FRAMES_PER_SECOND))]
    if not raw.size or raw[0] <= 1e-9:
        return np.zeros(0)
    # Fewer pairs are summed at longer lags.
    return np.asarray(raw / raw[0] * onsets.size / (onsets.size - np.arange(raw.size)))


def _scores(recurrence: NDArray[np.float64]) -> NDArray[np.float64]:
    """For each candidate, how much recurs after 1, 2, 4 and 8 beats, and less so between them."""
    lags = 60 * _FRAMES_PER_SECOND / _CANDIDATES
    at = np.arange(recurrence.size)
    total = np.zeros(lags.size)
    for beats, weight in ((1, 1.0), (2, 1.0), (3, 0.5), (4, 1.0), (8, 0.5)):
        total += weight * np.interp(lags * beats, at, recurrence, right=0.0)
    return np.maximum(total, 0.0)


def _prior(expected_bpm: float | None) -> NDArray[np.float64]:
    centre, octaves = (expected_bpm, _ASKED_OCTAVES) if expected_bpm else (_FREE_CENTRE_BPM, _FREE_OCTAVES)
    return np.asarray(np.exp(-0.5 * (np.log2(_CANDIDATES / centre) / octaves) ** 2))


def _refined(recurrence: NDArray[np.float64], lag: float) -> float:
    """The beat in frames: its peak is found 1, 2, 4, … beats later, each time within what the last left open."""
    beats, slack = 1, 0.04 * lag
    while beats * lag + slack + 1 < recurrence.size and beats <= 64:
        low, high = int(beats * lag - slack), int(beats * lag + slack) + 2
        peak = low + int(np.argmax(recurrence[low:high]))
        if recurrence[peak] > 0.05:
            lag = _vertex(recurrence, peak) / beats
        beats, slack = beats * 2, 3.0
    return lag


def _vertex(values: NDArray[np.float64], peak: int) -> float:
    """Where the parabola through a peak and its neighbours is highest."""
    if not 0 < peak < values.size - 1:
        return float(peak)
    left, middle, right = values[peak - 1 : peak + 2]
    bend = left - 2 * middle + right
    return float(peak + 0.5 * (left - right) / bend) if bend < 0 else float(peak)


def _confidence(recurrence: NDArray[np.float64], bpm: float) -> float:
    beat = 60 * _FRAMES_PER_SECOND / bpm
    at = np.arange(recurrence.size)
    found = np.interp(beat * np.array([1, 2, 4]), at, recurrence, right=0.0)
    return round(float(np.clip(found.max(), 0, 1)), 3)


def _octaves(bpm: float) -> tuple[float, ...]:
    return tuple(round(other, 3) for other in (bpm / 2, bpm * 2) if MIN_BPM <= other <= MAX_BPM)
