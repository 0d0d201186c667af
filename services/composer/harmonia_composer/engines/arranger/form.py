"""The form: which sections, how long, so that whole beats fill the time asked for. Pure.

Sections are multiples of four bars where there is room, of two or one where there is not; what is left over goes to
the last one, whose final bar may be cut short after any beat: there the last chord rings. A LOOP is one section and
has no end; a BEAT is eight bars and what a producer does with them.

Sections that are asked for with their bars are the form to the bar: the time asked for must be theirs, give or take
the ring of the last chord and one bar, or it is refused. Those without bars share what time is left.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil, floor, log

from harmonia_composer.engine import LyricSection, Unplayable
from harmonia_composer.engine import Section as Wish
from harmonia_composer.engines.arranger.dice import Dice
from harmonia_composer.engines.arranger.genres.genre import Genre
from harmonia_composer.engines.arranger.metre import PPQ, Metre
from harmonia_composer.engines.arranger.score import Section

CANONICAL = {
    "pre-chorus": "pre", "prechorus": "pre", "refrain": "chorus", "hook": "chorus", "main": "chorus",
    "drop": "chorus", "breakdown": "bridge", "break": "bridge", "interlude": "bridge", "solo": "chorus",
    "ending": "outro", "coda": "outro", "build-up": "build", "groove": "verse", "riser": "build", "variation": "verse",
    "instrumental": "chorus", "opening": "intro", "loop": "chorus", "middle eight": "bridge", "tag": "outro",
}  # fmt: skip
BEAT = (("hook", 8), ("variation", 8), ("hook", 8), ("break", 8))
# Forms within this factor of the best one's distance in length are as good.
NEAR = 0.25
LINE_S = 4.0
"""How long a line of words is usually sung."""
LONGEST_RING_S = 2.5


@dataclass(frozen=True, slots=True)
class Shape:
    """`seed` draws this section anew; `sung` lines are sung in it."""

    name: str
    bars: int
    intensity: float | None = None
    seed: int | None = None
    sung: int = 0


@dataclass(frozen=True, slots=True)
class Frame:
    """The time there is: `ticks` to the end of the last beat, the last bar perhaps cut short."""

    metre: Metre
    ticks: int

    @property
    def bars(self) -> int:
        return ceil(self.ticks / self.metre.ticks)


def tail_seconds(duration_seconds: float) -> float:
    """Kept free at the end for what rings."""
    return min(LONGEST_RING_S, 0.1 * duration_seconds)


def frame(duration_seconds: float, bpm: float, metre: Metre) -> Frame:
    """Whole beats of the metre that leave room for the ring."""
    quarters = (duration_seconds - tail_seconds(duration_seconds)) * bpm / 60.0
    unit = PPQ * metre.pulses[0] // 4 if metre.compound else 4 * PPQ // metre.unit
    return Frame(metre, max(1, floor(quarters * PPQ / unit + 1e-9)) * unit)


def character(name: str, genre: Genre) -> str:
    """The section a genre knows that comes nearest to a name: "verse 2" is a verse, "drop" a chorus."""
    plain = name.lower().strip().rstrip("0123456789 ")
    for known in (name.lower(), plain, CANONICAL.get(plain, plain)):
        if known in genre.energies:
            return known
    return "verse"


def own_shapes(genre: Genre, bars: int, dice: Dice) -> list[Shape]:
    distances = [abs(log(sum(length for _, length in form) / bars)) for form in genre.forms]
    near = [form for form, away in zip(genre.forms, distances, strict=True) if away <= min(distances) + NEAR]
    return [Shape(name, length) for name, length in dice.choice(near)]


def line_bars(metre: Metre, bpm: float) -> int:
    """Bars in which a line of words is sung at its ease."""
    bar_s = metre.ticks / PPQ * 60 / bpm
    return min((1, 2, 4), key=lambda bars: (abs(log(bars * bar_s / LINE_S)), bars))


def word_shapes(lyrics: Sequence[LyricSection], bars: int, line: int, genre: Genre) -> list[Shape]:
    """A section for each of the words'; where there is more time, an intro, an outro, then a tune without words."""
    sung = [Shape(section.name.lower(), max(2, line * len(section.lines)), sung=len(section.lines))
            for section in lyrics]  # fmt: skip
    total = sum(shape.bars for shape in sung)
    if bars < total + 3:
        return sung
    framed = [Shape("intro", 4), *sung, Shape("outro", 4)]
    spare = bars - total - 8
    while spare > 8 and spare > 0.2 * total:
        choruses = [at for at, shape in enumerate(framed) if character(shape.name, genre) == "chorus" and shape.sung]
        place = choruses[len(choruses) // 2] + 1 if choruses else len(framed) - 1
        framed.insert(place, Shape("solo", 8))
        spare -= 8
        total += 8
    return framed


def lengthened(found: list[Shape], bars: int) -> list[Shape]:
    """Verse and chorus once more, as long as every section would otherwise stretch beyond half again its length."""
    names = [shape.name for shape in found]
    if "verse" not in names or "chorus" not in names:
        return found
    first, again = names.index("verse"), len(names) - names[::-1].index("chorus")
    pair = [found[first], found[names.index("chorus")]]
    while sum(shape.bars for shape in found) * 1.5 < bars:
        found = found[:again] + pair + found[again:]
    return found


def beat_shapes(bars: int) -> list[Shape]:
    """Eight bars, varied, for as long as it takes; a shorter beat is the hook alone."""
    count = max(1, round(bars / 8))
    return [Shape(*BEAT[number % 4 if number < count - 1 or count == 1 else 0]) for number in range(count)]


def fitted(found: Sequence[Shape], bars: int) -> list[int]:
    """Bars of each section, in the largest grain that leaves each at least one; the last takes what does not divide.

    Sections that fit nearly as they are stay as they are."""
    usual = [shape.bars for shape in found]
    if -(usual[-1] // 2) <= bars - sum(usual) <= 3:
        return [*usual[:-1], bars - sum(usual[:-1])]
    grain = next(size for size in (4, 2, 1) if bars // size >= len(found))
    total = sum(shape.bars for shape in found)
    share = found[-1].bars / total * bars
    odd = bars % grain
    smallest = odd if odd > 1 or grain == 1 else odd + grain
    room = bars - grain * (len(found) - 1)
    options = [length for length in range(smallest, room + 1, grain) if length > 0] or [room]
    last = min(options, key=lambda length: (abs(length - share), length))
    return [length * grain for length in apportioned(found[:-1], (bars - last) // grain)] + [last]


def apportioned(found: Sequence[Shape], grains: int) -> list[int]:
    """Largest remainder, none left without."""
    if not found:
        return []
    total = sum(shape.bars for shape in found)
    exact = [shape.bars / total * grains for shape in found]
    lengths = [max(1, floor(share)) for share in exact]
    while sum(lengths) < grains:
        place = max(range(len(found)), key=lambda at: (exact[at] - lengths[at], -at))
        lengths[place] += 1
    while sum(lengths) > grains:
        lengths[lengths.index(max(lengths))] -= 1
    return lengths


def wished(wishes: Sequence[Wish], have: Frame, *, duration_seconds: float, bpm: float) -> list[Shape]:
    """To the bar where all have bars; what has none shares the rest."""
    shapes = [Shape(wish.name.lower(), wish.bars, wish.intensity, wish.seed) for wish in wishes]
    told = sum(shape.bars for shape in shapes)
    bar_s = have.metre.ticks / PPQ * 60 / bpm
    free = [shape for shape in shapes if not shape.bars]
    if free and have.bars - told >= len(free):
        lengths = iter(apportioned([replace(shape, bars=8) for shape in free], have.bars - told))
        return [shape if shape.bars else replace(shape, bars=next(lengths)) for shape in shapes]
    if free or not told - 1 < duration_seconds / bar_s <= told + 1 + LONGEST_RING_S / bar_s:
        needed = f"{told * bar_s + min(LONGEST_RING_S, told * bar_s / 9):.1f}"
        raise Unplayable(
            f"the sections are {told} bars, at {bpm:g} bpm {needed} seconds with the last chord's ring, and "
            f"{len(free)} more want room: {duration_seconds:g} seconds do not fit them",
            field="duration_seconds",
        )  # fmt: skip
    return shapes


def cut_to(shapes: Sequence[Shape], have: Frame) -> Frame:
    """Sections that are shorter than the time end there, and the last chord rings longer."""
    return replace(have, ticks=min(have.ticks, sum(shape.bars for shape in shapes) * have.metre.ticks))


def stretched(shapes: Sequence[Shape], have: Frame) -> list[int]:
    """Bars as asked, but the last section may lose a bar that there is no time for."""
    lengths = [shape.bars for shape in shapes]
    lengths[-1] += have.bars - sum(lengths)
    return lengths


def laid(
    genre: Genre, shapes: Sequence[Shape], lengths: Sequence[int], *, metre: Metre, seed: int, lift: float
) -> list[Section]:
    """Sections one after the other; `lift` shifts all energies that nobody asked for."""
    characters = [character(shape.name, genre) for shape in shapes]
    sections: list[Section] = []
    bar = 0
    for place, (shape, length) in enumerate(zip(shapes, lengths, strict=True)):
        kind = characters[place]
        section = Section(
            shape.name, bar, length, 0.5, 0.5, character=kind, times=characters[: place + 1].count(kind),
            final=kind not in characters[place + 1 :], seed=seed if shape.seed is None else shape.seed, metre=metre,
        )  # fmt: skip
        low, high = section.of(genre.energies) or (0.5, 0.5)
        low, high = clamp(low + lift), clamp(high + lift)
        if shape.intensity is not None:
            low = high = shape.intensity
        sections.append(replace(section, energy=low, energy_end=high))
        bar += length
    return sections


def clamp(energy: float) -> float:
    return min(1.0, max(0.05, energy))
