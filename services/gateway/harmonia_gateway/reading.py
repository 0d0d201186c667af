"""Lyrics too long for a song's record lie in the store: fetched once, so that songs are found by them too."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import structlog
from google.protobuf.message import DecodeError

from harmonia.type.v1 import type_pb2
from harmonia_chassis.errors import HarmoniaError, NotFound
from harmonia_chassis.identity import TokenSigner
from harmonia_chassis.store import StoreClient
from harmonia_gateway import texts
from harmonia_gateway.projection import Projection, Unread

LOOK_S = 2.0
_LIFE = timedelta(minutes=5)

log = structlog.get_logger()


class Reading:
    def __init__(self, projection: Projection, store: StoreClient, signer: TokenSigner) -> None:
        self._projection = projection
        self._store = store
        self._signer = signer

    async def run(self, ready: Callable[[], None]) -> None:
        ready()
        while True:
            for unread in self._projection.unread():
                await self._read(unread)
            await asyncio.sleep(LOOK_S)

    async def _read(self, unread: Unread) -> None:
        """What cannot be read now is tried again; what is gone, or no lyrics, is left."""
        grant = self._signer.grant(
            tenant=unread.tenant, owner=unread.owner, subject=f"songs/{unread.id}", expires=datetime.now(UTC) + _LIFE
        )
        try:
            ref = type_pb2.ArtifactRef(sha256=unread.sha256, size_bytes=unread.size_bytes)
            body = await self._store.get(ref, grant)
            self._projection.read(unread, texts.read_lyrics(body, plain=unread.plain))
        except (NotFound, ValueError, DecodeError):
            self._projection.read(unread, "")
        except HarmoniaError as error:
            log.warning("lyrics not read", song=unread.id, reason=error.reason)
