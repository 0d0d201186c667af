"""Every instrument the arranger has: what it can play, its range, and its number in General MIDI. Pure data."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Instrument:
    """`roles` it can fill, best first. `low`..`high`: MIDI pitches it sounds well in."""

    roles: tuple[str, ...]
    program: int
    low: int
    high: int
    transposes: int = 0


KEYS = ("chords", "arp", "lead", "pad")
TUNE = ("lead", "arp", "chords", "pad")
STRUNG = ("chords", "arp", "lead")
HELD = ("pad", "chords", "lead")
INSTRUMENTS: dict[str, Instrument] = {
    "accordion": Instrument(HELD, 21, 48, 88),
    "acid bass": Instrument(("bass",), 38, 28, 52),
    "acid lead": Instrument(("lead", "arp"), 81, 45, 84),
    "acoustic guitar": Instrument(STRUNG, 25, 40, 84),
    "arpeggio synth": Instrument(("arp", "lead", "chords"), 80, 48, 96),
    "banjo": Instrument(("arp", "chords", "lead"), 105, 50, 86),
    "bells": Instrument(("arp", "lead"), 14, 55, 96),
    "cello": Instrument(("lead", "pad", "bass"), 42, 36, 76),
    "choir": Instrument(("pad", "chords"), 52, 48, 82),
    "clarinet": Instrument(("lead",), 71, 52, 90),
    "drum kit": Instrument(("drums",), 0, 0, 127),
    "drum machine": Instrument(("drums",), 0, 0, 127),
    "electric bass": Instrument(("bass",), 33, 28, 55),
    "electric guitar": Instrument(("lead", "chords", "arp"), 27, 40, 86),
    "electric piano": Instrument(KEYS, 4, 40, 88),
    "flute": Instrument(("lead",), 73, 60, 93),
    "glockenspiel": Instrument(("arp", "lead"), 9, 67, 100),
    "hand percussion": Instrument(("drums",), 0, 0, 127),
    "harmonica": Instrument(("lead",), 22, 55, 88),
    "harp": Instrument(("arp", "chords", "lead"), 46, 40, 92),
    "kalimba": Instrument(("lead", "arp", "chords"), 108, 55, 88),
    "lo-fi drums": Instrument(("drums",), 0, 0, 127),
    "mandolin": Instrument(("arp", "lead", "chords"), 25, 55, 90),
    "marimba": Instrument(("lead", "arp", "chords"), 12, 45, 90),
    "music box": Instrument(("lead", "arp"), 10, 60, 98),
    "noise riser": Instrument(("texture",), 119, 0, 127),
    "nylon guitar": Instrument(STRUNG, 24, 40, 82),
    "organ": Instrument(("chords", "pad", "lead"), 16, 40, 88),
    "piano": Instrument(KEYS, 0, 33, 96),
    "rain": Instrument(("texture",), 122, 0, 127),
    "saxophone": Instrument(("lead",), 65, 49, 84),
    "strings": Instrument(HELD, 48, 43, 88),
    "sub bass": Instrument(("bass",), 39, 26, 48),
    "synth bass": Instrument(("bass",), 38, 28, 52),
    "synth lead": Instrument(("lead", "arp"), 81, 48, 90),
    "synth pad": Instrument(HELD, 89, 43, 86),
    "synth stab": Instrument(("chords", "arp"), 62, 45, 84),
    "ukulele": Instrument(STRUNG, 24, 55, 82),
    "upright bass": Instrument(("bass",), 32, 28, 55),
    "vibraphone": Instrument(("lead", "chords", "arp"), 11, 53, 90),
    "vinyl crackle": Instrument(("texture",), 122, 0, 127),
    "violin": Instrument(("lead", "pad"), 40, 55, 93),
}
ROLES = ("drums", "bass", "chords", "arp", "lead", "pad", "texture")


def is_excluded(name: str, excluded: Iterable[str]) -> bool:
    """By name, by a word of it ("guitar"), or by the only thing it can play ("drums")."""
    words = name.split()
    sole = INSTRUMENTS[name].roles
    return any(bar in (name, *words) or sole == (bar,) or singular(bar) in words for bar in excluded)


def singular(word: str) -> str:
    return word.removesuffix("s") if word != "bass" else word
