"""What a stage tells while it runs: cheap to say from any thread, at most four times a second on the wire."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from harmonia.composer.v1 import composer_pb2
from harmonia.job.v1 import job_pb2 as pb

_INTERVAL_S = 0.25


class ProgressTeller:
    """Keeps the newest word of one stage and sends it: at once when the last is a quarter second old, else then."""

    def __init__(self, send: Callable[[pb.Progress], Awaitable[None]], *, epoch: int, stage: str) -> None:
        self._send = send
        self._newest = pb.Progress(epoch=epoch, stage=stage)
        self._changed = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def tell(self, fraction: float, message: str) -> None:
        """Thread-safe."""
        self._loop.call_soon_threadsafe(self._set, fraction, message)

    def preview(self, preview: composer_pb2.ComposeEvent.Preview) -> None:
        """Thread-safe."""
        self._loop.call_soon_threadsafe(self._add, preview)

    async def run(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            self._newest.n += 1
            sent_at = time.monotonic()
            await self._send(self._newest)
            await asyncio.sleep(_INTERVAL_S - (time.monotonic() - sent_at))

    def _set(self, fraction: float, message: str) -> None:
        self._newest.fraction = min(max(fraction, self._newest.fraction), 1.0)
        self._newest.message = message
        self._changed.set()

    def _add(self, preview: composer_pb2.ComposeEvent.Preview) -> None:
        self._newest.previews.append(preview)
        self._changed.set()
