"""A mono signal at 48 kHz. float64 [n] in and out."""

import numpy as np

from harmonia_composer.engines.arranger.synth.kernels import RATE
from harmonia_composer.voice.world import Floats

HALF = 24
"""Samples of the slower rate that the filter looks back and ahead."""


def up(samples: Floats, rate_hz: int) -> Floats:
    """By a whole factor: a windowed sinc (Kaiser, 70 dB) as one filter for each place between two samples."""
    factor, rest = divmod(RATE, rate_hz)
    if rest:
        raise ValueError(f"{rate_hz} Hz is no whole part of {RATE} Hz")
    out = np.empty(factor * len(samples))
    window_at = np.arange(-HALF, HALF + 1)
    for phase in range(factor):
        at = window_at + phase / factor
        shape = np.i0(7.0 * np.sqrt(np.clip(1 - (at / (HALF + 1)) ** 2, 0, 1))) / np.i0(7.0)
        out[phase::factor] = np.convolve(samples, np.sinc(at) * shape, mode="same")
    return out
