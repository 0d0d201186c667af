"""Bytes through the store: whole, checked, and resumed where they broke."""

import hashlib
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from harmonia.type.v1 import type_pb2
from harmonia_chassis.errors import Internal, NotFound, Overloaded, Reason, Unavailable
from harmonia_chassis.node import Node
from harmonia_chassis.settings import ServiceSettings
from harmonia_chassis.store import StoreClient
from tests.integration.chassis.small_mesh import Mesh, Shelf, names_in

MIB = 1024 * 1024
MUSIC = hashlib.shake_256(b"noise").digest(3 * MIB + 17)
SHA256 = hashlib.sha256(MUSIC).hexdigest()
REF = type_pb2.ArtifactRef(sha256=SHA256, media_type="audio/flac", size_bytes=len(MUSIC))


async def start(mesh: Mesh) -> tuple[Shelf, StoreClient]:
    shelf = await mesh.start_shelf()
    composer: Node[ServiceSettings] = await mesh.client("composer")
    return shelf, composer.store


@pytest.mark.parametrize("size", [0, 1, 256 * 1024, 256 * 1024 + 1, len(MUSIC)])
async def test_what_is_put_comes_back(mesh: Mesh, size: int) -> None:
    _, store = await start(mesh)

    ref = await store.put(MUSIC[:size], "audio/flac", mesh.grant())

    assert (ref.sha256, ref.size_bytes) == (hashlib.sha256(MUSIC[:size]).hexdigest(), size)
    assert await store.get(ref, mesh.grant()) == MUSIC[:size]


async def test_files_go_and_come_as_files(mesh: Mesh, tmp_path: Path) -> None:
    _, store = await start(mesh)
    source, target = tmp_path / "take.flac", tmp_path / "fetched.flac"
    source.write_bytes(MUSIC)

    await store.fetch(await store.put(source, "audio/flac", mesh.grant()), mesh.grant(), target)

    assert target.read_bytes() == MUSIC
    assert names_in(tmp_path) == ["fetched.flac", "pki", "take.flac"]


async def test_a_get_that_breaks_goes_on_where_it_stopped(mesh: Mesh) -> None:
    shelf, store = await start(mesh)
    shelf.kept[SHA256] = MUSIC
    shelf.break_after = [MIB, MIB]

    assert await store.get(REF, mesh.grant()) == MUSIC
    assert shelf.offsets == [0, MIB, 2 * MIB]


async def test_a_put_goes_on_when_a_full_store_has_room_again(mesh: Mesh) -> None:
    shelf, store = await start(mesh)
    full = Overloaded("full", reason=Reason.STORE_FULL)

    async def behave(_context: object) -> None:
        if len(shelf.callers) < 4:
            raise full  # before the bytes are read, so that the client is still writing

    shelf.behave = behave
    await store.put(MUSIC, "audio/flac", mesh.grant())

    assert shelf.kept[SHA256] == MUSIC
    assert len(shelf.callers) == 4


async def test_bytes_that_are_not_what_their_name_says_leave_no_file(mesh: Mesh, tmp_path: Path) -> None:
    shelf, store = await start(mesh)
    shelf.kept[SHA256] = MUSIC[:-1] + b"!"

    with pytest.raises(Internal, match=SHA256) as raised:
        await store.get(REF, mesh.grant())
    assert raised.value.reason is Reason.DIGEST_MISMATCH
    with pytest.raises(Internal, match=SHA256):
        await store.fetch(REF, mesh.grant(), tmp_path / "never.flac")
    assert names_in(tmp_path) == ["pki"]


async def test_a_store_that_kept_something_else_is_found_out(mesh: Mesh) -> None:
    shelf, store = await start(mesh)

    async def lose_a_byte(_context: Any) -> None:
        shelf.spoil = True

    shelf.behave = lose_a_byte
    with pytest.raises(Internal, match="kept") as raised:
        await store.put(MUSIC, "audio/flac", mesh.grant())

    assert raised.value.reason is Reason.DIGEST_MISMATCH


async def test_a_put_is_tried_again_while_the_store_is_away_but_not_for_ever(mesh: Mesh) -> None:
    shelf = await mesh.start_shelf()
    composer = await mesh.client("composer")
    left = [2]

    async def away(_context: Any) -> None:
        if left[0] > 0:
            left[0] -= 1
            raise Unavailable("starting", reason=Reason.NOT_READY)

    shelf.behave = away
    ref = await composer.store.put(MUSIC, "audio/flac", mesh.grant())
    assert (ref.sha256, len(shelf.callers)) == (SHA256, 3)

    left[0] = 10**6
    impatient = StoreClient(composer.channel("artifacts"), retry_for=timedelta(seconds=0.5))
    with pytest.raises(Unavailable, match="starting"):
        await impatient.put(MUSIC, "audio/flac", mesh.grant())


async def test_an_error_that_time_does_not_heal_is_not_tried_again(mesh: Mesh) -> None:
    shelf, store = await start(mesh)

    async def gone(_context: Any) -> None:
        raise NotFound("no such artifact", reason=Reason.ARTIFACT_NOT_FOUND)

    shelf.behave = gone
    with pytest.raises(NotFound, match="no such artifact"):
        await store.get(REF, mesh.grant())

    assert len(shelf.callers) == 1
