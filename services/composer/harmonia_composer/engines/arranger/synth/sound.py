"""An instrument as it is heard: a voice for its notes, and what all its notes go through together."""

from dataclasses import dataclass
from math import cos, pi, sin, sqrt
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from harmonia_composer.engines.arranger.synth.kernels import RATE
from harmonia_composer.engines.arranger.synth.voice import Voice


@dataclass(frozen=True, slots=True)
class Band:
    """One biquad of an equaliser (Bristow-Johnson, Audio EQ Cookbook)."""

    kind: Literal["peak", "low cut", "high cut", "low shelf", "high shelf"]
    hz: float
    gain_db: float = 0.0
    q: float = 0.707

    def coefficients(self) -> tuple[float, float, float, float, float]:
        w = 2 * pi * self.hz / RATE
        alpha, c, a = sin(w) / (2 * self.q), cos(w), 10 ** (self.gain_db / 40)
        root = 2 * sqrt(a) * alpha
        if self.kind == "peak":
            b, d = (1 + alpha * a, -2 * c, 1 - alpha * a), (1 + alpha / a, -2 * c, 1 - alpha / a)
        elif self.kind == "low cut":
            b, d = ((1 + c) / 2, -1 - c, (1 + c) / 2), (1 + alpha, -2 * c, 1 - alpha)
        elif self.kind == "high cut":
            b, d = ((1 - c) / 2, 1 - c, (1 - c) / 2), (1 + alpha, -2 * c, 1 - alpha)
        elif self.kind == "low shelf":
            b = (a * (a + 1 - (a - 1) * c + root), 2 * a * (a - 1 - (a + 1) * c), a * (a + 1 - (a - 1) * c - root))
            d = (a + 1 + (a - 1) * c + root, -2 * (a - 1 + (a + 1) * c), a + 1 + (a - 1) * c - root)
        else:
            b = (a * (a + 1 + (a - 1) * c + root), -2 * a * (a - 1 + (a + 1) * c), a * (a + 1 + (a - 1) * c - root))
            d = (a + 1 - (a - 1) * c + root, 2 * (a - 1 - (a + 1) * c), a + 1 - (a - 1) * c - root)
        return b[0] / d[0], b[1] / d[0], b[2] / d[0], d[1] / d[0], d[2] / d[0]


def coefficients(bands: tuple[Band, ...]) -> NDArray[np.float64]:
    """[count, 5], with one that changes nothing where the count would be odd."""
    made = [band.coefficients() for band in bands] + [(1.0, 0.0, 0.0, 0.0, 0.0)] * (len(bands) % 2)
    return np.array(made, dtype=np.float64).reshape(-1, 5)


@dataclass(frozen=True, slots=True)
class Sound:
    """`drive` above 0: an amplifier between `before` and `body`, its gain as a factor.

    `doubled`: played twice, left and right, as guitars of loud records are. `slurs`: a note that begins where another
    ends glides from it.
    """

    voice: Voice
    body: tuple[Band, ...] = ()
    before: tuple[Band, ...] = ()
    drive: float = 0.0
    tremolo: float = 0.0
    tremolo_hz: float = 4.8
    chorus: float = 0.0
    doubled: bool = False
    slurs: bool = False
