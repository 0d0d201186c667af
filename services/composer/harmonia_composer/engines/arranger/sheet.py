"""What every player reads before playing: the song's frame, and one chair of the band. Pure data."""

from bisect import bisect_right
from dataclasses import dataclass

from harmonia_composer.engines.arranger.dice import Dice
from harmonia_composer.engines.arranger.genres.genre import Ending, Genre, PartPlan
from harmonia_composer.engines.arranger.instruments import INSTRUMENTS
from harmonia_composer.engines.arranger.metre import METRES, STEP, Metre, fit
from harmonia_composer.engines.arranger.moods import Mood
from harmonia_composer.engines.arranger.prosody import Setting
from harmonia_composer.engines.arranger.scale import Key
from harmonia_composer.engines.arranger.score import Chord, Section, Span


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
    """`round`: a loop, whose last bar leads to its first."""

    genre: Genre
    mood: Mood
    metre: Metre
    key: Key
    bpm: float
    seed: int
    density: float
    ticks: int
    sections: tuple[Section, ...]
    spans: tuple[Span, ...]
    ends: Ending = "ring"
    round: bool = False
    words: tuple[Setting, ...] = ()

    @property
    def ending(self) -> int:
        """Where the last bar begins: from there on the last chord rings, nothing else. Its end where nothing ends."""
        if self.round or self.ends == "fade":
            return self.ticks
        return (self.ticks - 1) // self.metre.ticks * self.metre.ticks

    @property
    def last_length(self) -> int:
        """How long the last chord is held."""
        return STEP * 3 if self.ends == "hit" else self.ticks - self.ending

    def dice(self, section: Section, *purpose: object) -> Dice:
        """A stream of its own for each purpose in each section, so that what changes in one leaves the others alone."""
        return Dice(section.seed, *purpose, section.name, section.times)

    def section_at(self, tick: int) -> Section:
        return self.sections[max(0, bisect_right(self.sections, tick, key=lambda section: section.tick) - 1)]

    def span_at(self, tick: int) -> Span:
        return self.spans[max(0, bisect_right(self.spans, tick, key=lambda span: span.tick) - 1)]

    def chord_at(self, tick: int) -> Chord:
        return self.span_at(tick).chord

    def fitted(self, pattern: str) -> str:
        return fit(pattern, METRES[self.genre.metre], self.metre)

    def bar_of(self, pattern: str, bar: int) -> str:
        """The bar of a pattern, in the song's metre, that falls on a bar of a section."""
        whole = self.fitted(pattern)
        size = self.metre.steps
        at = bar % max(1, len(whole) // size) * size
        return whole[at : at + size]

    def pattern_at(self, tick: int, plan: PartPlan) -> str:
        """A bar of a pattern, the busier one where there is more energy, or more wanted."""
        section = self.section_at(tick)
        patterns = section.of(plan.sections) or plan.patterns
        if not patterns:
            return ""
        energy = section.energy + 0.5 * (self.density - 0.5)
        bar = (tick - section.tick) // self.metre.ticks
        return self.bar_of(patterns[level_of(energy, len(patterns))], bar)


def level_of(energy: float, levels: int) -> int:
    """Which of the patterns from calm to busy."""
    return max(0, min(levels - 1, int(energy * levels * 0.999 + 0.15)))
