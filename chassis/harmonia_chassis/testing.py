"""Hooks for tests that must strike at an exact point. Never reached by the environment: a test
passes its own failpoint to the start function of a service, from a `__main__` of its own."""

from collections.abc import Callable

# Called with the point ("after_claim") and the stage ("compose", or "" where there is none).
Failpoint = Callable[[str, str], None]

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
