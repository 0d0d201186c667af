"""What every player reads before playing: the song's frame, and one chair of the band. Pure data."""

from bisect import bisect_right
from dataclasses import dataclass

from harmonia_composer.engines.arranger.genres.genre import Genre, PartPlan
from harmonia_composer.engines.arranger.instruments import INSTRUMENTS
from harmonia_composer.engines.arranger.moods import Mood
from harmonia_composer.engines.arranger.scale import Key
from harmonia_composer.engines.arranger.score import BAR, Chord, Section, Span


@dataclass(frozen=True, slots=True)
class Chair:
    """`label` names the stem; the role itself, or the instrument where it doubles one."""

    label: str
    plan: PartPlan
    instrument: str
    asked: bool

    @property
    def limits(self) -> tuple[int, int]:
        instrument = INSTRUMENTS[self.instrument]
        return instrument.low, instrument.high


@dataclass(frozen=True, slots=True)
class Sheet:
    genre: Genre
    mood: Mood
    key: Key
    bpm: float
    seed: int
    density: float
    ticks: int
    sections: tuple[Section, ...]
    spans: tuple[Span, ...]

    @property
    def ending(self) -> int:
        """Where the last bar begins: from there on the last chord rings, nothing else."""
        return (self.ticks - 1) // BAR * BAR

    def section_at(self, tick: int) -> Section:
        return self.sections[max(0, bisect_right(self.sections, tick, key=lambda section: section.tick) - 1)]

    def chord_at(self, tick: int) -> Chord:
        return self.spans[max(0, bisect_right(self.spans, tick, key=lambda span: span.tick) - 1)].chord

    def pattern_at(self, tick: int, plan: PartPlan) -> str:
        """The busier one where there is more energy, or more wanted."""
        energy = self.section_at(tick).energy + 0.3 * (self.density - 0.5)
        return plan.patterns[level_of(energy, len(plan.patterns))]


def level_of(energy: float, levels: int) -> int:
    """Which of the patterns from calm to busy."""
    return max(0, min(levels - 1, int(energy * levels * 0.999 + 0.15)))
