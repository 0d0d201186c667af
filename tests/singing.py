"""How well a voice sings what is written, measured on its sound with nothing of what made it.

Pitch by YIN (de Cheveigné and Kawahara, JASA 111, 2002), where the voice is made with WORLD's trackers. Times by
aligning the song with the same line as it was spoken, phone by phone as the synthesiser tells, with dynamic time
warping over mel spectra (Sakoe and Chiba, 1978); where a vowel of the speech begins, the path says when it is sung.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from numba import njit
from numpy.typing import NDArray

from harmonia_composer.voice import world

# With CI=true it must be there, so these tests run, and fail, without it.
needs_vocoder = pytest.mark.skipif(
    world.library() is None and os.environ.get("CI") != "true",
    reason="the vocoder is not installed: `make voice` builds it, with a C++ compiler",
)
Floats = NDArray[np.float64]
RATE = 16_000
HOP_S = 0.005
# Few cepstra: a high voice has its harmonics apart, and more would tell them instead of the vowel.
_BANDS, _CEPSTRA, _WINDOW = 20, 9, 400
# Of YIN: below this the first dip is the period.
_DIP = 0.2


@dataclass(frozen=True, slots=True)
class Written:
    """A note of the score."""

    start_s: float
    end_s: float
    pitch: int


def thirds(sound: Floats) -> Floats:
    """48 kHz → 16 kHz, by a windowed sinc."""
    at = np.arange(-72, 73)
    taps = np.sinc(at / 3) / 3 * np.hamming(len(at))
    return np.convolve(sound, taps, mode="same")[::3]


def cents_off(sound: Floats, notes: Sequence[Written]) -> list[float]:
    """Of each note, the middle of its frames, against its pitch; nan where it has no pitch at all. 16 kHz."""
    return [_note_off(sound, note) for note in notes]


def _note_off(sound: Floats, note: Written) -> float:
    length = note.end_s - note.start_s
    first, last = note.start_s + min(0.08, 0.35 * length), note.end_s - min(0.05, 0.25 * length)
    found = [hertz for at in np.arange(first, last, 0.01) if (hertz := yin(sound, round(at * RATE))) > 0]
    if not found:
        return float("nan")
    return 100 * (69 + 12 * float(np.log2(np.median(found) / 440.0)) - note.pitch)


def yin(sound: Floats, middle: int, window: int = 640, low_hz: float = 80.0, high_hz: float = 1000.0) -> float:
    """0: no pitch."""
    longest = int(RATE / low_hz)
    start = middle - window // 2
    piece = sound[max(0, start) : start + window + longest]
    if start < 0 or len(piece) < window + longest or not piece[:window].any():
        return 0.0
    squares = np.concatenate([[0.0], np.cumsum(piece**2)])
    powers = squares[window:] - squares[:-window]
    products = np.correlate(piece, piece[:window], mode="valid")
    difference = powers[0] + powers[: longest + 1] - 2 * products[: longest + 1]
    normal = np.ones(longest + 1)
    normal[1:] = difference[1:] * np.arange(1, longest + 1) / np.maximum(np.cumsum(difference[1:]), 1e-12)
    lag = int(RATE / high_hz)
    below = np.flatnonzero(normal[lag:-1] < _DIP)
    if not below.size:
        return 0.0
    at = lag + int(below[0])
    while at + 2 < longest and normal[at + 1] < normal[at]:
        at += 1
    a, b, c = difference[at - 1 : at + 2]
    bend = a - 2 * b + c
    return float(RATE / (at + (0.5 * (a - c) / bend if bend else 0.0)))


def mel(sound: Floats) -> Floats:
    """[frames, 2 · cepstra]: mel cepstra and how they change; 16 kHz, every 5 ms."""
    hop = round(HOP_S * RATE)
    padded = np.pad(np.append(sound[:1], sound[1:] - 0.97 * sound[:-1]), _WINDOW // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::hop] * np.hanning(_WINDOW)
    power = np.abs(np.fft.rfft(frames, 1024, axis=1)) ** 2
    low, high = (2595 * np.log10(1 + hertz / 700) for hertz in (120, 7600))
    edges = 700 * (10 ** (np.linspace(low, high, _BANDS + 2) / 2595) - 1)
    bins = np.fft.rfftfreq(1024, 1 / RATE)
    rising = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    bank = np.clip(np.minimum(rising, falling), 0, None)
    energy = np.log(power @ bank.T + 1e-7)
    cosines = np.cos(np.pi * np.arange(_CEPSTRA)[:, None] * (np.arange(_BANDS) + 0.5) / _BANDS)
    cepstra = energy @ cosines.T
    cepstra = (cepstra - cepstra.mean(axis=0)) / (cepstra.std(axis=0) + 1e-9)
    ahead = np.pad(cepstra, ((3, 3), (0, 0)), mode="edge")
    return np.ascontiguousarray(np.concatenate([cepstra, ahead[6:] - ahead[:-6]], axis=1))


@njit(cache=True)
def _path(cost: Floats) -> NDArray[np.int64]:
    """For each row the first column of the cheapest way through, from corner to corner."""
    rows, columns = cost.shape
    total = np.full((rows, columns), 1e18)
    came = np.zeros((rows, columns), dtype=np.int8)
    total[0, 0] = cost[0, 0]
    for row in range(rows):
        for column in range(columns):
            if row == 0 and column == 0:
                continue
            best, way = 1e18, 0
            if row and column and total[row - 1, column - 1] < best:
                best, way = total[row - 1, column - 1], 0
            if row and total[row - 1, column] < best:
                best, way = total[row - 1, column], 1
            if column and total[row, column - 1] < best:
                best, way = total[row, column - 1], 2
            total[row, column] = best + cost[row, column]
            came[row, column] = way
    first = np.zeros(rows, dtype=np.int64)
    row, column = rows - 1, columns - 1
    while row > 0 or column > 0:
        first[row] = column
        if came[row, column] == 0:
            row, column = row - 1, column - 1
        elif came[row, column] == 1:
            row -= 1
        else:
            column -= 1
    return first


def sung_at(spoken: Floats, song: Floats, times_s: Sequence[float]) -> list[float]:
    """When the song is where the speech is at `times_s`. Both 16 kHz."""
    said, sung = mel(spoken), mel(song)
    cost = np.sqrt(((said[:, None, :] - sung[None, :, :]) ** 2).sum(axis=2))
    first = _path(cost)
    return [float(first[min(len(first) - 1, round(time / HOP_S))] * HOP_S) for time in times_s]
