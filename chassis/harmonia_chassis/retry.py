"""Calls that are made again while what went wrong may pass; each has one owner."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

from tenacity import AsyncRetrying, retry_if_exception, stop_after_delay, wait_random_exponential

from harmonia_chassis.errors import HarmoniaError

T = TypeVar("T")


async def retried(attempt: Callable[[], Awaitable[T]], *, within: timedelta) -> T:
    """The first answer; the last error when none came in time, or at once one that is not `retryable`."""
    retrying = AsyncRetrying(
        retry=retry_if_exception(lambda error: isinstance(error, HarmoniaError) and error.retryable),
        stop=stop_after_delay(within),
        wait=wait_random_exponential(multiplier=0.1, max=5),
        reraise=True,
    )
    return await retrying(attempt)
