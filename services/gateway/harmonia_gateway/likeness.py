"""PURE: how alike two songs sound, by what mastering measured of them. No taste: distances, each with its unit.

Tempo is folded by octaves (84 and 168 bpm are one pulse) and key lies on the circle of fifths, where A minor and C
major are one place. What was not measured of one of two songs does not count between them.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harmonia.audio.v1 import audio_pb2

Columns = npt.NDArray[np.float64]

# As they stand in a row of sounds: NaN where nothing was measured.
COLUMNS = ("bpm", "bpm_sure", "fifths", "minor", "key_sure", "lufs", "range_lu", "crest_lu", "correlation")
FEATURES = ("tempo", "key", "loudness", "range", "crest", "stereo")

# Of mode to mode, in semitones down to the major scale of the same notes.
_MODES = {"major": 0, "lydian": 5, "mixolydian": 7, "dorian": 2, "minor": 9, "phrygian": 4, "locrian": 11}
_NOTES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_KEY = re.compile(rf"([A-G])([#b]?) ({'|'.join(_MODES)})")
_OTHER_MODE = 0.1

# What counts how much, and the difference that is as far as can be.
_WEIGHTS = np.array([3.0, 2.0, 0.5, 1.5, 1.5, 1.0])
_FARTHEST_LU, _FARTHEST_CORRELATION = 10.0, 0.5


@dataclass(frozen=True, slots=True)
class Likeness:
    """`nearness` from 0 to 1; `here` of the song that was named, `there` of the one that was found."""

    feature: str
    here: str
    there: str
    nearness: float


def sound_of(analysis: audio_pb2.Analysis) -> tuple[float, ...] | None:
    """A row of COLUMNS; None when nothing was measured."""
    tempo, key, loudness = analysis.tempo, analysis.key, analysis.loudness
    fifths, minor = place_of(key.measured)
    integrated = loudness.integrated_lufs if loudness.HasField("integrated_lufs") else float("nan")
    row = (
        tempo.measured or float("nan"),
        tempo.confidence,
        fifths,
        minor,
        key.confidence,
        integrated,
        loudness.range_lu if loudness.HasField("range_lu") else float("nan"),
        loudness.true_peak_dbtp - integrated if loudness.HasField("true_peak_dbtp") else float("nan"),
        analysis.stereo.correlation if analysis.HasField("stereo") else float("nan"),
    )
    return None if np.isnan([row[0], row[2], *row[5:]]).all() else row


def place_of(key: str) -> tuple[float, float]:
    """On the circle of fifths from C major, 0 to 11, and 1 for the modes with a minor third; NaN for no key."""
    match = _KEY.fullmatch(key)
    if match is None:
        return float("nan"), float("nan")
    note, accidental, mode = match.groups()
    tonic = _NOTES[note] + {"": 0, "#": 1, "b": -1}[accidental]
    return float((tonic - _MODES[mode]) * 7 % 12), float(mode in ("minor", "dorian", "phrygian", "locrian"))


def nearness(one: Sequence[float], others: Columns) -> Columns:
    """[songs, FEATURES], 0 to 1; NaN where one of the two was not measured. `others`: [songs, COLUMNS]."""
    here = np.array(one)
    octaves = np.log2(others[:, 0] / here[0])
    fifths = np.abs(others[:, 2] - here[2])
    far = np.stack(
        [
            np.abs(octaves - np.round(octaves)) / 0.5,
            np.minimum(fifths, 12 - fifths) / 6 * (1 - _OTHER_MODE) + _OTHER_MODE * (others[:, 3] != here[3]),
            *(np.abs(others[:, column] - here[column]) / _FARTHEST_LU for column in (5, 6, 7)),
            np.abs(others[:, 8] - here[8]) / _FARTHEST_CORRELATION,
        ],
        axis=1,
    )
    near: Columns = 1 - np.minimum(far, 1.0)
    return near


def score(one: Sequence[float], others: Columns, near: Columns) -> Columns:
    """[songs], 0 to 1: a weighted mean of what was measured of both; a reading that is unsure counts less."""
    weights = np.broadcast_to(_WEIGHTS, near.shape).copy()
    for feature, sure in ((0, 1), (1, 4)):
        weights[:, feature] *= np.sqrt(np.clip(others[:, sure] * one[sure], 0.0025, 1))
    weights[np.isnan(near)] = 0
    total = weights.sum(axis=1)
    summed: Columns = (weights * np.nan_to_num(near)).sum(axis=1)
    scores: Columns = np.divide(summed, total, out=np.zeros_like(total), where=total > 0)
    return scores


def likenesses(
    one: Sequence[float], other: Sequence[float], near: Sequence[float], keys: tuple[str, str]
) -> list[Likeness]:
    """What is alike, the nearest first. `keys`: as they are called."""
    told = (
        (f"{one[0]:.0f} bpm", f"{other[0]:.0f} bpm"),
        keys,
        (f"{one[5]:.1f} LUFS", f"{other[5]:.1f} LUFS"),
        (f"{one[6]:.1f} LU", f"{other[6]:.1f} LU"),
        (f"{one[7]:.1f} dB", f"{other[7]:.1f} dB"),
        (f"{one[8]:.2f}", f"{other[8]:.2f}"),
    )
    found = [
        Likeness(feature, here, there, float(value))
        for feature, (here, there), value in zip(FEATURES, told, near, strict=True)
        if not np.isnan(value)
    ]
    return sorted(found, key=lambda one: -one.nearness)
