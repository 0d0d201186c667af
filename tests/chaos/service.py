"""A service of the mesh with the kill suite's failpoint: `python -m tests.chaos.service SERVICE HOME`."""

import importlib
import sys
from functools import partial
from pathlib import Path

from harmonia_chassis.node import run_service
from tests.chaos.strike import Striker


def main() -> None:
    service, home = sys.argv[1], Path(sys.argv[2])
    settings = importlib.import_module(f"harmonia_{service}.settings")
    start = importlib.import_module(f"harmonia_{service}.__main__").start
    run_service(service, settings.Settings, partial(start, failpoint=Striker(home)), argv=[])


if __name__ == "__main__":
    main()
