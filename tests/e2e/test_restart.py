"""`harmonia up` in the middle of its work: stopped, killed, started again; what was accepted ends."""

import asyncio
import json
import os
import signal
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from harmonia.song.v1 import song_pb2 as pb
from harmonia.song.v1.spec_pb2 import SongSpec
from harmonia_sdk.client import AsyncClient
from harmonia_sdk.song import TERMINAL
from tests.e2e.cli.command import HARMONIA, environment

pytestmark = pytest.mark.timeout(300)

SONGS = 10
READY_S = 150.0  # where kernels are compiled for the first time
STOPPED_S = 60.0  # the graces sum to under 20 s (test_local_mesh); a loaded machine takes its time


async def up(home: Path) -> tuple[asyncio.subprocess.Process, dict[str, Any]]:
    process = await asyncio.create_subprocess_exec(
        HARMONIA, "up", "--json", env=environment(home), stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    async with asyncio.timeout(READY_S):
        return process, json.loads(await process.stdout.readline())


async def ten_songs(client: AsyncClient) -> list[str]:
    """Accepted, and one of them at least begun."""
    specs = [SongSpec(prompt="folk", duration_seconds=20, seed=n) for n in range(SONGS)]
    names = [(await client.create(spec)).name for spec in specs]
    await until(client, lambda songs: any(song.state == pb.Song.RUNNING for song in songs))
    return names


async def until(client: AsyncClient, told: Callable[[list[pb.Song]], bool]) -> list[pb.Song]:
    async with asyncio.timeout(200):
        while not told(songs := list((await client.list()).songs)):
            await asyncio.sleep(0.1)
    return songs


def has_all_ended(songs: list[pb.Song]) -> bool:
    return len(songs) == SONGS and all(song.state in TERMINAL for song in songs)


def alive(members: list[psutil.Process]) -> list[psutil.Process]:
    return [each for each in members if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]


async def stop(process: asyncio.subprocess.Process) -> None:
    process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(STOPPED_S):
        await process.wait()


async def kill(process: asyncio.subprocess.Process) -> None:
    os.kill(process.pid, signal.SIGKILL)
    await process.wait()


@pytest.mark.parametrize("end", [stop, kill])
async def test_ten_songs_outlive_the_mesh_they_were_asked_of(
    tmp_path: Path, end: Callable[[asyncio.subprocess.Process], Awaitable[None]]
) -> None:
    process, _ = await up(tmp_path)
    async with AsyncClient(home=tmp_path) as client:
        names = await ten_songs(client)
    members = psutil.Process(process.pid).children(recursive=True)
    await end(process)
    again, info = await up(tmp_path)
    left = alive(members)
    async with AsyncClient(home=tmp_path) as client:
        songs = await until(client, has_all_ended)
        downloads = [await client.download(song.outputs[0].artifact, tmp_path / song.name[6:]) for song in songs]
    members = psutil.Process(again.pid).children(recursive=True)
    await stop(again)

    assert left == []
    assert alive(members) == []
    assert info["pid"] == again.pid
    assert {song.name for song in songs} == set(names)
    assert {pb.Song.State.Name(song.state) for song in songs} == {"SUCCEEDED"}
    assert all(file.stat().st_size for file in downloads)
    assert (again.returncode, (tmp_path / "run" / "mesh.json").exists()) == (0, False)
