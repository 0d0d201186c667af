"""A song on paper: what sounds when, before anything makes a sound. Pure data; the clock is ticks, PPQ a quarter."""

from bisect import bisect_right
from dataclasses import dataclass

from harmonia_composer.engines.arranger.genres.genre import Genre, Mix, Style
from harmonia_composer.engines.arranger.scale import Key

PPQ = 960
BAR = 4 * PPQ
STEP = PPQ // 4
DRUM_CHANNEL = 9


@dataclass(frozen=True, slots=True)
class Note:
    """`tick` is where the groove puts it, swing included; `late` is the player, in ticks."""

    tick: int
    length: int
    pitch: int
    velocity: int
    late: int = 0

    @property
    def start(self) -> int:
        return max(0, self.tick + self.late)


@dataclass(frozen=True, slots=True)
class Chord:
    """Pitch classes from the root up. `degree` counts from 0 = tonic."""

    degree: int
    tones: tuple[int, ...]
    label: str

    @property
    def root(self) -> int:
        return self.tones[0]


@dataclass(frozen=True, slots=True)
class Span:
    tick: int
    length: int
    chord: Chord


@dataclass(frozen=True, slots=True)
class Section:
    """`energy` runs from its start to its end, 0..1: loudness, brightness and density follow it."""

    name: str
    bar: int
    bars: int
    energy: float
    energy_end: float
    roles: frozenset[str] = frozenset()

    @property
    def tick(self) -> int:
        return self.bar * BAR

    @property
    def end(self) -> int:
        return (self.bar + self.bars) * BAR


@dataclass(frozen=True, slots=True)
class Part:
    """`role` names its stem and its track; a texture has notes for the renderer, none for MIDI."""

    role: str
    instrument: str
    style: Style
    mix: Mix
    notes: tuple[Note, ...]


@dataclass(frozen=True, slots=True)
class Line:
    tick: int
    section: int
    text: str


@dataclass(frozen=True, slots=True)
class Score:
    """`ticks` is the end of the last beat; what still sounds rings on until `duration_seconds`."""

    title: str
    genre: Genre
    seed: int
    key: Key
    bpm: float
    duration_seconds: float
    ticks: int
    sections: tuple[Section, ...]
    chords: tuple[Span, ...]
    parts: tuple[Part, ...]
    lines: tuple[Line, ...]
    brightness: float = 0.0
    """Octaves of filter."""
    reverb: float = 1.0
    loop: bool = False
    ending: str = "ring"

    def seconds(self, tick: float) -> float:
        return tick / PPQ * 60.0 / self.bpm

    def section_at(self, tick: int) -> Section:
        return self.sections[max(0, bisect_right([section.tick for section in self.sections], tick) - 1)]

    def energy_at(self, tick: int) -> float:
        section = self.section_at(tick)
        along = min(1.0, max(0.0, (tick - section.tick) / (section.bars * BAR)))
        return section.energy + (section.energy_end - section.energy) * along
