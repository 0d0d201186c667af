"""How much a service does at once, counted once for both its doors."""

import asyncio
from types import TracebackType


class Slots:
    """`async with slots` waits for a place; a puller of work looks at `free` and takes what it pulled."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.free = count
        self._freed = asyncio.Event()

    async def wait(self) -> None:
        """Returns when at least one place is free."""
        while self.free <= 0:
            self._freed.clear()
            await self._freed.wait()

    def take(self) -> None:
        self.free -= 1

    def release(self) -> None:
        self.free += 1
        self._freed.set()

    async def __aenter__(self) -> None:
        await self.wait()
        self.take()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
