"""Artifacts that remove what is condemned at the next round, without the hour between: `hasty_artifacts.py`."""

from datetime import timedelta
from functools import partial

from harmonia_artifacts.__main__ import start
from harmonia_artifacts.settings import Settings
from harmonia_chassis.node import run_service

if __name__ == "__main__":
    run_service("artifacts", Settings, partial(start, grace=timedelta(0)), argv=[])
