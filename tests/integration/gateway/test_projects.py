"""Projects at the public door: edits that survive kills, strangers who learn nothing, zip files that are proven."""

import asyncio
import hashlib
import signal
import zipfile
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio

from harmonia.project.v1 import project_pb2 as pb
from harmonia.project.v1 import project_pb2_grpc as rpc
from harmonia.song.v1 import song_pb2, spec_pb2
from harmonia_chassis.errors import Conflict, FailedPrecondition, HarmoniaError, InvalidInput, NotFound
from harmonia_chassis.status import from_rpc_error
from harmonia_gateway.projects import MOST_SONGS
from harmonia_local.mesh import Mesh
from harmonia_sdk.client import AsyncClient, Client
from harmonia_sdk.projects import AsyncProjects

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(150)]

NOBODYS = "songs/" + "0" * 32


def client_of(mesh: Mesh, token_file: str) -> AsyncClient:
    return AsyncClient(mesh.info.grpc, token=Path(token_file).read_text().strip(), ca=Path(mesh.info.ca))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(mesh: Mesh) -> AsyncIterator[AsyncClient]:
    async with client_of(mesh, mesh.info.token_file) as client:
        yield client


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def theirs(mesh: Mesh) -> AsyncIterator[AsyncProjects]:
    """Of the local operator, who is somebody else."""
    async with client_of(mesh, mesh.info.operator_token_file) as client:
        yield client.projects


async def made(client: AsyncClient, title: str, project: str = "") -> song_pb2.Song:
    song = await client.compose("techno", title=title, project=project)
    await song.wait()
    return song.message


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def three(client: AsyncClient) -> list[str]:
    return [(await made(client, title)).name for title in ("Rain & Tea", "../../etc/passwd", "雨")]


def names(project: pb.Project) -> list[str]:
    return [entry.song for entry in project.songs]


async def test_songs_are_added_moved_ordered_and_taken_out(client: AsyncClient, three: list[str]) -> None:
    one, two, third = three
    projects = client.projects
    name = (await projects.create("Album", songs=[one])).name
    added = await projects.add(name, [two, third])
    moved = await projects.add(name, [third], position=0)
    ordered = await projects.order(name, [two, one])
    without = await projects.remove(name, [one, third])
    renamed = await projects.update(name, title="Record")
    listed = await projects.list()

    assert names(added) == [one, two, third]
    assert names(moved) == [third, one, two]
    assert names(ordered) == [two, one, third]
    assert names(without) == [two]
    assert (renamed.title, names(renamed)) == ("Record", [two])
    assert renamed.songs[0].state == song_pb2.Song.SUCCEEDED
    assert name in [project.name for project in listed.projects]


async def test_a_song_is_made_into_a_project_and_a_gone_one_refuses_it(client: AsyncClient) -> None:
    project = await client.projects.create("Into")
    song = await made(client, "Inside", project.name)
    revised = await client.revise(song.name, seed=5)
    inside = await client.projects.get(project.name)
    await client.projects.delete(project.name)
    left = await client.revise(song.name, seed=6)
    with pytest.raises(NotFound, match="ListProjects") as refused:
        await client.compose("techno", project=project.name)

    assert names(inside) == [song.name, revised.name]
    assert refused.value.field == "spec.project"
    assert left.message.spec.project == ""
    assert any("in no project" in warning for warning in left.message.warnings)


async def test_a_song_that_was_taken_out_is_not_put_back_when_its_request_comes_again(client: AsyncClient) -> None:
    project = await client.projects.create("Once in")
    spec = spec_pb2.SongSpec(prompt="techno", project=project.name)
    song = await client.create(spec, request_id="once-in")
    await client.projects.remove(project.name, [song.name])
    again = await client.create(spec, request_id="once-in")

    assert again.name == song.name
    assert names(await client.projects.get(project.name)) == []


async def test_an_edit_over_an_old_etag_is_refused(client: AsyncClient, three: list[str]) -> None:
    old = await client.projects.create("Contested")
    await client.projects.add(old.name, three)
    for edit in (
        client.projects.update(old.name, title="x", etag=old.etag),
        client.projects.remove(old.name, three[:1], etag=old.etag),
        client.projects.delete(old.name, etag=old.etag),
    ):
        with pytest.raises(Conflict, match="etag"):
            await edit


async def test_the_same_request_makes_one_project(client: AsyncClient) -> None:
    one = await client.projects.create("Once", request_id="once")
    again = await client.projects.create("Once", request_id="once")
    with pytest.raises(Conflict, match="request_id"):
        await client.projects.create("Twice", request_id="once")

    assert again.name == one.name


async def test_concurrent_edits_lose_nothing(client: AsyncClient, three: list[str]) -> None:
    name = (await client.projects.create("Crowded")).name
    await asyncio.gather(*(client.projects.add(name, [song]) for song in three))

    assert sorted(names(await client.projects.get(name))) == sorted(three)


async def test_what_cannot_be_is_refused_by_field(client: AsyncClient, three: list[str]) -> None:
    projects = client.projects
    name = (await projects.create("Strict", songs=three[:1])).name
    for call, kind, field in (
        (projects.create(" "), InvalidInput, "title"),
        (projects.create("x" * 121), InvalidInput, "title"),
        (projects.create("x", description="y" * 2001), InvalidInput, "description"),
        (projects.create("x", songs=[NOBODYS]), NotFound, "songs[0]"),
        (projects.add(name, []), InvalidInput, "songs"),
        (projects.add(name, [three[0], three[0]]), InvalidInput, "songs"),
        (projects.add(name, [three[1], NOBODYS]), NotFound, "songs[1]"),
        (projects.add(name, [f"songs/{n:032x}" for n in range(MOST_SONGS + 1)]), InvalidInput, "songs"),
        (projects.add(name, three, position=-1), InvalidInput, "position"),
        (projects.remove(name, [three[1]]), NotFound, "songs[0]"),
        (projects.order(name, [three[1]]), NotFound, "songs[0]"),
        (projects.list(limit=-1), InvalidInput, "page_size"),
    ):
        with pytest.raises(kind) as refused:
            await call
        assert refused.value.field == field


async def test_others_learn_nothing_of_a_project_or_its_songs(
    client: AsyncClient, theirs: AsyncProjects, three: list[str], tmp_path: Path
) -> None:
    name = (await client.projects.create("Private", songs=three)).name
    own = (await theirs.create("Theirs")).name
    for call in (
        theirs.get(name),
        theirs.update(name, title="x"),
        theirs.delete(name),
        theirs.add(name, three),
        theirs.remove(name, three),
        theirs.order(name, three),
        theirs.export(name, tmp_path / "x.zip"),
        theirs.add(own, three[:1]),
        theirs.create("x", songs=three[:1]),
    ):
        with pytest.raises(NotFound):
            await call

    assert names(await theirs.get(own)) == []
    assert list(tmp_path.iterdir()) == []


def unpacked(file: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(file) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


async def test_an_export_holds_what_compose_saves_and_its_sums(
    client: AsyncClient, three: list[str], tmp_path: Path
) -> None:
    project = await client.projects.create("Rain: Songs", songs=three)
    gone = await made(client, "Gone")
    await client.projects.add(project.name, [gone.name])
    await client.delete(gone.name)
    told = await client.projects.export(project.name, tmp_path / "rain.zip")
    files = unpacked(tmp_path / "rain.zip")
    song = await client.song(three[0])
    await song.save(tmp_path / "saved")
    sums = files.pop("rain-songs/SHA256SUMS").decode()
    entries = (await client.projects.get(project.name)).songs

    assert list(told.left_out) == [gone.name]
    assert [entry.deleted for entry in entries] == [False, False, False, True]
    folders = sorted({name.split("/")[1] for name in files} - {"project.json"})
    assert folders == ["1-rain-tea", "2-etc-passwd", "3-雨"]
    saved = {f"rain-songs/1-rain-tea/{path.name}": path.read_bytes() for path in (tmp_path / "saved").iterdir()}
    assert {name: body for name, body in files.items() if "/1-rain-tea/" in name} == saved
    expected = {
        f"{hashlib.sha256(body).hexdigest()}  {name.removeprefix('rain-songs/')}" for name, body in files.items()
    }
    assert set(sums.splitlines()) == expected
    assert (tmp_path / "rain.zip").stat().st_size == told.size_bytes


async def test_an_export_goes_on_at_every_byte_and_not_over_a_change(
    client: AsyncClient, door: Any, three: list[str]
) -> None:
    calls = door.stub(rpc.ProjectServiceStub)
    name = (await client.projects.create("Broken off", songs=three)).name

    async def read(**how: Any) -> tuple[pb.Export, bytes]:
        parts = [part async for part in calls.ExportProject(pb.ExportProjectRequest(name=name, **how))]
        return parts[0].export, b"".join(part.chunk for part in parts[1:])

    told, whole = await read()
    for offset in (1, 29, 100, len(whole) // 2, len(whole) - 1, len(whole)):
        assert (await read(offset=offset, export=told.export))[1] == whole[offset:]
    await client.projects.order(name, [three[2]])
    refused = []
    for how in ({"offset": 10, "export": told.export}, {"offset": 10}, {"offset": len(whole) + 1}):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await read(**how)
        refused.append(from_rpc_error(caught.value))

    assert [(type(error), error.field) for error in refused] == [
        (FailedPrecondition, "export"),
        (InvalidInput, "export"),
        (InvalidInput, "export"),
    ]


async def test_nothing_accepted_is_lost_and_an_export_ends_whole_though_the_gateway_is_killed(
    mesh: Mesh, client: AsyncClient, three: list[str], tmp_path: Path
) -> None:
    name = (await client.projects.create("Killed", songs=three)).name
    accepted: list[str] = []
    stop = asyncio.Event()

    async def edit() -> None:
        while not stop.is_set():
            try:
                made = await client.projects.create(f"n{len(accepted)}", songs=three[:2])
                await client.projects.order(made.name, [three[1]])
            except HarmoniaError:
                continue
            accepted.append(made.name)

    async def export() -> pb.Export:
        while not stop.is_set():
            told = await client.projects.export(name, tmp_path / "killed.zip")
        return told

    editing, exporting = asyncio.create_task(edit()), asyncio.create_task(export())
    for _ in range(3):
        before = len(accepted)
        async with asyncio.timeout(60):
            while len(accepted) < before + 3:
                await asyncio.sleep(0.01)
        await mesh.kill("gateway", signal.SIGKILL)
    async with asyncio.timeout(60):
        before = len(accepted)
        while len(accepted) < before + 3:
            await asyncio.sleep(0.01)
    stop.set()
    await editing
    told = await exporting
    kept = [await client.projects.get(one) for one in accepted]

    assert [names(project) for project in kept] == [[three[1], three[0]]] * len(accepted)
    assert (tmp_path / "killed.zip").stat().st_size == told.size_bytes
    assert unpacked(tmp_path / "killed.zip")
    assert [path.name for path in tmp_path.iterdir()] == ["killed.zip"]


async def test_programs_without_an_event_loop_have_projects_and_links_too(
    mesh: Mesh, three: list[str], tmp_path: Path
) -> None:
    def program() -> list[str]:
        token, ca = Path(mesh.info.token_file).read_text().strip(), Path(mesh.info.ca)
        with Client(mesh.info.grpc, token=token, ca=ca) as client:
            project = client.projects.create("Plain", songs=three)
            client.projects.export(project.name, tmp_path / "plain.zip")
            client.shares.revoke(client.shares.create(three[0], valid_for=timedelta(hours=1)).share.name)
            assert not client.shares.list(song=three[0])
            return names(client.projects.get(project.name))

    assert await asyncio.to_thread(program) == three
    assert unpacked(tmp_path / "plain.zip")


async def test_a_song_that_was_refused_leaves_no_trace_in_its_project(client: AsyncClient) -> None:
    project = await client.projects.create("Clean")
    with pytest.raises(InvalidInput):
        await client.create(spec_pb2.SongSpec(prompt="techno", project=project.name, bpm=9))

    assert names(await client.projects.get(project.name)) == []
