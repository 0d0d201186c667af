"""The store on S3: any server that keeps the conditional PUT (If-Match, If-None-Match) of the S3 API.

    {tenant}/{sha[:2]}/{sha}        the bytes
    {tenant}/{sha[:2]}/{sha}.json   the sidecar; without one, or where it says quarantined, nothing exists
    .quarantine/{tenant}/           copies of bytes that were not what their name says

Objects are written whole and blindly: any two of one name are equal. Sidecars change by compare-and-set, so replicas
of this service may share a bucket. Every request passes `_ask`, the one owner of retries between here and S3.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import ParamSpec, TypeVar
from urllib.parse import urlsplit

from minio import Minio
from minio.commonconfig import CopySource
from minio.error import InvalidResponseError, MinioException, S3Error, ServerError
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_random_exponential
from urllib3 import PoolManager, Timeout
from urllib3.exceptions import HTTPError
from urllib3.response import BaseHTTPResponse

from harmonia_artifacts.settings import Settings
from harmonia_artifacts.store import (
    CHUNK_BYTES,
    Arrival,
    Artifact,
    Link,
    Spool,
    absent,
    artifact_from_sidecar,
    is_digest,
    merged,
    object_key,
    sidecar,
    tenant_key,
    verified,
)
from harmonia_chassis.errors import HarmoniaError, Overloaded, Reason, Unavailable

P = ParamSpec("P")
T = TypeVar("T")

# Larger objects go in parts of this size, three at a time: what one Put holds in memory.
_PART_BYTES = 16 << 20
RETRY_FOR = timedelta(seconds=10)
_PAGE = 200
# As many as the servicer has threads.
_CONNECTIONS = 16
_RESUMES = 3
# Writers of one sidecar are the jobs that make the same bytes at the same moment.
_RACES = 20
_FULL = frozenset({"XMinioStorageFull", "XMinioAdminBucketQuotaExceeded", "QuotaExceeded", "InsufficientCapacity"})
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

    def prepare(self) -> None:
        """Makes the bucket where there is none. Raises Unavailable when S3 does not answer or does not allow it."""
        self._scratch.mkdir(parents=True, exist_ok=True)
        if not self._ask(self._client.bucket_exists, self._bucket):
            self._ask(self._client.make_bucket, self._bucket)

    def spool(self) -> Spool:
        return Spool(self._scratch)

    def keep(self, spool: Spool, arrival: Arrival) -> Artifact:
        key = object_key(arrival.tenant, spool.sha256)
        self._ask(self._upload, key, spool, arrival.media_type)
        for _ in range(_RACES):
            before, etag = self._sidecar(arrival.tenant, spool.sha256)
            artifact = merged(arrival, spool, before=before, now=self._now())
            if self._swap(f"{key}.json", sidecar(artifact), etag):
                return artifact
        raise Unavailable(f"too many writers of {spool.sha256}", reason=Reason.UNREACHABLE)

    def find(self, tenant: str, sha256: str) -> Artifact:
        artifact, _ = self._sidecar(tenant, sha256)
        if artifact is None:
            raise absent(sha256)
        return artifact

    def read(self, artifact: Artifact, offset: int = 0) -> Iterator[bytes]:
        return verified(artifact, self._chunks(artifact), offset=offset, quarantine=lambda: self._quarantine(artifact))

    def artifacts(self, tenant: str, *, after: str = "") -> Iterator[Artifact]:
        for key in self._keys(tenant_key(tenant), after=f"{object_key(tenant, after)}.json" if after else ""):
            name = PurePosixPath(key)
            artifact = self._sidecar(tenant, name.stem)[0] if name.suffix == ".json" and is_digest(name.stem) else None
            if artifact:
                yield artifact

    def link(self, artifact: Artifact, owner: str, *, valid_for: timedelta) -> Link:  # noqa: ARG002 - the owner was checked; S3 knows none
        url = self._public.presigned_get_object(
            self._bucket,
            object_key(artifact.tenant, artifact.sha256),
            expires=valid_for,
            response_headers={
                "response-content-type": artifact.media_type,
                "response-content-disposition": "attachment",
            },
        )
        return Link(url=url, expires=self._now() + valid_for)

    def _upload(self, key: str, spool: Spool, media_type: str) -> None:
        with spool.path.open("rb") as file:
            self._client.put_object(
                self._bucket, key, file, spool.size_bytes, content_type=media_type, part_size=_PART_BYTES
            )

    def _chunks(self, artifact: Artifact) -> Iterator[bytes]:
        position = 0
        for _ in range(1 + _RESUMES):
            with self._opened(artifact, position) as response, suppress(HTTPError):
                for chunk in response.stream(CHUNK_BYTES):
                    position += len(chunk)
                    yield chunk
                return
        raise _unavailable(f"S3 breaks off after {position} bytes of {artifact.sha256}")

    def _opened(self, artifact: Artifact, position: int) -> BaseHTTPResponse:
        key = object_key(artifact.tenant, artifact.sha256)
        try:
            return self._ask(self._client.get_object, self._bucket, key, offset=position)
        except S3Error as exc:
            raise absent(artifact.sha256) from exc

    def _sidecar(self, tenant: str, sha256: str) -> tuple[Artifact | None, str | None]:
        """With its etag; neither where there is none, no artifact where it says quarantined."""
        try:
            response = self._ask(self._client.get_object, self._bucket, f"{object_key(tenant, sha256)}.json")
        except S3Error:
            return None, None
        with response:
            text = response.read()
        etag = response.headers["etag"]
        return (None if b'"quarantined"' in text else artifact_from_sidecar(tenant, sha256, text)), etag

    def _swap(self, key: str, body: bytes, etag: str | None) -> bool:
        condition = {"If-Match": etag} if etag else {"If-None-Match": "*"}
        try:
            # minio-py has no conditional PUT of its own.
            self._ask(self._client._execute, "PUT", self._bucket, key, body=body, headers=dict(condition))
        except S3Error:
            return False
        return True

    def _quarantine(self, artifact: Artifact) -> None:
        key = object_key(artifact.tenant, artifact.sha256)
        known, etag = self._sidecar(artifact.tenant, artifact.sha256)
        # A Put may have brought good bytes since these were opened.
        if known is None or known.refreshed != artifact.refreshed:
            return
        when = self._now()
        if self._swap(f"{key}.json", json.dumps({"quarantined": when.isoformat()}).encode(), etag):
            aside = f".quarantine/{artifact.tenant}/{artifact.sha256}.{when:%Y%m%dT%H%M%S}"
            self._ask(self._client.copy_object, self._bucket, aside, CopySource(self._bucket, key))

    def _keys(self, prefix: str, *, after: str) -> Iterator[str]:
        while True:
            page = self._ask(self._page, prefix, after)
            yield from page
            if len(page) < _PAGE:
                return
            after = page[-1]

    def _page(self, prefix: str, after: str) -> list[str]:
        found = self._client.list_objects(self._bucket, prefix, recursive=True, start_after=after or None)
        return [item.object_name or "" for item in islice(found, _PAGE)]

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


def _is_passing(error: BaseException) -> bool:
    if isinstance(error, S3Error):
        return (error.response.status >= 500 or error.response.status == 429) and error.code not in _FULL
    return isinstance(error, HTTPError | ServerError | InvalidResponseError)


def _translated(error: S3Error) -> HarmoniaError:
    if error.code in _FULL:
        return Overloaded("the store is full", reason=Reason.STORE_FULL, retry_after=timedelta(seconds=30))
    return _unavailable(f"S3 refuses: {error.code}")


def _unavailable(message: str) -> Unavailable:
    return Unavailable(message, reason=Reason.UNREACHABLE, retry_after=timedelta(seconds=2))


def open_s3(settings: Settings, *, now: Callable[[], datetime]) -> S3Store:
    """For settings that name an S3 endpoint; makes the bucket where there is none."""
    endpoint, scratch = settings.s3_endpoint or "", settings.scratch_dir or Path()
    public = connected(settings.s3_public_endpoint, settings) if settings.s3_public_endpoint else None
    store = S3Store(connected(endpoint, settings), settings.s3_bucket, scratch=scratch, now=now, public=public)
    store.prepare()
    return store


def connected(endpoint: str, settings: Settings) -> Minio:
    address = urlsplit(endpoint)
    return Minio(
        address.netloc,
        access_key=_secret(settings.s3_access_key_file),
        secret_key=_secret(settings.s3_secret_key_file),
        secure=address.scheme == "https",
        region=settings.s3_region,
        http_client=connections(settings.s3_ca),
    )


def connections(ca: Path | None = None) -> PoolManager:
    """No retries and no redirects of its own: `_ask` owns them."""
    return PoolManager(
        maxsize=_CONNECTIONS,
        timeout=Timeout(connect=2, read=10),
        retries=False,
        cert_reqs="CERT_REQUIRED",
        ca_certs=str(ca) if ca else None,
    )


def _secret(path: Path | None) -> str | None:
    return path.read_text().strip() if path else None
