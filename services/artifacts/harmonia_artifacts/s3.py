"""The store on S3: any server that keeps the conditional PUT (If-Match, If-None-Match) of the S3 API.

    {tenant}/{sha[:2]}/{sha}            the bytes
    {tenant}/{sha[:2]}/{sha}.{version}  the bytes, where an earlier object of this name was removed or quarantined
    {tenant}/{sha[:2]}/{sha}.json       the sidecar; without one, or where it is dead, nothing exists
    .quarantine/{tenant}/               copies of bytes that were not what their name says
    .uploads/{tenant}/                  uploads under way

A sidecar names its bytes, changes by compare-and-set alone and is read before bytes are written. So replicas of this
service may share a bucket, and a Put and a collection that meet are in order: whoever comes second fails its swap.
Bytes of a dead sidecar are never written again, so that a late delete harms nobody.
Every request passes `_ask`, the one owner of retries between here and S3.
"""

import json
import secrets
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import groupby, islice
from pathlib import Path, PurePosixPath
from typing import Any, ParamSpec, TypeVar
from urllib.parse import urlsplit

from minio import Minio
from minio.commonconfig import CopySource
from minio.error import InvalidResponseError, MinioException, S3Error, ServerError
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_random_exponential
from urllib3 import PoolManager, Timeout
from urllib3.exceptions import HTTPError
from urllib3.response import BaseHTTPResponse

from harmonia_artifacts.blocks import BLOCK_BYTES, proven
from harmonia_artifacts.links import refused
from harmonia_artifacts.parts import Proof, compares_what_is_signed, md5, signed_alone, upload
from harmonia_artifacts.settings import S3Settings, Settings
from harmonia_artifacts.sidecar import artifact_from_sidecar, merged, sidecar
from harmonia_artifacts.store import (
    Arrival,
    Artifact,
    Link,
    Spool,
    Stray,
    absent,
    full,
    is_digest,
    is_tenant,
    object_key,
    tenant_key,
)
from harmonia_chassis.chunks import Chunk
from harmonia_chassis.errors import HarmoniaError, Reason, Unavailable

P = ParamSpec("P")
T = TypeVar("T")

RETRY_FOR = timedelta(seconds=10)
_PAGE = 200
# The servicer has 16 threads, and each upload three of its own.
_CONNECTIONS = 48
_RESUMES = 3
# Writers of one sidecar are the jobs that make the same bytes at the same moment.
_RACES = 20
_FULL = frozenset({"XMinioStorageFull", "XMinioAdminBucketQuotaExceeded", "QuotaExceeded", "InsufficientCapacity"})
_UPLOAD = "?uploadId="
_WRONG_ETAG = '"00000000000000000000000000000000"'
# A request that was spoiled or cut on its way is no answer.
_SPOILED = frozenset({"BadDigest", "XAmzContentSHA256Mismatch", "IncompleteBody", "RequestTimeout"})
_WAYS_OUT = {
    "NoSuchBucket": "the bucket is gone: make it again, or name another by HARMONIA_S3_BUCKET",
    **dict.fromkeys(
        ("AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch"),
        "see HARMONIA_S3_ACCESS_KEY_FILE and HARMONIA_S3_SECRET_KEY_FILE, and what they may do there",
    ),
    "RequestTimeTooSkewed": "set the clock",
}
_ANSWERS = frozenset({"NoSuchKey", "PreconditionFailed"})


class S3Store:
    def __init__(
        self,
        client: Minio,
        bucket: str,
        *,
        scratch: Path,
        now: Callable[[], datetime],
        public: Minio | None = None,
        retry_for: timedelta = RETRY_FOR,
    ) -> None:
        self._client = client
        self._bucket = bucket
        self._scratch = scratch
        self._now = now
        self._public = public or client
        self._retry_for = retry_for
        self._proof: Proof = md5

    def prepare(self) -> None:
        """Makes the bucket where there is none. Raises Unavailable when S3 does not answer or does not allow it."""
        self._scratch.mkdir(parents=True, exist_ok=True)
        if not self.has_bucket():
            self._ask(self._client.make_bucket, self._bucket)
        key = f".probe/{secrets.token_hex(8)}"
        if self._ask(compares_what_is_signed, self._client, self._bucket, key):
            self._proof = signed_alone

    def has_bucket(self) -> bool:
        return self._ask(self._client.bucket_exists, self._bucket)

    def spool(self) -> Spool:
        return Spool(self._scratch)

    def keep(self, spool: Spool, arrival: Arrival) -> Artifact:
        key = object_key(arrival.tenant, spool.sha256)
        uploaded, fresh = None, secrets.token_hex(8)
        for _ in range(_RACES):
            found = self._sidecar(arrival.tenant, spool.sha256)
            version = found.version(fresh)
            if version != uploaded:
                self._upload(_bytes_key(key, version), spool, arrival.media_type)
                uploaded = version
            artifact = merged(arrival, spool, before=found.artifact, now=self._now(), version=version)
            if self._swap(f"{key}.json", sidecar(artifact), found.etag):
                return artifact
        raise Unavailable(f"too many writers of {spool.sha256}", reason=Reason.UNREACHABLE)

    def find(self, tenant: str, sha256: str) -> Artifact:
        for _ in range(_RACES):
            found = self._sidecar(tenant, sha256)
            if found.artifact is None:
                raise absent(sha256)
            saved = replace(found.artifact, condemned=None)
            if saved == found.artifact or self._swap(f"{object_key(tenant, sha256)}.json", sidecar(saved), found.etag):
                return saved
        raise Unavailable(f"too many writers of {sha256}", reason=Reason.UNREACHABLE)

    def read(self, artifact: Artifact, offset: int = 0, length: int | None = None) -> Iterator[Chunk]:
        return proven(
            artifact,
            lambda start, end: self._chunks(artifact, start, end),
            offset=offset,
            length=length,
            quarantine=lambda: self._quarantine(artifact),
        )

    def artifacts(self, tenant: str, *, after: str = "") -> Iterator[Artifact]:
        for item in self._items(tenant_key(tenant), after=f"{object_key(tenant, after)}.json" if after else ""):
            name = PurePosixPath(item.key)
            if name.suffix == ".json" and is_digest(name.stem):
                artifact = self._sidecar(tenant, name.stem).artifact
                if artifact:
                    yield artifact

    def link(self, artifact: Artifact, owner: str, *, valid_for: timedelta) -> Link:  # noqa: ARG002 - the owner was checked; S3 knows none
        url = self._public.presigned_get_object(
            self._bucket,
            _key_of(artifact),
            expires=valid_for,
            response_headers={
                "response-content-type": artifact.media_type,
                "response-content-disposition": "attachment",
            },
        )
        return Link(url=url, expires=self._now() + valid_for)

    def linked(self, token: str) -> Artifact:  # noqa: ARG002 - S3 signs its links, and opens them
        raise refused()

    def tenants(self) -> Iterator[str]:
        for name in self._ask(self._folders):
            if is_tenant(name):
                yield name

    def size_bytes(self, tenant: str) -> int:
        return sum(item.size_bytes for item in self._items(tenant_key(tenant)))

    def survey(self, tenant: str, *, passed_over: Callable[[str], bool]) -> Iterator[Artifact | Stray]:
        items = self._items(tenant_key(tenant))
        for sha256, of_one in groupby(items, key=lambda item: PurePosixPath(item.key).name.partition(".")[0]):
            listed = list(of_one)
            if is_digest(sha256) and not passed_over(sha256):
                yield from self._surveyed(tenant, sha256, listed)
        yield from self._abandoned_uploads(tenant)

    def condemn(self, artifact: Artifact) -> bool:
        found = self._sidecar(artifact.tenant, artifact.sha256)
        if found.artifact != artifact:
            return False
        doomed = replace(artifact, condemned=self._now())
        return self._swap(f"{object_key(artifact.tenant, artifact.sha256)}.json", sidecar(doomed), found.etag)

    def remove(self, artifact: Artifact) -> bool:
        found = self._sidecar(artifact.tenant, artifact.sha256)
        if artifact.condemned is None or found.artifact != artifact:
            return False
        if not self._swap(f"{object_key(artifact.tenant, artifact.sha256)}.json", self._tombstone(), found.etag):
            return False
        self._ask(self._client.remove_object, self._bucket, _key_of(artifact))
        return True

    def clear(self, stray: Stray) -> bool:
        name = PurePosixPath(stray.key).name
        if _UPLOAD in name:
            key, upload_id = stray.key.split(_UPLOAD)
            self._ask(self._client._abort_multipart_upload, self._bucket, key, upload_id)
            return True
        sha256 = name.partition(".")[0]
        found = self._sidecar(stray.tenant, sha256)
        if found.artifact and _key_of(found.artifact) == stray.key:
            return False
        if name.endswith(".json"):
            return found.artifact is None and self._bury(stray.key, found.etag)
        # A Put that has found no sidecar would name these bytes: from here on it finds a dead one.
        if found.etag is None and not self._swap(f"{object_key(stray.tenant, sha256)}.json", self._tombstone(), None):
            return False
        self._ask(self._client.remove_object, self._bucket, stray.key)
        return True

    def put_piece(self, key: str, body: bytes) -> None:
        self._ask(self._client._put_object, self._bucket, key, body, dict[str, Any](self._proof(body)))

    def put_new(self, key: str, body: bytes) -> bool:
        """False where something is there: what every sidecar relies on."""
        return self._swap(key, body, None)

    def piece(self, key: str, *, offset: int = 0, length: int = 0) -> bytes | None:
        try:
            with self._ask(self._client.get_object, self._bucket, key, offset=offset, length=length) as response:
                return response.read()
        except S3Error:
            return None

    def pieces(self, prefix: str) -> Iterator[Stray]:
        for item in self._items(prefix):
            yield Stray(item.key.split("/")[1], item.key, item.size_bytes, item.modified)

    def drop_piece(self, key: str) -> None:
        self._ask(self._client.remove_object, self._bucket, key)

    @cached_property
    def buries(self) -> bool:
        """Whether the server keeps If-Match at a DELETE. Where it does not, dead sidecars stay."""
        key = f".probe/{secrets.token_hex(8)}"
        self._ask(self._client._execute, "PUT", self._bucket, key, body=b"probe")
        try:
            self._ask(self._client._execute, "DELETE", self._bucket, key, headers={"If-Match": _WRONG_ETAG})
        except S3Error:
            self._ask(self._client.remove_object, self._bucket, key)
            return True
        return False

    def _bury(self, key: str, etag: str | None) -> bool:
        try:
            self._ask(self._client._execute, "DELETE", self._bucket, key, headers={"If-Match": etag or ""})
        except S3Error:
            return False
        return True

    def _tombstone(self) -> bytes:
        return json.dumps({"gone": self._now().isoformat()}).encode()

    def _surveyed(self, tenant: str, sha256: str, listed: "list[_Item]") -> Iterator[Artifact | Stray]:
        found = self._sidecar(tenant, sha256)
        if found.artifact:
            yield found.artifact
        elif found.etag and not found.is_gone:  # quarantined, or of a newer release
            return
        own = {_key_of(found.artifact), f"{object_key(tenant, sha256)}.json"} if found.artifact else set()
        for item in listed:
            is_tombstone = found.is_gone and item.key.endswith(".json")
            # Last, and only when its bytes are gone: until then it keeps everybody from naming them.
            if item.key not in own and (not is_tombstone or (len(listed) == 1 and self.buries)):
                yield Stray(tenant, item.key, item.size_bytes, item.modified)

    def _abandoned_uploads(self, tenant: str) -> Iterator[Stray]:
        """Parts of objects whose upload a crash cut short: S3 keeps them, and shows them in no listing."""
        found = self._ask(self._client._list_multipart_uploads, self._bucket, prefix=tenant_key(tenant))
        for cut_short in found.uploads:
            key = f"{cut_short.object_name}{_UPLOAD}{cut_short.upload_id}"
            if cut_short.initiated_time:
                yield Stray(tenant, key, 0, cut_short.initiated_time)

    def _folders(self) -> list[str]:
        found = self._client.list_objects(self._bucket)
        return [(item.object_name or "").removesuffix("/") for item in found if item.is_dir]

    def _upload(self, key: str, spool: Spool, media_type: str) -> None:
        upload(
            self._ask,
            self._client,
            self._bucket,
            key,
            file=spool.path,
            size_bytes=spool.size_bytes,
            media_type=media_type,
            proof=self._proof,
        )

    def _chunks(self, artifact: Artifact, start: int, end: int | None) -> Iterator[bytes]:
        position = start
        for _ in range(1 + _RESUMES):
            if end is not None and position >= end:
                return
            with self._opened(artifact, position, end) as response, suppress(HTTPError):
                for chunk in response.stream(BLOCK_BYTES):
                    position += len(chunk)
                    yield chunk
                return
        raise _unavailable(f"S3 breaks off after {position} bytes of {artifact.sha256}")

    def _opened(self, artifact: Artifact, position: int, end: int | None) -> BaseHTTPResponse:
        length = end - position if end else 0
        try:
            return self._ask(self._client.get_object, self._bucket, _key_of(artifact), offset=position, length=length)
        except S3Error as exc:
            raise absent(artifact.sha256) from exc

    def _sidecar(self, tenant: str, sha256: str) -> "_Sidecar":
        try:
            response = self._ask(self._client.get_object, self._bucket, f"{object_key(tenant, sha256)}.json")
        except S3Error:
            return _Sidecar(None, None)
        with response:
            text = response.read()
        etag = response.headers["etag"]
        if text.startswith((b'{"quarantined"', b'{"gone"')):
            return _Sidecar(None, etag, is_gone=text.startswith(b'{"gone"'))
        return _Sidecar(artifact_from_sidecar(tenant, sha256, text), etag)

    def _swap(self, key: str, body: bytes, etag: str | None) -> bool:
        condition: dict[str, Any] = {"If-Match": etag} if etag else {"If-None-Match": "*"}
        try:
            # minio-py has no conditional PUT of its own.
            self._ask(self._client._execute, "PUT", self._bucket, key, body=body, headers=condition | self._proof(body))
        except S3Error:
            return False
        return True

    def _quarantine(self, artifact: Artifact) -> None:
        found = self._sidecar(artifact.tenant, artifact.sha256)
        # A Put may have brought good bytes since these were opened.
        if found.artifact is None or found.artifact.refreshed != artifact.refreshed:
            return
        when, key = self._now(), _key_of(artifact)
        dead = json.dumps({"quarantined": when.isoformat()}).encode()
        if self._swap(f"{object_key(artifact.tenant, artifact.sha256)}.json", dead, found.etag):
            aside = f".quarantine/{artifact.tenant}/{artifact.sha256}.{when:%Y%m%dT%H%M%S}"
            self._ask(self._client.copy_object, self._bucket, aside, CopySource(self._bucket, key))
            self._ask(self._client.remove_object, self._bucket, key)

    def _items(self, prefix: str, *, after: str = "") -> "Iterator[_Item]":
        while True:
            page = self._ask(self._page, prefix, after)
            yield from page
            if len(page) < _PAGE:
                return
            after = page[-1].key

    def _page(self, prefix: str, after: str) -> "list[_Item]":
        found = self._client.list_objects(self._bucket, prefix, recursive=True, start_after=after or None)
        return [
            _Item(item.object_name or "", item.size or 0, item.last_modified or datetime.max.replace(tzinfo=UTC))
            for item in islice(found, _PAGE)
        ]

    def _ask(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Tries for `retry_for`, with up to 0.1, 0.2, 0.4 … 2 s between. S3Error: NoSuchKey or PreconditionFailed."""
        retrying = Retrying(
            retry=retry_if_exception(_is_passing),
            wait=wait_random_exponential(multiplier=0.1, max=2),
            stop=stop_after_delay(self._retry_for),
            reraise=True,
        )
        try:
            return retrying(function, *args, **kwargs)
        except S3Error as exc:
            if exc.code in _ANSWERS:
                raise
            raise _translated(exc) from exc
        except (HTTPError, MinioException) as exc:
            raise _unavailable("S3 does not answer") from exc


@dataclass(frozen=True, slots=True)
class _Item:
    key: str
    size_bytes: int
    modified: datetime


@dataclass(frozen=True, slots=True)
class _Sidecar:
    """Neither where there is none; an etag alone where it is dead."""

    artifact: Artifact | None
    etag: str | None
    is_gone: bool = False

    def version(self, fresh: str) -> str:
        """Of the bytes that a Put shall write."""
        if self.artifact:
            return self.artifact.version
        return fresh if self.etag else ""


def _key_of(artifact: Artifact) -> str:
    return _bytes_key(object_key(artifact.tenant, artifact.sha256), artifact.version)


def _bytes_key(key: str, version: str) -> str:
    return f"{key}.{version}" if version else key


def _is_passing(error: BaseException) -> bool:
    if isinstance(error, S3Error):
        busy = error.response.status >= 500 or error.response.status == 429 or error.code in _SPOILED
        return busy and error.code not in _FULL
    return isinstance(error, HTTPError | ServerError | InvalidResponseError)


def _translated(error: S3Error) -> HarmoniaError:
    if error.code in _FULL:
        return full(f"S3 says {error.code}")
    way_out = _WAYS_OUT.get(error.code or "")
    return _unavailable(f"S3 refuses: {error.code}" + (f"; {way_out}" if way_out else ""))


def _unavailable(message: str) -> Unavailable:
    return Unavailable(message, reason=Reason.UNREACHABLE, retry_after=timedelta(seconds=2))


def open_s3(settings: Settings, *, now: Callable[[], datetime]) -> S3Store:
    """For settings that name an S3 endpoint; makes the bucket where there is none."""
    endpoint, scratch = settings.s3_endpoint or "", settings.scratch_dir or Path()
    public = connected(settings.s3_public_endpoint, settings) if settings.s3_public_endpoint else None
    store = S3Store(connected(endpoint, settings), settings.s3_bucket, scratch=scratch, now=now, public=public)
    store.prepare()
    return store


def connected(endpoint: str, settings: S3Settings) -> Minio:
    address = urlsplit(endpoint)
    return Minio(
        address.netloc,
        access_key=_secret(settings.s3_access_key_file),
        secret_key=_secret(settings.s3_secret_key_file),
        secure=address.scheme == "https",
        region=settings.s3_region,
        http_client=connections(settings.s3_ca),
    )


def connections(ca: Path | None = None, *, read_s: float = 10) -> PoolManager:
    """No retries and no redirects of its own: `_ask` owns them."""
    return PoolManager(
        maxsize=_CONNECTIONS,
        timeout=Timeout(connect=2, read=read_s),
        retries=False,
        cert_reqs="CERT_REQUIRED",
        ca_certs=str(ca) if ca else None,
    )


def _secret(path: Path | None) -> str | None:
    return path.read_text().strip() if path else None
