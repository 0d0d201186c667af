"""Every instrument: what it can play, its family, its range and its number in General MIDI. Pure data."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Family = Literal["keys", "mallets", "guitars", "plucked", "bass", "synths", "strings", "brass", "winds", "voices",
                 "drums", "textures"]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Instrument:
    """`roles` it can fill, best first. `low`..`high`: MIDI pitches it sounds well in."""

    family: Family
    roles: tuple[str, ...]
    program: int
    low: int
    high: int


KEYS = ("chords", "arp", "lead", "pad")
TUNE = ("lead", "arp", "chords")
SOLO = ("lead", "pad")
STRUNG = ("chords", "arp", "lead")
HELD = ("pad", "chords", "lead")
BASS = ("bass",)
DRUMS = ("drums",)
TEXTURE = ("texture",)
INSTRUMENTS: dict[str, Instrument] = {
    "808 bass": Instrument("bass", BASS, 39, 24, 50),
    "808 drums": Instrument("drums", DRUMS, 25, 0, 127),
    "909 drums": Instrument("drums", DRUMS, 24, 0, 127),
    "accordion": Instrument("keys", HELD, 21, 48, 88),
    "acid bass": Instrument("bass", BASS, 38, 28, 52),
    "acid lead": Instrument("synths", ("lead", "arp"), 87, 45, 84),
    "acoustic guitar": Instrument("guitars", STRUNG, 25, 40, 84),
    "analog brass": Instrument("synths", HELD, 62, 43, 86),
    "arpeggio synth": Instrument("synths", ("arp", "lead", "chords"), 80, 48, 96),
    "banjo": Instrument("plucked", ("arp", "chords", "lead"), 105, 50, 86),
    "bells": Instrument("mallets", ("arp", "lead"), 14, 55, 96),
    "bowed pad": Instrument("synths", HELD, 92, 43, 86),
    "brass": Instrument("brass", ("chords", "pad", "lead"), 61, 43, 82),
    "breakbeat drums": Instrument("drums", DRUMS, 1, 0, 127),
    "celesta": Instrument("mallets", ("arp", "lead", "chords"), 8, 60, 100),
    "cello": Instrument("strings", ("lead", "pad", "bass"), 42, 36, 76),
    "choir": Instrument("voices", ("pad", "chords"), 52, 48, 82),
    "church organ": Instrument("keys", HELD, 19, 36, 88),
    "clarinet": Instrument("winds", ("lead",), 71, 52, 90),
    "clavinet": Instrument("keys", ("chords", "arp"), 7, 40, 84),
    "distorted guitar": Instrument("guitars", ("chords", "lead"), 30, 38, 86),
    "drum kit": Instrument("drums", DRUMS, 0, 0, 127),
    "drum machine": Instrument("drums", DRUMS, 24, 0, 127),
    "electric bass": Instrument("bass", BASS, 33, 28, 55),
    "electric guitar": Instrument("guitars", ("lead", "chords", "arp"), 27, 40, 86),
    "electric piano": Instrument("keys", KEYS, 4, 40, 88),
    "electronic drums": Instrument("drums", DRUMS, 24, 0, 127),
    "flute": Instrument("winds", ("lead",), 73, 60, 93),
    "fm bass": Instrument("bass", BASS, 39, 28, 52),
    "fm piano": Instrument("keys", KEYS, 5, 40, 92),
    "french horn": Instrument("brass", SOLO, 60, 43, 77),
    "glass pad": Instrument("synths", HELD, 88, 48, 91),
    "glockenspiel": Instrument("mallets", ("arp", "lead"), 9, 67, 100),
    "hand percussion": Instrument("drums", DRUMS, 0, 0, 127),
    "harmonica": Instrument("winds", ("lead",), 22, 55, 88),
    "harp": Instrument("plucked", ("arp", "chords", "lead"), 46, 36, 92),
    "harpsichord": Instrument("keys", ("chords", "arp", "lead"), 6, 41, 88),
    "jazz drums": Instrument("drums", DRUMS, 40, 0, 127),
    "jazz guitar": Instrument("guitars", ("chords", "lead", "arp"), 26, 40, 84),
    "kalimba": Instrument("mallets", ("lead", "arp", "chords"), 108, 55, 88),
    "latin percussion": Instrument("drums", DRUMS, 0, 0, 127),
    "lo-fi drums": Instrument("drums", DRUMS, 0, 0, 127),
    "mandolin": Instrument("plucked", ("arp", "lead", "chords"), 25, 55, 90),
    "marimba": Instrument("mallets", ("lead", "arp", "chords"), 12, 45, 90),
    "music box": Instrument("mallets", ("lead", "arp"), 10, 60, 98),
    "muted guitar": Instrument("guitars", ("arp", "chords", "lead"), 28, 40, 84),
    "muted trumpet": Instrument("brass", ("lead",), 59, 54, 84),
    "noise riser": Instrument("textures", TEXTURE, 119, 0, 127),
    "nylon guitar": Instrument("guitars", STRUNG, 24, 40, 82),
    "oboe": Instrument("winds", ("lead",), 68, 58, 88),
    "ocean waves": Instrument("textures", TEXTURE, 122, 0, 127),
    "orchestral percussion": Instrument("drums", DRUMS, 48, 0, 127),
    "organ": Instrument("keys", ("chords", "pad", "lead"), 16, 40, 88),
    "piano": Instrument("keys", KEYS, 0, 33, 96),
    "picked bass": Instrument("bass", BASS, 34, 28, 55),
    "pizzicato strings": Instrument("strings", ("arp", "chords", "lead"), 45, 40, 90),
    "pluck synth": Instrument("synths", ("arp", "lead", "chords"), 84, 48, 96),
    "rain": Instrument("textures", TEXTURE, 122, 0, 127),
    "reese bass": Instrument("bass", BASS, 39, 26, 50),
    "reggae drums": Instrument("drums", DRUMS, 0, 0, 127),
    "rock drums": Instrument("drums", DRUMS, 16, 0, 127),
    "saxophone": Instrument("winds", ("lead",), 65, 49, 84),
    "slap bass": Instrument("bass", BASS, 36, 28, 58),
    "square lead": Instrument("synths", ("lead", "arp"), 80, 48, 93),
    "string stabs": Instrument("strings", ("chords", "arp"), 49, 43, 88),
    "strings": Instrument("strings", HELD, 48, 36, 90),
    "sub bass": Instrument("bass", BASS, 39, 26, 48),
    "supersaw": Instrument("synths", ("chords", "lead", "pad", "arp"), 81, 45, 90),
    "sweep pad": Instrument("synths", HELD, 95, 43, 86),
    "synth bass": Instrument("bass", BASS, 38, 28, 52),
    "synth lead": Instrument("synths", ("lead", "arp"), 81, 48, 90),
    "synth pad": Instrument("synths", HELD, 89, 43, 86),
    "synth stab": Instrument("synths", ("chords", "arp"), 62, 45, 84),
    "trombone": Instrument("brass", SOLO, 57, 40, 72),
    "trumpet": Instrument("brass", ("lead",), 56, 54, 84),
    "ukulele": Instrument("guitars", STRUNG, 24, 55, 82),
    "upright bass": Instrument("bass", BASS, 32, 28, 55),
    "vibraphone": Instrument("mallets", ("lead", "chords", "arp"), 11, 53, 90),
    "vinyl crackle": Instrument("textures", TEXTURE, 122, 0, 127),
    "violin": Instrument("strings", SOLO, 40, 55, 96),
    "warm pad": Instrument("synths", HELD, 89, 40, 84),
    "whistle": Instrument("winds", ("lead",), 78, 67, 96),
    "wind": Instrument("textures", TEXTURE, 122, 0, 127),
    "wurlitzer": Instrument("keys", KEYS, 4, 40, 86),
    "xylophone": Instrument("mallets", ("lead", "arp"), 13, 60, 98),
}
ROLES = ("drums", "bass", "chords", "arp", "lead", "pad", "texture")


def is_excluded(name: str, excluded: Iterable[str]) -> bool:
    """By name, by a word of it ("guitar"), by family, or by the only thing it can play ("drums")."""
    words = name.split()
    instrument = INSTRUMENTS[name]
    return any(
        bar in (name, *words, instrument.family) or instrument.roles == (bar,) or singular(bar) in words
        for bar in excluded
    )


def singular(word: str) -> str:
    return word.removesuffix("s") if word != "bass" else word
