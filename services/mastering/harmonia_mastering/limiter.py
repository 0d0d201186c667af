"""A look-ahead true-peak limiter without delay.

Pure: arrays in, arrays out. The gain is the least of what every peak within the look-ahead asks for, let go with a
one-pole release, then averaged over a window as long as the look-ahead: so it has come down in full when the peak is
there, and no sample and no interpolated value leaves above the ceiling.
"""

import math

import numpy as np
from numba import njit

from harmonia_mastering.true_peak import Samples

LOOK_AHEAD_S = 0.0015
RELEASE_S = 0.060


def gain_curve(envelope: Samples, rate_hz: int, *, gain: float, ceiling: float) -> Samples:
    """What to multiply each sample with so that gain × signal stays under the ceiling: float32 [n], gain included.

    gain and ceiling are linear.
    """
    look_ahead = max(1, round(LOOK_AHEAD_S * rate_hz))
    release = 1 - math.exp(-1 / (RELEASE_S * rate_hz))
    return _gain_curve(envelope, gain, ceiling, look_ahead, release)


@njit(nogil=True, cache=True)
def _gain_curve(envelope: Samples, gain: float, ceiling: float, look_ahead: int, release: float) -> Samples:
    n = envelope.size
    width = look_ahead + 1
    curve = np.empty(n, dtype=np.float32)
    quiet = ceiling / gain if gain > 0 else np.inf
    held = np.ones(width)  # a ring: the released gains under the average
    queue = np.empty(n + look_ahead, dtype=np.int32)  # where envelope peaks lie ahead, each lower than the one before
    first = last = slot = 0
    released, total, untouched = 1.0, float(width), width
    for lead in range(n + look_ahead):
        if lead < n and envelope[lead] > quiet:
            while last > first and envelope[queue[last - 1]] <= envelope[lead]:
                last -= 1
            queue[last] = lead
            last += 1
        if last > first and queue[first] < lead - look_ahead:
            first += 1
        if last > first or untouched < width:
            wanted = quiet / envelope[queue[first]] if last > first else 1.0
            released = wanted if wanted <= released else released + release * (wanted - released)
            if released > 0.9999999:
                released = 1.0
            untouched = untouched + 1 if released == 1.0 else 0
            # Summed anew when all is 1 again: sheds what rounding left behind.
            total = total + released - held[slot] if untouched < width else float(width)
            held[slot] = released
            slot = slot + 1 if slot + 1 < width else 0
        if lead >= look_ahead:
            curve[lead - look_ahead] = gain * total / width
    return curve
