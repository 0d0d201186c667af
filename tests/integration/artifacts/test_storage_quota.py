"""How much a tenant may keep: counted, refused with numbers, and given back."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from harmonia.store.v1 import store_pb2
from harmonia.type.v1 import type_pb2
from harmonia_artifacts.store import Kept
from harmonia_artifacts.usage import Usage
from harmonia_chassis.errors import HarmoniaError, QuotaExceeded, Reason
from tests.integration.artifacts.store_mesh import StoreMesh, store_mesh
from tests.integration.artifacts.stores import Bench

loop = pytest.mark.asyncio(loop_scope="module")
MIB = 1 << 20
QUOTA = 2 * MIB
UPLOAD = store_pb2.StorageClass.UPLOAD


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mesh(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[StoreMesh]:
    async with store_mesh(tmp_path_factory.mktemp("quota") / "home") as mesh:
        await mesh.start_artifacts(HARMONIA_STORAGE_BYTES=str(QUOTA))
        yield mesh


async def put(mesh: StoreMesh, body: bytes, *, upload: bool = True) -> type_pb2.ArtifactRef:
    kept = UPLOAD if upload else store_pb2.StorageClass.OUTPUT
    return await mesh.store(retry_for_s=20).put(b"fLaC" + body, "audio/flac", mesh.grant(), storage_class=kept)


async def refused(mesh: StoreMesh, body: bytes, *, upload: bool = True) -> QuotaExceeded:
    with pytest.raises(HarmoniaError) as caught:
        await put(mesh, body, upload=upload)
    assert isinstance(caught.value, QuotaExceeded)
    return caught.value


@loop
async def test_what_does_not_fit_is_refused_with_numbers_and_the_way_out(mesh: StoreMesh) -> None:
    mesh.tenant = "full"
    ref = await put(mesh, os.urandom(1_500_000))

    error = await refused(mesh, os.urandom(1_000_000))

    assert (error.reason, error.field, error.code) == (Reason.STORAGE_QUOTA, "header.size_bytes", "RESOURCE_EXHAUSTED")
    assert "full keeps 1.4 MiB of 2.0 MiB: 1.0 MiB more do not fit" in error.message
    assert "HARMONIA_STORAGE_BYTES" in error.message
    assert error.metadata["quota_bytes"] == str(QUOTA)
    assert ref.size_bytes <= int(error.metadata["used_bytes"]) < ref.size_bytes + 1000
    assert await mesh.store().get(ref, mesh.grant())
    assert list((mesh.objects / ".incoming").iterdir()) == []


@loop
async def test_the_same_bytes_again_take_no_room_and_another_tenant_has_its_own(mesh: StoreMesh) -> None:
    mesh.tenant, body = "twice", os.urandom(1_500_000)
    first = await put(mesh, body)

    assert await put(mesh, body) == first
    mesh.tenant = "another"
    assert await put(mesh, body) == first


@loop
async def test_what_was_accepted_may_go_a_tenth_past_it(mesh: StoreMesh) -> None:
    mesh.tenant = "accepted"
    await put(mesh, os.urandom(2_000_000))

    await refused(mesh, os.urandom(150_000))
    await put(mesh, os.urandom(150_000), upload=False)
    await refused(mesh, os.urandom(500_000), upload=False)


def test_room_is_counted_from_what_lies_there_and_anew(bench: Bench) -> None:
    usage = Usage(bench.store, 1000)
    bench.put(b"x" * 400)

    def take(size_bytes: int) -> None:
        with usage.taken("acme", "0" * 64, size_bytes, Kept.UPLOAD):
            pass

    with pytest.raises(QuotaExceeded, match="do not fit"):
        take(600)  # the sidecar counts too
    take(50)
    with pytest.raises(QuotaExceeded):
        take(340)
    usage.count_anew()
    take(100)


def test_room_that_was_taken_for_a_put_that_failed_is_given_back(bench: Bench) -> None:
    usage = Usage(bench.store, 1000)
    for _ in range(5):
        with pytest.raises(OSError, match="broken"), usage.taken("acme", "0" * 64, 900, Kept.UPLOAD):
            raise OSError("broken")


def test_the_folder_of_a_tenant_that_never_put_anything_is_not_made(bench: Bench, tmp_path: Path) -> None:
    assert bench.store.size_bytes("nobody") == 0
    assert bench.behind.keys() == set()
