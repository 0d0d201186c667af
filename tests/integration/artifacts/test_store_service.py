"""Artifacts as a process, called as the composer calls it: mutual TLS, service token, grant.

Certificates, tokens, doors and the client are the product's own; the gateway only issues tokens.
"""

import asyncio
import hashlib
import itertools
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Protocol

import psutil
import pytest
import pytest_asyncio

from harmonia.store.v1 import store_pb2
from harmonia.type.v1 import type_pb2
from harmonia_chassis.errors import Internal, InvalidInput, NotFound, PermissionDenied, Reason, Unavailable
from harmonia_chassis.status import rpc_errors
from tests.integration.artifacts.store_mesh import StoreMesh, store_mesh, until

CHUNK_BYTES = 1 << 20
HEADER = store_pb2.PutRequest.Header(media_type="audio/flac", storage_class=store_pb2.StorageClass.OUTPUT)


pytestmark = pytest.mark.asyncio(loop_scope="module")
tenants = itertools.count()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running_mesh(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[StoreMesh]:
    async with store_mesh(tmp_path_factory.mktemp("mesh") / "home") as mesh:
        yield mesh


@pytest_asyncio.fixture(loop_scope="module")
async def mesh(running_mesh: StoreMesh) -> StoreMesh:
    """With a tenant of its own for each test, and artifacts as it usually is."""
    running_mesh.tenant = f"acme-{next(tenants)}"
    if not running_mesh.is_usual:
        await running_mesh.stop_artifacts()
        await running_mesh.start_artifacts()
        # Until the channel has found the new process: only StoreClient tries again by itself.
        await running_mesh.store(retry_for_s=30).put(b"found", "text/plain", running_mesh.grant("found"))
    return running_mesh


def song(size_bytes: int) -> bytes:
    return hashlib.shake_128(b"song").digest(size_bytes)


def sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def visible(mesh: StoreMesh) -> set[str]:
    objects = mesh.objects / mesh.tenant
    return {str(path.relative_to(objects)) for path in objects.rglob("*") if path.is_file()}


def path_of(mesh: StoreMesh, digest: str) -> Path:
    return mesh.objects / mesh.tenant / digest[:2] / digest


async def put_messages(mesh: StoreMesh, *messages: store_pb2.PutRequest) -> store_pb2.PutResponse:
    async def requests() -> AsyncIterator[store_pb2.PutRequest]:
        for message in messages:
            yield message

    with rpc_errors():
        return await mesh.stub.Put(requests(), metadata=mesh.metadata(), timeout=60)


def header(**fields: Any) -> store_pb2.PutRequest:
    message = store_pb2.PutRequest(header=HEADER)
    message.header.MergeFrom(store_pb2.PutRequest.Header(**fields))
    return message


def chunk(body: bytes) -> store_pb2.PutRequest:
    return store_pb2.PutRequest(chunk=body)


async def test_fifty_megabytes_come_back_as_they_went(mesh: StoreMesh) -> None:
    body = song(50 << 20)

    ref = await mesh.store().put(body, "audio/flac", mesh.grant())

    assert (ref.sha256, ref.size_bytes, ref.media_type) == (sha256(body), 50 << 20, "audio/flac")
    assert await mesh.store().get(ref, mesh.grant()) == body
    assert path_of(mesh, ref.sha256).read_bytes() == body


async def test_a_get_says_first_what_it_is_and_goes_on_from_an_offset(mesh: StoreMesh) -> None:
    ref = await mesh.store().put(song(1_000_000), "audio/flac", mesh.grant())
    request = store_pb2.GetRequest(sha256=ref.sha256, offset=300_000)

    first, *rest = [message async for message in mesh.stub.Get(request, metadata=mesh.metadata())]

    assert first.object.ref == ref
    assert first.object.storage_class == store_pb2.StorageClass.OUTPUT
    assert max(len(message.chunk) for message in rest) <= CHUNK_BYTES
    assert b"".join(message.chunk for message in rest) == song(1_000_000)[300_000:]


@pytest.mark.parametrize(("tenant", "owner"), [("emca", "ann"), ("", "bob"), ("emca", "bob")])
async def test_for_another_tenant_or_owner_an_object_does_not_exist(mesh: StoreMesh, tenant: str, owner: str) -> None:
    ref = await mesh.store().put(b"abc", "audio/flac", mesh.grant())
    stranger = mesh.metadata(tenant, owner)
    stat, link = store_pb2.StatRequest(sha256=ref.sha256), store_pb2.LinkRequest(sha256=ref.sha256)

    with pytest.raises(NotFound, match=ref.sha256):
        await mesh.store().get(ref, mesh.grant(tenant, owner))
    with pytest.raises(NotFound, match=ref.sha256), rpc_errors():
        await mesh.stub.Stat(stat, metadata=stranger)
    with pytest.raises(NotFound, match=ref.sha256), rpc_errors():
        await mesh.gateway_stub.Link(link, metadata=stranger)
    with pytest.raises(NotFound, match=ref.sha256), rpc_errors():
        await mesh.gateway_stub.Verify(store_pb2.VerifyRequest(sha256=ref.sha256), metadata=stranger)
    assert not (await mesh.gateway_stub.List(store_pb2.ListRequest(), metadata=stranger)).objects


async def test_a_refusal_reads_the_same_for_a_stranger_as_for_what_never_was(mesh: StoreMesh) -> None:
    ref = await mesh.store().put(b"abc", "audio/flac", mesh.grant())
    never = type_pb2.ArtifactRef(sha256=sha256(b"never"))

    with pytest.raises(NotFound) as of_another:
        await mesh.store().get(ref, mesh.grant(owner="bob"))
    with pytest.raises(NotFound) as of_nobody:
        await mesh.store().get(never, mesh.grant(owner="bob"))

    assert of_another.value.message.replace(ref.sha256, never.sha256) == of_nobody.value.message
    assert of_another.value.reason is of_nobody.value.reason is Reason.ARTIFACT_NOT_FOUND


async def test_without_a_grant_nothing_is_put_or_read(mesh: StoreMesh) -> None:
    with pytest.raises(PermissionDenied, match="grant"), rpc_errors():
        await mesh.stub.Stat(store_pb2.StatRequest(sha256=sha256(b"abc")))
    with pytest.raises(PermissionDenied, match="grant"):
        await mesh.store().put(b"abc", "audio/flac", "no.such.grant")


async def test_a_worker_may_not_verify_link_or_list(mesh: StoreMesh) -> None:
    for call in (
        mesh.stub.Verify(store_pb2.VerifyRequest(), metadata=mesh.metadata()),
        mesh.stub.Link(store_pb2.LinkRequest(), metadata=mesh.metadata()),
        mesh.stub.List(store_pb2.ListRequest(), metadata=mesh.metadata()),
    ):
        with pytest.raises(PermissionDenied, match="not for composer"), rpc_errors():
            await call


async def test_bytes_that_are_not_the_announced_ones_are_refused(mesh: StoreMesh) -> None:
    with pytest.raises(InvalidInput, match="not " + sha256(b"abc")) as caught:
        await put_messages(mesh, header(sha256=sha256(b"abc")), chunk(b"abd"))

    assert caught.value.reason is Reason.DIGEST_MISMATCH
    assert visible(mesh) == set()


@pytest.mark.parametrize(
    ("messages", "field"),
    [
        ([], "header"),
        ([chunk(b"abc")], "header"),
        ([header(), header()], "header"),
        ([header(size_bytes=4), chunk(b"abc")], "header.size_bytes"),
        ([header(size_bytes=-1)], "header.size_bytes"),
        ([header(size_bytes=(1 << 30) + 1)], "header.size_bytes"),
        ([header(storage_class=store_pb2.StorageClass.UPLOAD, size_bytes=(200 << 20) + 1)], "header.size_bytes"),
        ([header(storage_class=99)], "header.storage_class"),
        ([header(media_type="text/html")], "media_type"),
        ([header(), chunk(bytes(CHUNK_BYTES + 1))], "chunk"),
        ([header(sha256="xyz"), chunk(b"abc")], "header.sha256"),
        ([header(storage_class=store_pb2.StorageClass.UPLOAD), chunk(b"\x7fELF\x02")], "media_type"),
    ],
)
async def test_a_put_that_breaks_a_rule_names_the_field_and_keeps_nothing(
    mesh: StoreMesh, messages: list[store_pb2.PutRequest], field: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        await put_messages(mesh, *messages)

    assert caught.value.field == field
    assert visible(mesh) == set()
    assert list((mesh.objects / ".incoming").iterdir()) == []


async def test_an_upload_without_a_digest_is_named_by_its_bytes(mesh: StoreMesh) -> None:
    upload = header(media_type="audio/x-flac", storage_class=store_pb2.StorageClass.UPLOAD)

    response = await put_messages(mesh, upload, chunk(b"fLaC" + bytes(100)))

    assert response.ref.sha256 == sha256(b"fLaC" + bytes(100))
    assert response.ref.media_type == "audio/flac"


async def test_a_flipped_byte_on_disk_ends_the_stream_and_is_never_served_again(mesh: StoreMesh) -> None:
    body = song(5_000_000)
    ref = await mesh.store().put(body, "audio/flac", mesh.grant())
    path = path_of(mesh, ref.sha256)
    path.write_bytes(body[:-1] + bytes([body[-1] ^ 1]))

    with pytest.raises(Internal, match="quarantined") as caught:
        await mesh.store().get(ref, mesh.grant())

    assert caught.value.reason is Reason.DIGEST_MISMATCH
    with pytest.raises(NotFound):
        await mesh.store().get(ref, mesh.grant())
    assert not path.exists()
    await mesh.store().put(body, "audio/flac", mesh.grant())
    assert await mesh.store().get(ref, mesh.grant()) == body


async def test_verify_reads_what_is_stored(mesh: StoreMesh) -> None:
    ref = await mesh.store().put(b"abc", "audio/flac", mesh.grant())
    request = store_pb2.VerifyRequest(sha256=ref.sha256)

    before = await mesh.gateway_stub.Verify(request, metadata=mesh.metadata())
    path_of(mesh, ref.sha256).write_bytes(b"abd")
    after = await mesh.gateway_stub.Verify(request, metadata=mesh.metadata())

    assert (before.intact, before.stored_sha256) == (True, ref.sha256)
    assert (after.intact, after.stored_sha256) == (False, sha256(b"abd"))
    with pytest.raises(NotFound), rpc_errors():
        await mesh.gateway_stub.Verify(request, metadata=mesh.metadata())


async def test_a_list_shows_an_owner_its_own_page_by_page(mesh: StoreMesh) -> None:
    mine = sorted([(await mesh.store().put(bytes([n]), "audio/flac", mesh.grant())).sha256 for n in range(7)])
    await mesh.store().put(b"not ann's", "audio/flac", mesh.grant(owner="bob"))

    pages: list[list[str]] = []
    token = ""
    while not pages or token:
        request = store_pb2.ListRequest(page_size=3, page_token=token)
        response = await mesh.gateway_stub.List(request, metadata=mesh.metadata())
        pages.append([listed.ref.sha256 for listed in response.objects])
        token = response.next_page_token

    assert pages == [mine[:3], mine[3:6], mine[6:]]


@pytest.mark.parametrize(
    ("request_message", "field"),
    [
        (store_pb2.ListRequest(page_size=-1), "page_size"),
        (store_pb2.ListRequest(page_size=1001), "page_size"),
        (store_pb2.ListRequest(page_token="../.."), "page_token"),
    ],
)
async def test_a_list_that_breaks_a_rule_names_the_field(
    mesh: StoreMesh, request_message: store_pb2.ListRequest, field: str
) -> None:
    with pytest.raises(InvalidInput) as caught, rpc_errors():
        await mesh.gateway_stub.List(request_message, metadata=mesh.metadata())

    assert caught.value.field == field


async def test_a_reader_that_goes_away_does_not_hold_the_object(mesh: StoreMesh) -> None:
    ref = await mesh.store().put(song(20 << 20), "audio/flac", mesh.grant())
    assert mesh.process is not None
    process = psutil.Process(mesh.process.pid)
    call = mesh.stub.Get(store_pb2.GetRequest(sha256=ref.sha256), metadata=mesh.metadata())
    await call.read()
    await call.read()
    await until(lambda: ref.sha256 in " ".join(file.path for file in process.open_files()))

    call.cancel()

    await until(lambda: ref.sha256 not in " ".join(file.path for file in process.open_files()))


@pytest.mark.parametrize("part", [0.0, 0.5, 1.0])
async def test_a_kill_in_the_middle_of_a_put_leaves_nothing(mesh: StoreMesh, part: float) -> None:
    body = song(8 << 20)
    call = mesh.stub.Put(metadata=mesh.metadata())
    await call.write(header(sha256=sha256(body)))
    for at in range(0, int(len(body) * part), CHUNK_BYTES):
        await call.write(chunk(body[at : at + CHUNK_BYTES]))
    await until(lambda: any((mesh.objects / ".incoming").iterdir()))

    await mesh.stop_artifacts(signal.SIGKILL)
    with pytest.raises(Unavailable), rpc_errors():
        await call
    await mesh.start_artifacts()

    assert visible(mesh) == set()
    assert list((mesh.objects / ".incoming").iterdir()) == []
    ref = await mesh.store().put(body, "audio/flac", mesh.grant())
    assert await mesh.store().get(ref, mesh.grant()) == body


@pytest.mark.parametrize(("point", "kept"), [("before_put_commit", False), ("after_put_commit", True)])
async def test_a_kill_around_the_commit_keeps_all_or_nothing(mesh: StoreMesh, point: str, kept: bool) -> None:
    await mesh.stop_artifacts()
    marker = mesh.folder / point
    await mesh.start_artifacts((str(Path(__file__).parent / "stalling_artifacts.py"), point, str(marker)))
    body = song(3_000_000)

    async with asyncio.TaskGroup() as tasks:
        putting = tasks.create_task(mesh.store(retry_for_s=30).put(body, "audio/flac", mesh.grant()))
        await until(marker.exists)
        await mesh.stop_artifacts(signal.SIGKILL)
        assert (f"{sha256(body)[:2]}/{sha256(body)}.json" in visible(mesh)) is kept
        await mesh.start_artifacts()

    assert await mesh.store().get(putting.result(), mesh.grant()) == body


async def test_a_put_under_way_ends_within_the_drain(mesh: StoreMesh) -> None:
    call = mesh.stub.Put(metadata=mesh.metadata())
    await call.write(header())
    await call.write(chunk(b"abc"))
    await until(lambda: any((mesh.objects / ".incoming").iterdir()))
    assert mesh.process is not None
    mesh.process.send_signal(signal.SIGTERM)

    await call.done_writing()

    assert (await call).ref.sha256 == sha256(b"abc")
    assert await asyncio.wait_for(mesh.process.wait(), 60) == 0
    assert path_of(mesh, sha256(b"abc")).exists()


async def test_a_cancelled_put_leaves_no_spool(mesh: StoreMesh) -> None:
    call = mesh.stub.Put(metadata=mesh.metadata())
    await call.write(header())
    await call.write(chunk(song(CHUNK_BYTES)))
    await until(lambda: any((mesh.objects / ".incoming").iterdir()))

    call.cancel()

    await until(lambda: not any((mesh.objects / ".incoming").iterdir()))
    assert visible(mesh) == set()


async def test_many_transfers_at_once_all_arrive(mesh: StoreMesh) -> None:
    bodies = [song(2 << 20) + bytes([n]) for n in range(12)]

    async with asyncio.TaskGroup() as tasks:
        putting = [tasks.create_task(mesh.store().put(body, "audio/flac", mesh.grant())) for body in bodies]
    async with asyncio.TaskGroup() as tasks:
        getting = [tasks.create_task(mesh.store().get(task.result(), mesh.grant())) for task in putting]

    assert [task.result() for task in getting] == bodies


class S3Server(Protocol):
    address: str
    access_key: str
    secret_key: str


async def test_the_same_service_keeps_its_objects_on_s3(mesh: StoreMesh, s3_server: S3Server) -> None:
    await mesh.stop_artifacts()
    access, secret = mesh.folder / "access", mesh.folder / "secret"
    await asyncio.to_thread(access.write_text, s3_server.access_key)
    await asyncio.to_thread(secret.write_text, f"{s3_server.secret_key}\n")
    await mesh.start_artifacts(
        HARMONIA_S3_ENDPOINT=f"http://{s3_server.address}",
        HARMONIA_S3_BUCKET="service",
        HARMONIA_S3_ACCESS_KEY_FILE=str(access),
        HARMONIA_S3_SECRET_KEY_FILE=str(secret),
        HARMONIA_SCRATCH_DIR=str(mesh.folder / "scratch"),
    )
    body = song(20 << 20)

    ref = await mesh.store().put(body, "audio/flac", mesh.grant())

    assert await mesh.store().get(ref, mesh.grant()) == body
    assert visible(mesh) == set()
    with pytest.raises(NotFound):
        await mesh.store().get(ref, mesh.grant(owner="bob"))


async def test_a_link_opens_its_object_in_part_too_and_a_forged_one_nothing(mesh: StoreMesh) -> None:
    await mesh.stop_artifacts()
    await mesh.start_artifacts(
        HARMONIA_STATE_DIR=str(mesh.objects), HARMONIA_LINK_BASE="http://127.0.0.1:7480/v1/links/"
    )
    ref = await mesh.store(retry_for_s=30).put(song(3_000_000), "audio/flac", mesh.grant())
    asked = store_pb2.LinkRequest(sha256=ref.sha256)
    link = await mesh.gateway_stub.Link(asked, metadata=mesh.metadata(), wait_for_ready=True)
    token = link.url.removeprefix("http://127.0.0.1:7480/v1/links/")

    first, *rest = [
        part async for part in mesh.gateway_stub.OpenLink(store_pb2.OpenLinkRequest(token=token, offset=5, length=99))
    ]

    assert first.object.ref == ref
    assert b"".join(part.chunk for part in rest) == song(3_000_000)[5:104]
    for forged in (token[:-1], token[::-1], "", "a.b"):
        with pytest.raises(NotFound, match="opens nothing"), rpc_errors():
            async for _ in mesh.gateway_stub.OpenLink(store_pb2.OpenLinkRequest(token=forged)):
                pass


async def test_settings_that_name_no_store_or_two_stop_the_start(mesh: StoreMesh) -> None:
    await mesh.stop_artifacts()

    with pytest.raises(AssertionError, match="set either HARMONIA_STATE_DIR or HARMONIA_S3_ENDPOINT"):
        await mesh.start_artifacts(HARMONIA_LINK_BASE="http://127.0.0.1:1/")
