"""StoreService beside the raw client of the store behind it, in the same run and turn by turn; and its memory.

Raw is what one would write without the service and with the same promise: the file store in this process, or minio-py
with a file, named by its digest and compared with it. The service is the chassis' StoreClient, as workers use it, over
mutual TLS with token and grant, digests checked at both ends. S3 servers that are not installed are left out.
"""

import asyncio
import hashlib
import shutil
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bench.table import Row
from harmonia.type.v1 import type_pb2
from harmonia_artifacts.files import FileStore
from harmonia_artifacts.store import CHUNK_BYTES, Arrival, Kept
from tests.integration.artifacts.s3_servers import S3Server, minio, running, seaweedfs
from tests.integration.artifacts.store_mesh import StoreMesh, store_mesh

MIB = 1 << 20
LARGE, STEM = 200 * MIB, 8 * MIB
TURNS = {LARGE: 5, STEM: 25}
GOAL = "≥ 70 %"


@dataclass(frozen=True, slots=True)
class Raw:
    put: Callable[[Path], object]
    get: Callable[[object], object]


async def rows() -> list[Row]:
    found: list[Row] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with store_mesh(folder / "mesh") as mesh:
            with _raw_files(folder / "raw") as raw:
                await mesh.start_artifacts()
                found += await _compared(mesh, raw, "files", folder)
                found += await _memory(mesh, folder)
                await mesh.stop_artifacts()
            for title, program, prepare in (("SeaweedFS", "weed", seaweedfs), ("MinIO", "minio", minio)):
                path = shutil.which(program, path=str(Path(sys.executable).parent))
                if path is None:
                    found.append(Row(f"{title}: not installed", "-"))
                    continue
                (folder / program).mkdir()
                with running(lambda at, path=path, prepare=prepare: prepare(path, at), folder / program) as server:  # type: ignore[misc]
                    await _start_on(mesh, server)
                    found += await _compared(mesh, _raw_s3(server), title, folder)
                    await mesh.stop_artifacts()
    return found


async def _compared(mesh: StoreMesh, raw: Raw, title: str, folder: Path) -> list[Row]:
    found = []
    for size in (LARGE, STEM):
        rates: dict[str, list[float]] = {"put raw": [], "put": [], "get raw": [], "get": []}
        for turn in range(TURNS[size]):
            await _turn(mesh, raw, _body(folder, size, turn), size, rates)
        median = {name: sorted(each)[len(each) // 2] for name, each in rates.items()}
        for direction in ("put", "get"):
            service, beside = median[direction], median[f"{direction} raw"]
            what = f"{direction} {size // MIB} MiB, {title}: service, raw client"
            share = f"{service:.0f}, {beside:.0f} MiB/s: {100 * service / beside:.0f} %"
            found.append(Row(what, share, GOAL))
    return found


async def _turn(mesh: StoreMesh, raw: Raw, body: Path, size: int, rates: dict[str, list[float]]) -> None:
    grant, store = mesh.grant(), mesh.store(retry_for_s=60)

    async def timed(name: str, step: Callable[[], Awaitable[object]]) -> object:
        began = time.perf_counter()
        answer = await step()
        rates[name].append(size / MIB / (time.perf_counter() - began))
        return answer

    handle = await timed("put raw", lambda: asyncio.to_thread(raw.put, body))
    ref = await timed("put", lambda: store.put(body, "audio/flac", grant))
    assert isinstance(ref, type_pb2.ArtifactRef)
    await timed("get raw", lambda: asyncio.to_thread(raw.get, handle))
    await timed("get", lambda: store.fetch(ref, grant, body.with_suffix(".fetched")))
    await asyncio.to_thread(body.unlink)


async def _memory(mesh: StoreMesh, folder: Path) -> list[Row]:
    """Peak of the process: first for many MiB, then for one object of 200."""
    assert mesh.process
    small, large = _body(folder, 2 * MIB, 1000), _body(folder, LARGE, 1001)
    peaks = []
    for body in (small, large):
        _forget_peak(mesh.process.pid)
        ref = await mesh.store().put(body, "audio/flac", mesh.grant())
        await mesh.store().fetch(ref, mesh.grant(), body.with_suffix(".fetched"))
        peaks.append(_peak_mib(mesh.process.pid))
    return [Row("peak memory of artifacts: 2 MiB, then 200 MiB", f"{peaks[0]:.0f}, {peaks[1]:.0f} MiB", "flat")]


def _forget_peak(pid: int) -> None:
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def _peak_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def _body(folder: Path, size: int, number: int) -> Path:
    path = folder / f"{size}-{number}"
    path.write_bytes(hashlib.shake_128(b"%d" % number).digest(MIB) * (size // MIB))
    return path


@contextmanager
def _raw_files(root: Path) -> Iterator[Raw]:
    store = FileStore(root, now=lambda: datetime.now(UTC))

    def put(path: Path) -> object:
        with path.open("rb") as file, store.spool() as spool:
            spool.write(iter(lambda: file.read(CHUNK_BYTES), b""))
            return store.keep(spool, Arrival("acme", "ann", "audio/flac", Kept.OUTPUT))

    def get(artifact: object) -> None:
        with (root / "fetched").open("wb") as file:
            for chunk in store.read(artifact):  # type: ignore[arg-type]  # what put answered
                file.write(chunk)

    try:
        yield Raw(put, get)
    finally:
        store.close()


def _raw_s3(server: S3Server) -> Raw:
    client = server.client()
    client.make_bucket("raw")

    def put(path: Path) -> object:
        with path.open("rb") as file:
            name = hashlib.file_digest(file, "sha256").hexdigest()
        client.fput_object("raw", name, str(path))
        return name

    def get(name: object) -> None:
        digest = hashlib.sha256()
        with client.get_object("raw", str(name)) as response, tempfile.TemporaryFile() as file:
            for chunk in response.stream(CHUNK_BYTES):
                digest.update(chunk)
                file.write(chunk)
        assert digest.hexdigest() == name

    return Raw(put, get)


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
