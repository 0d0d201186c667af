"""ListenSong and ReviseSong on a real mesh: heard while it is made, made again in part."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio
import soundfile
from numpy.typing import NDArray

from harmonia.song.v1 import song_pb2 as pb
from harmonia_gateway import level
from harmonia_local.mesh import Mesh, running_mesh
from harmonia_sdk.client import AsyncClient
from harmonia_sdk.errors import Conflict, FailedPrecondition, InvalidInput, NotFound, Reason
from harmonia_sdk.song import AsyncSong
from harmonia_sdk.spec import song_spec

pytestmark = pytest.mark.asyncio(loop_scope="module")

PACED = Path(__file__).with_name("paced_composer.py")
SECONDS = 20.0
WISHES = {"genre": "folk", "bpm": 100.0, "key": "A minor", "duration_seconds": SECONDS, "seed": 5}
RATE = 48_000
PREVIEW, MASTER = pb.AudioChunk.PREVIEW, pb.AudioChunk.MASTER


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("gate") / "previews"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mesh(tmp_path_factory: pytest.TempPathFactory, gate: Path) -> AsyncIterator[Mesh]:
    home, commands = tmp_path_factory.mktemp("home"), {"composer": (sys.executable, str(PACED), str(gate))}
    async with running_mesh(home, commands=commands, lease_s=2, say=lambda _: None) as mesh:
        yield mesh


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(mesh: Mesh) -> AsyncIterator[AsyncClient]:
    token = Path(mesh.info.token_file).read_text().strip()
    async with AsyncClient(mesh.info.grpc, token=token, ca=Path(mesh.info.ca)) as client:
        yield client


class Ear:
    """Listens to a song, and refuses a gap, an overlap and an empty word."""

    def __init__(self, client: AsyncClient, name: str, **how: float) -> None:
        self.sources: list[int] = []
        self.length = 0
        self._begun = round(how.get("from_seconds", 0.0) * RATE)
        self._pcm = bytearray()
        self._switched: dict[int, int] = {}
        self._changed = asyncio.Event()
        self._chunks = client.listen(name, from_seconds=how.get("from_seconds", 0.0))
        self.task = asyncio.ensure_future(self._listen())

    async def _listen(self) -> None:
        async for chunk in self._chunks:
            assert chunk.position == self._begun + len(self._pcm) // 4
            assert 0 < len(chunk.pcm) <= 4 * level.RATE // 4
            self._switched.setdefault(chunk.source, chunk.position)
            self._pcm += chunk.pcm
            self.length = chunk.length
            self._changed.set()

    async def until(self, seconds: float) -> None:
        async with asyncio.timeout(30):
            while len(self._pcm) < seconds * RATE * 4:
                await self._changed.wait()
                self._changed.clear()

    async def heard(self) -> NDArray[np.int16]:
        """All of it: int16 [frames, 2]."""
        async with asyncio.timeout(60):
            await self.task
        return np.frombuffer(bytes(self._pcm), "<i2").reshape(-1, 2)

    def began(self, source: int) -> int:
        return self._switched[source]


async def master_of(client: AsyncClient, song: pb.Song, folder: Path) -> NDArray[np.int16]:
    output = next(one for one in song.outputs if one.file == "master.wav")
    await client.download(output.artifact, folder / "master.wav")
    samples, _ = soundfile.read(folder / "master.wav", dtype="float32")
    return np.frombuffer(level.pcm(samples), "<i2").reshape(-1, 2)


async def mix_of(client: AsyncClient, song: pb.Song, folder: Path) -> NDArray[np.float64]:
    """The sum of the stems, which is what is mastered."""
    mix = np.zeros((round(SECONDS * RATE), 2))
    for output in (one for one in song.outputs if one.role == "stem"):
        await client.download(output.artifact, folder / Path(output.file).name)
        mix += soundfile.read(folder / Path(output.file).name, dtype="float64")[0]
    return mix


async def created(client: AsyncClient, **wishes: object) -> AsyncSong:
    return AsyncSong(client, await client.create(song_spec("slow rain", {**WISHES, **wishes})))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def song(client: AsyncClient) -> pb.Song:
    """One that has succeeded."""
    async with asyncio.timeout(60):
        return (await (await created(client)).wait()).message


async def test_a_killed_composer_and_the_change_to_the_master_are_not_heard(
    client: AsyncClient, mesh: Mesh, gate: Path, tmp_path: Path
) -> None:
    gate.write_text("1")
    making = await created(client)
    ear = Ear(client, making.name)
    await ear.until(2.0)
    assert (await client.get(making.name)).state == pb.Song.RUNNING
    await mesh.kill("composer")
    gate.unlink()
    heard = await ear.heard()
    song = (await making.wait()).message
    master, mix = await master_of(client, song, tmp_path), await mix_of(client, song, tmp_path)
    switched = ear.began(MASTER)
    lifted = level.lifted(mix[:switched].astype(np.float32), level.preview_gain_db(song.resolved.mastering))
    lifted = np.frombuffer(level.pcm(lifted), "<i2").reshape(-1, 2)
    after = switched + round(level.RAMP_S * RATE)

    assert song.stages[1].attempt > 1
    assert ear.began(PREVIEW) == 0 < 2 * RATE <= switched < after < len(heard)
    assert len(heard) == len(master) == ear.length == SECONDS * RATE
    assert np.abs(heard[:switched].astype(int) - lifted).max() <= 1
    assert (heard[after:] == master[after:]).all()


async def test_the_level_does_not_step_where_the_master_begins(client: AsyncClient, gate: Path) -> None:
    """The loudness of the quarter second before and the one after differ as the music does, not by more."""
    gate.write_text("1")
    making = await created(client, seed=6)
    ear = Ear(client, making.name)
    await ear.until(1.0)
    gate.unlink()
    heard = (await ear.heard()).astype(float)
    alone = await Ear(client, making.name).heard()
    steps = [np.diff(loudness_around(ear.began(MASTER), one)) for one in (heard, alone.astype(float))]

    assert steps[0] == pytest.approx(steps[1], abs=1.5)


def loudness_around(frame: int, sound: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of the quarter second before and of the one after, in dB."""
    window = RATE // 4
    halves = sound[frame - window : frame + window].reshape(2, -1)
    return np.asarray(10 * np.log10(np.mean(np.square(halves), axis=1)))


async def test_a_finished_song_is_the_master_for_everybody_from_wherever_they_begin(
    client: AsyncClient, song: pb.Song, tmp_path: Path
) -> None:
    master = await master_of(client, song, tmp_path)
    ears = [Ear(client, song.name), Ear(client, song.name), Ear(client, song.name, from_seconds=SECONDS - 1.7)]
    whole, again, end = [await ear.heard() for ear in ears]

    assert (whole == master).all()
    assert (again == master).all()
    assert (end == master[-len(end) :]).all()
    assert len(end) == pytest.approx(1.7 * RATE, abs=1)
    assert len(await Ear(client, song.name, from_seconds=SECONDS).heard()) == 0


@pytest.mark.parametrize(
    ("from_seconds", "take", "field"),
    [
        (SECONDS + 0.1, 1, "from_seconds"),
        (-1.0, 1, "from_seconds"),
        (float("nan"), 1, "from_seconds"),
        (0.0, 2, "take"),
    ],
)
async def test_a_place_that_the_song_does_not_have_is_refused_by_field(
    from_seconds: float, take: int, field: str, client: AsyncClient, song: pb.Song
) -> None:
    with pytest.raises(InvalidInput) as refusal:
        await anext(client.listen(song.name, from_seconds=from_seconds, take=take))

    assert (refusal.value.field, refusal.value.reason) == (field, Reason.OUT_OF_RANGE)


async def test_a_song_that_is_cancelled_ends_its_listeners_with_the_reason(client: AsyncClient, gate: Path) -> None:
    gate.write_text("1")
    making = await created(client, seed=7)
    ear = Ear(client, making.name)
    await ear.until(1.0)
    await making.cancel()

    with pytest.raises(FailedPrecondition, match="CANCELLED at compose"):
        await ear.heard()
    gate.unlink()
    with pytest.raises(FailedPrecondition, match="CANCELLED at compose"):
        await anext(client.listen(making.name))


async def test_a_song_of_nobody_is_not_found(client: AsyncClient) -> None:
    with pytest.raises(NotFound):
        await anext(client.listen("songs/" + "0" * 32))
    with pytest.raises(NotFound):
        await client.revise("songs/" + "0" * 32, bpm=90)


def stems(song: pb.Song) -> dict[str, str]:
    return {one.file: one.sha256 for one in song.outputs if one.role == "stem"}


async def test_remastering_does_not_compose_again(client: AsyncClient, song: pb.Song) -> None:
    revised = (await (await client.revise(song.name, mastering={"preset": "PODCAST"})).wait()).message

    assert revised.revised_from == song.name
    assert [stage.attempt for stage in revised.stages] == [0, 0, 1]
    assert stems(revised) == stems(song)
    assert revised.analysis.loudness.integrated_lufs == pytest.approx(-16, abs=0.1)


async def test_another_key_leaves_the_stems_that_know_no_key(client: AsyncClient, song: pb.Song) -> None:
    revised = (await (await client.revise(song.name, key="D minor")).wait()).message
    same = {file for file, sha256 in stems(revised).items() if stems(song).get(file) == sha256}

    assert [stage.attempt for stage in revised.stages] == [0, 1, 1]
    assert revised.resolved.key == "D minor"
    assert "stems/drums.flac" in same
    assert "stems/bass.flac" not in same


async def test_the_same_request_gives_the_same_revision_and_another_under_its_id_is_refused(
    client: AsyncClient, song: pb.Song
) -> None:
    louder, softer = (
        song_spec("", {"mastering": {"preset": "LOUD"}}),
        song_spec("", {"mastering": {"preset": "PODCAST"}}),
    )
    first, second = [await client.revise_spec(song.name, louder, request_id="louder") for _ in range(2)]

    assert first.name == second.name != song.name
    with pytest.raises(Conflict):
        await client.revise_spec(song.name, softer, request_id="louder")
    with pytest.raises(FailedPrecondition, match="wait until it has ended"):
        await client.revise_spec(first.name, softer)
    await AsyncSong(client, first).wait()


async def test_a_revision_outlives_the_song_it_was_made_of(client: AsyncClient, song: pb.Song) -> None:
    revised = (await (await client.revise(song.name, title="Tea")).wait()).message
    await client.delete(song.name)
    again = (await (await client.revise(revised.name, mastering={"preset": "LOUD"})).wait()).message

    assert again.resolved.title == "Tea"
    assert stems(again) == stems(revised)
    with pytest.raises(FailedPrecondition, match="undelete"):
        await client.revise(song.name, bpm=90)
    with pytest.raises(FailedPrecondition, match="DELETED"):
        await anext(client.listen(song.name))
