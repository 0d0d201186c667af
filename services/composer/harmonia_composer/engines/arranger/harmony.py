"""Chords from roman numerals, and the way a section goes through them. Pure.

A plain numeral is a step of the key whatever its mode, and stacks thirds of its scale: "VI" is F major in A minor, A
minor in C major. What follows it changes the chord:
  V+      a dominant: major third, minor seventh; a fifth above the tonic for "V+"
  IIM IVm major or minor whatever the scale says      VIIo  diminished      Isus  the fourth for the third
  I5      a power chord: root and fifth               I6    a sixth in place of the seventh
  bVI     a flat or sharp first counts from the major scale: Ab in C major and in C minor; major when nothing follows
  V>II    the dominant of the second step
  I:3     with its third (or fifth, ":5") in the bass
Two or more chords share a bar as "IV/V+".
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from harmonia_composer.engines.arranger.dice import Dice
from harmonia_composer.engines.arranger.genres.genre import Genre
from harmonia_composer.engines.arranger.metre import STEP, Metre
from harmonia_composer.engines.arranger.scale import MODES, Key, fits_of
from harmonia_composer.engines.arranger.score import Chord, Section, Span

ROMANS = ("I", "II", "III", "IV", "V", "VI", "VII")
NUMERAL = re.compile(r"([b#]?)(VII|VI|IV|V|III|II|I)(\+|sus|M|m|o|5|6)?(?:>(VII|VI|IV|V|III|II|I))?(?::([35]))?")
# Semitones above the root: triad, seventh, ninth.
QUALITIES = {
    "+": (0, 4, 7, 10, 2), "M": (0, 4, 7, 11, 2), "m": (0, 3, 7, 10, 2), "o": (0, 3, 6, 9), "5": (0, 7, 7),
    "6": (0, 4, 7, 9),
}  # fmt: skip
# Of correlation: from here on a listener is in no doubt.
PLAIN = 0.03


@dataclass(frozen=True, slots=True)
class Numeral:
    accidental: int
    degree: int
    quality: str
    of: int | None
    inversion: int


def numeral(text: str) -> Numeral:
    match = NUMERAL.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no numeral of harmony.py")
    accidental, roman, quality, of, inversion = match.groups()
    return Numeral(
        {"": 0, "b": -1, "#": 1}[accidental], ROMANS.index(roman), quality or "",
        ROMANS.index(of) if of else None, {"3": 1, "5": 2}.get(inversion, 0),
    )  # fmt: skip


def chord(text: str, key: Key, size: int) -> Chord:
    """`size` tones: 3 a triad, 4 a seventh, 5 a ninth where the ninth is not a semitone above the root."""
    read = numeral(text)
    tones = stacked(read, key, size)
    bass = tones[read.inversion] if read.inversion else None
    return Chord(read.degree, tones, text, bass)


def stacked(read: Numeral, key: Key, size: int) -> tuple[int, ...]:
    root = root_of(read, key)
    quality = read.quality or ("+" if read.of is not None else "M" if read.accidental else "")
    if quality in QUALITIES and quality != "6":
        return tuple((root + step) % 12 for step in QUALITIES[quality][: 3 if quality == "5" else size])
    tones = [key.pitch(read.degree + 2 * third) % 12 for third in range(size)]
    if quality == "sus":
        tones[1] = key.pitch(read.degree + 3) % 12
    if quality == "6":
        tones = [*tones[:3], (root + 9) % 12]
    if size == 5 and len(tones) == 5 and (tones[4] - tones[0]) % 12 == 1:
        tones.pop()
    return tuple(tones)


def root_of(read: Numeral, key: Key) -> int:
    if read.of is not None:
        return (key.tonic + key.steps[read.of] + MODES["major"][read.degree]) % 12
    if read.accidental:
        return (key.tonic + MODES["major"][read.degree] + read.accidental) % 12
    if read.quality == "+" and read.degree == 4:
        return (key.tonic + 7) % 12
    return key.pitch(read.degree) % 12


def cadence(genre: Genre, key: Key, section: Section) -> str:
    """What leads out of a section: home after a chorus, on tiptoe before one. Modes keep their own colour."""
    if key.mode in {"dorian", "mixolydian", "locrian"}:
        return "VII"
    if key.mode in {"phrygian", "lydian"}:
        return "II"
    return section.of(genre.cadences) or genre.cadences.get("verse", "V+")


def loop(genre: Genre, key: Key, section: Section) -> list[str]:
    """Sections of one name share their progression, as a listener expects."""
    family = genre.progressions.get(key.mode) or genre.progressions["minor" if key.is_minor else "major"]
    options = section.of(family) or family["verse"]
    clear = {option: clarity(option, key, genre.chord_size) for option in options}
    plain = [option for option in options if clear[option] >= PLAIN] or [max(options, key=lambda one: clear[one])]
    return Dice(section.seed, "harmony", section.name).choice(plain).split()


def clarity(loop: str, key: Key, size: int) -> float:
    """How much better this key fits than any other for one who hears these chords round and round."""
    weights = [0.0] * 12
    for bar in loop.split():
        names = bar.split("/")
        for name in names:
            read = chord(name, key, size)
            for tone in read.tones:
                weights[tone] += 1.0 / len(names)
            weights[read.bass] += 1.5 / len(names)
    weights[key.tonic] += 0.5
    fits = fits_of(weights)
    own = fits.pop((key.tonic, key.is_minor))
    return own - max(fits.values())


def led(own: str, out: str) -> str:
    """The loop's own last chord, and in the second half of its bar what leads out of it."""
    if "/" in own or "/" in out or own[0] == out[0] == "V" or own == out:
        return out
    return f"{own}/{out}"


def numerals(genre: Genre, key: Key, section: Section, *, last: bool, turning: bool) -> list[str]:
    """One entry a bar. The last section comes home; `turning`: the end of a loop, which leads to its own beginning."""
    own = loop(genre, key, section)
    bars = [own[bar % len(own)] for bar in range(section.bars)]
    if section.bars >= 4 and not last and not (turning and len(set(own)) > 1):
        bars[-1] = led(bars[-1], cadence(genre, key, section))
    if last:
        bars[-1] = "I"
        if section.bars >= 2:
            bars[-2] = cadence(genre, key, section)
    return bars


def spans(
    genre: Genre, key: Key, sections: Sequence[Section], *, complexity: float, turning: bool = False
) -> list[Span]:
    """`turning`: there is no end, the last bar leads to the first."""
    size = genre.chord_size + (1 if complexity > 0.66 else 0) - (1 if complexity < 0.2 and genre.chord_size > 3 else 0)
    found: list[Span] = []
    for place, section in enumerate(sections):
        last = place == len(sections) - 1 and not turning
        entries = numerals(genre, key, section, last=last, turning=turning)
        for bar, entry in enumerate(coloured(entries, genre, key, section, complexity=complexity)):
            start = section.tick + bar * section.metre.ticks
            names = entry.split("/")[: len(section.metre.pulses)]
            starts = shares(len(names), section.metre)
            for name, at, end in zip(names, starts, [*starts[1:], section.metre.steps], strict=True):
                found.append(Span(start + at * STEP, (end - at) * STEP, chord(name, key, min(5, size))))
    return found


def shares(count: int, metre: Metre) -> list[int]:
    """Where the chords of a bar begin, in steps: on pulses, two of them at its half."""
    if count == 1:
        return [0]
    if count == 2:
        return [0, metre.half]
    pulses = metre.pulse_starts
    return [pulses[number * len(pulses) // count] for number in range(count)]


def coloured(entries: Sequence[str], genre: Genre, key: Key, section: Section, *, complexity: float) -> list[str]:
    """Now and then a borrowed chord, never on the first bar, where the ear looks for home."""
    table = {old: (new, often) for old, new, often in genre.borrowed.get("minor" if key.is_minor else "major", ())}
    dice = Dice(section.seed, "borrowed", section.name, section.times)
    found = list(entries)
    for bar, entry in enumerate(entries):
        new, often = table.get(entry, ("", 0.0))
        if dice.chance(often * min(1.0, 0.3 + complexity)) and 0 < bar < len(entries) - 1:
            found[bar] = new
    return found
