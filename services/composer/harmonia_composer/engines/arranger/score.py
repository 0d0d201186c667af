"""A song on paper: what sounds when, before anything makes a sound. Pure data; the clock is ticks, PPQ a quarter."""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar

from harmonia_composer.engines.arranger.genres.genre import Ending, Genre, Mix
from harmonia_composer.engines.arranger.metre import FOUR_FOUR, PPQ, Metre
from harmonia_composer.engines.arranger.scale import Key

DRUM_CHANNEL = 9
V = TypeVar("V")
Sound = Literal["drums", "bass", "comp", "pad", "melody", "texture", "vocals"]


@dataclass(frozen=True, slots=True)
class Note:
    """`tick` is where the groove puts it, swing included; `late` is the player, in ticks."""

    tick: int
    length: int
    pitch: int
    velocity: int
    late: int = 0
    slide: int = 0
    """Semitones from which it is slid into: −12 from an octave below. 0: struck."""

    @property
    def start(self) -> int:
        return max(0, self.tick + self.late)


@dataclass(frozen=True, slots=True)
class Chord:
    """Pitch classes from the root up. `degree` counts from 0 = tonic. `low`: what the bass plays, the root if None."""

    degree: int
    tones: tuple[int, ...]
    label: str
    low: int | None = None

    @property
    def root(self) -> int:
        return self.tones[0]

    @property
    def bass(self) -> int:
        return self.root if self.low is None else self.low


@dataclass(frozen=True, slots=True)
class Span:
    tick: int
    length: int
    chord: Chord


@dataclass(frozen=True, slots=True)
class Section:
    """`energy` runs from its start to its end, 0..1: loudness, brightness and density follow it.

    `character` is the genre's name for what it is, `times` says how often there was one before, from 1; `final`: no
    more come. `roles` play all the way, but `late` ones from its middle on and `early` ones up to there.
    """

    name: str
    bar: int
    bars: int
    energy: float
    energy_end: float
    roles: frozenset[str] = frozenset()
    late: frozenset[str] = frozenset()
    early: frozenset[str] = frozenset()
    character: str = "verse"
    times: int = 1
    final: bool = False
    seed: int = 0
    metre: Metre = FOUR_FOUR

    @property
    def tick(self) -> int:
        return self.bar * self.metre.ticks

    @property
    def end(self) -> int:
        return (self.bar + self.bars) * self.metre.ticks

    @property
    def middle(self) -> int:
        return (self.bar + (self.bars + 1) // 2) * self.metre.ticks

    def of(self, table: Mapping[str, V]) -> V | None:
        """What a genre's table holds for this section: for the last of its kind, the second, any; None: nothing."""
        keys = [f"{self.character} last"] * (self.final and self.times > 1)
        keys += [f"{self.character} 2"] * (self.times > 1) + [self.character]
        return next((table[key] for key in keys if key in table), None)

    def plays(self, label: str, tick: int) -> bool:
        if label not in self.roles:
            return False
        return not (label in self.late and tick < self.middle) and not (label in self.early and tick >= self.middle)


@dataclass(frozen=True, slots=True)
class Part:
    """`role` names its stem and its track; a texture has notes for the renderer, none for MIDI."""

    role: str
    instrument: str
    style: Sound
    mix: Mix
    notes: tuple[Note, ...]


@dataclass(frozen=True, slots=True)
class Line:
    tick: int
    section: int
    text: str


@dataclass(frozen=True, slots=True)
class Syllable:
    """One note of the tune and what is sung to it; `text` as written, so that all of a line's make the line again."""

    tick: int
    length: int
    text: str
    line: int
    word: int
    stress: int
    """2 stressed, 1 secondary, 0 unstressed."""


@dataclass(frozen=True, slots=True)
class Score:
    """`ticks` is the end of the last beat; what still sounds rings on until `duration_seconds`.

    A `loop` has no end: `duration_seconds` is exactly its bars, and what still sounds there sounds at its beginning.
    """

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
    metre: Metre = FOUR_FOUR
    syllables: tuple[Syllable, ...] = ()
    loop: bool = False
    ending: Ending = "ring"

    def seconds(self, tick: float) -> float:
        """bpm counts quarter notes whatever the metre, as MIDI's set_tempo does."""
        return tick / PPQ * 60.0 / self.bpm

    def section_at(self, tick: int) -> Section:
        return self.sections[max(0, bisect_right([section.tick for section in self.sections], tick) - 1)]

    def energy_at(self, tick: int) -> float:
        section = self.section_at(tick)
        along = min(1.0, max(0.0, (tick - section.tick) / max(1, section.end - section.tick)))
        return section.energy + (section.energy_end - section.energy) * along
