"""Words and time: which syllable of a line falls where, so that what is stressed stands on a beat. Pure.

Every syllable is one note. A line has a slot of whole bars where there is room; inside it the cheapest way through
the steps is taken, by dynamic programming: a stressed syllable off the beat costs most, an unstressed one on a
downbeat costs something, and so do uneven distances. Lines that a section has no time for are printed, not sung.
"""

import itertools
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from harmonia_composer.engine import LyricLine, LyricSection
from harmonia_composer.engines.arranger.dice import Dice
from harmonia_composer.engines.arranger.metre import PPQ, STEP, Metre
from harmonia_composer.engines.arranger.score import Line, Section

FASTEST = 7.0
"""Syllables a second that can be sung for a while."""
WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*", re.UNICODE)
VOWELS = "aeiouyаеёиоуыэюяіїєαεηιουωæœøıə"
SILENT_END = re.compile(r"(?<![aeiouyl])(?:e|es|ed)$|(?<=[aeiouy]l)e$|(?<=[aeiouy])e$")
WEAK = """
    a an the and or but of to in on at by for from with as is are was be am it its i you he she we they me my
    your his her our their us them him this that so if than then do does did have has had will would can
    could not no
"""


@dataclass(frozen=True, slots=True)
class Sound:
    """A syllable to be sung; `text` holds whatever is written up to the next one."""

    text: str
    word: int
    stress: int


@dataclass(frozen=True, slots=True)
class Sung:
    tick: int
    length: int
    sound: Sound


@dataclass(frozen=True, slots=True)
class Setting:
    """A line in its section. `notes` is empty when it is printed only."""

    line: Line
    number: int
    place: int
    """Of the line in its section."""
    start: int
    end: int
    notes: tuple[Sung, ...]


def plain(word: str) -> str:
    return "".join(mark for mark in unicodedata.normalize("NFD", word.lower()) if not unicodedata.combining(mark))


def groups(word: str) -> list[tuple[int, int]]:
    """Where its vowels are, as (from, to)."""
    return [match.span() for match in re.finditer(f"[{VOWELS}]+", plain(word))]


def count(word: str) -> int:
    """Syllables, by the spelling: groups of vowels, an English e at the end silent; a letter each in CJK."""
    if word.isdigit():
        return len(word)
    if not groups(word):
        return len(word) if any(ord(letter) > 0x2E80 for letter in word) else 1
    silent = bool(SILENT_END.search(plain(word))) and len(groups(word)) > 1
    return max(1, len(groups(word)) - silent)


def split(word: str, parts: int) -> list[str]:
    """The word in that many pieces, cut before the consonant that leads into the next vowel."""
    if parts <= 1:
        return [word]
    found = groups(word) if len(plain(word)) == len(word) else []
    cuts = [max(before[1], after[0] - 1) for before, after in itertools.pairwise(found)]
    if len(cuts) < parts - 1:
        cuts = [len(word) * number // parts for number in range(1, parts)]
    edges = [0, *cuts[: parts - 1], len(word)]
    return [word[start:end] for start, end in itertools.pairwise(edges)]


def own_stress(word: str, parts: int) -> str:
    if parts == 1:
        return "0" if plain(word) in WEAK.split() else "1"
    return "1" + "".join("01"[place % 2 == 0 and place > 1] for place in range(1, parts))


def told_stresses(line: LyricLine, words: Sequence[str]) -> list[str]:
    """Figures a word, from whoever wrote the line; by the spelling where they do not fit it."""
    told = line.stresses.split()
    if len(told) == len(words):
        return told
    counts = [count(word) for word in words]
    while line.syllables and sum(counts) < line.syllables:
        longest = max(range(len(words)), key=lambda place: (len(words[place]) / counts[place], -place))
        counts[longest] += 1
    while line.syllables and sum(counts) > line.syllables and max(counts) > 1:
        counts[counts.index(max(counts))] -= 1
    return [own_stress(word, parts) for word, parts in zip(words, counts, strict=True)]


def sounds(line: LyricLine) -> list[Sound]:
    """What is sung, one after the other; their texts together are the line."""
    found = list(WORD.finditer(line.text))
    if not found:
        return []
    figures = told_stresses(line, [match.group() for match in found])
    starts = [0, *(match.start() for match in found[1:]), len(line.text)]
    sung: list[Sound] = []
    for number, (match, figure) in enumerate(zip(found, figures, strict=True)):
        pieces = split(match.group(), len(figure))
        pieces[0] = line.text[starts[number] : match.start()] + pieces[0]
        pieces[-1] += line.text[match.end() : starts[number + 1]]
        sung += [Sound(piece, number, int(stress)) for piece, stress in zip(pieces, figure, strict=True)]
    return sung


def most_beats(lyrics: Sequence[LyricSection]) -> int:
    """The most stresses in any line: as many beats it needs."""
    return max((sum(sound.stress == 1 for sound in sounds(line)) for part in lyrics for line in part.lines), default=0)


def strength(step: int, metre: Metre) -> float:
    """How heavy a place of the bar is: 3 its first, 2.5 its strong ones, 2 a beat, 1 between two, 0 any other."""
    place = step % metre.steps
    if place == 0:
        return 3.0
    if place in metre.strong:
        return 2.5
    if place in metre.pulse_starts:
        return 2.0
    return 1.0 if place % 2 == 0 else 0.0


def misfit(sound: Sound, weight: float) -> float:
    if sound.stress == 1:
        return {3.0: -0.3, 2.5: -0.2, 2.0: 0.0, 1.0: 5.0, 0.0: 9.0}[weight]
    return {3.0: 1.2, 2.5: 1.0, 2.0: 0.6, 1.0: 0.0, 0.0: 0.8}[weight]


def onsets(sung: Sequence[Sound], steps: int, metre: Metre, taste: Sequence[float]) -> list[int]:
    """The step of each syllable in a slot of `steps`; evenly where there are more syllables than steps."""
    size = len(sung)
    room = max(size, round(steps * 0.86) if steps >= 12 else steps)
    if size * 1.1 > room:
        return [steps * number // size for number in range(size)]
    grain = 2 if size * 2 <= room * 0.8 else 1
    places = list(range(0, room, grain))
    ideal = min(room / size, metre.pulses[0] * 1.0)
    reach = max(3, round(2.6 * ideal / grain))
    best: list[list[tuple[float, int]]] = []
    for number, sound in enumerate(sung):
        row = []
        for at, step in enumerate(places):
            own = misfit(sound, strength(step, metre)) + taste[step % len(taste)]
            if number == 0:
                row.append((own + 0.12 * step / ideal, -1))
                continue
            before = [
                (best[-1][came][0] + 0.6 * ((at - came) * grain / ideal - 1) ** 2, came)
                for came in range(max(0, at - reach), at)
            ]
            cost, came = min(before, default=(1e9, -1))
            row.append((cost + own, came))
        best.append(row)
    at = min(range(len(places)), key=lambda place: (best[-1][place][0], place))
    found = []
    for row in reversed(best):
        found.append(places[at])
        at = row[at][1]
    return found[::-1]


def lengths(steps: Sequence[int], slot: int) -> list[int]:
    """Sung up to the next, at most a half note; the last one up to a breath before the line ends."""
    ends = [*steps[1:], max(steps[-1] + 1, min(slot - 2, steps[-1] + 8))]
    return [max(1, min(8, end - start)) for start, end in zip(steps, ends, strict=True)]


def homes(lyrics: Sequence[LyricSection], sections: Sequence[Section], characters: Sequence[str]) -> list[int]:
    """The section of the song for each of the words': the next of its kind, else the next that can be sung in."""
    singable = [at for at, section in enumerate(sections) if section.character not in {"intro", "outro"}] or [0]
    found: list[int] = []
    for number, part in enumerate(lyrics):
        after = found[-1] + 1 if found else 0
        named = [
            at
            for at in range(after, len(sections))
            if part.name.lower() in (sections[at].name, sections[at].character)
            or (characters[number] == sections[at].character and sections[at].character not in {"intro", "outro"})
        ]
        later = [at for at in singable if at >= after]
        found.append((named or later or [found[-1] if found else singable[-1]])[0])
    return found  # fmt: skip


def settings(
    lyrics: Sequence[LyricSection], sections: Sequence[Section], characters: Sequence[str], *, ticks: int, bpm: float
) -> list[Setting]:
    """Every line with its time, in order."""
    lines: dict[int, list[LyricLine]] = {}
    for home, part in zip(homes(lyrics, sections, characters), lyrics, strict=True):
        lines.setdefault(home, []).extend(part.lines)
    found: list[Setting] = []
    for home, own in sorted(lines.items()):
        found += set_section(own, sections[home], home, first=len(found), ticks=ticks, bpm=bpm)
    return found


def set_section(
    lines: Sequence[LyricLine], section: Section, home: int, *, first: int, ticks: int, bpm: float
) -> list[Setting]:
    metre, end = section.metre, min(section.end, ticks)
    sung = [sounds(line) for line in lines]
    seconds = (end - section.tick) / PPQ * 60 / bpm
    time_for = sum(sum(map(len, sung[: number + 1])) <= FASTEST * seconds for number in range(len(sung)))
    slots = slots_of(max(1, time_for), section, end)
    taste = tastes(section)
    found = []
    for number, (line, own) in enumerate(zip(lines, sung, strict=True)):
        start, stop = slots[min(number, len(slots) - 1)]
        if number >= time_for or not own:
            start += (stop - start) * max(0, number - time_for + 1) // (len(lines) - time_for + 2)
            found.append(Setting(Line(start, home, line.text), first + number, number, start, stop, ()))
            continue
        steps = onsets(own, (stop - start) // STEP, metre, taste)
        held = lengths(steps, (stop - start) // STEP)
        notes = tuple(
            Sung(start + step * STEP, length * STEP, sound)
            for step, length, sound in zip(steps, held, own, strict=True)
        )
        found.append(Setting(Line(notes[0].tick, home, line.text), first + number, number, start, stop, notes))
    return found


def slots_of(count: int, section: Section, end: int) -> list[tuple[int, int]]:
    """Bars for each line; beats where there are more lines than bars, steps where more than beats."""
    bars = (end - section.tick) // section.metre.ticks
    for grain in (2 * section.metre.ticks, section.metre.ticks, section.metre.pulses[0] * STEP, STEP):
        room = (end - section.tick) // grain
        if room >= count and (grain <= section.metre.ticks or bars % 2 == 0):
            edges = [section.tick + room * number // count * grain for number in range(count + 1)]
            return list(itertools.pairwise(edges))
    return [(section.tick, end)] * count


def tastes(section: Section) -> list[float]:
    """What a singer likes: the same places of the bar in every line of a kind of section, others in another song."""
    dice = Dice(section.seed, "taste", section.character)
    return [dice.between(0.0, 0.5) for _ in range(section.metre.steps)]
