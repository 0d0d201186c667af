"""What the HTTP door adds to a gRPC call, call by call in turn; and 200 watchers at once.

`python -m bench.rest --minutes 12` lets the watchers go on so long, to see what the door's memory does: the first sixth
is for warming up, and then the median of the next twelfth is compared with that of the last (docs/decisions/0049).
`--trail FILE` keeps what was seen each second.
"""

import argparse
import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

import httpx
import psutil

from bench.meshes import Measured, noop_mesh
from bench.table import Row, ms, p50
from harmonia.song.v1 import spec_pb2
from harmonia_local.rest import find_rest

CALLS = 500
WATCHERS = 200
WARM_UP = 1 / 6
WINDOW = 1 / 12
PAUSE_S = 2.0
HEAP = "go_memstats_heap_inuse_bytes"
TOLD = (HEAP, "go_memstats_heap_idle_bytes", "go_memstats_stack_inuse_bytes", "go_goroutines")
SHORT_MINUTES = 0.5


class Line:
    """A kept-alive connection that speaks as little HTTP/1.1 as will do: a client library costs more than the door."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, token: str) -> None:
        self._reader = reader
        self._writer = writer
        self._token = token

    async def get(self, path: str) -> bytes:
        await self._ask(path)
        head = await self._reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 "), head
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        return await self._reader.readexactly(length)

    async def etags(self, path: str) -> list[str]:
        """Of the states that a watch tells, to its end."""
        await self._ask(path)
        await self._reader.readuntil(b"\r\n\r\n")
        seen: list[str] = []
        while size := int(await self._reader.readline(), 16):
            chunk = await self._reader.readexactly(size)
            await self._reader.readexactly(2)
            if chunk.startswith(b"event: end"):
                continue
            told = json.loads(chunk.partition(b"data: ")[2])
            if "song" in told:
                seen.append(told["song"]["etag"])
        await self._reader.readexactly(2)
        return seen

    async def _ask(self, path: str) -> None:
        request = f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {self._token}\r\n\r\n"
        self._writer.write(request.encode())


@asynccontextmanager
async def lines(measured: Measured, count: int) -> AsyncIterator[list[Line]]:
    at = urlsplit(measured.mesh.info.rest or "")
    token = await asyncio.to_thread(Path(measured.mesh.info.token_file).read_text)
    opened = [await asyncio.open_connection(at.hostname, at.port, limit=1 << 20) for _ in range(count)]
    try:
        yield [Line(reader, writer, token.strip()) for reader, writer in opened]
    finally:
        for _, writer in opened:
            writer.close()


async def rows(minutes: float = SHORT_MINUTES, trail: Path | None = None) -> list[Row]:
    if find_rest() is None:
        return [Row("not built: make rest", "-")]
    async with noop_mesh(rest=find_rest()) as measured:
        return [*await _added(measured), *await _watched(measured, minutes, trail)]


async def _added(measured: Measured) -> list[Row]:
    song = await measured.client.create(spec_pb2.SongSpec(prompt="techno"))
    over_grpc, over_http = [], []
    async with lines(measured, 1) as (line,):
        for _ in range(CALLS):
            began = time.perf_counter()
            await measured.client.get(song.name)
            over_grpc.append(time.perf_counter() - began)
            began = time.perf_counter()
            await line.get(f"/v1/{song.name}")
            over_http.append(time.perf_counter() - began)
    return [
        Row("GetSong over gRPC p50", ms(p50(over_grpc))),
        Row("GetSong over HTTP p50, same run", ms(p50(over_http))),
        Row("HTTP minus gRPC, p50", ms(p50(over_http) - p50(over_grpc)), "≤ 0.5 ms"),
    ]


@dataclass
class Memory:
    """Of the door, second by second: (seconds, bytes resident, what the Go runtime says of itself)."""

    door: psutil.Process
    metrics: str
    began: float = field(default_factory=time.monotonic)
    seen: list[tuple[float, int, dict[str, int]]] = field(default_factory=list)

    async def follow(self) -> None:
        async with httpx.AsyncClient() as client:
            while True:
                told = runtime_of((await client.get(self.metrics)).text)
                self.seen.append((time.monotonic() - self.began, self.door.memory_info().rss, told))
                await asyncio.sleep(1)

    def between(self, since_s: float, until_s: float) -> Sequence[int]:
        return [rss for at, rss, _ in self.seen if since_s <= at < until_s] or [self.door.memory_info().rss]

    def least_heap(self, since_s: float, until_s: float) -> int:
        """What is in use just after a collection: what lives."""
        return min((told[HEAP] for at, _, told in self.seen if since_s <= at < until_s), default=0)


def runtime_of(metrics: str) -> dict[str, int]:
    found = ((name, re.search(rf"^{name} (\S+)$", metrics, re.MULTILINE)) for name in TOLD)
    return {name: int(float(value[1])) for name, value in found if value}


async def _watched(measured: Measured, minutes: float, trail: Path | None) -> list[Row]:
    """Songs one after another, each watched by all of them from its beginning to its end."""
    memory = Memory(psutil.Process(measured.mesh.pid("rest")), measured.mesh.info.service("rest").metrics)
    complete = watches = 0
    async with lines(measured, WATCHERS) as watching, asyncio.TaskGroup() as tasks:
        following = tasks.create_task(memory.follow())
        while time.monotonic() - memory.began < minutes * 60:
            song = await measured.client.create(spec_pb2.SongSpec(prompt="techno"))
            seen = await asyncio.gather(*(line.etags(f"/v1/{song.name}:watch") for line in watching))
            last = (await measured.client.get(song.name)).etag
            complete += sum(etags == seen[0] and etags[-1] == last for etags in seen)
            watches += len(seen)
            await asyncio.sleep(PAUSE_S)
        following.cancel()
    if trail is not None:
        await asyncio.to_thread(trail.write_text, "".join(f"{json.dumps(one)}\n" for one in memory.seen))
    warm_s, window_s, end_s = (60 * minutes * part for part in (WARM_UP, WINDOW, 1.0))
    warm, last_rss = memory.between(warm_s, warm_s + window_s), memory.between(end_s - window_s, end_s)
    lives = memory.least_heap(warm_s, warm_s + window_s), memory.least_heap(end_s - window_s, end_s)
    peak = max(memory.between(warm_s, end_s))
    over = f"{minutes * (1 - WARM_UP):.1f} min"
    return [
        Row(f"{WATCHERS} watchers at once: watches that saw every state", f"{complete} of {watches}", "all"),
        Row("the door's memory then", f"{median(last_rss) / 2**20:.1f} MiB, {peak / 2**20:.1f} at most"),
        Row(
            "its heap at the least, 64 MiB never touched among it, after the warm-up and at the end",
            f"{lives[0] / 2**20:.1f}, {lives[1] / 2**20:.1f} MiB",
        ),
        Row(f"its growth, last {over}", f"{median(last_rss) / median(warm) - 1:+.1%}", "≤ 2 % over 10 min"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser("python -m bench.rest")
    parser.add_argument("--minutes", type=float, default=SHORT_MINUTES)
    parser.add_argument("--trail", type=Path, help="JSON lines: seconds, bytes resident, the runtime's own figures")
    asked = parser.parse_args()
    for row in asyncio.run(rows(asked.minutes, asked.trail)):
        print(f"| rest | {row.what} | {row.measured} | {row.goal} |", flush=True)


if __name__ == "__main__":
    main()
