"""Float samples as integers. PURE: the same samples at the same place give the same numbers."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

_FULL_SCALE_24 = 1 << 23
_DITHER_PERIOD = 1 << 18


def pcm24(samples: NDArray[np.float32]) -> NDArray[np.int32]:
    """Interleaved int32 [n, channels] of 24 bits. No dither: at -144 dBFS the music brings its own."""
    steps = np.rint(samples.T.astype(np.float64) * _FULL_SCALE_24)
    return np.ascontiguousarray(np.clip(steps, -_FULL_SCALE_24, _FULL_SCALE_24 - 1), dtype=np.int32)


def pcm16(samples: NDArray[np.float32], *, start: int = 0) -> NDArray[np.int16]:
    """Interleaved [n, channels] with triangular dither of ±1 step, the same every time; silence stays silence.

    start: where in the whole recording the first of these samples is.
    """
    steps = samples.T * np.float32(32768)
    places = (start * steps.shape[1] + np.arange(steps.size)) % _DITHER_PERIOD
    dithered = np.rint(np.where(steps == 0, steps, steps + _dither()[places].reshape(steps.shape)))
    return np.ascontiguousarray(np.clip(dithered, -32768, 32767).astype("<i2"))


@lru_cache(maxsize=1)
def _dither() -> NDArray[np.float32]:
    rng = np.random.default_rng(0)
    return rng.random(_DITHER_PERIOD, dtype=np.float32) - rng.random(_DITHER_PERIOD, dtype=np.float32)
