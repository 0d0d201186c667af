"""Songs by their words and by their sound, out of the projection's file: on a thread and a connection of their own.

A song's score depends on the song and the question alone, never on what else there is: so pages stay as they are
while songs come and go, and nobody's songs tell of other people's (docs/decisions/0045).
"""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from harmonia.job.v1 import job_pb2
from harmonia_chassis.job_stream import Stored
from harmonia_gateway import likeness, texts
from harmonia_gateway.filters import Condition
from harmonia_gateway.likeness import Likeness
from harmonia_gateway.projection import stored_of

T = TypeVar("T")

# Songs by (score, create_time, id), the best and newest first; a page begins after one of them.
Place = tuple[float, float, str]

_WEIGHTS = {"title": 8, "labels": 4, "prompt": 2, "lyrics": 1}
_FOUND, _OVER = "\x02", "\x03"
_AROUND = 60  # characters before and after what was found
_OWN = "songs.tenant = ? AND songs.owner = ? AND songs.job_state NOT IN (?, ?)"
_GONE = (job_pb2.Job.DELETED, job_pb2.Job.PURGED)


@dataclass(frozen=True, slots=True)
class Part:
    text: str
    found: bool


@dataclass(frozen=True, slots=True)
class Passage:
    field: str
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Match:
    song: Stored
    score: float
    passages: tuple[Passage, ...] = ()
    likenesses: tuple[Likeness, ...] = ()


@dataclass(frozen=True, slots=True)
class Page:
    """`last`: where the next one begins; None: this is the last."""

    matches: tuple[Match, ...]
    total: int
    last: Place | None


@dataclass(frozen=True, slots=True)
class Asked:
    tenant: str
    owner: str
    condition: Condition
    size: int
    after: Place | None


class Finder:
    def __init__(self, file: Path) -> None:
        self._db = sqlite3.connect(f"file:{file}?mode=ro", uri=True, check_same_thread=False)
        self._thread = ThreadPoolExecutor(1, "finder")

    async def by_words(self, question: str, asked: Asked) -> Page:
        """`question`: of texts.py."""
        return await self._read(lambda: self._by_words(question, asked))

    async def by_sound(self, like: str, asked: Asked) -> Page | None:
        """`like`: id of a song of theirs. None when nothing was measured of it."""
        return await self._read(lambda: self._by_sound(like, asked))

    async def aclose(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _read(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _by_words(self, question: str, asked: Asked) -> Page:
        rows = self._db.execute(
            f"SELECT {_SCORE}, songs.create_time, songs.id, songs.number FROM words"  # noqa: S608  our own table
            f" CROSS JOIN songs ON songs.number = words.rowid"
            f" WHERE words MATCH ? AND {_OWN} AND ({asked.condition.where})",
            (question, asked.tenant, asked.owner, *_GONE, *asked.condition.params),
        ).fetchall()
        page, last = _page([((score, made, name), number) for score, made, name, number in rows], asked)
        found = [self._found(question, place, number) for place, number in page]
        return Page(tuple(match for match in found if match), len(rows), last)

    def _found(self, question: str, place: Place, number: int) -> Match | None:
        row = self._db.execute(
            f"SELECT seq, record, {_MARKED} FROM words CROSS JOIN songs ON songs.number = words.rowid"  # noqa: S608
            " WHERE words MATCH ? AND words.rowid = ?",
            (question, number),
        ).fetchone()
        if row is None:
            return None  # gone since
        passages = [_passage(field, text) for field, text in zip(texts.FIELDS, row[2:], strict=True) if _FOUND in text]
        return Match(stored_of(row[0], row[1]), place[0], passages=tuple(passages))

    def _by_sound(self, like: str, asked: Asked) -> Page | None:
        one = self._db.execute(
            f"SELECT {', '.join(likeness.COLUMNS)}, called FROM sounds JOIN songs USING (number)"  # noqa: S608
            " WHERE tenant = ? AND owner = ? AND id = ?",
            (asked.tenant, asked.owner, like),
        ).fetchone()
        if one is None:
            return None
        here, key = _row(one[:-1]), one[-1]
        rows = self._db.execute(
            f"SELECT {', '.join(likeness.COLUMNS)}, songs.create_time, songs.id, songs.number"  # noqa: S608
            f" FROM sounds JOIN songs USING (number) WHERE {_OWN} AND songs.id != ? AND ({asked.condition.where})",
            (asked.tenant, asked.owner, *_GONE, like, *asked.condition.params),
        ).fetchall()
        if not rows:
            return Page((), 0, None)
        width = len(likeness.COLUMNS)
        sounds = np.array([row[:width] for row in rows], dtype=np.float64)
        near = likeness.nearness(here, sounds)
        scores = likeness.score(here, sounds, near)
        ranked = [((float(scores[n]), row[width], row[width + 1]), n) for n, row in enumerate(rows)]
        page, last = _page(ranked, asked)
        found = [self._alike(place, rows[n], (here, key), near[n]) for place, n in page]
        return Page(tuple(match for match in found if match), len(rows), last)

    def _alike(
        self, place: Place, row: Sequence[float], one: tuple[Sequence[float], str], near: Sequence[float]
    ) -> Match | None:
        found = self._db.execute(
            "SELECT seq, record, called FROM songs JOIN sounds USING (number) WHERE number = ?", (row[-1],)
        ).fetchone()
        if found is None:
            return None
        here, key = one
        told = likeness.likenesses(here, _row(row[: len(likeness.COLUMNS)]), near, (key, found[2]))
        return Match(stored_of(found[0], found[1]), place[0], likenesses=tuple(told))


def _page(ranked: list[tuple[Place, int]], asked: Asked) -> tuple[list[tuple[Place, int]], Place | None]:
    ranked.sort(reverse=True)
    if asked.after is not None:
        ranked = [one for one in ranked if one[0] < asked.after]
    page = ranked[: asked.size]
    return page, page[-1][0] if len(ranked) > len(page) else None


def _row(values: Sequence[float | None]) -> tuple[float, ...]:
    """NULL, which SQLite makes of NaN, is NaN again."""
    return tuple(float("nan") if value is None else value for value in values)


def _hits(field: str) -> str:
    """How often it was found there: by how much marks make the text longer."""
    column = texts.FIELDS.index(field)
    return f"(length(highlight(words, {column}, '{_FOUND}', '')) - length(in_{field}))"


# Each field counts fully once it holds what is sought a few times over: BM25's saturation, without its statistics.
_SCORE = "({}) / {:.1f}".format(
    " + ".join(f"{weight} * (1 - 1.0 / (1 + {_hits(field)}))" for field, weight in _WEIGHTS.items()),
    sum(_WEIGHTS.values()),
)
_MARKED = ", ".join(f"highlight(words, {n}, '{_FOUND}', '{_OVER}')" for n in range(len(texts.FIELDS)))


def _passage(field: str, marked: str) -> Passage:
    """From a little before the first that was found."""
    first = marked.index(_FOUND)
    start = max(0, first - _AROUND)
    text = marked[start : marked.index(_OVER, first) + _AROUND]
    pieces = [piece.partition(_OVER) for piece in text.split(_FOUND)]
    parts = [Part(pieces[0][0], found=False)]
    for found, _, rest in pieces[1:]:
        parts += [Part(found, found=True), Part(rest, found=False)]
    if start:
        parts.insert(0, Part("…", found=False))
    return Passage(field, tuple(Part(texts.shown(part.text), part.found) for part in parts if part.text))
