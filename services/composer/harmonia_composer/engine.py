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


class Kind(StrEnum):
    SONG = "SONG"
    BEAT = "BEAT"
    LOOP = "LOOP"


@dataclass(frozen=True, slots=True)
class Section:
    """`seed` draws this section anew and leaves the others as they are."""

    name: str
    bars: int
    intensity: float | None = None
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class LyricLine:
    """`stresses`: a figure for each syllable, 1 stressed and 0 not, a space between words: "01 1 010"."""

    text: str
    syllables: int = 0
    stresses: str = ""


@dataclass(frozen=True, slots=True)
class LyricSection:
    name: str
    lines: tuple[LyricLine, ...]


@dataclass(frozen=True, slots=True)
class Brief:
    """What the music should be. An empty text, a zero bpm or an empty tuple means "you choose".

    `bars` is the length of a LOOP, 1 to 8, in place of its duration.
    """

    title: str = ""
    genre: str = ""
    moods: tuple[str, ...] = ()
    bpm: float = 0.0
    key: str = ""
    time_signature: str = ""
    duration_seconds: float = 60.0
    kind: Kind = Kind.SONG
    bars: int = 0
    instruments: tuple[str, ...] = ()
    excluded_instruments: tuple[str, ...] = ()
    complexity: float = 0.5
    sections: tuple[Section, ...] = ()
    lyrics: tuple[LyricSection, ...] = ()
    language: str = "en"
    description: str = ""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are drawn; the ranges are SongSpec's."""

    temperature: float = 1.0
    top_k: int = 250
    guidance: float = 3.0
    stride_seconds: float = 18.0


@dataclass(frozen=True, slots=True)
class Source:
    """A recording to begin with and go on from: `path` holds float32 [n], mono, `seconds` of it or a little more.

    `peak`: the highest sample of the whole recording, whatever is taken of it; 0 where it is silent. The same `recipe`
    is the same sound. `licence`: an SPDX expression; empty where nobody knows.
    """

    path: Path
    rate_hz: int
    peak: float
    seconds: float
    recipe: str
    licence: str = ""


@dataclass(frozen=True, slots=True)
class Order:
    """`daw` names the session formats wanted. `checkpoint` is what the engine last kept before it was interrupted."""

    brief: Brief
    seed: int
    variations: int = 1
    stems: bool = True
    midi: bool = True
    model: str = ""
    sampling: Sampling = Sampling()
    vocals: bool = False
    daw: tuple[str, ...] = ()
    checkpoint: bytes = b""
    source: Source | None = None


@dataclass(frozen=True, slots=True)
class Placed:
    name: str
    start_seconds: float
    bars: int


@dataclass(frozen=True, slots=True)
class Stem:
    """`recipe` is the SHA-256 of everything its sound is made from: the same recipe, the same bytes."""

    path: Path
    recipe: str


@dataclass(frozen=True, slots=True)
class Weights:
    """What a take was drawn from, for an engine that has models. `licence`: SPDX id of the weights."""

    model: str
    digest: str
    licence: str


@dataclass(frozen=True, slots=True)
class Take:
    """One rendering. Audio is stereo FLAC, 48 kHz, 24 bits; the stems sum to the pre-master and are as long as it.

    `gpu_seconds`: its share of the time that a GPU worked. `numerics`: what the same seed is the same song within;
    empty where it is so everywhere.
    """

    seed: int
    premaster: Path
    stems: dict[str, Stem]
    midi: Path | None
    lyrics_text: Path | None
    lyrics_lrc: Path | None
    duration_seconds: float
    sections: tuple[Placed, ...]
    weights: Weights | None = None
    warnings: tuple[str, ...] = ()
    karaoke: Path | None = None
    gpu_seconds: float = 0.0
    numerics: str = ""


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
class Offered:
    """A model that may be asked for by name. `resident`: in memory now."""

    name: str
    licence: str
    digest: str
    resident: bool


@dataclass(frozen=True, slots=True)
class Capabilities:
    """`how_to_get_a_model`: of an engine that plays nothing without one, and never chooses one itself."""

    genres: tuple[str, ...]
    moods: tuple[str, ...]
    instruments: tuple[str, ...]
    roles: tuple[str, ...]
    fields: tuple[FieldSupport, ...]
    cpu_seconds_per_second: float
    gpu_seconds_per_second: float = 0.0
    models: tuple[Offered, ...] = ()
    how_to_get_a_model: str = ""


# What most rooms need of a Listener.
Progress = Callable[[float, str], None]
Check = Callable[[], None]


class Listener(Protocol):
    """What an engine may tell and ask while it works, from any thread."""

    def progress(self, fraction: float, message: str) -> None:
        """How far the whole order is, 0..1, and what is being done."""

    def check(self) -> None:
        """Raises when the work is no longer wanted. Called at least every 0.3 s of work."""

    def preview(self, path: Path, start_seconds: float, duration_seconds: float) -> None:
        """A finished stretch of the first take's pre-master, in order and from 0 on: stereo FLAC, 48 kHz.

        Once it returns, the file may go.
        """

    def reusable(self, recipe: str) -> Path | None:
        """A stem that an earlier song made from this recipe; None: make it."""

    def checkpoint(self, data: bytes) -> None:
        """Replaces what was kept before; comes back as `Order.checkpoint` after an interruption."""


class Unheard:
    """A Listener for work that nobody waits for: a warm-up, a benchmark."""

    def progress(self, fraction: float, message: str) -> None:
        """Told to nobody."""

    def check(self) -> None:
        """Nobody cancels."""

    def preview(self, path: Path, start_seconds: float, duration_seconds: float) -> None:
        """Told to nobody."""

    def reusable(self, recipe: str) -> Path | None:  # noqa: ARG002 - the contract's
        return None

    def checkpoint(self, data: bytes) -> None:
        """Nobody goes on from it."""


class Engine(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def version(self) -> str: ...

    @property
    def licence(self) -> str:
        """SPDX id of what the licences of the engine and its weights allow."""

    @property
    def slots(self) -> int:
        """How many songs it composes at once; `compose` is called from as many threads."""

    def capabilities(self) -> Capabilities: ...

    def warm_up(self) -> None:
        """Compiles or loads whatever the first composition would otherwise wait for."""

    def compose(self, order: Order, *, folder: Path, listener: Listener) -> Sequence[Take]:
        """Blocks until all takes lie in `folder`, one sub-folder a take. Raises Unplayable, and what `check` raises."""
