"""The key of a recording, from how long and how loud each pitch class sounds.

Pure: arrays in, names out. It takes the song to have one key, major or minor, at concert pitch.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NAMES = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")

# Albrecht and Shanahan 2013 (Music Perception 31, 59-67): how often each pitch class is played in a key on C.
_MAJOR = np.array([0.238, 0.006, 0.111, 0.006, 0.137, 0.094, 0.016, 0.214, 0.009, 0.080, 0.008, 0.081])
_MINOR = np.array([0.220, 0.006, 0.104, 0.123, 0.019, 0.103, 0.012, 0.214, 0.062, 0.022, 0.061, 0.052])

_WINDOW = 8192
_RATE_HZ = 12_000
_LOWEST_HZ = 55.0
_HIGHEST_HZ = 1_760.0
# The bass says where home is: of two keys with the same notes, the one whose tonic it plays.
_BASS_HIGHEST_HZ = 220.0
_BASS_WEIGHT = 0.2


@dataclass(frozen=True, slots=True)
class Key:
    """confidence: 0 to 1, how far ahead of the next key it is. An empty name: nothing with a pitch."""

    name: str
    confidence: float
    alternatives: tuple[str, ...]


def key(samples: NDArray[np.float32], rate_hz: int) -> Key:
    """samples: float32 [channels, n]. Alternatives: the relative key first, then the fifth above, then the parallel."""
    chroma, bass = _chroma(samples, rate_hz)
    if chroma.max(initial=0.0) <= 0:
        return Key("", 0.0, ())
    fits = np.concatenate([_fits(chroma, _MAJOR), _fits(chroma, _MINOR)])
    fits += _BASS_WEIGHT * np.tile(bass / max(bass.max(), 1e-12), 2)
    ranked = np.argsort(-fits)
    best = int(ranked[0])
    ahead = float(fits[best] - fits[ranked[1]])
    return Key(_name(best), round(min(1.0, ahead / 0.25), 3), tuple(_name(other) for other in _relatives(best)))


def _name(index: int) -> str:
    return f"{NAMES[index % 12]} {'major' if index < 12 else 'minor'}"


def _relatives(index: int) -> list[int]:
    tonic, minor = index % 12, index >= 12
    relative = (tonic + 3) % 12 if minor else (tonic + 9) % 12 + 12
    return [relative, (tonic + 7) % 12 + 12 * minor, tonic + 12 * (not minor)]


def _fits(chroma: NDArray[np.float64], profile: NDArray[np.float64]) -> NDArray[np.float64]:
    """Correlation with the profile at each of the twelve tonics."""
    return np.array([np.corrcoef(chroma, np.roll(profile, tonic))[0, 1] for tonic in range(12)])


def _chroma(samples: NDArray[np.float32], rate_hz: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How much of each pitch class there is, from C: in all, and in the bass."""
    skip = max(1, rate_hz // _RATE_HZ)
    mono = samples.mean(axis=0, dtype=np.float32)
    mono = mono[: mono.size // skip * skip].reshape(-1, skip).mean(axis=1)
    if mono.size < _WINDOW:
        mono = np.pad(mono, (0, _WINDOW - mono.size))
    frames = np.lib.stride_tricks.sliding_window_view(mono, _WINDOW)[:: _WINDOW // 2]
    spectra = np.abs(np.fft.rfft(frames * np.hanning(_WINDOW).astype(np.float32), axis=1))
    hz = np.fft.rfftfreq(_WINDOW, skip / rate_hz)
    spectra[:, 1:-1] *= (spectra[:, 1:-1] >= spectra[:, :-2]) & (spectra[:, 1:-1] >= spectra[:, 2:])
    # The root keeps one loud instrument from deciding alone, the frame's own maximum one loud section.
    weights = np.sqrt(spectra) / np.sqrt(np.maximum(spectra.max(axis=1, keepdims=True), 1e-6))
    return _by_class(weights, hz, _LOWEST_HZ, _HIGHEST_HZ), _by_class(weights, hz, _LOWEST_HZ, _BASS_HIGHEST_HZ)


def _by_class(
    weights: NDArray[np.floating], hz: NDArray[np.floating], lowest_hz: float, highest_hz: float
) -> NDArray[np.float64]:
    inside = (hz >= lowest_hz) & (hz <= highest_hz)
    pitch = 69 + 12 * np.log2(hz[inside] / 440)
    # A partial in the crack between two semitones belongs to neither.
    trust = np.cos(np.pi * (pitch - np.rint(pitch))) ** 2
    totals = weights[:, inside].sum(axis=0) * trust
    return np.bincount(np.rint(pitch).astype(int) % 12, weights=totals, minlength=12).astype(np.float64)
