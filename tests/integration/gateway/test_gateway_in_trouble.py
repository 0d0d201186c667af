"""The gateway when it is killed, asked too often, or short of space."""

import asyncio
import sys
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio

from harmonia.project.v1 import project_pb2, project_pb2_grpc
from harmonia.song.v1 import song_pb2 as pb
from harmonia.song.v1 import song_pb2_grpc, spec_pb2
from harmonia_chassis.errors import HarmoniaError, QuotaExceeded
from harmonia_chassis.status import from_rpc_error
from harmonia_local.mesh import Mesh, running_mesh

pytestmark = pytest.mark.asyncio(loop_scope="module")

HERE = Path(__file__).parent
FRAIL = HERE / "frail_gateway.py"
CREATES = 300


@pytest.fixture(scope="module")
def point(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds the name of the failpoint at which the gateway dies next."""
    return tmp_path_factory.mktemp("point") / "point"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mesh(tmp_path_factory: pytest.TempPathFactory, point: Path) -> AsyncIterator[Mesh]:
    workers = ("lyricist", "composer", "mastering")
    small = {name: (sys.executable, str(HERE / "small_service.py"), name) for name in workers}
    commands = {**small, "gateway": (sys.executable, str(FRAIL), str(point))}
    environment = {"HARMONIA_RATE_CREATES": str(CREATES)}
    home = tmp_path_factory.mktemp("home")
    async with running_mesh(home, commands=commands, environment=environment, lease_s=2, say=lambda _: None) as mesh:
        yield mesh


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def channel(mesh: Mesh) -> AsyncIterator[grpc.aio.Channel]:
    tls = grpc.ssl_channel_credentials(Path(mesh.info.ca).read_bytes())
    token = Path(mesh.info.token_file).read_text().strip()
    credentials = grpc.composite_channel_credentials(tls, grpc.access_token_call_credentials(token))
    options = [("grpc.max_reconnect_backoff_ms", 200), ("grpc.enable_retries", 0)]
    async with grpc.aio.secure_channel(mesh.info.grpc, credentials, options) as channel:
        yield channel


@pytest.fixture(scope="module")
def songs(channel: grpc.aio.Channel) -> Any:
    return song_pb2_grpc.SongServiceStub(channel)


@pytest.fixture(scope="module")
def projects(channel: grpc.aio.Channel) -> Any:
    return project_pb2_grpc.ProjectServiceStub(channel)


def request(prompt: str = "rain") -> pb.CreateSongRequest:
    made = pb.CreateSongRequest(spec=spec_pb2.SongSpec(prompt=prompt), request_id=uuid.uuid4().hex)
    made.wait.FromSeconds(20)
    return made


def largest() -> pb.CreateSongRequest:
    made = request("\N{CAT FACE}" * 2000)
    made.spec.negative_prompt = made.spec.prompt
    made.spec.labels.update({f"{n:02}": "\N{CAT FACE}" * 64 for n in range(20)})
    return made


async def until_answered(songs: Any, made: pb.CreateSongRequest) -> pb.Song:
    """As an SDK does: the same request until the gateway is back."""
    song: pb.Song | None = None
    async with asyncio.timeout(60):
        while song is None:
            try:
                song = await songs.CreateSong(made)
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.UNAVAILABLE:
                    raise
                await asyncio.sleep(0.05)
    return song


async def until_refused(songs: Any, make: Callable[[], pb.CreateSongRequest]) -> tuple[list[pb.Song], HarmoniaError]:
    made: list[pb.Song] = []
    while len(made) < 2 * CREATES:
        try:
            made.append(await songs.CreateSong(make()))
        except grpc.aio.AioRpcError as error:
            return made, from_rpc_error(error)
    raise AssertionError(f"{len(made)} songs and no refusal")


@pytest.mark.parametrize("where", ["before_create", "after_create"])
async def test_a_gateway_killed_in_create_makes_the_song_once(where: str, songs: Any, mesh: Mesh, point: Path) -> None:
    pid = mesh.pid("gateway")
    point.write_text(where)
    made = request()

    song = await until_answered(songs, made)

    assert mesh.pid("gateway") != pid
    assert song.state == pb.Song.SUCCEEDED
    listed = await songs.ListSongs(pb.ListSongsRequest(min_etag=song.etag))
    assert [s.name for s in listed.songs if s.request_id == made.request_id] == [song.name]


async def named_in(projects: Any, title: str) -> int:
    """How many names the project keeps, those of nothing too."""
    listed = await projects.ListProjects(project_pb2.ListProjectsRequest())
    return next(int(project.song_count) for project in listed.projects if project.title == title)


async def test_a_song_that_is_refused_leaves_no_name_in_its_project(projects: Any, songs: Any, point: Path) -> None:
    project = await projects.CreateProject(project_pb2.CreateProjectRequest(title="Refused"))
    made = request()
    made.spec.project = project.name
    point.write_text("full")
    with pytest.raises(grpc.aio.AioRpcError, match="the job store is full"):
        await songs.CreateSong(made)
    left = await named_in(projects, "Refused")
    song = await songs.CreateSong(made)

    assert left == 0
    inside = await projects.GetProject(project_pb2.GetProjectRequest(name=project.name))
    assert [entry.song for entry in inside.songs] == [song.name]


async def test_a_name_whose_song_never_came_is_taken_out_and_that_of_one_that_came_stays(
    projects: Any, songs: Any, mesh: Mesh, point: Path
) -> None:
    project = await projects.CreateProject(project_pb2.CreateProjectRequest(title="Killed"))
    made = request()
    made.spec.project = project.name
    song = await songs.CreateSong(made)
    pid = mesh.pid("gateway")
    point.write_text("before_create")
    made.request_id = uuid.uuid4().hex
    with pytest.raises(grpc.aio.AioRpcError):
        await songs.CreateSong(made)
    async with asyncio.timeout(30):
        while mesh.pid("gateway") == pid:
            await asyncio.sleep(0.05)
        await mesh.ready("gateway")
        while await named_in(projects, "Killed") > 1:
            await asyncio.sleep(0.1)

    inside = await projects.GetProject(project_pb2.GetProjectRequest(name=project.name))
    assert [entry.song for entry in inside.songs] == [song.name]


async def test_a_store_that_is_nearly_full_keeps_what_it_has_and_takes_no_more(songs: Any) -> None:
    made, error = await until_refused(songs, largest)

    assert error.reason == "STORE_FULL"
    assert error.retry_after is not None
    assert len(made) > 30
    assert {song.state for song in made} == {pb.Song.SUCCEEDED}


async def test_more_songs_in_a_minute_than_the_tenant_may_are_refused(songs: Any) -> None:
    checked = pb.CreateSongRequest(spec=spec_pb2.SongSpec(prompt="rain"), validate_only=True)

    _, error = await until_refused(songs, lambda: checked)

    assert isinstance(error, QuotaExceeded)
    assert error.reason == "RATE_LIMITED"
    assert error.retry_after is not None
    assert error.retry_after.total_seconds() <= 60 / CREATES
