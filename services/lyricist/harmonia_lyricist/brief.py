"""The lyricist's own words for what goes in and what comes out. No protobuf here: see wire.py."""

from dataclasses import dataclass, field
from enum import StrEnum


class Kind(StrEnum):
    SONG = "song"
    BEAT = "beat"
    LOOP = "loop"


class Words(StrEnum):
    """What the user said of lyrics."""

    AUTO = "auto"
    INSTRUMENTAL = "instrumental"
    WRITE = "write"
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class Section:
    name: str
    bars: int
    intensity: float | None = None
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """Fields the user has set; None or empty: the lyricist chooses."""

    negative_prompt: str = ""
    kind: Kind | None = None
    title: str = ""
    words: Words = Words.AUTO
    text: str = ""
    language: str = ""
    genre: str = ""
    moods: tuple[str, ...] = ()
    instruments: tuple[str, ...] = ()
    complexity: float | None = None
    bpm: float | None = None
    key: str = ""
    time_signature: str = ""
    duration_seconds: float | None = None
    bars: int | None = None
    sections: tuple[Section, ...] = ()
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Palette:
    """What the engine offers; an empty list restricts nothing."""

    genres: tuple[str, ...] = ()
    moods: tuple[str, ...] = ()
    instruments: tuple[str, ...] = ()
    time_signatures: tuple[str, ...] = ()
    kinds: tuple[Kind, ...] = (Kind.SONG,)


@dataclass(frozen=True, slots=True)
class Understood:
    """`text` is as the user wrote it; empty when nothing in the prompt said so."""

    text: str
    field: str
    value: str


@dataclass(frozen=True, slots=True)
class Line:
    """`stresses`: a figure for each syllable, 1 stressed, a space between words: "01 1 010"."""

    text: str
    syllables: int
    stresses: str = ""


@dataclass(frozen=True, slots=True)
class LyricSection:
    name: str
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Lyrics:
    sections: tuple[LyricSection, ...] = ()


@dataclass(frozen=True, slots=True)
class Brief:
    title: str
    genre: str
    moods: tuple[str, ...]
    bpm: float
    key: str
    time_signature: str
    duration_seconds: float
    kind: Kind
    instruments: tuple[str, ...]
    excluded_instruments: tuple[str, ...]
    complexity: float
    sections: tuple[Section, ...]
    language: str
    description: str
    lyrics: Lyrics = field(default_factory=Lyrics)
    bars: int = 0


@dataclass(frozen=True, slots=True)
class Reading:
    """What a prompt was taken to mean. `theme` is what words shall be about; None: instrumental. `unsaid`: words that
    they shall do without."""

    brief: Brief
    understood: tuple[Understood, ...]
    warnings: tuple[str, ...]
    theme: str | None
    form: tuple[str, ...] = ()
    unsaid: tuple[str, ...] = ()
