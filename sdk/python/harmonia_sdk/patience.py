"""How long a client goes on when a stream breaks: as long as something was heard within the last minute."""

import asyncio
import random
import time

from harmonia_sdk.errors import Cancelled, HarmoniaError

PATIENCE_S = 60.0
FIRST_WAIT_S = 0.1
LONGEST_WAIT_S = 2.0


class Patience:
    def __init__(self, patience_s: float = PATIENCE_S) -> None:
        self._patience_s = patience_s
        self.heard()

    def heard(self) -> None:
        self._heard_at = time.monotonic()
        self._wait_s = FIRST_WAIT_S

    async def wait_or_raise(self, error: HarmoniaError) -> None:
        """Waits 0.1 s, twice as long each time up to 2 s, ± half; raises what will not pass, or not in time."""
        # CANCELLED, unasked, is a server that went away in the middle of a stream.
        passing = error.retryable or isinstance(error, Cancelled)
        if not passing or time.monotonic() - self._heard_at > self._patience_s:
            raise error
        asked = error.retry_after.total_seconds() if error.retry_after else 0.0
        await asyncio.sleep(max(asked, self._wait_s * random.uniform(0.5, 1.5)))  # noqa: S311  jitter, not a secret
        self._wait_s = min(2 * self._wait_s, LONGEST_WAIT_S)
