"""One connection to NATS: mutual TLS, endless reconnects, and the traps of nats-py in one place."""

import asyncio
import ssl
import time
from dataclasses import dataclass
from pathlib import Path

import nats
import nats.errors
import structlog
from nats.aio.client import Client

from harmonia_chassis.errors import PermissionDenied, Reason
from harmonia_chassis.lanes import inbox

log = structlog.get_logger()

# nats.connect over TLS never returns when the server dies in the first milliseconds of the
# handshake, and its own connect_timeout does not cover that: bound it from outside.
_CONNECT_S = 5.0


@dataclass(frozen=True, slots=True)
class Credentials:
    """PEM files of a service; read again at every reconnect, because leaves are reissued."""

    certificate: Path
    key: Path
    ca: Path


class Connection:
    """`nc` and what one must know beside it: since when it stands and whether the server refused something."""

    def __init__(self, service: str, credentials: Credentials) -> None:
        self.service = service
        self.connected_since = 0.0
        self._credentials = credentials
        self._context = ssl.create_default_context(cafile=str(credentials.ca))
        self.refused: str | None = None
        self.nc = Client()

    def raise_if_refused(self) -> None:
        """A refused publish looks like a time-out to its caller; only the error callback learns of it."""
        if self.refused:
            raise PermissionDenied(f"nats: {self.refused}", reason=Reason.CALLER_REFUSED)

    async def open(self, url: str) -> None:
        while True:
            self._load_certificate()
            try:
                await asyncio.wait_for(self._connect(url), _CONNECT_S)
            except (TimeoutError, OSError, nats.errors.Error) as error:
                log.info("nats not reachable yet", error=type(error).__name__)
                self.nc = Client()
                await asyncio.sleep(0.1)
            else:
                self.connected_since = time.time()
                return

    async def close(self) -> None:
        # Not drain(): that raises during an outage.
        await self.nc.close()

    async def _connect(self, url: str) -> None:
        await self.nc.connect(
            url,
            tls=self._context,
            name=self.service,
            inbox_prefix=inbox(self.service).encode(),
            max_reconnect_attempts=-1,
            reconnect_time_wait=0.2,  # type: ignore[arg-type]  # seconds; declared int, used as a float
            ping_interval=10,
            connect_timeout=2,
            error_cb=self._on_error,
            disconnected_cb=self._on_disconnect,
            reconnected_cb=self._on_reconnect,
        )

    def _load_certificate(self) -> None:
        self._context.load_cert_chain(self._credentials.certificate, self._credentials.key)

    async def _on_disconnect(self) -> None:
        self._load_certificate()

    async def _on_reconnect(self) -> None:
        self.connected_since = time.time()
        log.info("nats reconnected")

    async def _on_error(self, error: Exception) -> None:
        if "permissions violation" in str(error).lower():
            self.refused = str(error)
            log.error("nats refused", error=str(error))
        else:
            log.info("nats connection trouble", error=type(error).__name__)
