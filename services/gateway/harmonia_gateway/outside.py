"""POST to an address that a person gave: only where it may go, whatever its name means at that moment.

A name is resolved once for each connection, every address it has is checked, and the connection goes to one of those
that were checked: a name that changes its mind in between (DNS rebinding) gains nothing. Redirects are not followed,
proxies of the environment not asked.
"""

import asyncio
import socket
import ssl
from collections.abc import Iterable, Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Protocol
from urllib.parse import urlsplit

import httpcore

from harmonia_chassis.errors import InvalidInput, Reason
from harmonia_gateway.strangers import Network

Address = IPv4Address | IPv6Address

URL_CHARACTERS = 2000
_CONNECT_S = 5.0
_ANSWER_S = 10.0
# RFC 6052: an IPv4 address in the last 32 bits, of which Python only looks at the first 96.
_NAT64 = IPv6Network("64:ff9b::/96")


class Resolve(Protocol):
    async def __call__(self, host: str, port: int) -> Sequence[Address]: ...


class AddressRefused(Exception):
    """The name leads to an address that nothing may be sent to."""


class NoAnswer(Exception):
    """Could not be connected to, or did not answer in time."""


def is_public(address: Address) -> bool:
    if isinstance(address, IPv6Address):
        embedded = address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]
        if address in _NAT64:
            embedded = IPv4Address(int(address) & 0xFFFFFFFF)
        if embedded is not None:
            return is_public(embedded)
    return address.is_global and not address.is_multicast


async def resolve(host: str, port: int) -> Sequence[Address]:
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return list(dict.fromkeys(ip_address(str(entry[4][0]).partition("%")[0]) for entry in found))


class Outside:
    """`allowed`: networks of the operator's that are not public. `authorities`: PEM, trusted beside the system's."""

    def __init__(self, allowed: Sequence[Network], *, authorities: str = "", resolve: Resolve = resolve) -> None:
        self._allowed = allowed
        self._resolve = resolve
        trusted = ssl.create_default_context()
        if authorities:
            trusted.load_verify_locations(cadata=authorities)
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=trusted, max_keepalive_connections=0, network_backend=_Checked(self)
        )

    async def check(self, url: str, *, field: str) -> None:
        """Raises InvalidInput for what cannot be an address to call."""
        host, port = _host_of(url, field)
        try:
            await self.addresses(host, port)
        except AddressRefused as error:
            raise InvalidInput(str(error), reason=Reason.UNKNOWN_VALUE, field=field) from error
        except OSError as error:
            message = f"{host} has no address: {error.strerror or error}"
            raise InvalidInput(message, reason=Reason.UNKNOWN_VALUE, field=field) from error

    async def addresses(self, host: str, port: int) -> Sequence[Address]:
        """All that the name means now. Raises AddressRefused when nothing may be sent to one of them, OSError."""
        found = await self._resolve(host, port)
        for address in found:
            if not (is_public(address) or _is_in(address, self._allowed)):
                raise AddressRefused(f"{host} leads to {address}, which is no public address")
        return found

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        """The status of the answer. Raises AddressRefused, NoAnswer."""
        timeout = {"connect": _CONNECT_S, "read": _ANSWER_S, "write": _ANSWER_S, "pool": _CONNECT_S}
        sent = [(name.encode(), value.encode()) for name, value in headers.items()]
        try:
            async with (
                asyncio.timeout(_CONNECT_S + 2 * _ANSWER_S),
                self._pool.stream("POST", url, headers=sent, content=body, extensions={"timeout": timeout}) as answer,
            ):
                return int(answer.status)  # nobody reads what else it says
        except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError, OSError) as error:
            raise NoAnswer(type(error).__name__) from error

    async def aclose(self) -> None:
        await self._pool.aclose()


class _Checked(httpcore.AsyncNetworkBackend):
    """Connects to addresses that were checked; TLS still asks for the name."""

    def __init__(self, outside: Outside) -> None:
        self._outside = outside
        self._backend = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  httpcore's signature
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        addresses = await self._outside.addresses(host, port)
        return await self._backend.connect_tcp(str(addresses[0]), port, timeout, local_address, socket_options)


def _host_of(url: str, field: str) -> tuple[str, int]:
    try:
        parts = urlsplit(url)
        port = parts.port or 443
    except ValueError:
        parts, port = urlsplit(""), 443
    fine = parts.scheme == "https" and parts.hostname and parts.username is None and not parts.fragment
    if not fine or len(url) > URL_CHARACTERS or not url.isascii() or any(ord(one) <= 32 for one in url):
        message = f"{url[:80]!r} cannot be called: it must be https://host/…, at most {URL_CHARACTERS} characters"
        raise InvalidInput(message, reason=Reason.MALFORMED, field=field)
    return str(parts.hostname), port


def _is_in(address: Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks)
