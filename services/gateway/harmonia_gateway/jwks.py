"""The signing keys of an OpenID Connect issuer, found by discovery and read again when one is not known.

What was read last serves on for a day while the issuer is away.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import httpx
import structlog
from jwt import PyJWK
from jwt.exceptions import PyJWKError

from harmonia_chassis.errors import Reason, Unauthenticated, Unavailable

_AGE_S = 300.0
_OLDEST_S = 86400.0
# An unknown kid asks the issuer at most so often, whoever sends it.
_BETWEEN_S = 10.0
_TIMEOUT_S = 5.0
_LARGEST = 256 * 1024
_MOST_KEYS = 100

_log = structlog.get_logger()


class IssuerKeys:
    def __init__(self, issuer: str, http: httpx.AsyncClient, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._issuer = issuer
        self._http = http
        self._clock = clock
        self._keys: dict[str, PyJWK] = {}
        self._read_at = float("-inf")
        self._next_read = float("-inf")
        self._reading = asyncio.Lock()

    async def key(self, kid: str) -> PyJWK:
        """Raises Unauthenticated for a kid the issuer does not have, Unavailable while none of its keys is known."""
        if kid not in self._keys or self._clock() > self._read_at + _AGE_S:
            await self._read()
        if not self._keys or self._clock() > self._read_at + _OLDEST_S:
            raise Unavailable("the issuer of the token cannot be asked now", reason=Reason.UNREACHABLE)
        if kid not in self._keys:
            raise Unauthenticated("the issuer has no such key", reason=Reason.TOKEN_INVALID)
        return self._keys[kid]

    async def _read(self) -> None:
        async with self._reading:
            now = self._clock()
            if now < self._next_read:
                return
            self._next_read = now + _BETWEEN_S
            try:
                self._keys = _signing_keys(await self._json(await self._address()))
            except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
                _log.warning("keys of the issuer not read", issuer=self._issuer, error=type(error).__name__)
                return
            self._read_at = now

    async def _address(self) -> str:
        """OpenID Connect Discovery 1.0 §4.3: the document must be about the issuer it was asked of."""
        document = await self._json(f"{self._issuer}/.well-known/openid-configuration")
        if document["issuer"] != self._issuer:
            raise ValueError(document["issuer"])
        address = str(document["jwks_uri"])
        if urlsplit(address).scheme != "https" and urlsplit(self._issuer).scheme == "https":
            raise ValueError(address)
        return address

    async def _json(self, url: str) -> dict[str, Any]:
        answer = await self._http.get(url, timeout=_TIMEOUT_S, follow_redirects=False)
        answer.raise_for_status()
        if answer.status_code != httpx.codes.OK or len(answer.content) > _LARGEST:
            raise ValueError(url)
        document: dict[str, Any] = answer.json()
        return document


def _signing_keys(document: dict[str, Any]) -> dict[str, PyJWK]:
    found: dict[str, PyJWK] = {}
    for entry in document["keys"][:_MOST_KEYS]:
        if not isinstance(entry.get("kid"), str) or entry.get("use", "sig") != "sig" or entry.get("kty") == "oct":
            continue
        try:
            found[entry["kid"]] = PyJWK(entry)
        except PyJWKError:  # of a kind that we do not check
            continue
    return found
