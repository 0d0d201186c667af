"""What words mean in music: tables in TOML beside this file, read once at start into an index by first word."""

import tomllib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

from harmonia_lyricist.tokens import phrase


@dataclass(frozen=True, slots=True)
class Fact:
    """One meaning of a phrase: kind "mood", value "warm"; `number` for tempo levels and complexity."""

    kind: str
    value: str
    number: float = 0.0


@dataclass(frozen=True, slots=True)
class Style:
    """Habits of a genre or of one of its styles; bpm: lowest and highest that are usual."""

    genre: str
    bpm: tuple[float, float]
    moods: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Genre:
    name: str
    bpm: tuple[float, float]
    minor: float
    tonics: tuple[str, ...]
    moods: tuple[str, ...]
    instruments: tuple[str, ...]
    near: tuple[str, ...]
    time_signature: str


@dataclass(frozen=True, slots=True)
class Mood:
    name: str
    valence: float
    energy: float


@dataclass(frozen=True, slots=True)
class Instrument:
    name: str
    family: str
    near: tuple[str, ...]
    # "drums": any of its near ones is what was meant.
    general: bool


Entries = Mapping[str, tuple[tuple[tuple[str, ...], tuple[Fact, ...]], ...]]


@dataclass(frozen=True, slots=True)
class Lexicon:
    genres: Mapping[str, Genre]
    styles: Mapping[str, Style]
    moods: Mapping[str, Mood]
    instruments: Mapping[str, Instrument]
    italian: Mapping[str, tuple[float, float]]
    eras: Mapping[str, str]
    scenes: Mapping[str, tuple[str, ...]]
    languages: Mapping[str, str]
    entries: Entries = field(repr=False)
    # Longest phrase in words.
    reach: int = 8


def load() -> Lexicon:
    """Reads the tables; some 20 ms, so once per process."""
    genres, moods, instruments, words = (table(name) for name in ("genres", "moods", "instruments", "words"))
    entries = index([*_genre_facts(genres), *_mood_facts(moods), *_instrument_facts(instruments), *_word_facts(words)])
    return Lexicon(
        genres={name: _genre(name, row) for name, row in genres.items()},
        styles={
            spelling: Style(genre, tuple(row.get("bpm", entry["bpm"])), tuple(row.get("moods", entry["moods"][:2])))
            for genre, entry in genres.items()
            for spelling, row in entry.get("styles", {}).items()
        },
        moods={name: Mood(name, *row["at"]) for name, row in moods.items()},
        instruments={
            name: Instrument(name, row["family"], tuple(row["near"]), row.get("general", False))
            for name, row in instruments.items()
        },
        italian={name: (low, high) for name, (low, high) in words["italian"].items()},
        eras=words["eras"],
        scenes={name: tuple(row) for name, row in words["scenes"].items()},
        languages=words["languages"],
        entries=entries,
        reach=max(len(spelling) for rows in entries.values() for spelling, _ in rows),
    )


def index(pairs: list[tuple[str, Fact]]) -> Entries:
    """Phrases by their first word, longest first."""
    facts: dict[tuple[str, ...], list[Fact]] = defaultdict(list)
    for spelling, fact in pairs:
        known = facts[phrase(spelling)]
        if fact not in known:
            known.append(fact)
    rows: dict[str, list[tuple[tuple[str, ...], tuple[Fact, ...]]]] = defaultdict(list)
    for words, meanings in facts.items():
        rows[words[0]].append((words, tuple(meanings)))
    return {first: tuple(sorted(entry, key=lambda row: -len(row[0]))) for first, entry in rows.items()}


def table(name: str) -> dict[str, Any]:
    return tomllib.loads(files(__package__).joinpath(f"{name}.toml").read_text(encoding="utf-8"))


def _genre(name: str, row: Mapping[str, Any]) -> Genre:
    return Genre(
        name,
        bpm=tuple(row["bpm"]),
        minor=row["minor"],
        tonics=tuple(row["tonics"]),
        moods=tuple(row["moods"]),
        instruments=tuple(row["instruments"]),
        near=tuple(row["near"]),
        time_signature=row.get("time_signature", "4/4"),
    )


def _genre_facts(genres: Mapping[str, Any]) -> Iterator[tuple[str, Fact]]:
    for name, row in genres.items():
        for spelling in (name, *row["names"]):
            yield spelling, Fact("genre", name)
        for spelling, style in row.get("styles", {}).items():
            yield spelling, Fact("style", spelling)
            for instrument in style.get("instruments", ()):
                yield spelling, Fact("instrument", instrument)
        for spelling in row["akin"]:
            yield spelling, Fact("akin", name)


def _mood_facts(moods: Mapping[str, Any]) -> Iterator[tuple[str, Fact]]:
    for name, row in moods.items():
        for spelling in (name, *row["words"]):
            yield spelling, Fact("mood", name)


def _instrument_facts(instruments: Mapping[str, Any]) -> Iterator[tuple[str, Fact]]:
    for name, row in instruments.items():
        for spelling in (name, *row["words"]):
            yield spelling, Fact("instrument", name)
            if not spelling.endswith("s"):
                yield spelling + "s", Fact("instrument", name)


def _word_facts(words: Mapping[str, Any]) -> Iterator[tuple[str, Fact]]:
    for kind, table in (("tempo", "tempo"), ("complexity", "complexity"), ("length", "lengths")):
        for spelling, level in words[table].items():
            yield spelling, Fact(kind, spelling, level)
    for kind, table in (("metre", "metres"), ("kind", "kinds"), ("subject", "subjects")):
        for spelling, value in words[table].items():
            yield spelling, Fact(kind, value)
    for kind, table in (("italian", "italian"), ("scene", "scenes")):
        for spelling in words[table]:
            yield spelling, Fact(kind, spelling)
    for spelling, wanted in words["voice"].items():
        yield spelling, Fact("voice", "wanted" if wanted else "unwanted")
