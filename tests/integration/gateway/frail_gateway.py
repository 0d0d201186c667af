"""The gateway with a small job store, killed once at a point: `python frail_gateway.py FILE`.

FILE holds the name of the point; whoever wants a kill writes it, the kill empties it. "full" is no kill: there the job
store has no room for one song, as when others were faster than the look at how full it is.
"""

import os
import signal
import sys
from datetime import timedelta
from functools import partial
from pathlib import Path

from harmonia_chassis.errors import QuotaExceeded, Reason
from harmonia_chassis.node import run_service
from harmonia_gateway.__main__ import start
from harmonia_gateway.settings import Settings

# The last fifth holds what the workers write in the second for which fullness is remembered.
STORE_BYTES = 32 << 20


def strike(file: Path, point: str, _stage: str) -> None:
    if point == "before_create" and file.exists() and file.read_text() == "full":
        file.unlink()
        raise QuotaExceeded("the job store is full", reason=Reason.STORE_FULL)
    if file.exists() and file.read_text() == point:
        file.unlink()
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    os.environ["HARMONIA_STORE_BYTES"] = str(STORE_BYTES)
    failpoint = partial(strike, Path(sys.argv[1]))
    run_service("gateway", Settings, partial(start, failpoint=failpoint, hope=timedelta(seconds=2)), argv=[])
