"""One thing in a thread while the loop goes on with the next: bytes are hashed and written as more arrive."""

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self


class Overlap:
    """Steps run one after the other, in the order they were given, at most one at a time and none behind it.

    What a step raises comes out of the next `then` or of the end. Leaving waits for the running step, also when
    cancelled: nobody may close a file that is being written."""

    def __init__(self) -> None:
        self._running: asyncio.Future[object] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        if self._running is None:
            return
        await asyncio.wait([self._running])
        if kind is None:
            self._running.result()
        elif not self._running.cancelled():
            self._running.exception()  # seen: what ended the block comes first

    async def then(self, step: Callable[[], Awaitable[object]]) -> None:
        """Starts the step as soon as the one before is done, and returns then."""
        if self._running is not None:
            await asyncio.shield(self._running)
        self._running = asyncio.ensure_future(step())
