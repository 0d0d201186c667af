"""MusicGen on a real mesh, of a commercial tenant: which weights it may use, and what kill -9 of the composer does."""

import asyncio
import sys
import urllib.request
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio
import soundfile

from harmonia.job.v1 import job_pb2
from harmonia_chassis.job_stream import JobStream
from harmonia_composer.models import Models
from harmonia_local.mesh import Mesh, running_mesh
from harmonia_sdk.client import AsyncClient
from harmonia_sdk.errors import PermissionDenied, Reason
from harmonia_sdk.song import AsyncSong
from tests.chaos.raw import observe
from tests.musicgen_models import written

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("ignore"),  # audiocraft and torch warn of each other's age
]

SONGS, SECONDS = 4, 9.0
# Of four codebooks at 50 frames a second, and the columns that the last three are late by.
TOKENS = 4 * (50 * SECONDS + 3)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mesh(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Mesh, Path]]:
    home = tmp_path_factory.mktemp("home")
    await asyncio.to_thread(bring_two_models, home, tmp_path_factory.mktemp("source"))
    commands = {"composer": (sys.executable, "-m", "tests.musicgen_composer")}
    environment = {
        "HARMONIA_MUSICGEN_SLOTS": str(SONGS),
        "HARMONIA_COMMERCIAL_TENANTS": '["local"]',
        "OMP_NUM_THREADS": "1",
    }
    async with running_mesh(home, commands=commands, environment=environment, lease_s=2, say=lambda _: None) as mesh:
        yield mesh, home


def bring_two_models(home: Path, source: Path) -> None:
    _, ours = written(source)
    store = Models(home / "models", budget_bytes=1 << 30)
    for name, licence in (("tiny", "MIT"), ("metas", "CC-BY-NC-4.0")):
        with store.incoming(name) as folder:
            for file in ours.folder.iterdir():
                (folder / file.name).write_bytes(file.read_bytes())
            store.settle(folder, name=name, licence=licence, origin="here", revision="")


async def four_songs(client: AsyncClient) -> list[AsyncSong]:
    wishes = {"engine": "musicgen", "model": "tiny", "duration_seconds": SECONDS}
    return [await client.compose("slow sad piano", **wishes, seed=seed) for seed in range(SONGS)]


async def composing(records: JobStream, songs: Sequence[AsyncSong]) -> list[job_pb2.Stage]:
    """The composer's stage of each."""
    found = [await records.read("local", song.name.removeprefix("songs/")) for song in songs]
    return [stage for each in found if each for stage in each.job.stages if stage.name == "compose"]


async def until_all_are_kept_half_drawn(records: JobStream, songs: Sequence[AsyncSong]) -> None:
    while True:
        stages = await composing(records, songs)
        assert not any(stage.HasField("result") for stage in stages), "a song has ended before anything was killed"
        if sum(stage.HasField("checkpoint") for stage in stages) == SONGS:
            return
        await asyncio.sleep(0.02)


def tokens_drawn(running: Mesh) -> float:
    """By the composer that runs now."""
    [composer] = [service for service in running.info.services if service.name == "composer"]
    with urllib.request.urlopen(composer.metrics, timeout=10) as told:
        lines = told.read().decode().splitlines()
    return sum(float(line.split()[1]) for line in lines if line.startswith("harmonia_musicgen_tokens_total"))


async def master(song: AsyncSong, folder: Path) -> np.ndarray:
    await song.wait()
    await song.save(folder)
    samples: np.ndarray = soundfile.read(folder / "master.flac", dtype="float32")[0]
    return samples


async def test_a_commercial_tenant_is_refused_metas_weights_at_submit_and_told_what_it_may_use(
    mesh: tuple[Mesh, Path],
) -> None:
    async with AsyncClient(home=mesh[1]) as client:
        with pytest.raises(PermissionDenied, match=r"CC-BY-NC-4.0: a commercial tenant may not use them") as refused:
            await client.compose("slow sad piano", engine="musicgen", model="metas", duration_seconds=5.0)

    assert refused.value.reason == Reason.LICENCE_REFUSED
    assert refused.value.metadata["allowed"] == "musicgen with tiny"  # all that this composer offers


async def test_every_song_of_a_batch_goes_on_after_kill_9_and_is_what_it_would_have_been(
    mesh: tuple[Mesh, Path], tmp_path: Path
) -> None:
    running, home = mesh
    records = await observe(home)
    async with AsyncClient(home=home) as client, asyncio.timeout(500):
        songs = await four_songs(client)
        await until_all_are_kept_half_drawn(records, songs)
        await running.kill("composer")
        made = [await master(song, tmp_path / f"killed-{seed}") for seed, song in enumerate(songs)]
        drawn_again = await asyncio.to_thread(tokens_drawn, running)
        attempts = [stage.attempt for stage in await composing(records, songs)]
        whole = [await master(song, tmp_path / f"whole-{n}") for n, song in enumerate(await four_songs(client))]
    await records.connection.close()

    assert min(attempts) > 1
    # The second process drew less than the four songs: each went on from where it was kept.
    assert 0 < drawn_again < SONGS * TOKENS
    for one, other in zip(made, whole, strict=True):
        # The same tokens; the codec decoded them in other pieces, so equal to 1e-5 of the peak and not to the bit.
        assert np.abs(one - other).max() < 1e-4 * np.abs(other).max()
    assert np.abs(whole[0] - whole[1]).max() > 0.01 * np.abs(whole[0]).max()
