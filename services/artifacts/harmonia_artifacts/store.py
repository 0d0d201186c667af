"""What a store promises, and the spool every arrival passes through.

A store keeps immutable bytes under their SHA-256, apart for each tenant, and serves no byte before the block it lies in
is proven. Everything here blocks: callers run it in threads. It knows no gRPC and no grants.
"""

import errno
import os
import re
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Protocol, Self

from harmonia_artifacts.blocks import BLOCK_BYTES, Digests
from harmonia_chassis.chunks import Chunk
from harmonia_chassis.errors import InvalidInput, NotFound, Overloaded, Reason, Unavailable

CHUNK_BYTES = BLOCK_BYTES
_SHA256 = re.compile(r"[0-9a-f]{64}")
# A tenant is a folder and a key prefix; the leading letter or digit keeps it out of .incoming and .quarantine.
_TENANT = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
# EFBIG is a file size limit of the process: as full as a disk for the one who writes.
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_FORBIDDEN = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})
# Room comes from garbage collection or an operator, neither of which is quick.
_WAIT_FOR_ROOM = timedelta(seconds=30)


class Kept(StrEnum):
    """Why an object is kept, the longest-lived first."""

    OUTPUT = "output"
    UPLOAD = "upload"
    CHECKPOINT = "checkpoint"
    PREVIEW = "preview"


LIFE = list(Kept)


@dataclass(frozen=True, slots=True)
class Arrival:
    """Who puts what: everything about an object that its bytes do not say."""

    tenant: str
    owner: str
    media_type: str
    kept: Kept


@dataclass(frozen=True, slots=True)
class Artifact:
    """What is known about stored bytes."""

    tenant: str
    sha256: str
    size_bytes: int
    media_type: str
    owners: frozenset[str]
    created: datetime
    puts: Mapping[Kept, datetime]
    """The newest Put of each class: the ages that garbage collection sees."""
    blocks: tuple[str, ...] = ()
    """BLAKE3 of each MiB; empty for what is smaller, and for what was put before blocks were known."""
    version: str = ""
    """Which bytes: on S3 the ending of their key, new after every collection and quarantine."""
    condemned: datetime | None = None
    """Since when garbage collection means to remove it; whoever asks for it first saves it."""

    @property
    def kept(self) -> Kept:
        return min(self.puts, key=LIFE.index)

    @property
    def refreshed(self) -> datetime:
        return max(self.puts.values())


@dataclass(frozen=True, slots=True)
class Stray:
    """What lies in the store and belongs to no object: left by a crash, or by a collection that was cut short."""

    tenant: str
    key: str
    size_bytes: int
    modified: datetime


@dataclass(frozen=True, slots=True)
class Link:
    url: str
    expires: datetime


class Spool:
    """A temporary file that hashes what is written to it. Gone when its `with` ends, unless a store has moved it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / uuid.uuid4().hex
        self.digests = Digests()
        with trouble_named():
            self._file = self.path.open("xb", buffering=0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self.path.unlink(missing_ok=True)

    @property
    def sha256(self) -> str:
        return self.digests.sha256

    @property
    def size_bytes(self) -> int:
        return self.digests.size_bytes

    def write(self, chunks: Iterable[Chunk]) -> None:
        with trouble_named():
            for chunk in chunks:
                self.digests.take(chunk)
                write_all(self._file.fileno(), chunk)

    def sync(self) -> None:
        with trouble_named():
            os.fsync(self._file.fileno())

    def start(self, length: int) -> bytes:
        with self.path.open("rb") as file:
            return file.read(length)


class Store(Protocol):
    """`find`, `read` and `link` raise NotFound for what is absent, half-written, quarantined or removed."""

    def spool(self) -> Spool: ...

    def keep(self, spool: Spool, arrival: Arrival) -> Artifact:
        """Durable and visible when it returns. Raises Overloaded with STORE_FULL, leaving nothing."""

    def find(self, tenant: str, sha256: str) -> Artifact:
        """Saves what was condemned."""

    def read(self, artifact: Artifact, offset: int = 0, length: int | None = None) -> Iterator[Chunk]:
        """Proven chunks of at most 1 MiB. Where the proof fails: Internal, the object quarantined."""

    def artifacts(self, tenant: str, *, after: str = "") -> Iterator[Artifact]:
        """Those of a tenant in the order of their digests, from behind `after` on."""

    def link(self, artifact: Artifact, owner: str, *, valid_for: timedelta) -> Link: ...

    def linked(self, token: str) -> Artifact:
        """What a link of this store's own opens. Raises NotFound alike for what is forged, over, or gone."""

    def tenants(self) -> Iterator[str]: ...

    def size_bytes(self, tenant: str) -> int:
        """What lies there of a tenant; counts keys and reads no sidecar."""

    def survey(self, tenant: str, *, passed_over: Callable[[str], bool]) -> Iterator[Artifact | Stray]:
        """All that lies there, but for the objects whose digests are `passed_over`."""

    def condemn(self, artifact: Artifact) -> bool:
        """From now on. False where it has changed meanwhile."""

    def remove(self, artifact: Artifact) -> bool:
        """One that was condemned and that nobody asked for since; otherwise False."""

    def clear(self, stray: Stray) -> bool:
        """False where it belongs to an object by now."""

    # Pieces of uploads under way: bytes by their key, that are no object yet.
    def put_piece(self, key: str, body: bytes) -> None:
        """Durable when it returns."""

    def piece(self, key: str) -> bytes | None: ...

    def pieces(self, prefix: str) -> Iterator[Stray]: ...

    def drop_piece(self, key: str) -> None: ...


def write_all(descriptor: int, chunk: Chunk) -> None:
    rest = memoryview(chunk)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


@contextmanager
def trouble_named() -> Iterator[None]:
    """A disk that is full, read-only or broken, as the caller shall hear of it."""
    try:
        yield
    except OSError as exc:
        if exc.errno in _FULL:
            raise full("its disk is full") from exc
        what = exc.strerror or type(exc).__name__
        if exc.errno in _FORBIDDEN:
            message = f"the store may not write into its folder ({what}); nothing of this object was kept. "
            message += "The operator must make it writable for the service"
        elif exc.errno == errno.EIO:
            message = (
                "the store's disk fails (EIO); nothing of this object was kept. The operator must look at the disk"
            )
        else:
            raise
        raise Unavailable(message, reason=Reason.STORE_UNWRITABLE, retry_after=_WAIT_FOR_ROOM) from exc


def full(why: str) -> Overloaded:
    message = f"the store is full: {why}, and nothing of this object was kept. "
    message += "Make room there, or collect garbage (harmonia garbage), and send it again"
    return Overloaded(message, reason=Reason.STORE_FULL, retry_after=_WAIT_FOR_ROOM)


def tenant_key(tenant: str) -> str:
    """What all keys of a tenant start with. Raises InvalidInput for what could be another path."""
    if not is_tenant(tenant):
        raise InvalidInput(f"no tenant is called {tenant!r}", reason=Reason.MALFORMED, field="tenant")
    return f"{tenant}/"


def is_tenant(text: str) -> bool:
    return bool(_TENANT.fullmatch(text))


def object_key(tenant: str, sha256: str) -> str:
    """`{tenant}/{sha[:2]}/{sha}`. Raises InvalidInput for what could be another path."""
    if not is_digest(sha256):
        raise InvalidInput(f"{sha256!r} is not 64 lower-case hex digits", reason=Reason.MALFORMED, field="sha256")
    return f"{tenant_key(tenant)}{sha256[:2]}/{sha256}"


def is_digest(text: str) -> bool:
    return bool(_SHA256.fullmatch(text))


def absent(sha256: str) -> NotFound:
    return NotFound(f"there is no artifact {sha256}", reason=Reason.ARTIFACT_NOT_FOUND, sha256=sha256)
