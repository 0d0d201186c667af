"""Before and after, to be compared by ear: the same half minute of both, equally loud.

Pure: arrays in, arrays out. What is louder sounds better, so both are brought to the loudness of the quieter: of the
two, or of what the mix reaches without clipping.
"""

from dataclasses import dataclass

import numpy as np

from harmonia_mastering.loudness import HOPS_PER_SECOND, decibels, integrated, short_term_lufs
from harmonia_mastering.true_peak import Samples, true_peak

LENGTH_S = 30.0
_CEILING_DBTP = -1.0
_FADE_S = 0.02


@dataclass(frozen=True, slots=True)
class Preview:
    """start_s: where in the song. loudness_lufs: of both; None where there is nothing to hear."""

    before: Samples
    after: Samples
    start_s: float
    loudness_lufs: float | None


def preview(mix: Samples, mastered: Samples, rate_hz: int) -> Preview:
    """mix and mastered: float32 [channels, n], as long as each other. The loudest 30 s of the master."""
    length = min(mix.shape[1], round(LENGTH_S * rate_hz))
    start = min(_loudest_start(mastered, rate_hz), mix.shape[1] - length)
    before, after = (np.array(whole[:, start : start + length]) for whole in (mix, mastered))
    before_lufs, after_lufs = integrated(before, rate_hz), integrated(after, rate_hz)
    level = None
    if before_lufs is not None and after_lufs is not None:
        headroom_db = _CEILING_DBTP - (decibels(true_peak(before)) or 0.0)
        level = min(after_lufs, before_lufs + headroom_db)
        before *= np.float32(10 ** ((level - before_lufs) / 20))
        after *= np.float32(10 ** ((level - after_lufs) / 20))
    for part in (before, after):
        _fade(part, round(_FADE_S * rate_hz))
    return Preview(before, after, start / rate_hz, level)


def _loudest_start(samples: Samples, rate_hz: int) -> int:
    """Of 30 s, by the mean of their short-term power."""
    power = 10 ** (short_term_lufs(samples, rate_hz) / 10)
    hops = round(LENGTH_S * HOPS_PER_SECOND)
    if power.size <= hops:
        return 0
    sums = np.concatenate(([0.0], np.cumsum(power)))
    return int(np.argmax(sums[hops:] - sums[:-hops])) * round(rate_hz / HOPS_PER_SECOND)


def _fade(samples: Samples, width: int) -> None:
    width = min(width, samples.shape[1] // 2)
    ramp = np.linspace(0, 1, width, dtype=np.float32)
    samples[:, :width] *= ramp
    samples[:, samples.shape[1] - width :] *= ramp[::-1]
