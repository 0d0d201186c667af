"""M10 and M11: tempo and key of songs of the arranger, whose own are known.

The analysis was tuned on the seeds 0 to 50 with plain briefs. `held out` are songs that nobody has tuned on: other
seeds, with moods, other densities, lengths and, for some, metres. Both are told beside each other.
"""

import asyncio
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from bench.made import RATE_HZ, Song, made
from bench.table import Row
from harmonia_composer.engines.arranger.genres import GENRES
from harmonia_mastering.key import NAMES, key
from harmonia_mastering.tempo import tempo

SONGS = 51
HELD_OUT = 9001


async def rows() -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="harmonia-bench-") as folder:
        return await asyncio.to_thread(lambda: list(_rows(Path(folder))))


def _rows(folder: Path) -> Iterator[Row]:
    genres = sorted(GENRES)
    for title, first in (("held out", HELD_OUT), ("tuned on", 0)):
        songs = [made(folder, genres[n % len(genres)], n, varied=first > 0) for n in range(first, first + SONGS)]
        yield from _heard(songs, title)


def _heard(songs: Sequence[Song], title: str) -> Iterator[Row]:
    heard = np.zeros(6)
    for song in songs:
        samples = song.samples()
        asked, free = (tempo(samples, RATE_HZ, expected_bpm=bpm).bpm for bpm in (song.bpm, None))
        found = key(samples, RATE_HZ).name
        heard += [
            _near(asked, song.bpm), _octave(asked, song.bpm), _near(free, song.bpm), _octave(free, song.bpm),
            found == song.key, found in _related(song.key),
        ]  # fmt: skip
    share = heard / len(songs)
    what, told = f"M10 tempo, {len(songs)} songs {title}", "{:.0%}, {:.0%} but for octaves"
    yield Row(f"{what}, the request as prior", told.format(*share[:2]), "≥ 75 %, ≥ 95 %")
    yield Row(f"{what}, nothing known beforehand", told.format(*share[2:4]))
    told = f"{share[4]:.0%}, {share[5]:.0%} with relative and fifth"
    yield Row(f"M11 key, {len(songs)} songs {title}", told, "≥ 50 %, ≥ 90 %")


def _near(found: float, made: float) -> bool:
    return abs(found / made - 1) < 0.01


def _octave(found: float, made: float) -> bool:
    return any(_near(found * factor, made) for factor in (0.5, 1, 2))


def _related(name: str) -> set[str]:
    tonic, mode = NAMES.index(name.split(maxsplit=1)[0]), name.split()[1]
    relative = f"{NAMES[(tonic + 3) % 12]} major" if mode == "minor" else f"{NAMES[(tonic + 9) % 12]} minor"
    return {name, relative, f"{NAMES[(tonic + 7) % 12]} {mode}", f"{NAMES[(tonic + 5) % 12]} {mode}"}
