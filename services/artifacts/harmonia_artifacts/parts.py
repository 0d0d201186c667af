"""A file on its way to S3: whole, or in parts of 8 MiB, three at a time. Every request carries a digest of its bytes.

Over plain HTTP that is the SHA-256 that is signed. SeaweedFS takes it unseen, and keeps what a bad way made of a body;
the Content-MD5 of RFC 1864 all of them check. So the server is asked once, with a body that is not what its digest
says; one that takes it, and one behind TLS, where the body is not signed, is sent the MD5 too. What they refuse is sent
again. One part that fails does not make the others go twice.
"""

import base64
import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlunsplit

from minio import Minio
from minio.datatypes import Part
from minio.signer import sign_v4_s3

from harmonia_chassis.errors import HarmoniaError

PART_BYTES = 8 << 20
_AT_ONCE = 3

Ask = Callable[..., Any]
# What a request says besides what is signed.
Proof = Callable[[bytes], dict[str, str]]
_MISMATCHES = (b"XAmzContentSHA256Mismatch", b"BadDigest")


def upload(
    ask: Ask, client: Minio, bucket: str, key: str, *, file: Path, size_bytes: int, media_type: str, proof: Proof
) -> None:
    """`ask` makes each request and owns its retries. Nothing is there before all of it is."""
    kind = {"Content-Type": media_type}
    if size_bytes <= PART_BYTES:
        body = file.read_bytes()
        ask(client._put_object, bucket, key, body, kind | proof(body))
        return
    upload_id = ask(client._create_multipart_upload, bucket, key, dict(kind))

    def send(number: int) -> Part:
        body = _part(file, number)
        return Part(number, ask(client._upload_part, bucket, key, body, proof(body), upload_id, number))

    try:
        with ThreadPoolExecutor(_AT_ONCE) as threads:
            parts = list(threads.map(send, range(1, -(-size_bytes // PART_BYTES) + 1)))
        ask(client._complete_multipart_upload, bucket, key, upload_id, parts)
    except HarmoniaError:
        with suppress(HarmoniaError):
            ask(client._abort_multipart_upload, bucket, key, upload_id)
        raise


def _part(file: Path, number: int) -> bytes:
    with file.open("rb") as opened:
        opened.seek((number - 1) * PART_BYTES)
        return opened.read(PART_BYTES)


def md5(body: bytes) -> dict[str, str]:
    return {"Content-MD5": base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()}


def signed_alone(_body: bytes) -> dict[str, str]:
    return {}


def compares_what_is_signed(client: Minio, bucket: str, key: str) -> bool:
    """Whether the server refuses a body that is not the signed one. Nothing is left at the key."""
    provider, region = client._provider, client._get_region(bucket)
    if client._base_url.is_https or provider is None:
        return False
    url = client._base_url.build(method="PUT", region=region, bucket_name=bucket, object_name=key)
    said, now = hashlib.sha256(b"said").hexdigest(), datetime.now(UTC)
    headers = {"Host": url.netloc, "x-amz-content-sha256": said, "x-amz-date": now.strftime("%Y%m%dT%H%M%SZ")}
    signed = sign_v4_s3(
        method="PUT",
        url=url,
        region=region,
        headers=dict[str, Any](headers),
        credentials=provider.retrieve(),
        content_sha256=said,
        date=now,
    )
    answer = client._http.urlopen("PUT", urlunsplit(url), body=b"sent", headers=signed)
    if answer.status < HTTPStatus.BAD_REQUEST:
        client.remove_object(bucket, key)
    return any(code in answer.data for code in _MISMATCHES)
