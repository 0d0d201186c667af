"""MusicGen on a real mesh, of a commercial tenant: which weights it may use, what kill -9 of the composer does, and
songs that go on from others."""

import asyncio
import hashlib
import json
import sys
import urllib.request
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio
import soundfile
import soxr
import torch

from harmonia.job.v1 import job_pb2
from harmonia_chassis.job_stream import JobStream
from harmonia_composer.models import Models
from harmonia_local.mesh import Mesh, running_mesh
from harmonia_sdk.client import AsyncClient
from harmonia_sdk.errors import FailedPrecondition, HarmoniaError, InvalidInput, NotFound, PermissionDenied, Reason
from harmonia_sdk.song import AsyncSong
from tests.chaos.raw import observe
from tests.e2e.cli.command import harmonia
from tests.musicgen_models import Ours, written

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("ignore"),  # audiocraft and torch warn of each other's age
]

SONGS, SECONDS = 4, 9.0
# Of four codebooks at 50 frames a second, and the columns that the last three are late by.
TOKENS = 4 * (50 * SECONDS + 3)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Ours:
    return written(tmp_path_factory.mktemp("source"))[1]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mesh(tmp_path_factory: pytest.TempPathFactory, tiny: Ours) -> AsyncIterator[tuple[Mesh, Path]]:
    home = tmp_path_factory.mktemp("home")
    await asyncio.to_thread(bring_two_models, home, tiny)
    commands = {"composer": (sys.executable, "-m", "tests.musicgen_composer")}
    environment = {
        "HARMONIA_MUSICGEN_SLOTS": str(SONGS),
        "HARMONIA_COMMERCIAL_TENANTS": '["local"]',
        "OMP_NUM_THREADS": "1",
    }
    async with running_mesh(home, commands=commands, environment=environment, lease_s=2, say=lambda _: None) as mesh:
        yield mesh, home


def bring_two_models(home: Path, ours: Ours) -> None:
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


async def master(song: AsyncSong, folder: Path, file: str = "master.flac") -> np.ndarray:
    await song.wait()
    await song.save(folder)
    samples: np.ndarray = soundfile.read(folder / file, dtype="float32")[0]
    return samples


async def test_a_commercial_tenant_is_refused_metas_weights_at_submit_and_told_what_it_may_use(
    mesh: tuple[Mesh, Path],
) -> None:
    async with AsyncClient(home=mesh[1]) as client:
        with pytest.raises(PermissionDenied, match=r"CC-BY-NC-4.0: a commercial tenant may not use them") as refused:
            await client.compose("slow sad piano", engine="musicgen", model="metas", duration_seconds=5.0)

    assert refused.value.reason == Reason.LICENCE_REFUSED
    assert refused.value.metadata["allowed"] == "musicgen with tiny, the engine arranger"


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


async def test_a_song_is_made_again_from_its_resolved_spec_to_the_last_sample(
    mesh: tuple[Mesh, Path], tmp_path: Path
) -> None:
    async with AsyncClient(home=mesh[1]) as client, asyncio.timeout(200):
        first = await client.compose("slow sad piano", engine="musicgen", model="tiny", duration_seconds=5.0)
        sound = await master(first, tmp_path / "first")
        resolved = (await client.get(first.name)).resolved
        again = await client.song((await client.create(resolved)).name)
        same = await master(again, tmp_path / "again")

    assert resolved.bpm
    assert not resolved.HasField("complexity")  # which the engine does not take
    assert np.array_equal(same, sound)


def reconstructed(tiny: Ours, sound: np.ndarray, rate: int) -> np.ndarray:
    """What the codec makes of a recording [n, channels], at 48 kHz."""
    mono = (sound.mean(axis=1) / np.abs(sound.mean(axis=1)).max()).astype(np.float32)
    codes = tiny.encoder.encode(torch.from_numpy(soxr.resample(mono, rate, 32_000)))
    made: np.ndarray = soxr.resample(tiny.codec.decode(codes).numpy(), 32_000, 48_000)
    return made


def told_apart(sound: np.ndarray) -> np.ndarray:
    """Without what an untrained codec says in every frame, whatever it has heard."""
    frames = sound.reshape(-1, 960)
    return np.asarray(frames - frames.mean(0)).ravel()


def likeness(one: np.ndarray, other: np.ndarray) -> float:
    """Correlation, 1 for the same sound at any level."""
    one, other = told_apart(one), told_apart(other)
    return float(np.dot(one, other) / np.linalg.norm(one) / np.linalg.norm(other))


def told(home: Path, recording: Path) -> np.ndarray:
    """The song that goes on from a file, by the command, which uploads it."""
    asked = ("--engine", "musicgen", "--model", "tiny", "--duration", "7", "--preset", "none", "--out", "of-file")
    source = ("--set", f"conditioning.continue_from={recording.name}")
    done = harmonia("compose", "slow sad piano", *asked, *source, home=home, cwd=recording.parent)
    assert done.code == 0, done.err
    samples: np.ndarray = soundfile.read(recording.with_name("of-file") / "master.flac", dtype="float32")[0]
    return samples


async def test_a_song_goes_on_from_one_of_the_arranger_and_from_a_recording(
    mesh: tuple[Mesh, Path], tiny: Ours, tmp_path: Path
) -> None:
    async with AsyncClient(home=mesh[1]) as client, asyncio.timeout(200):
        first = await client.compose("calm piano", duration_seconds=6.0, outputs={"formats": ["wav"]}, seed=4)
        await master(first, tmp_path / "first", "master.wav")
        parts = [soundfile.read(file)[0] for file in (tmp_path / "first" / "stems").glob("*.flac")]
        premaster, start_s = np.sum(parts, axis=0), 4.0  # stems sum to it
        recording = tmp_path / "sent.wav"
        soundfile.write(recording, premaster[: round(start_s * 48_000)], 48_000, subtype="FLOAT")
        wishes = {"engine": "musicgen", "model": "tiny", "seed": 3, "mastering": {"preset": "NONE"}}
        of_song = await client.compose(
            "slow sad piano", **wishes, duration_seconds=7.0,
            conditioning={"continue_from": first.name, "start_seconds": start_s},
        )  # fmt: skip
        heard = [await master(of_song, tmp_path / "of-song"), await asyncio.to_thread(told, mesh[1], recording)]
        shown = await client.get(of_song.name)

    begun = slice(round(0.5 * 48_000), round((start_s - 0.5) * 48_000))
    for sound, source in zip(heard, (premaster, premaster[: round(start_s * 48_000)]), strict=True):
        expected = reconstructed(tiny, source, 48_000)[begun]
        assert len(sound) == 7 * 48_000
        assert likeness(sound[begun, 0], expected) > 0.95
        assert likeness(sound[begun, 0], reconstructed(tiny, source[::-1], 48_000)[begun]) < 0.5
    assert shown.resolved.conditioning.continue_from == first.name
    passport = json.loads((tmp_path / "of-file" / "provenance.json").read_text())
    digest = hashlib.sha256(recording.read_bytes()).hexdigest()
    assert passport["predicate"]["materials"][1] == {"name": "continued_from", "digest": {"sha256": digest}}


async def test_what_cannot_be_gone_on_from_is_refused_by_the_fields_name(
    mesh: tuple[Mesh, Path], tmp_path: Path
) -> None:
    running, home = mesh
    words = tmp_path / "words.txt"
    words.write_text("no sound at all")
    info = running.info
    operator = Path(info.operator_token_file).read_text().strip()
    async with AsyncClient(home=home) as client, asyncio.timeout(200):
        first = await client.compose("slow sad piano", engine="musicgen", model="tiny", duration_seconds=30.0)

        async def gone_on(source: str, by: AsyncClient = client, **more: object) -> AsyncSong:
            wishes = {"engine": "musicgen", "model": "tiny", "conditioning": {"continue_from": source}} | more
            return await by.compose("slow sad piano", **wishes)

        with pytest.raises(FailedPrecondition, match="only a song that has succeeded can be gone on from") as refused:
            await gone_on(first.name)
        assert refused.value.field == "spec.conditioning.continue_from"
        await first.cancel()
        with pytest.raises(NotFound, match="there is no songs/0000") as missing:
            await gone_on(f"songs/{'0' * 32}")
        assert missing.value.field == "spec.conditioning.continue_from"
        with pytest.raises(NotFound, match="there is no artifacts/0000"):
            await gone_on(f"artifacts/{'0' * 64}")
        async with AsyncClient(info.grpc, token=operator, ca=Path(info.ca)) as stranger:
            with pytest.raises(NotFound, match=f"there is no {first.name}"):
                await gone_on(first.name, stranger)
        finished = await client.compose("calm piano", duration_seconds=6.0, outputs={"formats": ["wav"]})
        await finished.wait()
        with pytest.raises(InvalidInput, match=r"duration_seconds is 6, and the song begins with 6.0 s of .* 7.0"):
            await gone_on(finished.name, duration_seconds=6.0)
        unheard = await gone_on((await client.upload(words)).name)
        with pytest.raises(HarmoniaError, match=r"conditioning.continue_from is no recording that can be decoded"):
            await unheard.wait()
