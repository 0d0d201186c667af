"""What a mesh says when it has no room: for one more song of a tenant, in the stream, on a connection."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from harmonia.song.v1 import song_pb2 as pb
from harmonia.song.v1.spec_pb2 import SongSpec
from harmonia_local.mesh import Mesh, running_mesh
from harmonia_sdk.client import AsyncClient
from harmonia_sdk.errors import Overloaded, QuotaExceeded, Reason
from harmonia_sdk.song import TERMINAL
from tests.e2e.cli.command import harmonia

pytestmark = pytest.mark.timeout(300)

ROOT = Path(__file__).parents[2]
# Workers that do nothing, so that songs take milliseconds.
NOOP = {name: (sys.executable, "-m", "bench.noop_service", name) for name in ("lyricist", "composer", "mastering")}


@asynccontextmanager
async def mesh(home: Path, **settings: str) -> AsyncIterator[tuple[Mesh, AsyncClient]]:
    environment = {"PYTHONPATH": str(ROOT), "HARMONIA_RATE_CREATES": "1000000"} | {
        f"HARMONIA_{name}": value for name, value in settings.items()
    }
    async with (
        running_mesh(home, commands=NOOP, environment=environment, say=lambda _line: None) as running,
        AsyncClient(home=home) as client,
    ):
        await client.create(SongSpec(prompt="techno"))
        await until_ended(client)  # from here on the gateway knows all services
        yield running, client


async def until_ended(client: AsyncClient) -> list[str]:
    """States of all songs."""
    async with asyncio.timeout(200):
        while True:
            songs = (await client.list(limit=1000)).songs
            if all(song.state in TERMINAL for song in songs):
                return [pb.Song.State.Name(song.state) for song in songs]
            await asyncio.sleep(0.1)


async def create_until_full(client: AsyncClient) -> tuple[int, QuotaExceeded | Overloaded]:
    """How many songs were taken, and why no more."""
    for taken in range(10_000):
        while True:
            try:
                await client.create(SongSpec(prompt="techno"))
            except (QuotaExceeded, Overloaded) as refusal:
                if refusal.reason == Reason.STORE_FULL:
                    return taken, refusal
                await asyncio.sleep(0.02)  # as many unfinished ones as may be
            else:
                break
    raise AssertionError("never full")


async def test_a_tenant_with_all_it_may_have_is_told_when_to_come_back(tmp_path: Path) -> None:
    async with mesh(tmp_path, TENANT_UNFINISHED="2") as (running, client):
        await running.kill("lyricist", signal.SIGSTOP)
        for _ in range(2):
            await client.create(SongSpec(prompt="techno"))
        plain = await asyncio.to_thread(harmonia, "compose", "techno", home=tmp_path, cwd=tmp_path)
        in_json = await asyncio.to_thread(harmonia, "compose", "techno", "--json", home=tmp_path, cwd=tmp_path)
        batch = await client.create(SongSpec(prompt="techno", batch=True))
        await running.kill("lyricist", signal.SIGCONT)
        states = await until_ended(client)
        again = await client.create(SongSpec(prompt="techno"))

    assert (plain.code, plain.err.count("\n")) == (6, 1)
    assert "try again in 5 s" in plain.err
    assert (in_json.code, in_json.error["reason"]) == (6, "TENANT_UNFINISHED")
    assert "try again in 5 s" in in_json.error["message"]
    assert batch.name
    assert states == ["SUCCEEDED"] * 4
    assert again.state == pb.Song.QUEUED


async def test_a_stream_that_is_nearly_full_takes_no_song_and_finishes_those_it_has(tmp_path: Path) -> None:
    async with mesh(tmp_path, STORE_BYTES=str(1 << 21), TENANT_UNFINISHED="4") as (_, client):
        taken, refusal = await create_until_full(client)
        states = await until_ended(client)
        told = await asyncio.to_thread(harmonia, "compose", "techno", home=tmp_path, cwd=tmp_path)

    assert refusal.retry_after == timedelta(seconds=60)
    assert states == ["SUCCEEDED"] * (1 + taken)
    assert (told.code, told.err.count("\n"), "try again in 60 s" in told.err) == (6, 1, True)

    async with mesh(tmp_path, STORE_BYTES=str(1 << 22)) as (_, client):
        assert await until_ended(client) == ["SUCCEEDED"] * (1 + taken + 1)


async def test_a_tenant_whose_files_fill_its_share_is_told_so_before_a_song_is_made(tmp_path: Path) -> None:
    left = tmp_path / "artifacts" / "local" / "ab" / f"ab{'0' * 62}"
    left.parent.mkdir(parents=True)
    left.write_bytes(bytes(3 << 20))
    environment = {"PYTHONPATH": str(ROOT), "HARMONIA_STORAGE_BYTES": str(2 << 20)}
    async with (
        running_mesh(tmp_path, commands=NOOP, environment=environment, say=lambda _line: None) as running,
        AsyncClient(home=tmp_path) as client,
    ):
        with pytest.raises(QuotaExceeded) as refused:
            await client.create(SongSpec(prompt="techno"))
        told = await asyncio.to_thread(harmonia, "compose", "techno", home=tmp_path, cwd=tmp_path)
        left.unlink()
        counted = await asyncio.to_thread(harmonia, "garbage", home=tmp_path, cwd=tmp_path)
        accepted = await client.create(SongSpec(prompt="techno"))
        await running.kill("artifacts", signal.SIGSTOP)
        while_the_store_is_silent = await client.create(SongSpec(prompt="techno"))
        await running.kill("artifacts", signal.SIGCONT)

    assert refused.value.reason == Reason.STORAGE_QUOTA
    assert "local keeps 3 of 2 MiB: no song fits any more" in refused.value.message
    assert "HARMONIA_STORAGE_BYTES" in refused.value.message
    assert (told.code, told.err.count("\n"), counted.code) == (6, 1, 0)
    assert accepted.name
    assert while_the_store_is_silent.name


async def test_more_calls_at_once_than_a_connection_carries_are_all_answered(tmp_path: Path) -> None:
    async with mesh(tmp_path) as (running, client):
        await running.kill("lyricist", signal.SIGSTOP)
        song = await client.create(SongSpec(prompt="techno"))
        lists = await asyncio.gather(*(client.list() for _ in range(150)))
        watches = [asyncio.ensure_future(to_the_end(client, song.name)) for _ in range(150)]
        await asyncio.sleep(1)
        still_answered = await client.get(song.name)
        await running.kill("lyricist", signal.SIGCONT)
        states = await asyncio.gather(*watches)

    assert {answer.total_size for answer in lists} == {2}
    assert still_answered.name == song.name
    assert states == [pb.Song.SUCCEEDED] * 150


async def to_the_end(client: AsyncClient, name: str) -> "pb.Song.State.ValueType":
    last = pb.Song.UNSPECIFIED
    async for event in client.watch(name):
        last = event.song.state if event.HasField("song") else last
    return last
