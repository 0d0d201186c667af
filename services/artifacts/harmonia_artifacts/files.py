"""The store on a file system: one process, one folder.

    {tenant}/{sha[:2]}/{sha}        the bytes
    {tenant}/{sha[:2]}/{sha}.json   the sidecar; an object without one does not exist
    .incoming/                      what is arriving; emptied at start
    .quarantine/{tenant}/           bytes that were not what their name says

Bytes and sidecar are synced before either is renamed into place, so a crash at any point leaves the object as it was
or as it shall be.
"""

import fcntl
import os
import secrets
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import BinaryIO

from harmonia_artifacts.links import sign
from harmonia_artifacts.store import (
    CHUNK_BYTES,
    Arrival,
    Artifact,
    Link,
    Spool,
    absent,
    artifact_from_sidecar,
    full_disk_named,
    is_digest,
    merged,
    object_key,
    sidecar,
    tenant_key,
    verified,
)
from harmonia_chassis.errors import FailedPrecondition, Reason


class FileStore:
    def __init__(self, root: Path, *, now: Callable[[], datetime], link_base: str = "") -> None:
        self._root = root
        self._now = now
        self._link_base = link_base
        self._incoming = root / ".incoming"
        self._incoming.mkdir(parents=True, exist_ok=True)
        self._alone = _locked(root / ".lock")
        self._commit = threading.Lock()
        for leftover in self._incoming.iterdir():
            leftover.unlink()
        self._link_key = _link_key(root / ".link-key", self._incoming)

    def close(self) -> None:
        self._alone.close()

    def spool(self) -> Spool:
        return Spool(self._incoming)

    def keep(self, spool: Spool, arrival: Arrival) -> Artifact:
        path = self._root / object_key(arrival.tenant, spool.sha256)
        spool.sync()
        with self._commit:
            before = self._known(arrival.tenant, spool.sha256)
            artifact = merged(arrival, spool, before=before, now=self._now())
            with full_disk_named():
                _make_folder(path.parent)
            with self.spool() as aside:
                aside.write([sidecar(artifact)])
                aside.sync()
                # Also over bytes that are there already: these have just been proven, those may have rotted.
                spool.path.replace(path)
                aside.path.replace(_sidecar_path(path))
            _sync_folder(path.parent)
        return artifact

    def find(self, tenant: str, sha256: str) -> Artifact:
        artifact = self._known(tenant, sha256)
        if artifact is None:
            raise absent(sha256)
        return artifact

    def read(self, artifact: Artifact, offset: int = 0) -> Iterator[bytes]:
        path = self._root / object_key(artifact.tenant, artifact.sha256)
        try:
            file = path.open("rb", buffering=0)
        except FileNotFoundError as exc:
            raise absent(artifact.sha256) from exc
        with file:
            chunks = iter(lambda: file.read(CHUNK_BYTES), b"")
            inode = os.fstat(file.fileno()).st_ino
            yield from verified(artifact, chunks, offset=offset, quarantine=lambda: self._quarantine(artifact, inode))

    def artifacts(self, tenant: str, *, after: str = "") -> Iterator[Artifact]:
        for shard in sorted((self._root / tenant_key(tenant)).glob("??")):
            digests = sorted(path.stem for path in shard.glob("*.json") if is_digest(path.stem))
            for sha256 in digests:
                artifact = self._known(tenant, sha256) if sha256 > after else None
                if artifact:
                    yield artifact

    def link(self, artifact: Artifact, owner: str, *, valid_for: timedelta) -> Link:
        if not self._link_base:
            raise FailedPrecondition("this mesh has no REST door to serve links", reason=Reason.NOT_YET_SUPPORTED)
        expires = self._now().replace(microsecond=0) + valid_for
        token = sign(self._link_key, artifact.tenant, owner=owner, sha256=artifact.sha256, expires=expires)
        return Link(url=self._link_base + token, expires=expires)

    def _known(self, tenant: str, sha256: str) -> Artifact | None:
        path = self._root / object_key(tenant, sha256)
        try:
            text = _sidecar_path(path).read_bytes()
        except FileNotFoundError:
            return None
        return artifact_from_sidecar(tenant, sha256, text) if path.exists() else None

    def _quarantine(self, artifact: Artifact, inode: int) -> None:
        path = self._root / object_key(artifact.tenant, artifact.sha256)
        aside = self._root / ".quarantine" / artifact.tenant
        aside.mkdir(parents=True, exist_ok=True)
        with self._commit:
            # A Put may have brought good bytes since these were opened.
            if not path.exists() or path.stat().st_ino != inode:
                return
            path.replace(aside / f"{artifact.sha256}.{inode}")
            _sidecar_path(path).replace(aside / f"{artifact.sha256}.{inode}.json")
            _sync_folder(path.parent)


def _sidecar_path(path: Path) -> Path:
    return path.with_name(path.name + ".json")


def _locked(path: Path) -> BinaryIO:
    """Two processes would empty each other's .incoming. The kernel lets go when the holder dies."""
    file = path.open("wb")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        file.close()
        raise FailedPrecondition(f"another process keeps {path.parent}", reason=Reason.WRONG_STATE) from exc
    return file


def _link_key(path: Path, incoming: Path) -> bytes:
    if not path.exists():
        with Spool(incoming) as spool:
            spool.write([secrets.token_bytes(32)])
            spool.sync()
            spool.path.chmod(0o600)
            spool.path.replace(path)
    return path.read_bytes()


def _make_folder(folder: Path) -> None:
    if folder.exists():
        return
    _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
