"""A file on its way to S3: whole, or in parts of 8 MiB, three at a time. Every request carries the MD5 of its bytes.

SeaweedFS takes the signed SHA-256 of a body unseen, and keeps what a bad way made of it. The Content-MD5 of RFC 1864
all of them check; what they refuse is sent again. One part that fails does not make the others go twice.
"""

import base64
import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from minio import Minio
from minio.datatypes import Part

from harmonia_chassis.errors import HarmoniaError

PART_BYTES = 8 << 20
_AT_ONCE = 3

Ask = Callable[..., Any]


def upload(ask: Ask, client: Minio, bucket: str, key: str, *, file: Path, size_bytes: int, media_type: str) -> None:
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


def proof(body: bytes) -> dict[str, str]:
    return {"Content-MD5": base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()}
