"""The contract between the composer and its engines: a brief and a seed go in, files come out.

An engine knows nothing of jobs, the network or the store. It obeys the brief, or refuses it by raising Unplayable
with the field at fault; it never ignores what was set.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol


class Unplayable(ValueError):
    """The brief asks for something the engine does not do. `field` is its path in the brief."""

    def __init__(self, message: str, *, field: str) -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True, slots=True)
class Section:
    name: str
    bars: int
    intensity: float | None = None


@dataclass(frozen=True, slots=True)
class LyricLine:
    text: str
    syllables: int = 0


@dataclass(frozen=True, slots=True)
class LyricSection:
    name: str
    lines: tuple[LyricLine, ...]


@dataclass(frozen=True, slots=True)
class Brief:
    """What the music should be. An empty text, a zero bpm or an empty tuple means "you choose"."""

    title: str = ""
    genre: str = ""
    moods: tuple[str, ...] = ()
    bpm: float = 0.0
    key: str = ""
    time_signature: str = "4/4"
    duration_seconds: float = 60.0
    instruments: tuple[str, ...] = ()
    excluded_instruments: tuple[str, ...] = ()
    complexity: float = 0.5
    sections: tuple[Section, ...] = ()
    lyrics: tuple[LyricSection, ...] = ()
    language: str = "en"
    description: str = ""


@dataclass(frozen=True, slots=True)
class Order:
    brief: Brief
    seed: int
    variations: int = 1
    stems: bool = True
    midi: bool = True


@dataclass(frozen=True, slots=True)
class Placed:
    name: str
    start_seconds: float
    bars: int


@dataclass(frozen=True, slots=True)
class Take:
    """One rendering. Audio is stereo FLAC, 48 kHz, 24 bits; the stems sum to the pre-master and are as long as it."""

    seed: int
    premaster: Path
    stems: dict[str, Path]
    midi: Path | None
    lyrics_text: Path | None
    lyrics_lrc: Path | None
    duration_seconds: float
    sections: tuple[Placed, ...]


class Support(StrEnum):
    EXACT = "EXACT"
    HINT = "HINT"
    NO = "NO"
    LATER = "LATER"


@dataclass(frozen=True, slots=True)
class FieldSupport:
    """How an engine takes one field of SongSpec, by its path; `values` where it is a choice."""

    field: str
    support: Support
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Capabilities:
    genres: tuple[str, ...]
    moods: tuple[str, ...]
    instruments: tuple[str, ...]
    roles: tuple[str, ...]
    fields: tuple[FieldSupport, ...]
    cpu_seconds_per_second: float
    gpu_seconds_per_second: float = 0.0


# Told how far a composition is, 0..1, and what is being done.
Progress = Callable[[float, str], None]
# Raises when the work is no longer wanted. Called at least every 0.3 s of work, from any thread.
Check = Callable[[], None]


class Engine(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def version(self) -> str: ...

    @property
    def licence(self) -> str:
        """SPDX id of what the licences of the engine and its weights allow."""

    def capabilities(self) -> Capabilities: ...

    def warm_up(self) -> None:
        """Compiles or loads whatever the first composition would otherwise wait for."""

    def compose(self, order: Order, *, folder: Path, progress: Progress, check: Check) -> Sequence[Take]:
        """Blocks until all takes lie in `folder`, one sub-folder a take. Raises Unplayable, and what `check` raises."""
