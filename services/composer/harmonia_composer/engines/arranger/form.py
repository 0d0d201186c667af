"""The form: which sections, how long, so that whole beats fill the time asked for. Pure.

Sections are multiples of four bars where there is room, of two or one where there is not; what is left over goes to
the last one, whose final bar may be cut short after any beat: there the last chord rings.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, log

from harmonia_composer.engine import LyricSection
from harmonia_composer.engine import Section as Wish
from harmonia_composer.engines.arranger.genres.genre import Genre
from harmonia_composer.engines.arranger.score import Section

CANONICAL = {
    "pre-chorus": "verse", "prechorus": "verse", "pre": "verse", "refrain": "chorus", "hook": "chorus",
    "drop": "chorus", "breakdown": "bridge", "break": "bridge", "interlude": "bridge", "solo": "chorus",
    "ending": "outro", "coda": "outro", "build-up": "build", "groove": "verse",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Shape:
    name: str
    bars: int
    intensity: float | None = None


def tail_seconds(duration_seconds: float) -> float:
    """Kept free at the end for what rings."""
    return min(2.5, 0.1 * duration_seconds)


def whole_beats(duration_seconds: float, bpm: float) -> int:
    return max(1, floor((duration_seconds - tail_seconds(duration_seconds)) * bpm / 60.0 + 1e-9))


def character(name: str, genre: Genre) -> str:
    """The section a genre knows that comes nearest to a name."""
    canonical = CANONICAL.get(name.lower(), name.lower())
    if canonical in genre.energies:
        return canonical
    return "verse"


def own_shapes(genre: Genre, bars: int) -> list[Shape]:
    nearest = min(genre.forms, key=lambda form: abs(log(sum(length for _, length in form) / bars)))
    return [Shape(name, length) for name, length in nearest]


def word_shapes(lyrics: Sequence[LyricSection], bars: int) -> list[Shape]:
    """A section for each of the words', an intro and an outro where there is time for them."""
    sung = [Shape(section.name.lower(), max(4, 4 * ceil(len(section.lines) / 4))) for section in lyrics]
    total = sum(shape.bars for shape in sung)
    return [Shape("intro", 4), *sung, Shape("outro", 4)] if bars >= total // 2 + 4 else sung


def shapes(genre: Genre, bars: int, *, wishes: Sequence[Wish], lyrics: Sequence[LyricSection]) -> list[Shape]:
    if wishes:
        return [Shape(wish.name.lower(), wish.bars or 8, wish.intensity) for wish in wishes]
    return word_shapes(lyrics, bars) if lyrics else own_shapes(genre, bars)


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


def fitted(found: Sequence[Shape], bars: int) -> list[int]:
    """Bars of each section, in the largest grain that leaves each at least one; the last takes what does not divide."""
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


def plan(
    genre: Genre, *, beats: int, wishes: Sequence[Wish] = (), lyrics: Sequence[LyricSection] = (), lift: float = 0.0
) -> list[Section]:
    """Sections that fill `beats`; `lift` shifts all energies. The last bar may be a part of one."""
    bars = max(1, ceil(beats / 4))
    found = shapes(genre, bars, wishes=wishes, lyrics=lyrics)
    if not wishes and not lyrics:
        found = lengthened(found, bars)
    found = found[: max(1, bars)]
    sections: list[Section] = []
    bar = 0
    for shape, length in zip(found, fitted(found, bars), strict=True):
        low, high = genre.energies[character(shape.name, genre)]
        if shape.intensity is not None:
            low, high = shape.intensity, shape.intensity
        sections.append(Section(shape.name, bar, length, clamp(low + lift), clamp(high + lift)))
        bar += length
    return sections


def clamp(energy: float) -> float:
    return min(1.0, max(0.05, energy))
