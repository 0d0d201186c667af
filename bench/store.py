"""StoreService beside what one would write without it, in the same run and turn by turn; its ceiling; its memory.

The service is the chassis' StoreClient, as workers use it, over mutual TLS with token and grant, digests compared at
both ends; a file goes in and a file comes out. Beside it, with the same promise of one SHA-256 that names the bytes and
is compared with them, and of bytes on disk when it returns:

by hand       on files: hashed while copied, synced, renamed, the folder synced; a read is hashed while copied
in process    the file store itself, without the service: a SHA-256 of each MiB and a sidecar as well
minio-py      on S3: hashed, fput_object; get_object, hashed while copied. No sidecar, no MD5, one request where we need
              several
nothing       artifacts that keep nothing: what gRPC, TLS and the digest at the client take of the same bytes

What a turn left is removed before the next writes: fresh pages of a file cost more than pages that were just freed, and
each side shall have the same. S3 servers that are not installed are left out.
"""

import asyncio
import hashlib
import logging
import os
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import median

import structlog
import uvloop
from minio import Minio

from bench.table import Row
from harmonia.type.v1 import type_pb2
from harmonia_artifacts.files import FileStore
from harmonia_artifacts.store import CHUNK_BYTES, Arrival, Kept
from tests.integration.artifacts.s3_servers import S3Server, minio, running, seaweedfs
from tests.integration.artifacts.store_mesh import StoreMesh, store_mesh

MIB = 1 << 20
# Turns of each size.
TURNS = {200 * MIB: 5, 8 * MIB: 25, 64 << 10: 60}
GOAL = "≥ 70 %"
ROOT = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Raw:
    """put answers with what get takes; get leaves the bytes in a file; forget removes what was put."""

    put: Callable[[Path], object]
    get: Callable[[object], object]
    forget: Callable[[], object]


async def rows() -> list[Row]:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    # The loop that services run on.
    return await asyncio.to_thread(lambda: uvloop.run(_rows()))


async def _rows() -> list[Row]:
    found: list[Row] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with store_mesh(folder / "mesh") as mesh:
            await mesh.start_artifacts(("-m", "bench.blank_artifacts"), PYTHONPATH=str(ROOT))
            found += await _compared(mesh, {}, "nothing", folder, lambda: None)
            await mesh.stop_artifacts()
            async with _on_files(mesh, folder) as raws:
                forget = partial(_empty, mesh.objects / mesh.tenant)
                found += await _compared(mesh, raws, "files", folder, forget)
                found += await _memory(mesh, "files", folder)
            for title, program, prepare in (("SeaweedFS", "weed", seaweedfs), ("MinIO", "minio", minio)):
                path = shutil.which(program, path=str(Path(sys.executable).parent)) or shutil.which(program)
                if path is None:
                    found.append(Row(f"{title}: not installed", "-"))
                    continue
                (folder / program).mkdir()
                with running(lambda at, path=path, prepare=prepare: prepare(path, at), folder / program) as server:  # type: ignore[misc]
                    await _start_on(mesh, server)
                    raws = {"minio-py": _by_minio_py(server)}
                    forget = partial(_empty_bucket, server.client(), "harmonia", f"{mesh.tenant}/")
                    found += await _compared(mesh, raws, title, folder, forget)
                    found += await _memory(mesh, title, folder)
                    await mesh.stop_artifacts()
    return found


async def _compared(
    mesh: StoreMesh, raws: Mapping[str, Raw], title: str, folder: Path, forget: Callable[[], object]
) -> list[Row]:
    found = []
    for size, turns in TURNS.items():
        taken: dict[tuple[str, str], list[float]] = {}
        for turn in range(turns):
            body = _body(folder, size, turn)
            await asyncio.to_thread(forget)
            await _turn(mesh, raws, body, taken)
            body.unlink()
        rates = {what: size / MIB / median(seconds[1:]) for what, seconds in taken.items()}
        for direction in ("put", "get"):
            service = rates[direction, ""]
            beside = [f"{name} {rates[direction, name]:.0f}: {service / rates[direction, name]:.0%}" for name in raws]
            what = f"{direction} {_named(size)}, {title}: service" + "".join(f", {name}" for name in raws)
            found.append(Row(what, "; ".join([f"{service:.0f} MiB/s", *beside]), GOAL if raws else ""))
    return found


async def _turn(
    mesh: StoreMesh, raws: Mapping[str, Raw], body: Path, taken: dict[tuple[str, str], list[float]]
) -> None:
    grant, store = mesh.grant(), mesh.store(retry_for_s=60)

    async def timed(direction: str, name: str, step: Callable[[], Awaitable[object]]) -> object:
        began = time.perf_counter()
        answer = await step()
        taken.setdefault((direction, name), []).append(time.perf_counter() - began)
        return answer

    ref = await timed("put", "", lambda: store.put(body, "audio/flac", grant))
    assert isinstance(ref, type_pb2.ArtifactRef)
    await timed("get", "", lambda: store.fetch(ref, grant, body.with_name("fetched")))
    for name, raw in raws.items():
        await asyncio.to_thread(raw.forget)
        handle = await timed("put", name, lambda raw=raw: asyncio.to_thread(raw.put, body))  # type: ignore[misc]
        await timed("get", name, lambda raw=raw, handle=handle: asyncio.to_thread(raw.get, handle))  # type: ignore[misc]


async def _memory(mesh: StoreMesh, title: str, folder: Path) -> list[Row]:
    """Peak of the process, first for a few MiB and then for one object of 200; what came before does not count."""
    assert mesh.process
    small, large = _body(folder, 16 * MIB, 1000), _body(folder, 200 * MIB, 1001)
    peaks = []
    for body in (small, large):
        _forget_peak(mesh.process.pid)
        ref = await mesh.store().put(body, "audio/flac", mesh.grant())
        await mesh.store().fetch(ref, mesh.grant(), body.with_suffix(".fetched"))
        peaks.append(_peak_mib(mesh.process.pid))
    return [
        Row(f"peak memory of artifacts on {title}: 16 MiB, then 200 MiB", f"{peaks[0]:.0f}, {peaks[1]:.0f} MiB", "flat")
    ]


def _forget_peak(pid: int) -> None:
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def _peak_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def _body(folder: Path, size: int, number: int) -> Path:
    path = folder / f"{size}-{number}"
    once = min(size, MIB)
    path.write_bytes(hashlib.shake_128(b"%d" % number).digest(once) * (size // once))
    return path


def _named(size: int) -> str:
    return f"{size // MIB} MiB" if size >= MIB else f"{size >> 10} KiB"


@asynccontextmanager
async def _on_files(mesh: StoreMesh, folder: Path) -> AsyncIterator[Mapping[str, Raw]]:
    await mesh.start_artifacts()
    store = FileStore(folder / "raw", now=lambda: datetime.now(UTC))
    (folder / "hand").mkdir()
    try:
        yield {"by hand": _by_hand(folder / "hand"), "in process": _in_process(store, folder)}
    finally:
        store.close()
        await mesh.stop_artifacts()


def _by_hand(folder: Path) -> Raw:
    def put(source: Path) -> object:
        digest, part = hashlib.sha256(), folder / "part"
        with source.open("rb", buffering=0) as file, part.open("wb", buffering=0) as to:
            while chunk := file.read(CHUNK_BYTES):
                digest.update(chunk)
                to.write(chunk)
            os.fsync(to.fileno())
        part.replace(folder / digest.hexdigest())
        with _open_folder(folder) as descriptor:
            os.fsync(descriptor)
        return digest.hexdigest()

    def get(name: object) -> None:
        with (folder / str(name)).open("rb", buffering=0) as file:
            _save(iter(lambda: file.read(CHUNK_BYTES), b""), str(name), folder / "fetched")

    return Raw(put, get, lambda: _empty(folder))


def _in_process(store: FileStore, folder: Path) -> Raw:
    def put(source: Path) -> object:
        with source.open("rb", buffering=0) as file, store.spool() as spool:
            spool.write(iter(lambda: file.read(CHUNK_BYTES), b""))
            return store.keep(spool, Arrival("acme", "ann", "audio/flac", Kept.OUTPUT))

    def get(artifact: object) -> None:
        with (folder / "fetched").open("wb", buffering=0) as file:
            for chunk in store.read(artifact):  # type: ignore[arg-type]  # what put answered
                file.write(chunk)

    return Raw(put, get, lambda: _empty(folder / "raw" / "acme"))


def _by_minio_py(server: S3Server) -> Raw:
    client = server.client()
    client.make_bucket("raw")

    def put(source: Path) -> object:
        with source.open("rb") as file:
            name = hashlib.file_digest(file, "sha256").hexdigest()
        client.fput_object("raw", name, str(source))
        return name

    def get(name: object) -> None:
        with client.get_object("raw", str(name)) as response, tempfile.NamedTemporaryFile() as file:
            _save(response.stream(CHUNK_BYTES), str(name), Path(file.name))

    return Raw(put, get, lambda: _empty_bucket(client, "raw", ""))


def _empty(folder: Path) -> None:
    for file in [path for path in folder.rglob("*") if path.is_file()]:
        file.unlink()


def _empty_bucket(client: Minio, bucket: str, prefix: str) -> None:
    for item in list(client.list_objects(bucket, prefix, recursive=True)):
        client.remove_object(bucket, item.object_name or "")


def _save(chunks: Iterator[bytes], name: str, to: Path) -> None:
    digest = hashlib.sha256()
    with to.open("wb", buffering=0) as file:
        for chunk in chunks:
            digest.update(chunk)
            file.write(chunk)
    assert digest.hexdigest() == name


@contextmanager
def _open_folder(folder: Path) -> Iterator[int]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


async def _start_on(mesh: StoreMesh, server: S3Server) -> None:
    access, secret = mesh.folder / "access", mesh.folder / "secret"
    access.write_text(server.access_key)
    secret.write_text(server.secret_key)
    await mesh.start_artifacts(
        HARMONIA_S3_ENDPOINT=f"http://{server.address}",
        HARMONIA_S3_ACCESS_KEY_FILE=str(access),
        HARMONIA_S3_SECRET_KEY_FILE=str(secret),
        HARMONIA_SCRATCH_DIR=str(mesh.folder / "scratch"),
    )
