"""A take as a studio sees it: tracks on a grid of beats. Pure data; what each kind of session file makes of it is the
business of its own module.

What sounds when a session is opened is the mix, to the bit: stems stand at their mixed level, so every fader is at
unity and every pan in the middle. The notes lie under them on tracks of their own, muted and without an instrument.
"""

import colorsys
import zlib
from dataclasses import dataclass
from pathlib import Path

RATE = 48_000


@dataclass(frozen=True, slots=True)
class Note:
    """Times are in quarters; `velocity` is 1 to 127."""

    start: float
    length: float
    channel: int
    key: int
    velocity: int


@dataclass(frozen=True, slots=True)
class Track:
    """One part: its sound, stereo at 48 kHz, and its notes where it has some."""

    name: str
    stem: Path
    frames: int
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True, slots=True)
class Marker:
    name: str
    quarters: float


@dataclass(frozen=True, slots=True)
class Session:
    title: str
    genre: str
    bpm: float
    beats: int
    unit: int
    tracks: tuple[Track, ...]
    markers: tuple[Marker, ...]

    @property
    def frames(self) -> int:
        return max((track.frames for track in self.tracks), default=0)

    def quarters(self, seconds: float) -> float:
        return seconds * self.bpm / 60.0


def colour(name: str) -> tuple[int, int, int]:
    """Red, green, blue, 0 to 255: a part has the same in every song."""
    hue = zlib.crc32(name.encode()) % 360 / 360.0
    red, green, blue = (round(255 * one) for one in colorsys.hls_to_rgb(hue, 0.6, 0.5))
    return red, green, blue


def shown(name: str) -> str:
    return name[:1].upper() + name[1:]
