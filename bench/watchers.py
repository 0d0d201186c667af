"""Fifty watchers on one song: all see every state."""

import asyncio
import time

from bench.meshes import noop_mesh
from bench.table import Row, ms
from harmonia.song.v1 import song_pb2, spec_pb2
from harmonia_sdk.client import AsyncClient

WATCHERS = 50


async def rows() -> list[Row]:
    async with noop_mesh() as measured:
        song = await measured.client.create(spec_pb2.SongSpec(prompt="techno"))

        async def watch() -> tuple[list["song_pb2.Song.State.ValueType"], float]:
            async with AsyncClient(home=measured.home) as client:
                states = [e.song.state async for e in client.watch(song.name) if e.HasField("song")]
            return states, time.perf_counter()

        seen = await asyncio.gather(*(watch() for _ in range(WATCHERS)))
    complete = sum(states == seen[0][0] and states[-1] == song_pb2.Song.SUCCEEDED for states, _ in seen)
    ends = [end for _, end in seen]
    return [
        Row("50 watchers of one song that saw every state", f"{complete} of {WATCHERS}", "50"),
        Row("from the first to the last of them at the end", ms(max(ends) - min(ends))),
    ]
