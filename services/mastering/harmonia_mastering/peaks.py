"""What a player draws: the least and the largest sample of each stretch, in audiowaveform's JSON, version 2.

    {"version": 2, "channels": 2, "sample_rate": 48000, "samples_per_pixel": 1440, "bits": 16, "length": 2000,
     "data": [min, max, min, max, …]}

`data` holds, for each of `length` stretches of `samples_per_pixel` samples, min and max of the first channel, then of
the second. Numbers are samples times 32767, rounded. The last stretch may be shorter. peaks.js reads it as it is; for
wavesurfer.js divide by 32767.
"""

import json

import numpy as np
from numpy.typing import NDArray

_STRETCHES = 2000
_FULL_SCALE = 32767


def waveform_json(samples: NDArray[np.float32], rate_hz: int) -> bytes:
    """samples: float32 [channels, n], full scale ±1."""
    per_stretch = max(1, -(-samples.shape[1] // _STRETCHES))
    data = peaks(samples, per_stretch)
    waveform = {
        "version": 2,
        "channels": samples.shape[0],
        "sample_rate": rate_hz,
        "samples_per_pixel": per_stretch,
        "bits": 16,
        "length": data.shape[0],
        "data": data.ravel().tolist(),
    }
    return json.dumps(waveform, separators=(",", ":")).encode()


def peaks(samples: NDArray[np.float32], per_stretch: int) -> NDArray[np.int16]:
    """int16 [stretches, channels, 2]: min and max."""
    starts = np.arange(0, samples.shape[1], per_stretch)
    if not starts.size:
        return np.zeros((0, samples.shape[0], 2), dtype=np.int16)
    extremes = [np.minimum.reduceat(samples, starts, axis=1), np.maximum.reduceat(samples, starts, axis=1)]
    scaled = np.rint(np.clip(extremes, -1, 1) * np.float64(_FULL_SCALE)).astype(np.int16)
    return np.ascontiguousarray(scaled.transpose(2, 1, 0))
