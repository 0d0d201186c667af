"""How long a caller who named no deadline waits for a job store that is being elected or restarted."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from harmonia_chassis.errors import Reason, Unavailable

# An election takes 4 to 6 s.
_LONGEST_S = 20.0
_RETRY = timedelta(seconds=1)


@asynccontextmanager
async def patience() -> AsyncIterator[None]:
    """Raises Unavailable when the block takes longer. What it was writing may land all the same."""
    try:
        async with asyncio.timeout(_LONGEST_S):
            yield
    except TimeoutError as error:
        message = "the mesh did not answer in time: send the same request again"
        raise Unavailable(message, reason=Reason.UNREACHABLE, retry_after=_RETRY) from error
