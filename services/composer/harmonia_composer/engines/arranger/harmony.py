"""Chords from roman numerals, and the way a section goes through them. Pure.

Numerals are steps of the key whatever its mode, and stack thirds of its scale: "VI" is F major in A minor, A minor in
C major. A "+" makes the chord a dominant (major third and minor seventh, a fifth above the tonic for "V+"); "sus"
puts the fourth in place of the third. Two chords share a bar as "IV/V+".
"""

from collections.abc import Sequence

from harmonia_composer.engines.arranger.dice import Dice
from harmonia_composer.engines.arranger.genres.genre import Genre
from harmonia_composer.engines.arranger.scale import Key
from harmonia_composer.engines.arranger.score import BAR, Chord, Section, Span

ROMANS = ("I", "II", "III", "IV", "V", "VI", "VII")


def chord(numeral: str, key: Key, size: int) -> Chord:
    """`size` tones: 3 a triad, 4 a seventh, 5 a ninth where the ninth is not a semitone above the root."""
    name = numeral.removesuffix("+").removesuffix("sus")
    degree = ROMANS.index(name)
    if numeral.endswith("+"):
        root = (key.tonic + (7 if degree == 4 else key.steps[degree])) % 12
        tones = [root, (root + 4) % 12, (root + 7) % 12]
        return Chord(degree, tuple(tones + [(root + 10) % 12] * (size >= 4)), numeral)
    tones = [key.pitch(degree + 2 * third) % 12 for third in range(size)]
    if numeral.endswith("sus"):
        tones[1] = key.pitch(degree + 3) % 12
    if size == 5 and (tones[4] - tones[0]) % 12 == 1:
        tones.pop()
    return Chord(degree, tuple(tones), numeral)


def cadence(genre: Genre, key: Key, section: Section) -> str:
    """What leads out of a section: home after a chorus, on tiptoe before one. Modes keep their own colour."""
    if key.mode in {"dorian", "mixolydian", "locrian"}:
        return "VII"
    if key.mode in {"phrygian", "lydian"}:
        return "II"
    return genre.cadences.get(section.name, genre.cadences["verse"])


def numerals(genre: Genre, key: Key, section: Section, *, seed: int, last: bool) -> list[str]:
    """One entry a bar. Sections of one name share their progression, as a listener expects."""
    family = genre.progressions["minor" if key.is_minor else "major"]
    loop = Dice(seed, "harmony", section.name).choice(family.get(section.name, family["verse"])).split()
    bars = [loop[bar % len(loop)] for bar in range(section.bars)]
    if section.bars >= 4 and not last:
        bars[-1] = cadence(genre, key, section)
    if last:
        bars[-1] = "I"
        if section.bars >= 2:
            bars[-2] = cadence(genre, key, section)
    return bars


def spans(genre: Genre, key: Key, sections: Sequence[Section], *, seed: int, complexity: float) -> list[Span]:
    size = genre.chord_size + (1 if complexity > 0.66 else 0) - (1 if complexity < 0.2 and genre.chord_size > 3 else 0)
    found: list[Span] = []
    for number, section in enumerate(sections):
        last = number == len(sections) - 1
        for bar, entry in enumerate(numerals(genre, key, section, seed=seed, last=last)):
            names = entry.split("/")
            length = BAR // len(names)
            start = (section.bar + bar) * BAR
            found += [
                Span(start + part * length, length, chord(name, key, min(5, size))) for part, name in enumerate(names)
            ]
    return found
