"""What a revision costs beside the song it is made of, and how soon a song is heard."""

import time
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from typing import Any

from bench.meshes import real_mesh
from bench.table import Row, spread
from harmonia.song.v1 import song_pb2
from harmonia_sdk.client import AsyncClient
from harmonia_sdk.song import AsyncSong

SECONDS = 180
WISHES: Mapping[str, object] = {"genre": "pop", "bpm": 100, "key": "A minor", "duration_seconds": SECONDS, "seed": 1}
# Any: values of SongSpec's fields, whatever their types.
CHANGES: Mapping[str, Mapping[str, Any]] = {
    "remastered": {"mastering": {"preset": "PODCAST"}},
    "another title": {"title": "Another"},
    "another key": {"key": "D minor"},
    "another tempo": {"bpm": 108},
    "other words": {"lyrics": {"text": "[verse]\nrain on the window\nrain on the sea\n"}},
}
RUNS = 5


async def rows() -> list[Row]:
    async with real_mesh() as measured:
        return [await _first_sound(measured.client), *await _revisions(measured.client)]


async def _first_sound(client: AsyncClient) -> Row:
    waits = []
    for seed in range(RUNS):
        began = time.monotonic()
        song = await client.compose("slow rain", duration_seconds=60, seed=seed)
        async with aclosing(song.listen()) as chunks:
            await anext(chunks)
        waits.append(time.monotonic() - began)
        await song.wait()
    return Row("60 s of song, first sound heard", spread(waits), "≤ 1.5 s")


async def _revisions(client: AsyncClient) -> list[Row]:
    source, wall_s = await _timed(await client.compose("slow rain", **WISHES))
    found = [_row(f"{SECONDS} s of pop", source, wall_s, ())]
    for what, change in CHANGES.items():
        began = time.monotonic()
        revised, _ = await _timed(await client.revise(source.name, **change))
        found.append(_row(f"the same, {what}", revised, time.monotonic() - began, _stems(source)))
    return found


async def _timed(song: AsyncSong) -> tuple[song_pb2.Song, float]:
    began = time.monotonic()
    return (await song.wait()).message, time.monotonic() - began


def _row(what: str, song: song_pb2.Song, wall_s: float, known: Sequence[str]) -> Row:
    made = _stems(song)
    kept = f", {len(set(made) & set(known))} of {len(made)} stems kept" if known else f", {len(made)} stems"
    return Row(what, f"{wall_s:.2f} s, {song.usage.cpu_seconds:.2f} CPU-s{kept}")


def _stems(song: song_pb2.Song) -> list[str]:
    return [one.sha256 for one in song.outputs if one.role == "stem"]
