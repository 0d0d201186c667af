"""Uploads that go on: what has come lies in the store in pieces of 4 MiB, until the last byte makes an object of them.

    .uploads/{tenant}/{id}/upload       what it shall be
    .uploads/{tenant}/{id}/{offset}     a piece, from that byte on
    .uploads/{tenant}/{id}/done         what it has become, in place of the others

So any replica goes on where another, or a connection, broke off; at most one piece is sent again. It blocks.
"""

import json
import re
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from harmonia_artifacts.store import Spool, Store, Stray, tenant_key
from harmonia_chassis.errors import FailedPrecondition, InvalidInput, NotFound, QuotaExceeded, Reason, Unavailable

PIECE_BYTES = 4 << 20
LIFE = timedelta(hours=24)
# Of a tenant, at once: each may take 200 MiB that no quota counts yet.
MOST = 20
_ID = re.compile(r"[0-9a-f]{32}")
_FOLDER = ".uploads/"


@dataclass(frozen=True, slots=True)
class Upload:
    """received_bytes: how many are on disk, without a gap. kept_sha256: once it is complete."""

    id: str
    tenant: str
    owner: str
    media_type: str
    size_bytes: int
    sha256: str
    expires: datetime
    kept_sha256: str = ""
    received_bytes: int = 0


class Uploads:
    def __init__(self, store: Store, *, now: Callable[[], datetime]) -> None:
        self._store = store
        self._now = now

    def begin(self, tenant: str, *, owner: str, media_type: str, size_bytes: int, sha256: str) -> Upload:
        """Raises QuotaExceeded when the tenant has begun too many."""
        begun = sum(self._is_open(piece) for piece in self._store.pieces(_folder(tenant)))
        if begun >= MOST:
            message = f"{tenant} has begun {begun} uploads: finish some, or wait until they end, a day after they began"
            raise QuotaExceeded(message, reason=Reason.STORAGE_QUOTA)
        expires = self._now() + LIFE
        upload = Upload(uuid.uuid4().hex, tenant, owner, media_type, size_bytes, sha256, expires)
        self._write(upload)
        return upload

    def find(self, tenant: str, owner: str, upload_id: str) -> Upload:
        """Raises NotFound for what is not the owner's, is over, or never was."""
        upload = self._known(tenant, upload_id) if _ID.fullmatch(upload_id) else None
        if upload is None or upload.owner != owner or upload.expires <= self._now():
            message = f"there is no upload {upload_id!r}, or it is a day old, or not yours: begin it anew"
            raise NotFound(message, reason=Reason.ARTIFACT_NOT_FOUND, field="name")
        if upload.kept_sha256:
            return replace(upload, received_bytes=upload.size_bytes)
        return replace(upload, received_bytes=sum(piece.size_bytes for piece in self._in_a_row(upload)))

    def write(self, upload: Upload, offset: int, piece: bytes) -> None:
        """Durable when it returns."""
        self._store.put_piece(f"{_prefix(upload)}{offset:012d}", piece)

    def gathered(self, upload: Upload, spool: Spool) -> None:
        """All of it into the spool. Raises InvalidInput, the upload forgotten, when that is not what was announced;
        Unavailable when a call that had broken off wrote a shorter piece over the one that followed it."""
        spool.write(self._bytes(upload))
        if spool.size_bytes < upload.size_bytes:
            message = f"{spool.size_bytes} bytes are here: two calls wrote at once; ask, and go on from there"
            raise Unavailable(message, reason=Reason.WRONG_STATE, received_bytes=str(spool.size_bytes))
        if upload.sha256 and spool.sha256 != upload.sha256:
            self.forget(upload)
            message = f"the bytes that came are {spool.sha256}, not {upload.sha256}: begin the upload anew"
            raise InvalidInput(message, reason=Reason.DIGEST_MISMATCH, field="sha256")

    def complete(self, upload: Upload, sha256: str) -> Upload:
        """What it became stays known as long as the upload would: an answer may be lost."""
        done = replace(upload, kept_sha256=sha256, received_bytes=upload.size_bytes)
        self._write(done, "done")
        self.forget(upload)
        return done

    def forget(self, upload: Upload) -> None:
        for piece in list(self._store.pieces(_prefix(upload))):
            if not piece.key.endswith("/done"):
                self._store.drop_piece(piece.key)

    def sweep(self) -> None:
        """Forgets those that are over."""
        for piece in list(self._store.pieces(_FOLDER)):
            if self._now() - piece.modified > 2 * LIFE:
                self._store.drop_piece(piece.key)

    def _is_open(self, piece: Stray) -> bool:
        return piece.key.endswith("/upload") and self._now() - piece.modified < LIFE

    def _known(self, tenant: str, upload_id: str) -> Upload | None:
        for name in ("done", "upload"):
            text = self._store.piece(f"{_folder(tenant)}{upload_id}/{name}")
            if text:
                fields = json.loads(text)
                return Upload(upload_id, tenant, **fields | {"expires": datetime.fromisoformat(fields["expires"])})
        return None

    def _write(self, upload: Upload, name: str = "upload") -> None:
        fields = {
            "owner": upload.owner,
            "media_type": upload.media_type,
            "size_bytes": upload.size_bytes,
            "sha256": upload.sha256,
            "expires": upload.expires.isoformat(),
            "kept_sha256": upload.kept_sha256,
        }
        self._store.put_piece(f"{_prefix(upload)}{name}", json.dumps(fields).encode())

    def _in_a_row(self, upload: Upload) -> list[Stray]:
        """The pieces that follow each other from the first byte on; two writers may have left others between."""
        found = {piece.key.rsplit("/", 1)[1]: piece for piece in self._store.pieces(_prefix(upload))}
        row: list[Stray] = []
        end = 0
        while piece := found.get(f"{end:012d}"):
            row.append(piece)
            end += piece.size_bytes
        return row

    def _bytes(self, upload: Upload) -> Iterator[bytes]:
        return (self._store.piece(piece.key) or b"" for piece in self._in_a_row(upload))


def _folder(tenant: str) -> str:
    return f"{_FOLDER}{tenant_key(tenant)}"


def _prefix(upload: Upload) -> str:
    return f"{_folder(upload.tenant)}{upload.id}/"


def check_offset(upload: Upload, offset: int) -> None:
    if offset != upload.received_bytes:
        message = f"{upload.received_bytes} bytes are here: go on from there, not from {offset}"
        raise FailedPrecondition(
            message, reason=Reason.WRONG_STATE, field="header.offset", received_bytes=str(upload.received_bytes)
        )
