"""Artifacts that stop at a point: `stalling_artifacts.py POINT MARKER` writes MARKER there and waits to be killed."""

import asyncio
import sys
from functools import partial
from pathlib import Path

from harmonia_artifacts.__main__ import start
from harmonia_artifacts.settings import Settings
from harmonia_chassis.node import run_service


async def stop_at(wanted: str, marker: Path, point: str) -> None:
    if point == wanted:
        await asyncio.to_thread(marker.touch)
        await asyncio.Event().wait()


if __name__ == "__main__":
    wanted, marker = sys.argv[1], Path(sys.argv[2])
    failpoint = lambda point, _stage: stop_at(wanted, marker, point)  # noqa: E731
    run_service("artifacts", Settings, partial(start, failpoint=failpoint), argv=[])
