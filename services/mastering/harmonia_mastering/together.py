"""Things done at once, ended together."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar

T = TypeVar("T")

_LOOK_EVERY_S = 0.2


async def together(*doing: Awaitable[T]) -> list[T]:
    """Their results in order. As with a task group none outlives the call, but the first error comes out as it is:
    workers and interceptors go by its class."""
    tasks = [asyncio.ensure_future(one) for one in doing]
    try:
        return await asyncio.gather(*tasks)
    finally:
        await _end(tasks)


async def while_wanted(check: Callable[[], None], doing: Coroutine[Any, Any, T]) -> T:
    """The result, unless the check raises first: it is asked five times a second."""
    task = asyncio.ensure_future(doing)
    try:
        while not task.done():
            check()
            await asyncio.wait([task], timeout=_LOOK_EVERY_S)
        return await task
    finally:
        await _end([task])


async def _end(tasks: Sequence[asyncio.Future[T]]) -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
