"""The store on a file system: one process, one folder.

    {tenant}/{sha[:2]}/{sha}        the bytes
    {tenant}/{sha[:2]}/{sha}.json   the sidecar; an object without one does not exist
    .incoming/                      what is arriving; emptied at start
    .quarantine/{tenant}/           bytes that were not what their name says
    .uploads/{tenant}/              uploads under way

Bytes and sidecar are synced before either is renamed into place, so a crash at any point leaves the object as it was
or as it shall be. What is condemned is known to this process alone and not written: garbage must go when the disk is
full.
"""

import fcntl
import os
import secrets
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

import structlog

from harmonia_artifacts.blocks import BLOCK_BYTES, proven
from harmonia_artifacts.links import opened, refused, sign
from harmonia_artifacts.sidecar import artifact_from_sidecar, merged, sidecar
from harmonia_artifacts.store import (
    Arrival,
    Artifact,
    Link,
    Spool,
    Stray,
    absent,
    is_digest,
    is_tenant,
    object_key,
    tenant_key,
    trouble_named,
)
from harmonia_chassis.chunks import Chunk
from harmonia_chassis.errors import FailedPrecondition, Reason, Unavailable

_log = structlog.get_logger()
_Name = tuple[str, str]


class FileStore:
    def __init__(self, root: Path, *, now: Callable[[], datetime], link_base: str = "") -> None:
        self._root = root
        self._now = now
        self._link_base = link_base
        self._incoming = root / ".incoming"
        self._incoming.mkdir(parents=True, exist_ok=True)
        self._alone = _locked(root / ".lock")
        self._commit = threading.Lock()
        # Never held while the disk works, so that finding does not wait for it.
        self._judging = threading.Lock()
        self._condemned: dict[_Name, datetime] = {}
        self._going: set[_Name] = set()
        for leftover in self._incoming.iterdir():
            leftover.unlink()
        self._link_key = _link_key(root / ".link-key", self._incoming)

    def close(self) -> None:
        self._alone.close()

    def spool(self) -> Spool:
        return Spool(self._incoming)

    def keep(self, spool: Spool, arrival: Arrival) -> Artifact:
        path = self._path(arrival.tenant, spool.sha256)
        spool.sync()
        with self._commit, trouble_named():
            before = self._known(arrival.tenant, spool.sha256)
            artifact = merged(arrival, spool, before=before, now=self._now())
            _make_folder(path.parent)
            with self.spool() as aside:
                aside.write([sidecar(artifact)])
                aside.sync()
                # Also over bytes that are there already: these have just been proven, those may have rotted.
                spool.path.replace(path)
                aside.path.replace(_sidecar_path(path))
            _sync_folder(path.parent)
            self._save(arrival.tenant, spool.sha256)
        return artifact

    def find(self, tenant: str, sha256: str) -> Artifact:
        if not self._save(tenant, sha256):
            raise absent(sha256)
        artifact = self._known(tenant, sha256)
        if artifact is None:
            raise absent(sha256)
        return artifact

    def read(self, artifact: Artifact, offset: int = 0, length: int | None = None) -> Iterator[Chunk]:
        path, inode = self._path(artifact.tenant, artifact.sha256), 0

        def stored(start: int, end: int | None) -> Iterator[bytes]:
            nonlocal inode
            with _opened(path) as file:
                inode = os.fstat(file.fileno()).st_ino
                file.seek(start)
                left = sys.maxsize if end is None else end - start
                while chunk := _read(file, min(BLOCK_BYTES, left)):
                    left -= len(chunk)
                    yield chunk

        quarantine = lambda: self._quarantine(artifact, inode)  # noqa: E731 - asks for the inode when it is known
        yield from proven(artifact, stored, offset=offset, length=length, quarantine=quarantine)

    def artifacts(self, tenant: str, *, after: str = "") -> Iterator[Artifact]:
        for shard in self._shards(tenant):
            digests = sorted(path.stem for path in shard.glob("*.json") if is_digest(path.stem))
            for sha256 in digests:
                artifact = self._known(tenant, sha256) if sha256 > after else None
                if artifact:
                    yield artifact

    def link(self, artifact: Artifact, owner: str, *, valid_for: timedelta) -> Link:
        if not self._link_base:
            message = "a store on files makes no links: download the artifact, share the song, or keep objects on S3"
            raise FailedPrecondition(message, reason=Reason.NOT_YET_SUPPORTED)
        expires = self._now().replace(microsecond=0) + valid_for
        token = sign(self._link_key, artifact.tenant, owner=owner, sha256=artifact.sha256, expires=expires)
        return Link(url=self._link_base + token, expires=expires)

    def linked(self, token: str) -> Artifact:
        pointer = opened(self._link_key, token, now=self._now())
        artifact = self.find(pointer.tenant, pointer.sha256)
        if pointer.owner not in artifact.owners:
            raise refused()
        return artifact

    def tenants(self) -> Iterator[str]:
        yield from sorted(folder.name for folder in self._root.iterdir() if is_tenant(folder.name) and folder.is_dir())

    def size_bytes(self, tenant: str) -> int:
        return sum(entry.stat().st_size for shard in self._shards(tenant) for entry in os.scandir(shard))

    def survey(self, tenant: str, *, passed_over: Callable[[str], bool]) -> Iterator[Artifact | Stray]:
        for shard in self._shards(tenant):
            names = {entry.name for entry in os.scandir(shard)}
            for sha256 in sorted({name.removesuffix(".json") for name in names}):
                if is_digest(sha256) and not passed_over(sha256):
                    yield from self._surveyed(tenant, sha256)

    def condemn(self, artifact: Artifact) -> bool:
        with self._judging:
            self._condemned.setdefault((artifact.tenant, artifact.sha256), self._now())
        # A Put that came meanwhile has already saved what it found, which was nothing.
        known = self._known(artifact.tenant, artifact.sha256)
        if known is None or known.refreshed != artifact.refreshed:
            self._save(artifact.tenant, artifact.sha256)
            return False
        return True

    def remove(self, artifact: Artifact) -> bool:
        name, path = (artifact.tenant, artifact.sha256), self._path(artifact.tenant, artifact.sha256)
        with self._commit:
            with self._judging:
                if artifact.condemned is None or self._condemned.get(name) != artifact.condemned:
                    return False
                self._going.add(name)
            try:
                # The sidecar first: what a crash leaves is then no object.
                _sidecar_path(path).unlink(missing_ok=True)
                path.unlink(missing_ok=True)
                _sync_folder(path.parent)
            finally:
                with self._judging:
                    self._going.discard(name)
                    self._condemned.pop(name, None)
        return True

    def clear(self, stray: Stray) -> bool:
        path = self._root / stray.key
        with self._commit:
            if self._known(stray.tenant, path.name.removesuffix(".json")):
                return False
            path.unlink(missing_ok=True)
            _sync_folder(path.parent)
        return True

    def put_piece(self, key: str, body: bytes) -> None:
        path = self._root / key
        with trouble_named(), self.spool() as spool:
            spool.write([body])
            spool.sync()
            _make_folder(path.parent)
            spool.path.replace(path)
            _sync_folder(path.parent)

    def piece(self, key: str) -> bytes | None:
        path = self._root / key
        return path.read_bytes() if path.exists() else None

    def pieces(self, prefix: str) -> Iterator[Stray]:
        for path in sorted((self._root / prefix).rglob("*")):
            if path.is_file():
                found, key = path.stat(), str(path.relative_to(self._root))
                modified = datetime.fromtimestamp(found.st_mtime, UTC)
                yield Stray(key.split("/")[1], key, found.st_size, modified)

    def drop_piece(self, key: str) -> None:
        path = self._root / key
        path.unlink(missing_ok=True)
        with suppress(OSError):  # others lie there still
            path.parent.rmdir()

    def _save(self, tenant: str, sha256: str) -> bool:
        """False for what is being removed at this moment."""
        object_key(tenant, sha256)
        with self._judging:
            if (tenant, sha256) in self._going:
                return False
            self._condemned.pop((tenant, sha256), None)
        return True

    def _surveyed(self, tenant: str, sha256: str) -> Iterator[Artifact | Stray]:
        artifact = self._known(tenant, sha256)
        if artifact:
            yield artifact
            return
        path = self._path(tenant, sha256)
        halves = [each for each in (path, _sidecar_path(path)) if each.exists()]
        if len(halves) == 1:  # both: the sidecar does not parse here, but may where a newer release runs
            found = halves[0].stat()
            modified = datetime.fromtimestamp(found.st_mtime, UTC)
            yield Stray(tenant, str(halves[0].relative_to(self._root)), found.st_size, modified)

    def _shards(self, tenant: str) -> list[Path]:
        return sorted((self._root / tenant_key(tenant)).glob("??"))

    def _path(self, tenant: str, sha256: str) -> Path:
        return self._root / object_key(tenant, sha256)

    def _known(self, tenant: str, sha256: str) -> Artifact | None:
        path = self._path(tenant, sha256)
        try:
            text = _sidecar_path(path).read_bytes()
        except FileNotFoundError:
            return None
        artifact = artifact_from_sidecar(tenant, sha256, text) if path.exists() else None
        return replace(artifact, condemned=self._condemned.get((tenant, sha256))) if artifact else None

    def _quarantine(self, artifact: Artifact, inode: int) -> None:
        try:
            self._move_aside(artifact, inode)
        except OSError as exc:
            # It is found out again at every read.
            _log.error("not quarantined", tenant=artifact.tenant, sha256=artifact.sha256, error=exc.strerror)

    def _move_aside(self, artifact: Artifact, inode: int) -> None:
        path = self._path(artifact.tenant, artifact.sha256)
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


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb", buffering=0)
    except FileNotFoundError as exc:
        raise absent(path.name) from exc
    except OSError as exc:
        raise _unreadable(exc) from exc


def _read(file: BinaryIO, size_bytes: int) -> bytes:
    try:
        return file.read(size_bytes)
    except OSError as exc:
        raise _unreadable(exc) from exc


def _unreadable(exc: OSError) -> Unavailable:
    message = f"the store cannot read its disk ({exc.strerror}); nothing was lost by this. The operator must look at it"
    return Unavailable(message, reason=Reason.UNREACHABLE, retry_after=timedelta(seconds=30))


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
