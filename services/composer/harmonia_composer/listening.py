"""What an engine tells from its thread, carried to the event loop: progress, previews, checkpoints."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable
from pathlib import Path
from typing import Protocol, TypeVar

from harmonia.composer.v1 import composer_pb2 as pb
from harmonia.store.v1 import store_pb2
from harmonia.type.v1 import type_pb2
from harmonia_chassis.errors import NotFound
from harmonia_chassis.worker import Work

OUTPUT = store_pb2.StorageClass.OUTPUT
PREVIEW = store_pb2.StorageClass.PREVIEW
CHECKPOINT = store_pb2.StorageClass.CHECKPOINT
# Of the stage's progress; the rest is storing.
MADE = 0.9
# jobs.md: a checkpoint rewrites the job's record, so seldom.
CHECKPOINT_EVERY_S = 5.0

T = TypeVar("T")


class Store(Protocol):
    """The part of chassis' StoreClient that is used here."""

    async def put(
        self,
        source: bytes | Path,
        media_type: str,
        grant: str,
        *,
        storage_class: store_pb2.StorageClass.Class.ValueType = OUTPUT,
    ) -> type_pb2.ArtifactRef: ...

    async def get(self, ref: type_pb2.ArtifactRef, grant: str) -> bytes: ...

    async def fetch(self, ref: type_pb2.ArtifactRef, grant: str, to: Path) -> None: ...


class WorkListener:
    """The Listener of one order. Make it on the event loop, use it in the engine's thread."""

    def __init__(
        self,
        work: Work,
        store: Store,
        folder: Path,
        reusable: Iterable[pb.ComposeResult.Stem],
        *,
        on_message: Callable[[str], None],
        checkpoint_every_s: float = CHECKPOINT_EVERY_S,
    ) -> None:
        self.check = work.check
        self._work = work
        self._store = store
        self._folder = folder
        self._reusable = {stem.recipe: stem.ref for stem in reusable if stem.recipe}
        self._on_message = on_message
        self._loop = asyncio.get_running_loop()
        self._checkpoint_every_s = checkpoint_every_s
        self._checkpoint_at = time.monotonic()

    def progress(self, fraction: float, message: str) -> None:
        self._work.progress(MADE * fraction, message)
        self._on_message(message)

    def preview(self, path: Path, start_seconds: float, duration_seconds: float) -> None:
        ref = self._on_loop(self._store.put(path, "audio/flac", self._work.grant, storage_class=PREVIEW))
        self._work.preview(
            pb.ComposeEvent.Preview(ref=ref, start_seconds=start_seconds, duration_seconds=duration_seconds)
        )

    def reusable(self, recipe: str) -> Path | None:
        if recipe not in self._reusable:
            return None
        path = self._folder / f"reused-{recipe}.flac"
        try:
            self._on_loop(self._store.fetch(self._reusable[recipe], self._work.grant, path))
        except NotFound:
            return None
        return path

    def checkpoint(self, data: bytes) -> None:
        if time.monotonic() - self._checkpoint_at < self._checkpoint_every_s:
            return
        self._checkpoint_at = time.monotonic()
        self._on_loop(self._keep(pb.ComposeCheckpoint(engine=data).SerializeToString()))

    async def _keep(self, kept: bytes) -> None:
        ref = await self._store.put(kept, "application/octet-stream", self._work.grant, storage_class=CHECKPOINT)
        await self._work.checkpoint(ref)

    def _on_loop(self, doing: Coroutine[None, None, T]) -> T:
        return asyncio.run_coroutine_threadsafe(doing, self._loop).result()
