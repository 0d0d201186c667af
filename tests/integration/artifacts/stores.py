"""The three stores side by side, with what lies behind each of them, and a clock that a test may move."""

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

from minio import Minio

from harmonia_artifacts.files import FileStore
from harmonia_artifacts.s3 import S3Store
from harmonia_artifacts.store import CHUNK_BYTES, Arrival, Artifact, Kept, Store

# FIPS 180-4, example of one block.
ABC_SHA256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


class Behind(Protocol):
    """The bytes as they lie there, reached past the store."""

    def read(self, key: str) -> bytes: ...
    def write(self, key: str, body: bytes) -> None: ...
    def remove(self, key: str) -> None: ...
    def keys(self) -> set[str]: ...


@dataclass
class BehindFiles:
    root: Path

    def read(self, key: str) -> bytes:
        return (self.root / key).read_bytes()

    def write(self, key: str, body: bytes) -> None:
        with (self.root / key).open("r+b") as file:  # in place, as a disk rots
            file.write(body)
            file.truncate()

    def remove(self, key: str) -> None:
        (self.root / key).unlink()

    def keys(self) -> set[str]:
        files = (path for path in self.root.rglob("*") if path.is_file())
        return {str(path.relative_to(self.root)) for path in files} - {".lock", ".link-key"}


@dataclass
class BehindS3:
    client: Minio
    bucket: str

    def read(self, key: str) -> bytes:
        with self.client.get_object(self.bucket, key) as response:
            return response.read()

    def write(self, key: str, body: bytes) -> None:
        self.client._execute("PUT", self.bucket, key, body=body)

    def remove(self, key: str) -> None:
        self.client.remove_object(self.bucket, key)

    def keys(self) -> set[str]:
        return {item.object_name or "" for item in self.client.list_objects(self.bucket, recursive=True)}


@dataclass
class Clock:
    """Now, one second later at each look."""

    at: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))

    def __call__(self) -> datetime:
        self.at += timedelta(seconds=1)
        return self.at

    def forward(self, by: timedelta) -> None:
        self.at += by


@dataclass
class Bench:
    name: str
    store: Store
    behind: Behind
    spools: Path
    clock: Clock

    def put(
        self,
        body: bytes,
        *,
        tenant: str = "acme",
        owner: str = "ann",
        media_type: str = "audio/flac",
        kept: Kept = Kept.OUTPUT,
    ) -> Artifact:
        with self.store.spool() as spool:
            spool.write(body[at : at + CHUNK_BYTES] for at in range(0, len(body), CHUNK_BYTES))
            return self.store.keep(spool, Arrival(tenant, owner, media_type, kept))

    def get(self, artifact: Artifact, offset: int = 0) -> bytes:
        return b"".join(self.store.read(artifact, offset))


buckets = itertools.count()


@contextmanager
def files_bench(folder: Path) -> Iterator[Bench]:
    clock, root = Clock(), folder / "objects"
    store = FileStore(root, now=clock, link_base="http://127.0.0.1:7480/v1/links/")
    try:
        yield Bench("files", store, BehindFiles(root), root / ".incoming", clock)
    finally:
        store.close()


def s3_bench(name: str, client: Minio, folder: Path) -> Bench:
    clock, bucket = Clock(), f"suite-{os.getpid()}-{next(buckets)}"
    store = S3Store(client, bucket, scratch=folder / "scratch", now=clock)
    store.prepare()
    return Bench(name, store, BehindS3(client, bucket), folder / "scratch", clock)


def key_of(artifact: Artifact) -> str:
    key = f"{artifact.tenant}/{artifact.sha256[:2]}/{artifact.sha256}"
    return f"{key}.{artifact.version}" if artifact.version else key
