"""Uploads that go on: after a broken connection, a kill -9 of artifacts, a lost answer; and when they are over."""

import asyncio
import hashlib
import os
import signal
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio

from harmonia.store.v1 import store_pb2 as pb
from harmonia_artifacts.uploads import MOST, PIECE_BYTES, Uploads
from harmonia_chassis.errors import FailedPrecondition, InvalidInput, NotFound, QuotaExceeded, Reason, Unavailable
from harmonia_chassis.status import rpc_errors
from tests.integration.artifacts.store_mesh import StoreMesh, store_mesh, until
from tests.integration.artifacts.stores import Bench

loop = pytest.mark.asyncio(loop_scope="module")
CHUNK_BYTES = 1 << 20


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mesh(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[StoreMesh]:
    async with store_mesh(tmp_path_factory.mktemp("uploads") / "home") as mesh:
        await mesh.start_artifacts()
        await mesh.store(retry_for_s=30).put(b"found", "text/plain", mesh.grant())
        yield mesh


def song(size_bytes: int) -> bytes:
    return b"fLaC" + hashlib.shake_128(os.urandom(16)).digest(size_bytes - 4)


def digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


async def begin(mesh: StoreMesh, body: bytes, **changed: Any) -> pb.Upload:
    asked: dict[str, Any] = {"media_type": "audio/flac", "size_bytes": len(body), "sha256": digest(body)} | changed
    with rpc_errors():
        return await mesh.gateway_stub.BeginUpload(
            pb.BeginUploadRequest(**asked), metadata=mesh.metadata(), wait_for_ready=True
        )


async def stat(mesh: StoreMesh, upload: pb.Upload, owner: str = "ann") -> pb.Upload:
    with rpc_errors():
        return await mesh.gateway_stub.StatUpload(
            pb.StatUploadRequest(id=upload.id), metadata=mesh.metadata(owner=owner), wait_for_ready=True
        )


def writing(mesh: StoreMesh) -> Any:
    return mesh.gateway_stub.WriteUpload(metadata=mesh.metadata(), wait_for_ready=True)


async def send(call: Any, upload: pb.Upload, offset: int, body: bytes) -> None:
    await call.write(pb.WriteUploadRequest(header=pb.WriteUploadRequest.Header(id=upload.id, offset=offset)))
    for at in range(0, len(body), CHUNK_BYTES):
        await call.write(pb.WriteUploadRequest(chunk=body[at : at + CHUNK_BYTES]))


async def write(mesh: StoreMesh, upload: pb.Upload, offset: int, body: bytes) -> pb.Upload:
    call = writing(mesh)
    with rpc_errors():
        await send(call, upload, offset, body)
        await call.done_writing()
        return await call  # type: ignore[no-any-return]


@loop
async def test_an_upload_in_two_goes_is_one_object(mesh: StoreMesh) -> None:
    body = song(10_000_000)
    upload = await begin(mesh, body)

    half = await write(mesh, upload, 0, body[:6_000_001])
    whole = await write(mesh, upload, half.received_bytes, body[half.received_bytes :])

    assert half.received_bytes == 6_000_001
    assert (whole.ref.sha256, whole.ref.media_type, whole.received_bytes) == (digest(body), "audio/flac", 10_000_000)
    assert await mesh.store().get(whole.ref, mesh.grant()) == body
    assert (await stat(mesh, upload)).ref == whole.ref  # where the answer was lost
    left = [path.name for path in (mesh.objects / ".uploads" / mesh.tenant / upload.id).iterdir()]
    assert left == ["done"]


async def gone_on(mesh: StoreMesh, upload: pb.Upload, body: bytes, pieces: Path) -> pb.Upload:
    """Where it went on. What a broken call had sent may still arrive, and then the offset is refused: asked again."""
    while True:
        broken = await stat(mesh, upload)
        call, piece = writing(mesh), pieces / f"{broken.received_bytes:012d}"
        with suppress(asyncio.InvalidStateError, grpc.aio.AioRpcError):
            await send(call, upload, broken.received_bytes, body[broken.received_bytes :])
        await until(partial(_either, call, piece))
        if not call.done():
            return broken


def _either(call: Any, piece: Path) -> bool:
    """Whole: what the broken call had sent may come to lie there too, and ends earlier."""
    return call.done() or (piece.exists() and piece.stat().st_size >= PIECE_BYTES)


@loop
async def test_an_upload_goes_on_after_its_connection_broke_and_artifacts_was_killed(mesh: StoreMesh) -> None:
    body = song(11_000_000)
    upload = await begin(mesh, body)
    call = writing(mesh)
    await send(call, upload, 0, body[:6_000_000])
    pieces = mesh.objects / ".uploads" / mesh.tenant / upload.id
    await until((pieces / f"{0:012d}").exists)
    call.cancel()
    broken = await gone_on(mesh, upload, body[:10_500_000], pieces)
    await mesh.stop_artifacts(signal.SIGKILL)
    await mesh.start_artifacts()
    killed = await stat(mesh, upload)
    whole = await write(mesh, upload, killed.received_bytes, body[killed.received_bytes :])

    assert PIECE_BYTES <= broken.received_bytes <= 6_000_000
    assert 2 * PIECE_BYTES <= killed.received_bytes <= 10_500_000
    assert await mesh.store().get(whole.ref, mesh.grant()) == body


@loop
async def test_bytes_that_are_not_the_announced_ones_are_refused_and_forgotten(mesh: StoreMesh) -> None:
    body = song(5_000_000)
    upload = await begin(mesh, body, sha256=digest(b"another"))

    with pytest.raises(InvalidInput, match="begin the upload anew") as caught:
        await write(mesh, upload, 0, body)

    assert (caught.value.reason, caught.value.field) == (Reason.DIGEST_MISMATCH, "sha256")
    with pytest.raises(NotFound, match="no upload"):
        await stat(mesh, upload)


@loop
@pytest.mark.parametrize("offset", [0, 999_999, 1_000_001, -1])
async def test_another_offset_is_refused_with_the_one_to_go_on_from(mesh: StoreMesh, offset: int) -> None:
    body = song(5_000_000)
    upload = await begin(mesh, body)
    await write(mesh, upload, 0, body[:1_000_000])

    with pytest.raises(FailedPrecondition, match="1000000 bytes are here: go on from there") as caught:
        await write(mesh, upload, offset, b"")

    assert caught.value.metadata["received_bytes"] == "1000000"


@loop
async def test_an_upload_of_another_owner_does_not_exist(mesh: StoreMesh) -> None:
    upload = await begin(mesh, song(5_000_000))

    with pytest.raises(NotFound, match="no upload"):
        await stat(mesh, upload, owner="bob")


@loop
@pytest.mark.parametrize(
    ("changed", "field"),
    [({"size_bytes": 0}, "size_bytes"), ({"size_bytes": (200 << 20) + 1}, "size_bytes"), ({"sha256": "x"}, "sha256")],
)
async def test_an_upload_that_cannot_be_is_refused_at_once(
    mesh: StoreMesh, changed: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        await begin(mesh, b"abc", **changed)

    assert caught.value.field == field


@loop
async def test_a_file_that_is_not_audio_is_refused_with_the_last_byte(mesh: StoreMesh) -> None:
    body = b"\x7fELF" + bytes(100)
    upload = await begin(mesh, body)

    with pytest.raises(InvalidInput, match="neither audio"):
        await write(mesh, upload, 0, body)


def test_pieces_that_follow_each_other_count_and_others_do_not(bench: Bench) -> None:
    uploads = Uploads(bench.store, now=bench.clock)
    upload = uploads.begin("acme", owner="ann", media_type="", size_bytes=30, sha256="")
    uploads.write(upload, 0, b"a" * 10)
    uploads.write(upload, 20, b"c" * 10)
    assert uploads.find("acme", "ann", upload.id).received_bytes == 10

    uploads.write(upload, 10, b"b" * 10)
    found = uploads.find("acme", "ann", upload.id)
    with bench.store.spool() as spool:
        uploads.gathered(found, spool)
        assert spool.sha256 == digest(b"a" * 10 + b"b" * 10 + b"c" * 10)

    assert found == replace(upload, received_bytes=30)


def test_an_upload_into_which_a_broken_call_wrote_a_shorter_piece_is_not_taken_for_whole(bench: Bench) -> None:
    uploads = Uploads(bench.store, now=bench.clock)
    upload = uploads.begin("acme", owner="ann", media_type="audio/flac", size_bytes=8, sha256="")
    for offset, piece in ((0, b"0123"), (4, b"45"), (6, b"67"), (4, b"4")):
        uploads.write(upload, offset, piece)

    with bench.store.spool() as spool, pytest.raises(Unavailable, match="5 bytes are here"):
        uploads.gathered(upload, spool)
    uploads.write(upload, 5, b"567")
    with bench.store.spool() as spool:
        uploads.gathered(upload, spool)
        assert spool.start(8) == b"01234567"


def test_an_upload_is_over_after_a_day_and_swept_after_two(bench: Bench) -> None:
    uploads = Uploads(bench.store, now=bench.clock)
    upload = uploads.begin("acme", owner="ann", media_type="", size_bytes=10, sha256="")
    uploads.write(upload, 0, b"abc")

    bench.clock.forward(timedelta(hours=25))
    with pytest.raises(NotFound):
        uploads.find("acme", "ann", upload.id)
    bench.clock.forward(timedelta(hours=25))
    uploads.sweep()

    assert bench.behind.keys() == set()


def test_a_tenant_has_so_many_uploads_under_way_and_no_more(bench: Bench) -> None:
    uploads = Uploads(bench.store, now=bench.clock)
    begun = [uploads.begin("acme", owner="ann", media_type="", size_bytes=1, sha256="") for _ in range(MOST)]

    with pytest.raises(QuotaExceeded, match="finish some"):
        uploads.begin("acme", owner="ann", media_type="", size_bytes=1, sha256="")
    uploads.complete(begun[0], "0" * 64)

    uploads.begin("acme", owner="ann", media_type="", size_bytes=1, sha256="")
