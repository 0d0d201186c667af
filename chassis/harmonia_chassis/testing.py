"""Hooks for tests that must strike at an exact point. Never reached by the environment: a test
passes its own failpoint to the start function of a service, from a `__main__` of its own."""

from collections.abc import Awaitable, Callable

# Called with the point ("after_claim") and the stage ("compose", or "" where there is none). It may kill,
# raise, or give back something to wait for; "mid_stage" comes from any thread and is not waited for.
Failpoint = Callable[[str, str], Awaitable[None] | None]

POINTS = (
    "before_create",
    "after_create",
    "after_fetch",
    "after_claim",
    "mid_stage",
    "after_put",
    "after_checkpoint",
    "before_commit",
    "after_commit",
    "after_ack",
    "during_cancel",
    "during_retry_delay",
)


def never(_point: str, _stage: str) -> None:
    """The failpoint of production."""


async def reach(failpoint: Failpoint, point: str, stage: str) -> None:
    waiting = failpoint(point, stage)
    if waiting is not None:
        await waiting
