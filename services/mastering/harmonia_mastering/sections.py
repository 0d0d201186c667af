"""The parts of a recording: where its sound changes, and which parts sound alike.

Pure: arrays in, values out. Levels of bands and pitch classes four times a second; a checkerboard along the diagonal of
their likeness finds the borders (Foote, ICME 2000), the means of the parts between them say which are the same.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harmonia_mastering.loudness import integrated
from harmonia_mastering.true_peak import Samples

_PER_SECOND = 4
_WINDOW = 8192
_BANDS = 16
_LOWEST_HZ, _HIGHEST_HZ = 40.0, 10_000.0
# Changes are looked for between the 8 s before and after; no part is shorter than that.
_HALF_S = 8
_SHORTEST_S = 8
_LEAST_NOVELTY = 0.12
_ALIKE = 0.75
_SHORTEST_SONG_S = 12.0


@dataclass(frozen=True, slots=True)
class Section:
    """label: "A", "B", …, the same for what sounds alike. confidence: 0 to 1, how much changes where it begins; 1 for
    the first. loudness_lufs: None where it is silent."""

    label: str
    start_s: float
    end_s: float
    confidence: float
    loudness_lufs: float | None


def sections(samples: Samples, rate_hz: int) -> list[Section]:
    """From the first sample to the last. samples: float32 [channels, n]. One section where nothing changes."""
    length_s = samples.shape[1] / rate_hz
    features = _features(samples, rate_hz) if length_s >= _SHORTEST_SONG_S else np.zeros((0, 1))
    novelty = _novelty(features)
    borders = _borders(novelty)
    parts = np.split(features, borders) if features.size else [features]
    starts = [0.0, *(border / _PER_SECOND for border in borders)]
    ends = [*starts[1:], length_s]
    confidences = [1.0, *(float(min(1.0, novelty[border])) for border in borders)]
    found = []
    for label, start, end, sure in zip(_labels(parts), starts, ends, confidences, strict=True):
        stretch = np.ascontiguousarray(samples[:, round(start * rate_hz) : round(end * rate_hz)])
        found.append(Section(label, round(start, 3), round(end, 3), round(sure, 3), integrated(stretch, rate_hz)))
    return found


def _features(samples: Samples, rate_hz: int) -> NDArray[np.float64]:
    """Rows: 16 band levels and 12 pitch classes, four a second, each column with mean 0 and deviation at most 1."""
    mono = samples.mean(axis=0, dtype=np.float32)
    starts = (np.arange(int(mono.size / rate_hz * _PER_SECOND)) * rate_hz / _PER_SECOND).astype(int)
    padded = np.pad(mono, (_WINDOW // 2, _WINDOW))
    hz = np.fft.rfftfreq(_WINDOW, 1 / rate_hz)
    edges = np.searchsorted(hz, np.geomspace(_LOWEST_HZ, min(_HIGHEST_HZ, 0.45 * rate_hz), _BANDS + 1))
    edges = np.maximum.accumulate(np.maximum(edges, np.arange(edges.size) + edges[0]))
    tonal = (hz > 100) & (hz < 2000)
    classes = np.rint(69 + 12 * np.log2(hz[tonal] / 440)).astype(int) % 12
    window, rows = np.hanning(_WINDOW).astype(np.float32), []
    for start in starts:
        power = np.abs(np.fft.rfft(padded[start : start + _WINDOW] * window)) ** 2
        levels = np.log10(np.add.reduceat(power[: edges[-1]], edges[:-1]) + 1e-6)
        chroma = np.bincount(classes, weights=np.sqrt(power[tonal]), minlength=12)
        rows.append(np.concatenate([levels, 0.5 * chroma / max(chroma.max(), 1e-9)]))
    found = np.array(rows)
    # A bar or so at a time: chords and drum strokes are no sections.
    smooth = np.apply_along_axis(np.convolve, 0, found, np.ones(9) / 9, "same")
    centred = smooth - smooth.mean(axis=0)
    return np.asarray(centred / np.maximum(centred.std(axis=0), 0.1))


def _novelty(features: NDArray[np.float64]) -> NDArray[np.float64]:
    """How unlike the 8 s before and the 8 s after each moment are, where each of both is like itself: 0 to 1."""
    half = _HALF_S * _PER_SECOND
    if len(features) < 2 * half // 2:
        return np.zeros(len(features))
    unit = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-9)
    novelty = np.zeros(len(unit))
    for at in range(_SHORTEST_S * _PER_SECOND, len(unit) - _SHORTEST_S * _PER_SECOND):
        before, after = unit[max(0, at - half) : at], unit[at : at + half]
        within = ((before @ before.T).mean() + (after @ after.T).mean()) / 2
        novelty[at] = max(0.0, (within - (before @ after.T).mean()) / 2)
    return novelty


def _borders(novelty: NDArray[np.float64]) -> list[int]:
    """The highest first, each at least 8 s from the others."""
    found: list[int] = []
    for at in np.argsort(-novelty, kind="stable"):
        if novelty[at] < _LEAST_NOVELTY:
            break
        is_peak = novelty[at] >= novelty[max(0, at - 4) : at + 5].max()
        if is_peak and all(abs(at - other) >= _SHORTEST_S * _PER_SECOND for other in found):
            found.append(int(at))
    return sorted(found)


def _labels(parts: list[NDArray[np.float64]]) -> list[str]:
    """A letter for each: that of the first part that it is like, else the next."""
    means: list[NDArray[np.float64]] = []
    labels = []
    for part in parts:
        mean = part.mean(axis=0) if len(part) else np.zeros(1)
        alike = [_likeness(mean, other) for other in means]
        best = int(np.argmax(alike)) if alike else -1
        if best < 0 or alike[best] < _ALIKE:
            means.append(mean)
            best = len(means) - 1
        labels.append(chr(ord("A") + min(best, 25)))
    return labels


def _likeness(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    scale = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(one @ other) / scale if scale > 0 else 1.0
