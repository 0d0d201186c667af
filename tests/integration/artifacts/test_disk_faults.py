"""What goes wrong between artifacts and its disk while it runs: full, read-only, unreadable. Each is told with its way
out, leaves nothing half, and is over when its cause is, without a restart."""

import hashlib
import os
import resource
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from harmonia.store.v1 import store_pb2
from harmonia_chassis.errors import HarmoniaError, Overloaded, Reason, Unavailable
from harmonia_chassis.status import rpc_errors
from tests.integration.artifacts.store_mesh import StoreMesh, store_mesh

pytestmark = pytest.mark.asyncio(loop_scope="module")
OBEDIENT = (str(Path(__file__).parent / "obedient_artifacts.py"),)
KEPT = b"kept before"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mesh(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[StoreMesh]:
    async with store_mesh(tmp_path_factory.mktemp("disk") / "home") as mesh:
        await mesh.start_artifacts(OBEDIENT)
        await mesh.store(retry_for_s=30).put(KEPT, "text/plain", mesh.grant())
        yield mesh


@contextmanager
def small_files(mesh: StoreMesh, size_bytes: int) -> Iterator[None]:
    """The kernel's own refusal to the running process, without a full disk: RLIMIT_FSIZE gives EFBIG."""
    assert mesh.process
    before = resource.prlimit(mesh.process.pid, resource.RLIMIT_FSIZE, (size_bytes, resource.RLIM_INFINITY))
    try:
        yield
    finally:
        resource.prlimit(mesh.process.pid, resource.RLIMIT_FSIZE, before)


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    folders = [folder, *(path for path in folder.rglob("*") if path.is_dir())]
    for each in folders:
        each.chmod(0o555)
    try:
        yield
    finally:
        for each in folders:
            each.chmod(0o700)


def song(size_bytes: int) -> bytes:
    return hashlib.shake_128(os.urandom(16)).digest(size_bytes)


async def refusal(mesh: StoreMesh, body: bytes) -> HarmoniaError:
    with pytest.raises(HarmoniaError) as caught:
        await mesh.store(retry_for_s=0).put(body, "audio/flac", mesh.grant())
    return caught.value


async def assert_as_before(mesh: StoreMesh, *bodies: bytes) -> None:
    """What was kept is served, nothing half lies about, and what was refused is taken now."""
    there = {path.name for path in (mesh.objects / mesh.tenant).rglob("*") if path.is_file()}
    digests = {hashlib.sha256(body).hexdigest() for body in bodies}
    assert not there & (digests | {f"{digest}.json" for digest in digests})
    assert list((mesh.objects / ".incoming").iterdir()) == []
    for body in (*bodies, KEPT):
        ref = await mesh.store().put(body, "audio/flac", mesh.grant())
        assert await mesh.store().get(ref, mesh.grant()) == body


async def test_a_disk_that_fills_up_in_the_middle_is_told_with_a_way_out(mesh: StoreMesh) -> None:
    body = song(6 << 20)
    with small_files(mesh, 4 << 20):
        error = await refusal(mesh, body)

    assert (type(error), error.code, error.reason) == (Overloaded, "RESOURCE_EXHAUSTED", Reason.STORE_FULL)
    assert "Make room" in error.message
    assert error.retry_after == timedelta(seconds=30)
    await assert_as_before(mesh, body)


async def test_a_disk_without_room_for_the_sidecar_keeps_nothing(mesh: StoreMesh) -> None:
    body = song(100)
    with small_files(mesh, 100):
        error = await refusal(mesh, body)

    assert (type(error), error.reason) == (Overloaded, Reason.STORE_FULL)
    await assert_as_before(mesh, body)


async def test_a_folder_turned_read_only_is_told_and_reads_go_on(mesh: StoreMesh) -> None:
    body = song(1 << 20)
    kept = await mesh.store().put(KEPT, "text/plain", mesh.grant())
    with read_only(mesh.objects):
        error = await refusal(mesh, body)
        served = await mesh.store().get(kept, mesh.grant())

    assert served == KEPT
    assert (type(error), error.code, error.reason) == (Unavailable, "UNAVAILABLE", Reason.STORE_UNWRITABLE)
    assert "may not write into its folder (Permission denied)" in error.message
    assert "make it writable" in error.message
    await assert_as_before(mesh, body)


async def test_rotten_bytes_in_a_read_only_folder_are_not_served_either(mesh: StoreMesh) -> None:
    body = song(1 << 20)
    ref = await mesh.store().put(body, "audio/flac", mesh.grant())
    path = mesh.objects / mesh.tenant / ref.sha256[:2] / ref.sha256
    path.write_bytes(body[:-1] + bytes([body[-1] ^ 1]))
    with read_only(mesh.objects):
        for _ in range(2):
            with pytest.raises(HarmoniaError, match="not what was put") as caught:
                await mesh.store(retry_for_s=0).get(ref, mesh.grant())

    assert caught.value.reason is Reason.DIGEST_MISMATCH


async def test_an_object_that_cannot_be_read_is_unavailable_and_not_absent(mesh: StoreMesh) -> None:
    body = song(1 << 20)
    ref = await mesh.store().put(body, "audio/flac", mesh.grant())
    path = mesh.objects / mesh.tenant / ref.sha256[:2] / ref.sha256
    path.chmod(0)

    with pytest.raises(Unavailable, match="cannot read its disk"), rpc_errors():
        async for _ in mesh.stub.Get(store_pb2.GetRequest(sha256=ref.sha256), metadata=mesh.metadata()):
            pass
    path.chmod(0o600)

    assert await mesh.store().get(ref, mesh.grant()) == body
