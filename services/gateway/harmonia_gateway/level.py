"""PURE: how loud previews are played, and how they hand over to the master without a step in level.

A preview is the mix before mastering. Engines stage their mixes to about NOMINAL_LUFS, so what mastering will add is
known beforehand to within a decibel or two; what remains is taken back over RAMP_S once the master is there and both
can be compared at the same place. Sound is float32 [frames, 2], 48 kHz.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harmonia.song.v1 import spec_pb2

RATE = 48_000
# The middle of the arranger's pre-masters, measured: from -17.4 (metal) to -23.2 (ambient) LUFS.
NOMINAL_LUFS = -20.0
# Up to here a preview is as it is; above it bends, and never reaches full scale.
_KNEE = 0.7
_LARGEST_GAIN_DB = 14.0
RAMP_S = 2.0
# Two levels further apart than this are not of the same music, and no reason to turn anything up or down so far.
_LARGEST_STEP_DB = 12.0
_SILENCE = 1e-5

Sound = NDArray[np.float32]


def preview_gain_db(mastering: spec_pb2.Mastering) -> float:
    """What mastering is expected to add."""
    if mastering.preset == spec_pb2.Mastering.NONE or not mastering.HasField("target_lufs"):
        return 0.0
    return min(mastering.target_lufs - NOMINAL_LUFS, _LARGEST_GAIN_DB)


def lifted(sound: Sound, gain_db: float) -> Sound:
    """Louder, and under full scale all the same."""
    louder = sound * np.float32(10 ** (gain_db / 20))
    above = np.abs(louder) - _KNEE
    bent = np.sign(louder) * (_KNEE + (1 - _KNEE) * np.tanh(above / (1 - _KNEE)))
    return np.where(above > 0, bent, louder).astype(np.float32)


def pcm(sound: Sound) -> bytes:
    """Interleaved s16le, rounded, without dither: the same sound is the same bytes."""
    scaled = np.clip(np.rint(sound * 32768.0), -32768, 32767)
    interleaved: bytes = scaled.astype("<i2").tobytes()
    return interleaved


def step_db(heard: Sound, following: Sound) -> float:
    """How much louder `heard` is than `following`, which is the same stretch of music."""
    loud, quiet = (math.sqrt(float(np.mean(np.square(one, dtype=np.float64)))) for one in (heard, following))
    if min(loud, quiet) < _SILENCE:
        return 0.0
    return max(-_LARGEST_STEP_DB, min(_LARGEST_STEP_DB, 20 * math.log10(loud / quiet)))


@dataclass(frozen=True, slots=True)
class Ramp:
    """From `step_db` at frame `start` to nothing after RAMP_S; from there on the sound is untouched."""

    start: int
    step_db: float

    def gain_db(self, position: int) -> float:
        left = 1 - (position - self.start) / (RAMP_S * RATE)
        return self.step_db * min(1.0, max(0.0, left))

    def over(self, sound: Sound, position: int) -> Sound:
        if self.gain_db(position) == 0.0:
            return sound
        left = 1 - (np.arange(position, position + len(sound)) - self.start) / (RAMP_S * RATE)
        gains = 10 ** (self.step_db * np.clip(left, 0.0, 1.0) / 20)
        return (sound * gains[:, None]).astype(np.float32)


NO_RAMP = Ramp(0, 0.0)
