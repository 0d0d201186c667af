"""Links to objects of the file store: whoever holds one may fetch that object until it expires. PURE.

The token names tenant, owner, object and end, and carries an HMAC-SHA256 over them (RFC 2104); it holds no secret and
opens nothing else. S3 signs links of its own.
"""

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass
from datetime import UTC, datetime

from harmonia_chassis.errors import NotFound, Reason


@dataclass(frozen=True, slots=True)
class Pointer:
    tenant: str
    owner: str
    sha256: str
    expires: datetime


def sign(key: bytes, tenant: str, *, owner: str, sha256: str, expires: datetime) -> str:
    body = json.dumps([tenant, owner, sha256, int(expires.timestamp())], separators=(",", ":")).encode()
    return f"{_text(body)}.{_text(_mac(key, body))}"


def opened(key: bytes, token: str, *, now: datetime) -> Pointer:
    """Raises NotFound for what is forged, altered or past its end: a stranger learns no difference."""
    body_text, _, mac_text = token.partition(".")
    try:
        body, mac = _bytes(body_text), _bytes(mac_text)
    except ValueError as exc:
        raise refused() from exc
    if not hmac.compare_digest(mac, _mac(key, body)):
        raise refused()
    tenant, owner, sha256, expires_s = json.loads(body)
    pointer = Pointer(tenant, owner, sha256, datetime.fromtimestamp(expires_s, UTC))
    if now >= pointer.expires:
        raise refused()
    return pointer


def refused() -> NotFound:
    return NotFound("this link opens nothing, or no longer", reason=Reason.ARTIFACT_NOT_FOUND)


def _mac(key: bytes, body: bytes) -> bytes:
    return hmac.new(key, b"harmonia-link-v1\0" + body, hashlib.sha256).digest()


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    # The canonical spelling only: base64 ignores stray characters and spare bits.
    data = base64.urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
    if _text(data) != text:
        raise ValueError(text)
    return data
