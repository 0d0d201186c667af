"""Ten thousand songs of one owner, folded from a real stream: how long it takes to find some, without the network.

Words are drawn as in a language, the n-th commonest 1/n as often as the first: there are rare ones and usual ones.
"""

import asyncio
import random
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench.table import Row, ms, p50
from harmonia.job.v1 import job_pb2
from harmonia_chassis.job_stream import JobStream
from harmonia_chassis.nats_connection import Connection
from harmonia_chassis.telemetry import Metrics
from harmonia_gateway import filters, texts
from harmonia_gateway.finder import Asked, Finder, Page
from harmonia_gateway.projection import Projection
from tests.real_nats import RealNats

SONGS = 10_000
TRIES = 40
AT_ONCE = 50


async def rows() -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        nats = await RealNats.start_in(Path(folder))
        try:
            return await _measured(nats, Path(folder))
        finally:
            await nats.kill()


async def _measured(nats: RealNats, folder: Path) -> list[Row]:
    connection = Connection("gateway", nats.credentials("gateway"))
    await connection.open(nats.server.url)
    jobs = JobStream(connection)
    await jobs.declare(lease=timedelta(seconds=10), max_bytes=1 << 30)
    chance = random.Random(1)
    made = Songs(chance)
    ids = await _made(jobs, made)
    projection = Projection(folder, jobs, on_change=lambda _record: None, metrics=Metrics())
    ready, cpu_s = asyncio.Event(), time.process_time()
    running = asyncio.create_task(projection.run(ready.set))
    await ready.wait()
    cpu_s = time.process_time() - cpu_s
    finder = Finder(projection.file)
    found = [Row(f"CPU to fold a song, of {SONGS}", f"{1e6 * cpu_s / SONGS:.0f} µs")]
    for what, questions in (
        ("a rare word", [made.word(1000, 5000) for _ in range(TRIES)]),
        ("a usual word", [made.word(50, 500) for _ in range(TRIES)]),
        ("two usual words", [f"{made.word(20, 300)} {made.word(20, 300)}" for _ in range(TRIES)]),
        ("a phrase of common words", [f'"{made.word(0, 20)} {made.word(0, 20)}"' for _ in range(TRIES)]),
        ("a beginning of three letters", [f"{made.word(0, 5000)[:3]}*" for _ in range(TRIES)]),
        ("one of the ten commonest words", made.words[:10]),
    ):
        found.append(await _row(what, [_by_words(finder, question) for question in questions]))
    found.append(await _row("like another", [_by_sound(finder, song) for song in chance.choices(ids, k=TRIES)]))
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    await finder.aclose()
    projection.close()
    await connection.close()
    return found


async def _row(what: str, searches: Sequence[Callable[[], Awaitable[Page | None]]]) -> Row:
    took, totals = [], []
    for search in searches:
        begun = time.perf_counter()
        page = await search()
        took.append(time.perf_counter() - begun)
        totals.append(page.total if page else 0)
    return Row(
        f"search of {SONGS} songs: {what}, found in {p50(totals):.0f}", f"p50 {ms(p50(took))}, most {ms(max(took))}"
    )


def _by_words(finder: Finder, query: str) -> Callable[[], Awaitable[Page]]:
    return lambda: finder.by_words(texts.question(query), _ASKED)


def _by_sound(finder: Finder, song: str) -> Callable[[], Awaitable[Page | None]]:
    return lambda: finder.by_sound(song, _ASKED)


_ASKED = Asked("t", "o", filters.parse_filter(""), 50, None)


class Songs:
    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self.words = ["".join(chance.choice(("bcdfghklmnprst", "aeiou")[n % 2]) for n in range(chance.randint(3, 9)))
                      for _ in range(5000)]  # fmt: skip
        self._weights = [1 / (n + 1) for n in range(len(self.words))]

    def word(self, first: int, last: int) -> str:
        return self._chance.choice(self.words[first:last])

    def text(self, words: int) -> str:
        return " ".join(self._chance.choices(self.words, self._weights, k=words))

    def one(self) -> job_pb2.Job:
        chance, now = self._chance, datetime.now(UTC)
        job = job_pb2.Job(
            id=chance.randbytes(16).hex(), tenant="t", owner="o", kind="song", state=job_pb2.Job.SUCCEEDED
        )
        for name, lane in (("write", "write"), ("compose", "compose-arranger"), ("master", "master")):
            job.stages.add(name=name, lane=lane, state=job_pb2.Job.SUCCEEDED)
        job.spec.title, job.spec.prompt = self.text(3), self.text(15)
        job.spec.lyrics.text = "\n".join(self.text(6) for _ in range(24))
        job.spec.labels["album"] = self.text(1)
        job.create_time.FromDatetime(now)
        job.update_time.FromDatetime(now)
        heard = job.stages[2].result.master.takes.add(take=1).analysis
        heard.tempo.measured, heard.tempo.confidence = chance.uniform(60, 180), 1
        heard.key.measured, heard.key.confidence = f"{chance.choice('CDEFGAB')} {chance.choice(('major', 'minor'))}", 1
        heard.loudness.integrated_lufs, heard.loudness.true_peak_dbtp = chance.uniform(-16, -9), -1
        heard.loudness.range_lu, heard.stereo.correlation = chance.uniform(1, 12), chance.uniform(0, 1)
        return job


async def _made(jobs: JobStream, songs: Songs) -> list[str]:
    at_once = asyncio.Semaphore(AT_ONCE)

    async def one(job: job_pb2.Job) -> str:
        async with at_once:
            await jobs.create(job)
        return job.id

    return await asyncio.gather(*(one(songs.one()) for _ in range(SONGS)))
