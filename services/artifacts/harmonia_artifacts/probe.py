"""Whether a store can keep: a probe is put, read, read in part, linked and removed, under a prefix of its own.

`python -m harmonia_artifacts.probe` does it with the settings of the service, where those are; `harmonia doctor` with a
home, or with HARMONIA_S3_* variables. It runs beside a running service and touches no object.
"""

import hashlib
import os
import secrets
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from minio import Minio

from harmonia_artifacts.s3 import S3Store, connected, connections
from harmonia_artifacts.settings import S3Settings, Settings
from harmonia_artifacts.store import trouble_named
from harmonia_chassis.errors import FailedPrecondition, HarmoniaError, Internal, Reason
from harmonia_chassis.settings import read_settings

_PREFIX = ".probe/"
_SIZE = 100_000
# The doctor's patience, not the service's.
_RETRY_FOR = timedelta(seconds=3)


def probe_folder(root: Path) -> None:
    """Raises HarmoniaError naming what fails, and OSError for what has no name."""
    body, path = secrets.token_bytes(_SIZE), root / _PREFIX / secrets.token_hex(8)
    with trouble_named():
        path.parent.mkdir(mode=0o700, exist_ok=True)
        try:
            with path.open("xb") as file:
                file.write(body)
                file.flush()
                os.fsync(file.fileno())
            with path.open("rb") as file:
                _check("read", file.read(), body)
                file.seek(_SIZE // 2)
                _check("range", file.read(100), body[_SIZE // 2 :][:100])
        finally:
            path.unlink(missing_ok=True)
            path.parent.rmdir()


def probe_s3(settings: S3Settings) -> None:
    """Raises HarmoniaError naming what fails."""
    client = connected(settings.s3_endpoint or "", settings)
    public = connected(settings.s3_public_endpoint, settings) if settings.s3_public_endpoint else client
    store = S3Store(client, settings.s3_bucket, scratch=Path(), now=lambda: datetime.now(UTC), retry_for=_RETRY_FOR)
    body, key = secrets.token_bytes(_SIZE), f"{_PREFIX}{secrets.token_hex(8)}"
    if not store.has_bucket():
        message = f"there is no bucket {settings.s3_bucket}: make it, start artifacts, which does, or name another by "
        raise FailedPrecondition(f"{message}HARMONIA_S3_BUCKET", reason=Reason.WRONG_STATE)
    store.put_piece(key, body)
    try:
        _check("read", store.piece(key) or b"", body)
        _check("range", store.piece(key, offset=_SIZE // 2, length=100) or b"", body[_SIZE // 2 :][:100])
        _check("link", _linked(public, settings.s3_bucket, key), body)
        if store.put_new(key, b"another"):
            message = (
                "this S3 server ignores If-None-Match at a PUT, so two services would overwrite each other: use one "
            )
            message += "that keeps it, as AWS, MinIO and SeaweedFS do"
            raise FailedPrecondition(message, reason=Reason.NOT_SUPPORTED)
    finally:
        store.drop_piece(key)
    if store.piece(key) is not None:
        raise FailedPrecondition("a removed object is still there: is the bucket locked?", reason=Reason.WRONG_STATE)


def _linked(public: Minio, bucket: str, key: str) -> bytes:
    url = public.presigned_get_object(bucket, key, expires=timedelta(seconds=120))
    response = connections().request("GET", url)
    if response.status != 200:
        message = f"a signed link answers {response.status}: does HARMONIA_S3_PUBLIC_ENDPOINT lead to the same server?"
        raise FailedPrecondition(message, reason=Reason.WRONG_STATE)
    return response.data


def _check(what: str, found: bytes, wanted: bytes) -> None:
    if found != wanted:
        digests = [hashlib.sha256(body).hexdigest()[:12] for body in (found, wanted)]
        message = f"{what}: {len(found)} bytes {digests[0]} came back for {len(wanted)} bytes {digests[1]}"
        raise Internal(f"{message}. Do not keep songs there", reason=Reason.DIGEST_MISMATCH)


def main() -> None:
    settings = read_settings(Settings)
    try:
        probe_folder(settings.state_dir) if settings.state_dir else probe_s3(settings)
    except HarmoniaError as error:
        sys.exit(f"{error.reason}: {error.message}")
    sys.stdout.write("the store puts, reads, reads in part, links and removes\n")


if __name__ == "__main__":
    main()
