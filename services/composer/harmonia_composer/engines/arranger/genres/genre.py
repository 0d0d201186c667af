"""What a genre is: data a musician can read. Adding a genre is one more file beside this one.

Patterns are bars of sixteen steps, one character a step; "-" holds the step before, "." is silent. Any length that
is a multiple of sixteen is a pattern of several bars.
  drums    X accent, x normal, o ghost, ? now and then (more with complexity)
  bass     R root, 5 fifth, 8 octave, 3 third, a a step below or above the next root
  chords   C all at once, D strummed down, U strummed up, 0-5 one voice counted from the lowest and left to ring
  melody   x a note
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Style = Literal["drums", "bass", "comp", "pad", "melody", "texture"]
Beat = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Mix:
    """Where a part sits. `level_lufs` before the whole is scaled; sends 0..1; `duck_db` at each kick; width 0..1."""

    level_lufs: float
    pan: float = 0.0
    width: float = 0.3
    reverb: float = 0.0
    delay: float = 0.0
    chorus: float = 0.0
    duck_db: float = 0.0
    drive: float = 0.0
    low_cut_hz: float = 30.0
    high_db: float = 0.0


@dataclass(frozen=True, slots=True)
class PartPlan:
    """`patterns` from calm to busy: energy chooses among them. `register` is the middle of its range, MIDI pitch."""

    role: str
    style: Style
    instruments: tuple[str, ...]
    mix: Mix
    patterns: tuple[str, ...] = ()
    register: int = 60
    velocity: int = 84


@dataclass(frozen=True, slots=True)
class Genre:
    name: str
    bpm: tuple[float, float]
    """Usual tempo, from and to."""
    minor_share: float
    """How often its songs are in minor when nobody says."""
    chord_size: int
    progressions: Mapping[str, Mapping[str, tuple[str, ...]]]
    cadences: Mapping[str, str]
    forms: tuple[tuple[tuple[str, int], ...], ...]
    """Names and usual bars of sections, shortest form first."""
    energies: Mapping[str, tuple[float, float]]
    layers: Mapping[str, tuple[str, ...]]
    parts: tuple[PartPlan, ...]
    beats: tuple[tuple[Beat, ...], ...]
    """Drum bars from calm to busy, each a few alternatives."""
    fills: tuple[Beat, ...]
    ghosts: tuple[tuple[str, int], ...]
    """(drum, step) that come and go so that no bar is quite the one before."""
    motifs: tuple[str, ...]
    """Rhythms of one bar that melodies are made of."""
    swing: float = 0.0
    """How late every second sixteenth is, in sixteenths."""
    same_bars: bool = False
    """True: a drum bar may be exactly the one before."""
    spread_s: float = 0.007
    """Standard deviation of the players' timing."""
    depth_db: float = 8.0
    """Loudness between a section of no energy and one of full energy."""
    room_s: float = 1.4
    """Reverberation time."""
