"""What a store promises, and the spool every arrival passes through.

A store keeps immutable bytes under their SHA-256, apart for each tenant, and never serves bytes whose digest is not
their name. Everything here blocks: callers run it in threads. It knows no gRPC and no grants.
"""

import errno
import hashlib
import json
import os
import re
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Protocol, Self

import structlog

from harmonia_chassis.errors import Internal, InvalidInput, NotFound, Overloaded, Reason

CHUNK_BYTES = 256 * 1024
_log = structlog.get_logger()
_SHA256 = re.compile(r"[0-9a-f]{64}")
# A tenant is a folder and a key prefix; the leading letter or digit keeps it out of .incoming and .quarantine.
_TENANT = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
# EFBIG is a file size limit of the process: as full as a disk for the one who writes.
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class Kept(StrEnum):
    """Why an object is kept, the longest-lived first; a second Put never shortens a life."""

    OUTPUT = "output"
    UPLOAD = "upload"
    CHECKPOINT = "checkpoint"
    PREVIEW = "preview"


_LIFE = list(Kept)


@dataclass(frozen=True, slots=True)
class Arrival:
    """Who puts what: everything about an object that its bytes do not say."""

    tenant: str
    owner: str
    media_type: str
    kept: Kept


@dataclass(frozen=True, slots=True)
class Artifact:
    """What the sidecar says about stored bytes. `refreshed` is the newest Put: the age that garbage collection sees."""

    tenant: str
    sha256: str
    size_bytes: int
    media_type: str
    kept: Kept
    owners: frozenset[str]
    created: datetime
    refreshed: datetime


@dataclass(frozen=True, slots=True)
class Link:
    url: str
    expires: datetime


class Spool:
    """A temporary file that hashes what is written to it. Gone when its `with` ends, unless a store has moved it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / uuid.uuid4().hex
        self.size_bytes = 0
        self._digest = hashlib.sha256()
        with full_disk_named():
            self._file = self.path.open("xb", buffering=0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self.path.unlink(missing_ok=True)

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def write(self, chunks: Iterable[bytes]) -> None:
        with full_disk_named():
            for chunk in chunks:
                self._digest.update(chunk)
                self.size_bytes += len(chunk)
                _write_all(self._file.fileno(), chunk)

    def sync(self) -> None:
        with full_disk_named():
            os.fsync(self._file.fileno())

    def start(self, length: int) -> bytes:
        with self.path.open("rb") as file:
            return file.read(length)


class Store(Protocol):
    """`find`, `read` and `link` raise NotFound for what is absent, half-written or quarantined."""

    def spool(self) -> Spool: ...

    def keep(self, spool: Spool, arrival: Arrival) -> Artifact:
        """Durable and visible when it returns. Raises Overloaded with STORE_FULL, leaving nothing."""

    def find(self, tenant: str, sha256: str) -> Artifact: ...

    def read(self, artifact: Artifact, offset: int = 0) -> Iterator[bytes]:
        """Chunks of at most 256 KiB; the last one only when the digest of the whole is proven, else quarantined."""

    def artifacts(self, tenant: str, *, after: str = "") -> Iterator[Artifact]:
        """Those of a tenant in the order of their digests, from behind `after` on."""

    def link(self, artifact: Artifact, owner: str, *, valid_for: timedelta) -> Link: ...


def _write_all(descriptor: int, chunk: bytes) -> None:
    rest = memoryview(chunk)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


@contextmanager
def full_disk_named() -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        if exc.errno not in _FULL:
            raise
        raise Overloaded(
            "the store is full; nothing of this object was kept", reason=Reason.STORE_FULL, retry_after=_WAIT_FOR_ROOM
        ) from exc


# Room comes from garbage collection or an operator, neither of which is quick.
_WAIT_FOR_ROOM = timedelta(seconds=30)


def tenant_key(tenant: str) -> str:
    """What all keys of a tenant start with. Raises InvalidInput for what could be another path."""
    if not _TENANT.fullmatch(tenant):
        raise InvalidInput(f"no tenant is called {tenant!r}", reason=Reason.MALFORMED, field="tenant")
    return f"{tenant}/"


def object_key(tenant: str, sha256: str) -> str:
    """`{tenant}/{sha[:2]}/{sha}`. Raises InvalidInput for what could be another path."""
    if not is_digest(sha256):
        raise InvalidInput(f"{sha256!r} is not 64 lower-case hex digits", reason=Reason.MALFORMED, field="sha256")
    return f"{tenant_key(tenant)}{sha256[:2]}/{sha256}"


def is_digest(text: str) -> bool:
    return bool(_SHA256.fullmatch(text))


def absent(sha256: str) -> NotFound:
    return NotFound(f"there is no artifact {sha256}", reason=Reason.ARTIFACT_NOT_FOUND, sha256=sha256)


def merged(arrival: Arrival, spool: Spool, *, before: Artifact | None, now: datetime) -> Artifact:
    """The artifact after this Put: owners add up, the age starts again, the longer life stays."""
    kept = min(arrival.kept, before.kept, key=_LIFE.index) if before else arrival.kept
    return Artifact(
        tenant=arrival.tenant,
        sha256=spool.sha256,
        size_bytes=spool.size_bytes,
        media_type=arrival.media_type,
        kept=kept,
        owners=(before.owners if before else frozenset()) | {arrival.owner},
        created=before.created if before else now,
        refreshed=now,
    )


def verified(
    artifact: Artifact, chunks: Iterable[bytes], *, offset: int, quarantine: Callable[[], None]
) -> Iterator[bytes]:
    """The bytes from `offset` on. All are hashed, also those before it: part of an object proves nothing."""
    if not 0 <= offset <= artifact.size_bytes:
        message = f"offset {offset} is outside the {artifact.size_bytes} bytes of {artifact.sha256}"
        raise InvalidInput(message, reason=Reason.OUT_OF_RANGE, field="offset")
    digest, position, held_back = hashlib.sha256(), 0, b""
    for chunk in chunks:
        if held_back:
            yield held_back
        digest.update(chunk)
        held_back = chunk[max(0, offset - position) :]
        position += len(chunk)
    if digest.hexdigest() != artifact.sha256:
        quarantine()
        raise corrupt(artifact, stored_sha256=digest.hexdigest())
    if held_back:
        yield held_back


def corrupt(artifact: Artifact, *, stored_sha256: str) -> Internal:
    return Internal(
        f"the stored bytes of {artifact.sha256} are not what was put; they are quarantined",
        reason=Reason.DIGEST_MISMATCH,
        sha256=artifact.sha256,
        stored_sha256=stored_sha256,
    )


def stored_digest(store: Store, artifact: Artifact) -> str:
    """Reads all of it again. Another digest than its name means that it has just been quarantined."""
    try:
        for _ in store.read(artifact):
            pass
    except Internal as exc:
        if exc.reason is not Reason.DIGEST_MISMATCH:
            raise
        return exc.metadata["stored_sha256"]
    return artifact.sha256


def sidecar(artifact: Artifact) -> bytes:
    return json.dumps(
        {
            "owners": sorted(artifact.owners),
            "class": artifact.kept,
            "media_type": artifact.media_type,
            "size_bytes": artifact.size_bytes,
            "created": artifact.created.isoformat(),
            "refreshed": artifact.refreshed.isoformat(),
        }
    ).encode()


def artifact_from_sidecar(tenant: str, sha256: str, text: bytes) -> Artifact | None:
    """None for one that does not parse: its object is as good as lost until somebody puts it again."""
    try:
        fields = json.loads(text)
        return Artifact(
            tenant=tenant,
            sha256=sha256,
            size_bytes=fields["size_bytes"],
            media_type=fields["media_type"],
            kept=Kept(fields["class"]),
            owners=frozenset(fields["owners"]),
            created=datetime.fromisoformat(fields["created"]),
            refreshed=datetime.fromisoformat(fields["refreshed"]),
        )
    except (ValueError, KeyError, TypeError):
        _log.error("sidecar does not parse", tenant=tenant, sha256=sha256)
        return None
